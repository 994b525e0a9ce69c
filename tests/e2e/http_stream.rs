//! Streams: their exact bytes, what is published to them, keep-alives, and slow readers.

use serde_json::json;

use super::harness::publisher::KNOCK;
use super::harness::{Answer, Backend, Client, Publisher, Server, chunk};

/// Opens a stream and reads its head and first chunk.
async fn open(server: &Server, target: &str) -> Client {
    let mut client = Client::get(server.http, target).await;
    let head = client.head().await;
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    assert_eq!(client.chunk().await, chunk("init\n"));
    client
}

/// Publishes knocks until one is on its way to the client.
async fn knock(publisher: &Publisher, channel: &str, client: &mut Client) {
    let formats = json!({ "http-stream": { "content": KNOCK } });
    let client = tokio::sync::Mutex::new(client);
    publisher.until(channel, formats, || async { client.lock().await.hears().await }).await;
}

#[tokio::test]
async fn starts_and_goes_on_byte_for_byte() {
    let backend = Backend::answering(|_| Answer::hold("stream", "bytes", "init\n"));
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/").await;
    let head = client.head().await;
    assert_eq!(head.status, "HTTP/1.1 200 OK");
    assert_eq!(head.header("content-type"), Some("text/plain"));
    assert_eq!(head.header("content-length"), None);
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    assert!(head.is_grip_free(), "{head:?}");
    assert_eq!(client.exactly(10).await, b"5\r\ninit\n\r\n");
    knock(&publisher, "bytes", &mut client).await;
    publisher.stream("bytes", "hello\n").await;
    assert_eq!(client.chunk().await, b"6\r\nhello\n\r\n");
    publisher.formats("bytes", json!({ "http-stream": { "content-bin": "AAEC/w==" } })).await;
    assert_eq!(client.chunk().await, b"4\r\n\x00\x01\x02\xff\r\n");
    publisher.stream("bytes", "").await;
    publisher.stream("bytes", "after nothing\n").await;
    assert_eq!(client.chunk().await, chunk("after nothing\n"));
    publisher.close_stream("bytes").await;
    assert_eq!(client.chunk().await, b"0\r\n\r\n");
}

#[tokio::test]
async fn the_connection_is_used_again_after_the_end() {
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/plain" => Answer::ok("plain\n"),
        _ => Answer::hold("stream", "again", "init\n"),
    });
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = open(&server, "/").await;
    knock(&publisher, "again", &mut client).await;
    publisher.close_stream("again").await;
    assert_eq!(client.chunk().await, b"0\r\n\r\n");
    client.send("GET /plain HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!(client.response().await.1, "plain\n");
}

#[tokio::test]
async fn publishes_arrive_in_order() {
    let backend = Backend::answering(|_| Answer::hold("stream", "order", "init\n"));
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = open(&server, "/").await;
    knock(&publisher, "order", &mut client).await;
    for round in 0..10 {
        let items: Vec<_> = (0..10)
            .map(|n| {
                let content = format!("{round}.{n};");
                json!({ "channel": "order", "formats": { "http-stream": { "content": content } } })
            })
            .collect();
        publisher.items(json!(items)).await;
    }
    publisher.close_stream("order").await;
    let mut all = String::new();
    loop {
        let piece = client.chunk().await;
        if piece == b"0\r\n\r\n" {
            break;
        }
        let text = String::from_utf8(piece).expect("text");
        let inside = text.split_once("\r\n").expect("a chunk").1;
        all.push_str(inside.trim_end_matches("\r\n"));
    }
    let expected: String =
        (0..10).flat_map(|round| (0..10).map(move |n| format!("{round}.{n};"))).collect();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn several_channels_in_every_form() {
    let backend = Backend::answering(|_| {
        Answer::hold("stream", "a, b", "init\n")
            .header("grip-channel", "c")
            .header("GRIP-CHANNEL", "d")
    });
    let server = Server::route(backend.route("*,prefix=p-", ""));
    let publisher = Publisher::new(&server);
    let mut client = open(&server, "/").await;
    knock(&publisher, "p-d", &mut client).await;
    publisher.stream("a", "without the prefix\n").await;
    for channel in ["a", "b", "c", "d"] {
        publisher.stream(&format!("p-{channel}"), &format!("to {channel}\n")).await;
        assert_eq!(client.chunk().await, chunk(format!("to {channel}\n")));
    }
}

#[tokio::test]
async fn a_channel_named_twice_is_subscribed_once() {
    let backend = Backend::answering(|_| Answer::hold("stream", "x, x", "init\n"));
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = open(&server, "/").await;
    knock(&publisher, "x", &mut client).await;
    publisher.stream("x", "once\n").await;
    publisher.stream("x", "then\n").await;
    assert_eq!(client.chunk().await, chunk("once\n"));
    assert_eq!(client.chunk().await, chunk("then\n"));
}

#[tokio::test]
async fn keep_alive_in_every_encoding() {
    for (value, expected) in [
        ("raw text; timeout=1", "raw text"),
        ("a\\nb\\x21\\\\; format=cstring; timeout=1", "a\nb!\\"),
        ("aGVsbG8K; format=base64; timeout=1; mode=interval", "hello\n"),
    ] {
        let value = value.to_owned();
        let backend = Backend::answering(move |_| {
            Answer::hold("stream", "calm", "init\n").header("Grip-Keep-Alive", &value)
        });
        let server = Server::route(backend.route("*", ""));
        let mut client = open(&server, "/").await;
        for _ in 0..2 {
            assert_eq!(client.chunk().await, chunk(expected));
        }
    }
}

#[tokio::test]
async fn keep_alive_by_interval_goes_on_while_there_are_publishes() {
    let backend = Backend::answering(|_| {
        let value = "still here; timeout=1; mode=interval";
        Answer::hold("stream", "busy", "init\n").header("Grip-Keep-Alive", value)
    });
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = open(&server, "/").await;
    // Busy all the time: only a timer that publishes do not restart can fire.
    let formats = json!({ "http-stream": { "content": "busy\n" } });
    let mut seen = 0;
    while seen < 2 {
        publisher.formats("busy", formats.clone()).await;
        while client.hears().await {
            let piece = String::from_utf8(client.chunk().await).expect("text");
            seen += usize::from(piece.contains("still here"));
            if seen == 2 || piece.contains("busy") {
                break;
            }
        }
    }
}

#[tokio::test]
async fn only_exposed_headers_are_shown() {
    let backend = Backend::answering(|_| {
        Answer::hold("stream", "x", "init\n")
            .header("X-Shown", "1")
            .header("X-Hidden", "2")
            .header("Grip-Expose-Headers", "x-shown")
            .header("Grip-Status", "222 Streaming")
    });
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    let head = client.head().await;
    assert_eq!(head.status, "HTTP/1.1 222 Streaming");
    assert_eq!(head.header("x-shown"), Some("1"));
    assert_eq!(head.header("x-hidden"), None);
    assert_eq!(head.header("content-type"), None);
}

#[tokio::test]
async fn is_raw_to_an_http_1_0_client_and_ends_by_closing() {
    let backend = Backend::answering(|_| Answer::hold("stream", "old", "init\n"));
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::connect(server.http).await;
    client.send("GET / HTTP/1.0\r\nHost: a.example\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(head.status, "HTTP/1.0 200 OK");
    assert_eq!(head.header("transfer-encoding"), None);
    assert_eq!(client.exactly(5).await, b"init\n");
    knock(&publisher, "old", &mut client).await;
    publisher.stream("old", "last\n").await;
    publisher.close_stream("old").await;
    let rest = String::from_utf8(client.rest().await).expect("text");
    assert_eq!(rest.replace(KNOCK, ""), "last\n");
}

#[tokio::test]
async fn closing_is_announced_to_a_client_that_asks_for_it() {
    let backend = Backend::answering(|_| Answer::hold("stream", "closing", "init\n"));
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::connect(server.http).await;
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n").await;
    let head = client.head().await;
    let words = head.all("connection").join(",");
    assert!(words.split(',').any(|word| word.trim() == "close"), "{head:?}");
    assert_eq!(client.chunk().await, chunk("init\n"));
    knock(&publisher, "closing", &mut client).await;
    publisher.close_stream("closing").await;
    assert_eq!(client.chunk().await, b"0\r\n\r\n");
    client.expect_closed().await;
}

#[tokio::test]
async fn a_slow_reader_is_closed_at_its_bound_and_delays_nobody() {
    let backend = Backend::answering(|_| Answer::hold("stream", "flood", "init\n"));
    let server = Server::start_with(&[backend.route("*", "")], &["--workers", "1"]);
    let publisher = Publisher::new(&server);
    let mut slow = open(&server, "/slow").await;
    let mut quick = open(&server, "/quick").await;
    knock(&publisher, "flood", &mut slow).await;
    knock(&publisher, "flood", &mut quick).await;
    // 30 MB fill what the kernel takes (a few MB each way) and the outbox several times over.
    let content = "x".repeat(50_000);
    for _ in 0..600 {
        publisher.stream("flood", &content).await;
        let mut got = 0;
        while got < content.len() {
            let piece = quick.chunk().await;
            got += piece.iter().filter(|byte| **byte == b'x').count();
        }
    }
    publisher.close_stream("flood").await;
    assert_eq!(quick.chunk().await, b"0\r\n\r\n");
    let rest = slow.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "closed before its end");
    assert!(rest.len() < 30_000_000, "{} bytes were kept for it", rest.len());
}

#[tokio::test]
async fn a_client_that_leaves_is_forgotten() {
    let backend = Backend::answering(|_| Answer::hold("stream", "leaving", "init\n"));
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    drop(open(&server, "/").await);
    let mut stays = open(&server, "/").await;
    knock(&publisher, "leaving", &mut stays).await;
    for n in 0..20 {
        publisher.stream("leaving", &format!("{n}\n")).await;
        assert_eq!(stays.chunk().await, chunk(format!("{n}\n")));
    }
}
