//! SockJS over WebSocket, with frames and raw.

use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::*;

const PATH: &str = "/sj/000/s/websocket";

async fn connect(server: &Server) -> WebSocket {
    let mut socket = WebSocket::connect(server, PATH).await;
    socket.expect_text("o").await;
    socket
}

/// A client with frames, and the socket that its backend has accepted.
async fn pair(route_options: &str) -> (Server, Backend, WebSocket, WebSocket, Request) {
    let mut backend = Backend::manual();
    let server = serve(&backend.route(&format!("*,sockjs=/sj{route_options}"), ""), &[]);
    let connecting = WebSocket::connect(&server, "/sj/000/s/websocket?q=1");
    let (mut client, (behind, request)) = join!(connecting, accept(&mut backend, ""));
    client.expect_text("o").await;
    (server, backend, client, behind, request)
}

#[tokio::test]
async fn frames_both_ways() {
    let server = echo(&[]);
    let mut socket = connect(&server).await;
    socket.text("[\"a\",\"b\\u0041\"]").await;
    socket.expect_text("a[\"a\"]").await;
    socket.expect_text("a[\"bA\"]").await;
    // A bare string, binary, fragments; what says nothing is ignored.
    socket.text("").await;
    socket.text("[]").await;
    socket.text("\"bare\"").await;
    socket.expect_text("a[\"bare\"]").await;
    socket.send(Message::binary("[\"binary\"]")).await;
    socket.expect_text("a[\"binary\"]").await;
    let data = OpCode::Data(Data::Text);
    socket.inner.send(Message::Frame(Frame::message("[\"fr", data, false))).await.unwrap();
    let more = OpCode::Data(Data::Continue);
    socket.inner.send(Message::Frame(Frame::message("ag\"]", more, true))).await.unwrap();
    socket.expect_text("a[\"frag\"]").await;
    // A ping is answered, and is not the backend's business.
    socket.send(Message::Ping("p".into())).await;
    assert_eq!(socket.next().await, Message::Pong("p".into()));
    socket.close(3001, "bye").await;
    socket.expect_close(3001, "bye").await;
    socket.expect_dropped_quietly().await;
}

#[tokio::test]
async fn names_may_be_used_again_and_any_third_part_is_one() {
    let server = echo(&[]);
    let mut one = connect(&server).await;
    let mut two = connect(&server).await;
    let mut three = WebSocket::connect(&server, "/sj/a/s/else").await;
    three.expect_text("o").await;
    for socket in [&mut one, &mut two, &mut three] {
        socket.text("\"x\"").await;
        socket.expect_text("a[\"x\"]").await;
    }
}

#[tokio::test]
async fn published_messages_come_in_frames() {
    let server = echo(&[]);
    let publisher = Publisher::new(&server);
    let mut socket = connect(&server).await;
    publisher.message("test", "to all \"of\" you").await;
    socket.expect_text("a[\"to all \\\"of\\\" you\"]").await;
    let format = json!({ "ws-message": { "type": "ping", "content": "p" } });
    publisher.formats("test", format).await;
    publisher.formats("test", json!({ "ws-message": { "content-bin": "/2E=" } })).await;
    socket.expect_text("a[\"\\ufffda\"]").await;
    let close = json!({ "ws-message": { "action": "close", "code": 4001, "reason": "enough" } });
    publisher.formats("test", close).await;
    socket.expect_text("c[4001,\"enough\"]").await;
    socket.expect_close(4001, "enough").await;
    socket.expect_dropped_quietly().await;
}

#[tokio::test]
async fn broken_json_drops_the_client() {
    for broken in ["[\"a", "{}", "[1]", "x", "[\"a\"]x"] {
        let (_server, _backend, mut client, mut behind, _) = pair("").await;
        client.text(broken).await;
        client.expect_dropped().await;
        behind.expect_dropped().await;
    }
}

#[tokio::test]
async fn a_native_backend_sees_an_ordinary_client() {
    let (_server, _backend, mut client, mut behind, request) = pair("").await;
    assert_eq!((request.method.as_str(), &*request.target), ("GET", "/sj/websocket?q=1"));
    assert_eq!(request.header("sec-websocket-extensions"), Some("grip"));
    assert!(client.response.headers().get("access-control-allow-origin").is_none());
    assert!(client.response.headers().get("content-length").is_none());
    client.text("[\"one\",\"two\"]").await;
    behind.expect_text("one").await;
    behind.expect_text("two").await;
    behind.text("hi").await;
    client.expect_text("a[\"hi\"]").await;
    // Fragments are put together, whatever comes between.
    let data = OpCode::Data(Data::Text);
    behind.inner.send(Message::Frame(Frame::message("fr", data, false))).await.unwrap();
    behind.send(Message::Ping("p".into())).await;
    assert_eq!(behind.next().await, Message::Pong("p".into()));
    let more = OpCode::Data(Data::Continue);
    behind.inner.send(Message::Frame(Frame::message("ag", more, true))).await.unwrap();
    client.expect_text("a[\"frag\"]").await;
    behind.close(3000, "Go away!").await;
    client.expect_text("c[3000,\"Go away!\"]").await;
    client.expect_close(3000, "Go away!").await;
    client.expect_dropped_quietly().await;
    behind.expect_close(3000, "").await;
}

#[tokio::test]
async fn a_client_that_closes_and_one_that_leaves() {
    let (_server, _backend, mut client, mut behind, request) = pair(",sockjs_as_path=/as").await;
    assert_eq!(request.target, "/as?q=1");
    client.close(3005, "mine").await;
    behind.expect_close(3005, "mine").await;
    behind.expect_dropped_quietly().await;
    client.expect_close(3005, "mine").await;
    client.expect_dropped_quietly().await;

    let (_server, _backend, client, mut behind, _) = pair("").await;
    drop(client);
    behind.expect_dropped().await;

    let (_server, _backend, mut client, behind, _) = pair("").await;
    drop(behind);
    client.expect_dropped().await;
}

#[tokio::test]
async fn heartbeats_come_whatever_is_said() {
    let server = echo(&QUICK);
    let mut socket = connect(&server).await;
    socket.expect_text("h").await;
    socket.text("\"x\"").await;
    let mut heard = socket.next().await;
    while heard == Message::text("h") {
        heard = socket.next().await;
    }
    assert_eq!(heard, Message::text("a[\"x\"]"));
    socket.expect_text("h").await;
    socket.expect_text("h").await;
}

#[tokio::test]
async fn a_backend_over_http() {
    let mut backend = Backend::manual();
    let server = serve(&backend.route("*,sockjs=/sj", ",over_http"), &[]);
    let opening = backend.answer("/sj/websocket", Answer::open("TEXT 4\r\nm:hi\r\n"));
    let (mut socket, request) = join!(WebSocket::connect(&server, PATH), opening);
    assert_eq!(request.body, b"OPEN\r\n");
    socket.expect_text("o").await;
    socket.expect_text("a[\"hi\"]").await;
    socket.text("[\"one\"]").await;
    let close = Answer::events("TEXT 5\r\nm:bye\r\nCLOSE 4\r\n\x0f\x59ok\r\n");
    let request = backend.answer("/sj/websocket", close).await;
    assert_eq!(request.body, b"TEXT 3\r\none\r\n");
    socket.expect_text("a[\"bye\"]").await;
    socket.expect_text("c[3929,\"ok\"]").await;
    socket.expect_close(3929, "ok").await;
}

#[tokio::test]
async fn a_raw_websocket_is_one() {
    let mut backend = Backend::manual();
    for (options, target) in [("", "/sj/websocket?q=1"), (",sockjs_as_path=/as", "/as?q=1")] {
        let route = backend.route(&format!("*,sockjs=/sj{options}"), "");
        let server = serve(&route, &QUICK);
        let headers = [("Sec-WebSocket-Protocol", "v1")];
        let connecting = WebSocket::try_connect(&server, "/sj/websocket?q=1", &headers);
        let accepting = accept(&mut backend, "Sec-WebSocket-Protocol: v1\r\n");
        let (client, (mut behind, request)) = join!(connecting, accepting);
        let mut client = client.expect("accepted");
        assert_eq!(client.response.headers()["sec-websocket-protocol"], "v1");
        assert_eq!(request.target, target);
        client.text("[\"as it is\"]").await;
        behind.expect_text("[\"as it is\"]").await;
        behind.send(Message::binary(vec![1, 2])).await;
        assert_eq!(client.next().await, Message::binary(vec![1, 2]));
        behind.close(3000, "Go away!").await;
        client.expect_close(3000, "Go away!").await;
    }
}

#[tokio::test]
async fn rejections_are_relayed() {
    let mut backend = Backend::manual();
    let server = serve(&backend.route("*,sockjs=/sj", ""), &[]);
    for path in [PATH, "/sj/websocket"] {
        let answer = Answer::new("403 Go Away").header("X-Why", "so").body("no");
        let rejecting = backend.answer("/sj/websocket", answer);
        let (result, _) = join!(WebSocket::try_connect(&server, path, &[]), rejecting);
        let response = refusal(result);
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["x-why"], "so");
        assert!(response.headers().get("access-control-allow-origin").is_none());
        assert_eq!(response.body().as_deref(), Some(&b"no"[..]));
    }
}

#[tokio::test]
async fn requests_that_are_no_websocket() {
    let server = serve("*,sockjs=/sj,sockjs_as_path=/ws test", &[]);
    let asked = async |method: &str, path: &str, lines: &str| {
        let mut client = Client::connect(server.http).await;
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n")).await;
        let (head, body) = client.response().await;
        (head.status, body)
    };
    let bad = "HTTP/1.1 400 Bad Request".to_owned();
    let no_upgrade = (bad.clone(), "Can \"Upgrade\" only to \"WebSocket\".\n".to_owned());
    let upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let no_connection = (bad, "\"Connection\" must be \"Upgrade\".\n".to_owned());
    for path in [PATH, "/sj/websocket"] {
        assert_eq!(asked("GET", path, "").await, no_upgrade);
        let close = format!("{upgrade}Connection: close\r\n");
        assert_eq!(asked("GET", path, &close).await, no_connection);
        let (status, body) = asked("POST", path, "Content-Length: 0\r\n").await;
        assert_eq!((&*status, &*body), ("HTTP/1.1 405 Method Not Allowed", ""));
    }
    let elsewhere = asked("GET", "/sj/else", &format!("{upgrade}Connection: Upgrade\r\n")).await;
    assert_eq!(elsewhere.0, "HTTP/1.1 404 Not Found");

    let server = serve("*,sockjs=/sj,sockjs_websocket=false test", &[]);
    for path in [PATH, "/sj/websocket"] {
        let response = refusal(WebSocket::try_connect(&server, path, &[]).await);
        assert_eq!(response.status(), 404);
    }
    let (_, info) = Client::get(server.http, "/sj/info").await.response().await;
    assert!(info.contains("\"websocket\":false"), "{info}");
}
