//! WebSockets to a WebSocket backend, with and without the `grip` extension.

use serde_json::json;
use tokio::join;
use tokio_tungstenite::tungstenite::Message;

use super::harness::websocket::refusal;
use super::harness::{Answer, Backend, Client, Publisher, Request, Server, WebSocket};

const GRIP: &str = "Sec-WebSocket-Extensions: grip\r\n";

struct Pair {
    server: Server,
    _backend: Backend,
    client: WebSocket,
    behind: WebSocket,
    request: Request,
}

/// A client, and the socket behind that a backend has accepted with these header lines.
async fn connected(lines: &str, headers: &[(&'static str, &str)]) -> Pair {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ""));
    let accepting = async {
        let exchange = backend.next().await;
        let request = exchange.request.clone();
        (WebSocket::accept(exchange, lines).await, request)
    };
    let connecting = WebSocket::try_connect(&server, "/socket?x=1", headers);
    let (client, (behind, request)) = join!(connecting, accepting);
    Pair { server, _backend: backend, client: client.expect("accepted"), behind, request }
}

fn control(message: &serde_json::Value) -> Message {
    Message::text(format!("c:{message}"))
}

#[tokio::test]
async fn the_handshake_is_relayed() {
    let lines = "Sec-WebSocket-Extensions: grip\r\nSec-WebSocket-Protocol: v2\r\n\
        Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n";
    let headers = [
        ("Sec-WebSocket-Protocol", "v1, v2"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Cookie", "c=d"),
        ("Grip-Sig", "forged"),
    ];
    let pair = connected(lines, &headers).await;
    assert_eq!(pair.request.method, "GET");
    assert_eq!(pair.request.target, "/socket?x=1");
    assert_eq!(pair.request.header("host"), Some("a.example"));
    assert_eq!(pair.request.header("sec-websocket-extensions"), Some("grip"));
    assert_eq!(pair.request.header("sec-websocket-protocol"), Some("v1, v2"));
    assert_eq!(pair.request.header("cookie"), Some("c=d"));
    assert_ne!(pair.request.header("grip-sig"), Some("forged"));
    assert!(pair.request.header("grip-feature").is_some());
    let shown = pair.client.response.headers();
    assert_eq!(shown["sec-websocket-protocol"], "v2");
    assert_eq!(shown.get_all("set-cookie").iter().count(), 2);
    assert!(!shown.contains_key("sec-websocket-extensions"));
}

#[tokio::test]
async fn messages_go_both_ways_without_the_extension() {
    let mut pair = connected("", &[]).await;
    pair.client.text("to the backend").await;
    pair.behind.expect_text("to the backend").await;
    pair.behind.text("to the client").await;
    pair.client.expect_text("to the client").await;
    pair.behind.text("c:not a control message").await;
    pair.client.expect_text("c:not a control message").await;
    pair.behind.send(Message::binary(vec![0, 255])).await;
    assert_eq!(pair.client.next().await, Message::binary(vec![0, 255]));
    pair.client.text("").await;
    pair.behind.expect_text("").await;
}

#[tokio::test]
async fn pings_are_answered_by_the_other_end() {
    let mut pair = connected("", &[]).await;
    pair.client.send(Message::Ping("payload".into())).await;
    assert_eq!(pair.behind.next().await, Message::Ping("payload".into()));
    // Our backend's library has queued a pong, and sends it with what comes next.
    pair.behind.text("after it").await;
    let mut seen = [pair.client.next().await, pair.client.next().await];
    seen.sort_by_key(|message| message.is_text());
    assert_eq!(seen, [Message::Pong("payload".into()), Message::text("after it")]);
}

#[tokio::test]
async fn with_the_extension_only_prefixed_messages_are_shown() {
    let mut pair = connected(GRIP, &[]).await;
    pair.behind.text("no prefix: dropped").await;
    pair.behind.text("m:shown").await;
    pair.client.expect_text("shown").await;
    pair.behind.send(Message::binary(b"m:\x00\x01".to_vec())).await;
    assert_eq!(pair.client.next().await, Message::binary(vec![0, 1]));
    pair.behind.text("m:m:x").await;
    pair.client.expect_text("m:x").await;
    pair.client.text("m:never altered").await;
    pair.behind.expect_text("m:never altered").await;
}

#[tokio::test]
async fn the_prefix_is_the_backends_choice() {
    let mut pair = connected("Sec-WebSocket-Extensions: grip; message-prefix=\"!\"\r\n", &[]).await;
    pair.behind.text("m:dropped").await;
    pair.behind.text("!shown").await;
    pair.client.expect_text("shown").await;
    let mut pair = connected("Sec-WebSocket-Extensions: grip; message-prefix=\"\"\r\n", &[]).await;
    pair.behind.text("c:{}").await;
    pair.behind.text("m:all of it").await;
    pair.client.expect_text("m:all of it").await;
}

#[tokio::test]
async fn subscribes_and_hears_what_is_published() {
    let mut pair = connected(GRIP, &[]).await;
    let publisher = Publisher::new(&pair.server);
    pair.behind.send(control(&json!({ "type": "subscribe", "channel": "news" }))).await;
    pair.behind.text("m:ready").await;
    pair.client.expect_text("ready").await;
    for n in 0..20 {
        publisher.message("news", &n.to_string()).await;
    }
    for n in 0..20 {
        pair.client.expect_text(&n.to_string()).await;
    }
    pair.behind.send(control(&json!({ "type": "unsubscribe", "channel": "news" }))).await;
    pair.behind.text("m:left").await;
    pair.client.expect_text("left").await;
    publisher.message("news", "not heard").await;
    pair.behind.text("m:last").await;
    pair.client.expect_text("last").await;
}

#[tokio::test]
async fn a_publish_closes_both_sides() {
    let mut pair = connected(GRIP, &[]).await;
    let publisher = Publisher::new(&pair.server);
    pair.behind.send(control(&json!({ "type": "subscribe", "channel": "news" }))).await;
    pair.behind.text("m:ready").await;
    pair.client.expect_text("ready").await;
    let close = json!({ "ws-message": { "action": "close", "code": 4010, "reason": "done" } });
    publisher.formats("news", close).await;
    pair.client.expect_close(4010, "done").await;
    pair.behind.expect_close(1000, "").await;
}

#[tokio::test]
async fn implicit_channels_need_no_extension() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ",sub=implicit"));
    let publisher = Publisher::new(&server);
    let accepting = async { WebSocket::accept(backend.next().await, "").await };
    let (mut client, mut behind) = join!(WebSocket::connect(&server, "/"), accepting);
    behind.text("ready").await;
    client.expect_text("ready").await;
    publisher.message("implicit", "published").await;
    client.expect_text("published").await;
}

#[tokio::test]
async fn closes_are_relayed_with_code_and_reason() {
    let mut pair = connected("", &[]).await;
    pair.client.close(4001, "bye").await;
    pair.behind.expect_close(4001, "bye").await;
    let (closed, ()) = join!(pair.client.next(), pair.behind.expect_dropped_quietly());
    assert!(matches!(closed, Message::Close(Some(frame)) if u16::from(frame.code) == 4001));
    let mut pair = connected("", &[]).await;
    pair.behind.close(4002, "out").await;
    pair.client.expect_close(4002, "out").await;
    let (closed, ()) = join!(pair.behind.next(), pair.client.expect_dropped_quietly());
    assert!(matches!(closed, Message::Close(Some(frame)) if u16::from(frame.code) == 4002));
}

#[tokio::test]
async fn losing_one_side_drops_the_other() {
    let mut pair = connected("", &[]).await;
    drop(pair.behind);
    pair.client.expect_dropped().await;
    let mut pair = connected("", &[]).await;
    drop(pair.client);
    pair.behind.expect_dropped().await;
}

#[tokio::test]
async fn a_large_message_goes_both_ways() {
    let mut pair = connected("", &[]).await;
    let large = "x".repeat(3_000_000);
    let (client, behind) = (&mut pair.client, &mut pair.behind);
    join!(client.text(&large), behind.expect_text(&large));
    join!(behind.text(&large), client.expect_text(&large));
}

#[tokio::test]
async fn a_rejection_is_relayed() {
    let backend = Backend::answering(|_| {
        Answer::new("401 Who Are You").header("WWW-Authenticate", "Basic").body("no\n")
    });
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    let head = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\n\
        Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.send(head).await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 401 Who Are You");
    assert_eq!(head.header("www-authenticate"), Some("Basic"));
    assert_eq!(body, "no\n");
    client.expect_closed().await;
}

#[tokio::test]
async fn a_wrong_accept_or_no_backend_is_502() {
    let backend = Backend::answering(|_| {
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n";
        let wrong = "Connection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n";
        Answer::raw(format!("{head}{wrong}"), false)
    });
    let refusing = super::harness::backend::refusing();
    let server = Server::start(&[backend.route("*,path_beg=/wrong", ""), format!("* {refusing}")]);
    for path in ["/wrong", "/none"] {
        let refused = refusal(WebSocket::try_connect(&server, path, &[]).await);
        assert_eq!(refused.status().as_u16(), 502, "{path}");
    }
}

#[tokio::test]
async fn an_upgrade_that_is_no_websocket_is_400() {
    let mut backend = Backend::answering(|_| Answer::ok("never"));
    let server = Server::route(backend.route("*", ""));
    for lines in ["", "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: x\r\n"] {
        let mut client = Client::connect(server.http).await;
        let head = "GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n";
        client.send(format!("{head}{lines}\r\n")).await;
        let (head, body) = client.response().await;
        assert_eq!(head.status, "HTTP/1.1 400 Bad Request");
        assert!(body.starts_with("Request contained an Upgrade header"), "{body}");
        client.expect_closed().await;
    }
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn a_slow_client_holds_its_backend_back_and_loses_nothing() {
    let mut pair = connected("", &[]).await;
    let message = "y".repeat(100_000);
    let (client, behind) = (&mut pair.client, &mut pair.behind);
    let sending = async {
        for _ in 0..200 {
            behind.text(&message).await;
        }
    };
    let reading = async {
        for _ in 0..200 {
            client.expect_text(&message).await;
        }
    };
    join!(sending, reading);
}

#[tokio::test]
async fn only_a_route_in_debug_closes_for_a_filter() {
    for (condition, arguments) in [("*", &["--debug"][..]), ("*,debug", &[])] {
        let mut backend = Backend::manual();
        let mut server = Server::start_with(&[backend.route(condition, "")], arguments);
        let publisher = Publisher::new(&server);
        let accepting = async { WebSocket::accept(backend.next().await, GRIP).await };
        let (mut client, mut behind) = join!(WebSocket::connect(&server, "/"), accepting);
        // Without a URL it cannot be asked.
        let filters = json!(["http-check"]);
        let subscribe = json!({ "type": "subscribe", "channel": "news", "filters": filters });
        behind.send(control(&subscribe)).await;
        behind.text("m:ready").await;
        client.expect_text("ready").await;
        publisher.message("news", "filtered").await;
        if condition == "*,debug" {
            client.expect_close(1011, "filter error: missing url value").await;
        } else {
            behind.text("m:still here").await;
            client.expect_text("still here").await;
            assert_eq!(server.counted("filter_failures"), 1);
            client.expect_close(1001, "").await;
        }
    }
}
