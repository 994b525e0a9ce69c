//! What happens at the bounds: subscriptions, request bodies, what a client is owed.

use super::harness::{Answer, Backend, Client, Publisher, Server, chunk};

#[tokio::test]
async fn only_the_first_channels_are_subscribed() {
    let routes = ["* test".to_owned()];
    let server = Server::start_with(&routes, &["--connection-subscription-max", "2"]);
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/stream?channel=a&channel=b&channel=c").await;
    client.head().await;
    client.chunk().await;
    publisher.stream("c", "over the limit\n").await;
    publisher.stream("b", "within\n").await;
    let chunk = String::from_utf8(client.chunk().await).unwrap();
    assert!(chunk.contains("within\n"), "{chunk:?}");
}

#[tokio::test]
async fn a_request_body_at_and_over_its_limit() {
    let mut backend = Backend::answering(|request| Answer::ok(request.body.len().to_string()));
    let routes = [backend.route("*", "")];
    let server = Server::start_with(&routes, &["--request-body-bytes", "20000"]);
    for (length, status) in
        [(20_000, "HTTP/1.1 200 OK"), (20_001, "HTTP/1.1 413 Payload Too Large")]
    {
        let mut client = Client::connect(server.http).await;
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        client.send(head.into_bytes()).await;
        if length == 20_000 {
            client.send(vec![b'x'; length]).await;
        }
        let (head, body) = client.response().await;
        assert_eq!(head.status, status);
        match length {
            20_000 => assert_eq!(body, "20000"),
            _ => assert_eq!(body, "Request body exceeded limit of 20000 bytes.\n"),
        }
    }
    assert_eq!(backend.seen().await.body.len(), 20_000);
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn a_chunked_body_over_its_limit_is_cut_off() {
    let backend = Backend::manual();
    let routes = [backend.route("*", "")];
    let server = Server::start_with(&routes, &["--request-body-bytes", "20000"]);
    let mut client = Client::connect(server.http).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let chunk = [b"2710\r\n".as_slice(), &[b'x'; 10_000], b"\r\n"].concat();
    for _ in 0..3 {
        client.send(&chunk).await;
    }
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 413 Payload Too Large");
    assert_eq!(body, "Request body exceeded limit of 20000 bytes.\n");
}

#[tokio::test]
async fn publishers_wait_for_what_is_not_delivered_and_nothing_is_lost() {
    const SUBSCRIBERS: usize = 200;
    const MESSAGES: usize = 40;
    let routes = ["* test".to_owned()];
    let arguments = ["--waiting-items", "1", "--workers", "1"];
    let mut server = Server::start_with(&routes, &arguments);
    let publisher = Publisher::new(&server);
    let mut clients = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let mut client = Client::get(server.http, "/stream?channel=c").await;
        client.head().await;
        client.chunk().await;
        clients.push(client);
    }
    for number in 0..MESSAGES {
        publisher.stream("c", &format!("{number}\n")).await;
    }
    for client in &mut clients {
        for number in 0..MESSAGES {
            assert_eq!(client.chunk().await, chunk(format!("{number}\n")));
        }
    }
    assert!(server.counted("publishers_held_back") > 0);
}

#[tokio::test]
async fn two_channels_of_one_client_keep_the_order_of_publishing() {
    let routes = ["* test".to_owned()];
    let server = Server::start_with(&routes, &["--workers", "1"]);
    let publisher = Publisher::new(&server);
    let mut both = Client::get(server.http, "/stream?channel=large&channel=small").await;
    both.head().await;
    both.chunk().await;
    let mut others = Vec::new();
    for _ in 0..100 {
        let mut client = Client::get(server.http, "/stream?channel=large").await;
        client.head().await;
        client.chunk().await;
        others.push(client);
    }
    let mut items = Vec::new();
    for number in 0..20 {
        let channel = if number % 3 == 0 { "small" } else { "large" };
        let formats = serde_json::json!({"http-stream": {"content": format!("{number}\n")}});
        items.push(serde_json::json!({"channel": channel, "formats": formats}));
    }
    publisher.items(items.into()).await;
    for number in 0..20 {
        assert_eq!(both.chunk().await, chunk(format!("{number}\n")));
    }
}
