//! WebSockets whose backend sees nothing but HTTP requests with events.

use serde_json::json;
use tokio::join;
use tokio_tungstenite::tungstenite::Message;

use super::harness::websocket::refusal;
use super::harness::{Answer, Backend, Publisher, Request, Server, WebSocket};

/// A backend under test's control, and a client that it has accepted.
async fn opened(further: &str) -> (Server, Backend, WebSocket, Request) {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ",over_http"));
    let opening = async {
        let exchange = backend.next().await;
        let request = exchange.request.clone();
        exchange.answer(Answer::open(further)).await;
        request
    };
    let (socket, request) = join!(WebSocket::connect(&server, "/chat?x=1"), opening);
    (server, backend, socket, request)
}

/// Answers the next request, whose body must be `expected`.
async fn exchange(backend: &mut Backend, expected: impl AsRef<[u8]>, answer: Answer) -> Request {
    let exchange = backend.next().await;
    let request = exchange.request.clone();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&request.body), text(expected.as_ref()));
    exchange.answer(answer).await;
    request
}

fn nothing() -> Answer {
    Answer::events("")
}

/// The control message that subscribes, as an event.
fn control(message: &serde_json::Value) -> String {
    let content = format!("c:{message}");
    format!("TEXT {:x}\r\n{content}\r\n", content.len())
}

fn subscribe(channel: &str) -> String {
    control(&json!({ "type": "subscribe", "channel": channel }))
}

#[tokio::test]
async fn opens_with_a_request_of_its_own() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ",over_http"));
    let headers = [
        ("Cookie", "a=b"),
        ("Sec-WebSocket-Protocol", "v1"),
        ("Meta-Forged", "1"),
        ("Connection-Id", "forged"),
        ("Accept", "text/html"),
    ];
    let opening = async {
        let exchange = backend.next().await;
        let request = exchange.request.clone();
        let answer = Answer::open("").header("Sec-WebSocket-Protocol", "v1");
        exchange.answer(answer.header("X-Shown", "1").header("Set-Meta-A", "b")).await;
        request
    };
    let (socket, request) = join!(WebSocket::try_connect(&server, "/chat?x=1", &headers), opening);
    let socket = socket.expect("accepted");
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/chat?x=1"));
    assert_eq!(request.body, b"OPEN\r\n");
    assert_eq!(request.header("content-type"), Some("application/websocket-events"));
    assert_eq!(request.header("accept"), Some("application/websocket-events"));
    assert_eq!(request.header("sec-websocket-extensions"), Some("grip"));
    assert_eq!(request.header("content-length"), Some("6"));
    assert_eq!(request.header("cookie"), Some("a=b"));
    assert_eq!(request.header("sec-websocket-version"), Some("13"));
    assert!(request.header("sec-websocket-key").is_some());
    assert!(request.header("grip-feature").is_some());
    assert_eq!(request.header("meta-forged"), None);
    assert_eq!(request.header("upgrade"), None);
    let id = request.header("connection-id").expect("an id");
    assert!(id.len() >= 32 && id != "forged", "{id}");
    let shown = socket.response.headers();
    assert_eq!(shown["x-shown"], "1");
    assert_eq!(shown["sec-websocket-protocol"], "v1");
    for hidden in ["set-meta-a", "content-type", "content-length", "sec-websocket-extensions"] {
        assert!(!shown.contains_key(hidden), "{hidden}");
    }
}

#[tokio::test]
async fn text_and_binary_go_both_ways() {
    let (_server, mut backend, mut socket, opening) = opened("TEXT 9\r\nm:welcome\r\n").await;
    socket.expect_text("welcome").await;
    socket.text("hello").await;
    let answer = Answer::events("TEXT 5\r\nm:hi!\r\nBINARY 4\r\nm:\x00\x01\r\n");
    let request = exchange(&mut backend, "TEXT 5\r\nhello\r\n", answer).await;
    assert_eq!(request.header("connection-id"), opening.header("connection-id"));
    socket.expect_text("hi!").await;
    assert_eq!(socket.next().await, Message::binary(vec![0, 1]));
    socket.send(Message::binary(vec![b'a'; 20])).await;
    exchange(&mut backend, "BINARY 14\r\naaaaaaaaaaaaaaaaaaaa\r\n", nothing()).await;
    socket.text("").await;
    exchange(&mut backend, "TEXT\r\n", Answer::events("TEXT 2\r\nm:\r\n")).await;
    socket.expect_text("").await;
}

#[tokio::test]
async fn only_messages_with_the_prefix_are_shown() {
    let (_server, mut backend, mut socket, _) = opened("").await;
    socket.text("go").await;
    let answer = "TEXT 6\r\nno one\r\nTEXT 5\r\nm:m:x\r\nNEWS\r\nTEXT 5\r\nm:end\r\n";
    exchange(&mut backend, "TEXT 2\r\ngo\r\n", Answer::events(answer)).await;
    socket.expect_text("m:x").await;
    socket.expect_text("end").await;
}

#[tokio::test]
async fn a_backend_without_grip_is_relayed_verbatim() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ",over_http"));
    let opening = async {
        let events = "OPEN\r\nTEXT 5\r\nplain\r\nTEXT 3\r\nc:x\r\n";
        backend.next().await.answer(Answer::events(events)).await;
    };
    let (mut socket, ()) = join!(WebSocket::connect(&server, "/"), opening);
    socket.expect_text("plain").await;
    socket.expect_text("c:x").await;
}

#[tokio::test]
async fn pings_and_pongs_are_events() {
    let (_server, mut backend, mut socket, _) = opened("").await;
    socket.send(Message::Ping("p".into())).await;
    exchange(&mut backend, "PING 1\r\np\r\n", Answer::events("PONG 1\r\np\r\n")).await;
    assert_eq!(socket.next().await, Message::Pong("p".into()));
    socket.send(Message::Pong("".into())).await;
    exchange(&mut backend, "PONG\r\n", nothing()).await;
}

#[tokio::test]
async fn one_request_at_a_time_and_all_in_order() {
    let (_server, mut backend, mut socket, _) = opened("").await;
    socket.text("one").await;
    let first = backend.next().await;
    assert_eq!(first.request.body, b"TEXT 3\r\none\r\n");
    for text in ["two", "", "four"] {
        socket.text(text).await;
    }
    socket.send(Message::Ping("p".into())).await;
    first.answer(Answer::events("TEXT 7\r\nm:first\r\n")).await;
    socket.expect_text("first").await;
    let rest = b"TEXT 3\r\ntwo\r\nTEXT\r\nTEXT 4\r\nfour\r\nPING 1\r\np\r\n";
    // All that waited, in order; in one request, or in several if some came late.
    let mut got = Vec::new();
    while got.len() < rest.len() {
        let exchange = backend.next().await;
        got.extend_from_slice(&exchange.request.body);
        assert!(!backend.has_seen_more(), "a second request while the first was under way");
        exchange.answer(nothing()).await;
    }
    assert_eq!(got, rest);
}

#[tokio::test]
async fn many_clients_at_once_keep_their_order() {
    let backend = Backend::answering(|request| {
        if request.body == b"OPEN\r\n" {
            return Answer::open("");
        }
        // Each event comes back with the prefix.
        let mut out = Vec::new();
        let text = String::from_utf8_lossy(&request.body).into_owned();
        for content in text.split("\r\n").skip(1).step_by(2).filter(|content| !content.is_empty()) {
            out.extend(format!("TEXT {:x}\r\nm:{content}\r\n", content.len() + 2).bytes());
        }
        Answer::events(out)
    });
    let server = Server::route(backend.route("*", ",over_http"));
    let clients = (0..20).map(|client| {
        let server = &server;
        async move {
            let mut socket = WebSocket::connect(server, "/").await;
            for n in 0..50 {
                socket.text(&format!("{client}.{n}")).await;
            }
            for n in 0..50 {
                socket.expect_text(&format!("{client}.{n}")).await;
            }
        }
    });
    futures_util::future::join_all(clients).await;
}

#[tokio::test]
async fn the_client_closes() {
    let (_server, mut backend, mut socket, _) = opened("").await;
    socket.close(4001, "bye").await;
    let answer = Answer::events(b"TEXT 6\r\nm:last\r\nCLOSE 5\r\n\x0f\xa5yes\r\n");
    exchange(&mut backend, b"CLOSE 5\r\n\x0f\xa1bye\r\n", answer).await;
    socket.expect_text("last").await;
    socket.expect_close(4005, "yes").await;
    socket.expect_dropped().await;
    assert!(!backend.has_seen_more(), "a clean close needs no DISCONNECT");
}

#[tokio::test]
async fn the_backend_closes() {
    let (_server, mut backend, mut socket, _) = opened("").await;
    socket.text("end it").await;
    let answer = Answer::events([b"CLOSE 5\r\n\x0f\xa2".as_slice(), b"out\r\n"].concat());
    exchange(&mut backend, "TEXT 6\r\nend it\r\n", answer).await;
    socket.expect_close(4002, "out").await;
    // The client's answer to the close is one more request.
    let (exchange, ()) = join!(backend.next(), socket.expect_dropped_quietly());
    assert!(exchange.request.body.starts_with(b"CLOSE"));
    exchange.answer(nothing()).await;
}

#[tokio::test]
async fn a_client_that_vanishes_is_a_disconnect() {
    let (_server, mut backend, socket, opening) = opened("").await;
    drop(socket);
    let request = exchange(&mut backend, "DISCONNECT\r\n", nothing()).await;
    assert_eq!(request.header("connection-id"), opening.header("connection-id"));
}

#[tokio::test]
async fn a_backend_that_disconnects_or_fails_drops_the_client() {
    for answer in [
        Answer::events("DISCONNECT\r\n"),
        Answer::new("500 Internal Server Error").body("oops"),
        Answer::ok("not events"),
        Answer::events("TEXT zz\r\nx\r\n"),
    ] {
        let (_server, mut backend, mut socket, _) = opened("").await;
        socket.text("x").await;
        exchange(&mut backend, "TEXT 1\r\nx\r\n", answer).await;
        socket.expect_dropped().await;
        assert!(!backend.has_seen_more(), "it knows, and is told nothing");
    }
}

#[tokio::test]
async fn metadata_is_kept_and_sent_with_each_request() {
    let (_server, mut backend, mut socket, _) = opened("").await;
    socket.text("1").await;
    let answer = nothing().header("Set-Meta-User", "alice").header("Set-Meta-Gone", "x");
    exchange(&mut backend, "TEXT 1\r\n1\r\n", answer).await;
    socket.text("2").await;
    let answer = nothing().header("Set-Meta-Gone", "").header("set-meta-user", "bob");
    let request = exchange(&mut backend, "TEXT 1\r\n2\r\n", answer).await;
    assert_eq!(request.header("meta-user"), Some("alice"));
    assert_eq!(request.header("meta-gone"), Some("x"));
    drop(socket);
    let request = exchange(&mut backend, "DISCONNECT\r\n", nothing()).await;
    assert_eq!(request.header("meta-user"), Some("bob"));
    assert_eq!(request.header("meta-gone"), None);
}

#[tokio::test]
async fn subscribes_and_hears_what_is_published() {
    let further = subscribe("room") + "TEXT 7\r\nm:ready\r\n";
    let (server, mut backend, mut socket, _) = opened(&further).await;
    let publisher = Publisher::new(&server);
    socket.expect_text("ready").await;
    publisher.message("room", "published").await;
    socket.expect_text("published").await;
    publisher.formats("room", json!({ "ws-message": { "content-bin": "AAH/" } })).await;
    assert_eq!(socket.next().await, Message::binary(vec![0, 1, 255]));
    publisher.formats("room", json!({ "ws-message": { "type": "ping", "content": "p" } })).await;
    assert_eq!(socket.next().await, Message::Ping("p".into()));
    for n in 0..20 {
        publisher.message("room", &n.to_string()).await;
    }
    for n in 0..20 {
        socket.expect_text(&n.to_string()).await;
    }
    // The pong of our client, then the message that unsubscribes.
    let mut bodies = Vec::new();
    socket.text("leave").await;
    while !bodies.ends_with(b"leave\r\n") {
        let exchange = backend.next().await;
        bodies.extend_from_slice(&exchange.request.body);
        let leave = control(&json!({ "type": "unsubscribe", "channel": "room" }));
        exchange.answer(Answer::events(leave + "TEXT 6\r\nm:left\r\n")).await;
    }
    socket.expect_text("left").await;
    publisher.message("room", "not heard").await;
    socket.text("last").await;
    let mut last = backend.next().await;
    while last.request.body != b"TEXT 4\r\nlast\r\n" {
        last.answer(nothing()).await;
        last = backend.next().await;
    }
    last.answer(Answer::events("TEXT 6\r\nm:last\r\n")).await;
    loop {
        match socket.next().await {
            Message::Text(text) if text == "left" => {}
            other => break assert_eq!(other, Message::text("last")),
        }
    }
}

#[tokio::test]
async fn a_publish_closes_the_client_and_tells_the_backend() {
    let further = subscribe("room") + "TEXT 7\r\nm:ready\r\n";
    let (server, mut backend, mut socket, _) = opened(&further).await;
    let publisher = Publisher::new(&server);
    socket.expect_text("ready").await;
    let close = json!({ "ws-message": { "action": "close", "code": 4010, "reason": "done" } });
    publisher.formats("room", close).await;
    socket.expect_close(4010, "done").await;
    let exchange = backend.next().await;
    assert_eq!(exchange.request.body, b"CLOSE\r\n");
    exchange.answer(nothing()).await;
}

#[tokio::test]
async fn a_refresh_asks_the_backend() {
    let further = subscribe("room") + "TEXT 7\r\nm:ready\r\n";
    let (server, mut backend, mut socket, _) = opened(&further).await;
    let publisher = Publisher::new(&server);
    socket.expect_text("ready").await;
    publisher.formats("room", json!({ "ws-message": { "action": "refresh" } })).await;
    exchange(&mut backend, "", Answer::events("TEXT 7\r\nm:fresh\r\n")).await;
    socket.expect_text("fresh").await;
}

#[tokio::test]
async fn a_detached_client_lives_on_publishes_alone() {
    let detach = control(&json!({ "type": "detach" }));
    let further = subscribe("room") + "TEXT 7\r\nm:ready\r\n" + &detach;
    let (server, mut backend, mut socket, _) = opened(&further).await;
    let publisher = Publisher::new(&server);
    socket.expect_text("ready").await;
    exchange(&mut backend, "CLOSE\r\n", nothing()).await;
    socket.text("to nobody").await;
    publisher.message("room", "still here").await;
    socket.expect_text("still here").await;
    socket.close(4003, "").await;
    socket.expect_close(1000, "").await;
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn keep_alives_are_sent_to_the_client() {
    let message = json!({
        "type": "keep-alive", "content": "alive", "timeout": 1, "mode": "interval",
    });
    let (_server, _backend, mut socket, _) = opened(&control(&message)).await;
    socket.expect_text("alive").await;
    socket.expect_text("alive").await;
}

#[tokio::test]
async fn bad_control_messages_are_ignored() {
    let further =
        ["TEXT 6\r\nc:nope\r\n", "TEXT 4\r\nc:[]\r\n", "TEXT a\r\nc:{\"a\": 1}\r\n"].concat();
    let (_server, _backend, mut socket, _) = opened(&(further + "TEXT 4\r\nm:ok\r\n")).await;
    socket.expect_text("ok").await;
}

#[tokio::test]
async fn a_rejection_is_relayed() {
    for (answer, status) in [
        (Answer::new("403 Go Away").header("X-Why", "because").body("no\n"), 403),
        (Answer::ok("no\n").header("X-Why", "because"), 200),
    ] {
        let backend = Backend::answering(move |_| answer.clone());
        let server = Server::route(backend.route("*", ",over_http"));
        let refused = refusal(WebSocket::try_connect(&server, "/", &[]).await);
        assert_eq!(refused.status().as_u16(), status);
        assert_eq!(refused.headers()["x-why"], "because");
    }
}

#[tokio::test]
async fn a_bad_opening_is_502() {
    for body in ["", "TEXT 1\r\nx\r\n", "open\r\n", "garbage"] {
        let backend = Backend::answering(move |_| Answer::events(body));
        let server = Server::route(backend.route("*", ",over_http"));
        let refused = refusal(WebSocket::try_connect(&server, "/", &[]).await);
        assert_eq!(refused.status().as_u16(), 502, "{body:?}");
    }
}

#[tokio::test]
async fn the_next_target_is_tried_while_opening() {
    let backend = Backend::answering(|_| Answer::open("TEXT 4\r\nm:hi\r\n"));
    let refusing = super::harness::backend::refusing();
    let server = Server::route(format!("* {refusing},over_http {},over_http", backend.address));
    let mut socket = WebSocket::connect(&server, "/").await;
    socket.expect_text("hi").await;
}

#[tokio::test]
async fn a_request_that_was_sent_whole_is_repeated_once_at_most() {
    let (_server, mut backend, mut socket, _) = opened("").await;
    socket.text("again").await;
    let hung_up = backend.next().await;
    // It came on a connection that was used before, so the proxy may have taken the end for an
    // old connection's: it may try once on a fresh one. Then the client is dropped.
    let connection = hung_up.request.connection;
    drop(hung_up);
    tokio::select! {
        () = socket.expect_dropped() => {}
        again = backend.next() => {
            assert_eq!(again.request.body, b"TEXT 5\r\nagain\r\n");
            assert_ne!(again.request.connection, connection);
            drop(again);
            socket.expect_dropped().await;
        }
    }
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn a_large_message_is_one_event() {
    let (_server, mut backend, mut socket, _) = opened("").await;
    let large = "x".repeat(150_000);
    socket.text(&large).await;
    let event = format!("TEXT {:x}\r\n{large}\r\n", large.len());
    let answer = Answer::events(format!("TEXT {:x}\r\nm:{large}\r\n", large.len() + 2));
    exchange(&mut backend, event, answer).await;
    socket.expect_text(&large).await;
}
