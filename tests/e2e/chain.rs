//! Two servers in a row: the one at the edge, which the other trusts for its signature, holds; the
//! one behind it passes instructions on.

use std::time::{SystemTime, UNIX_EPOCH};

use linchpin::grip::signature::SigningKey;
use serde_json::json;
use tokio::join;

use super::harness::{
    Answer, Backend, Client, Publisher, Request, Server, WebSocket, chunk, within,
};

const KEY: &str = "base64:c2hhcmVk";

/// The edge, in front of what is behind it, in front of a backend.
struct Chain {
    edge: Server,
    inner: Server,
}

impl Chain {
    /// `edge_target` and `inner_target` are options of the targets, each with its comma.
    fn before(backend: &Backend, edge_target: &str, inner_target: &str) -> Chain {
        let routes = [backend.route("*", inner_target)];
        let inner = Server::start_with(&routes, &["--upstream-key", KEY]);
        let route = format!("* {}{edge_target}", inner.http);
        let signing = ["--sig-key", "shared", "--sig-iss", "the edge"];
        let edge = Server::start_with(&[route], &signing);
        Chain { edge, inner }
    }

    /// How many subscribers a message to the channel would reach behind the edge.
    async fn held_behind(&self, channel: &str) -> u64 {
        matched(&Publisher::new(&self.inner), channel).await
    }

    async fn held_at_the_edge(&self, channel: &str) -> u64 {
        matched(&Publisher::new(&self.edge), channel).await
    }
}

/// Publishes something empty; how many it was for.
async fn matched(publisher: &Publisher, channel: &str) -> u64 {
    let formats = json!({ "http-stream": { "content": "" }, "ws-message": { "content": "" },
        "http-response": { "action": "hint" } });
    let body = json!({ "items": [{ "channel": channel, "formats": formats }] }).to_string();
    let request = publisher.request(reqwest::Method::POST, "/publish/?receipt=1");
    let (status, answer) =
        publisher.send(request.header("Accept", "application/json").body(body)).await;
    assert_eq!(status, 200, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["complete"], true, "{answer}");
    answer["items"][0]["matched"].as_u64().expect("a number")
}

fn signed(key: &str, seconds_ago: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    SigningKey::from_text(key).expect("a key").sign("me", now - seconds_ago).expect("a token")
}

/// Claims of a token, unverified.
fn claims(token: &str) -> serde_json::Value {
    let middle = token.split('.').nth(1).expect("a token");
    let bytes = linchpin::wire::text::base64_decode(middle.as_bytes());
    serde_json::from_slice(&bytes).expect("claims")
}

#[tokio::test]
async fn a_stream_is_held_at_the_edge_only() {
    let mut backend = Backend::answering(|_| Answer::hold("stream", "news", "welcome\n"));
    let chain = Chain::before(&backend, "", "");
    let mut client = Client::get(chain.edge.http, "/feed").await;
    let head = client.head().await;
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    assert!(head.is_grip_free(), "{head:?}");
    assert_eq!(client.chunk().await, chunk("welcome\n"));
    let request = backend.seen().await;
    let token = request.header("grip-sig").expect("the edge's");
    assert_eq!(claims(token)["iss"], "the edge");
    assert!(request.header("grip-feature").is_some());
    // The initial body is sent before the channels are subscribed.
    let held = async { while chain.held_at_the_edge("news").await == 0 {} };
    within("the edge to hold", held).await;
    let publisher = Publisher::new(&chain.edge);
    publisher.stream("news", "hello\n").await;
    assert_eq!(client.chunk().await, chunk("hello\n"));
    assert_eq!(chain.held_at_the_edge("news").await, 1);
    assert_eq!(chain.held_behind("news").await, 0);
}

#[tokio::test]
async fn an_instruction_in_json_passes_as_it_is() {
    let body = r#"{"hold":{"mode":"stream","channels":[{"name":"a"}]},"response":{"body":"hi\n"}}"#;
    let backend = Backend::answering(move |_| {
        Answer::new("200 OK").header("Content-Type", "application/grip-instruct").body(body)
    });
    let chain = Chain::before(&backend, "", "");
    let mut client = Client::get(chain.edge.http, "/").await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("hi\n"));
    // The one behind shows it to whoever it trusts, untouched.
    let mut trusted = Client::connect(chain.inner.http).await;
    let token = signed("shared", 0);
    trusted.send(format!("GET / HTTP/1.1\r\nHost: a\r\nGrip-Sig: {token}\r\n\r\n")).await;
    let (head, shown) = trusted.response().await;
    assert_eq!(head.header("content-type"), Some("application/grip-instruct"));
    assert_eq!(shown, body);
}

#[tokio::test]
async fn events_of_websockets_pass_through() {
    // As events from the edge on, or only from behind it.
    for (edge_target, inner_target) in [(",over_http", ",over_http"), ("", ",over_http")] {
        let mut backend = Backend::manual();
        let chain = Chain::before(&backend, edge_target, inner_target);
        let opening = async {
            let exchange = backend.next().await;
            let request = exchange.request.clone();
            let subscribe = r#"c:{"type":"subscribe","channel":"room"}"#;
            let events = format!("TEXT {:x}\r\n{subscribe}\r\nTEXT 4\r\nm:hi\r\n", subscribe.len());
            exchange.answer(Answer::open(events)).await;
            request
        };
        let (mut socket, request) = join!(WebSocket::connect(&chain.edge, "/chat"), opening);
        assert_eq!(request.header("content-type"), Some("application/websocket-events"));
        assert_eq!(claims(request.header("grip-sig").expect("the edge's"))["iss"], "the edge");
        assert_eq!(request.body, b"OPEN\r\n");
        socket.expect_text("hi").await;
        Publisher::new(&chain.edge).message("room", "hello").await;
        socket.expect_text("hello").await;
        assert_eq!(chain.held_behind("room").await, 0, "{edge_target}");
        socket.text("up").await;
        let exchange = backend.next().await;
        assert_eq!(exchange.request.body, b"TEXT 2\r\nup\r\n");
        exchange.answer(Answer::events("TEXT 6\r\nm:down\r\n")).await;
        socket.expect_text("down").await;
    }
}

/// What the server behind makes of a request with this signature: what the backend got, and whether
/// its instruction reached the client.
async fn shown(token: &str) -> (Request, bool) {
    let mut backend = Backend::answering(|_| {
        Answer::ok("body\n").header("Grip-Status", "299").header("Grip-Foo", "x")
    });
    let inner = Server::start_with(&[backend.route("*", "")], &["--upstream-key", KEY]);
    let mut client = Client::connect(inner.http).await;
    let fields = format!("Grip-Sig: {token}\r\nGrip-Feature: mine\r\nGrip-Last: c; last-id=1\r\n");
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    let (head, body) = client.response().await;
    assert_eq!(body, "body\n");
    let passed = head.header("grip-foo") == Some("x");
    assert_eq!(passed, head.status == "HTTP/1.1 200 OK", "{head:?}");
    (backend.seen().await, passed)
}

#[tokio::test]
async fn who_signs_is_trusted_and_who_forges_is_not() {
    let valid = signed("shared", 0);
    let (request, passed) = shown(&valid).await;
    assert!(passed);
    assert_eq!(request.header("grip-sig"), Some(&*valid));
    assert_eq!(request.header("grip-feature"), Some("mine"));
    assert_eq!(request.header("grip-last"), Some("c; last-id=1"));
    for forged in [signed("other", 0), signed("shared", 3601), "forged".to_owned()] {
        let (request, passed) = shown(&forged).await;
        assert!(!passed, "{forged}");
        assert_eq!(request.header("grip-sig"), None, "the one behind has no key to sign with");
        assert_ne!(request.header("grip-feature"), Some("mine"));
        assert_eq!(request.header("grip-last"), None);
    }
}

#[tokio::test]
async fn only_trusted_clients_may_send_events() {
    let backend = Backend::answering(|_| Answer::open(""));
    let routes = [backend.route("*", ",over_http")];
    let inner = Server::start_with(&routes, &["--upstream-key", "shared"]);
    for (token, status) in [(signed("shared", 0), "200 OK"), (signed("other", 0), "403 Forbidden")]
    {
        let mut client = Client::connect(inner.http).await;
        let fields = format!("Grip-Sig: {token}\r\nContent-Type: application/websocket-events\r\n");
        let rest = "Content-Length: 6\r\n\r\nOPEN\r\n";
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}{rest}")).await;
        assert_eq!(client.head().await.status, format!("HTTP/1.1 {status}"));
    }
}

#[test]
fn a_key_that_is_none_prevents_the_start() {
    for key in ["base64:", "file:nowhere.key"] {
        let mut command = super::harness::server::command();
        command.args(["--port", "0", "--control", "127.0.0.1:0", "--route", "* test"]);
        let output = command.args(["--upstream-key", key]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{key}");
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(printed.contains("--upstream-key"), "{printed}");
    }
}
