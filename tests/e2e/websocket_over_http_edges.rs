//! WebSockets over HTTP where it is not simple: data that the backend leaves, backends that go and
//! come back, large events, ends of every kind.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::join;
use tokio_tungstenite::tungstenite::Message;

use super::harness::websocket::refusal;
use super::harness::{Answer, Backend, Publisher, Request, Reserved, Server, WebSocket, within};

/// A client that its backend has accepted; `options` are the target's.
async fn opened(options: &str) -> (Server, Backend, WebSocket) {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", &format!(",over_http{options}")));
    let opening = async { backend.next().await.answer(Answer::open("")).await };
    let (socket, ()) = join!(WebSocket::connect(&server, "/"), opening);
    (server, backend, socket)
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

fn accepting(bytes: usize) -> Answer {
    Answer::events("").header("Content-Bytes-Accepted", &bytes.to_string())
}

#[tokio::test]
async fn what_a_client_must_not_say_is_not_sent() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ",over_http"));
    let headers = [
        ("Content-Type", "text/plain"),
        ("Content-Bytes-Replayed", "5"),
        ("Origin", "https://a.example"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    let opening = async {
        let exchange = backend.next().await;
        let request = exchange.request.clone();
        let answer = Answer::open("").header("Content-Bytes-Accepted", "0");
        exchange
            .answer(answer.header("Connection-Id", "x").header("Keep-Alive-Interval", "1"))
            .await;
        request
    };
    let (socket, request) = join!(WebSocket::try_connect(&server, "/", &headers), opening);
    // `header` fails when there are two.
    assert_eq!(request.header("content-type"), Some("application/websocket-events"));
    assert_eq!(request.header("content-bytes-replayed"), None);
    assert_eq!(request.header("origin"), Some("https://a.example"));
    assert_eq!(request.header("sec-websocket-extensions"), Some("grip"));
    let mut socket = socket.expect("accepted");
    for hidden in ["content-bytes-accepted", "connection-id", "keep-alive-interval"] {
        assert!(!socket.response.headers().contains_key(hidden), "{hidden}");
    }
    // All of the handshake comes with every request.
    socket.text("x").await;
    let request = exchange(&mut backend, "TEXT 1\r\nx\r\n", Answer::events("")).await;
    assert_eq!(request.header("origin"), Some("https://a.example"));
    assert!(request.header("sec-websocket-key").is_some());
}

#[tokio::test]
async fn what_the_backend_leaves_comes_again_with_what_follows() {
    let (_server, mut backend, mut socket) = opened("").await;
    socket.text("[foo][hello").await;
    exchange(&mut backend, "TEXT b\r\n[foo][hello\r\n", accepting(5)).await;
    socket.text(" world]").await;
    let expected = "TEXT 6\r\n[hello\r\nTEXT 7\r\n world]\r\n";
    let request = exchange(&mut backend, expected, accepting(0)).await;
    assert_eq!(request.header("content-bytes-replayed"), Some("6"));
    socket.send(Message::binary("!")).await;
    let expected = "TEXT 6\r\n[hello\r\nTEXT 7\r\n world]\r\nBINARY 1\r\n!\r\n";
    let request = exchange(&mut backend, expected, Answer::events("")).await;
    assert_eq!(request.header("content-bytes-replayed"), Some("13"));
    socket.text("x").await;
    let request = exchange(&mut backend, "TEXT 1\r\nx\r\n", accepting(2)).await;
    assert_eq!(request.header("content-bytes-replayed"), None);
    // More than was offered.
    socket.expect_dropped().await;
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn a_close_behind_what_the_backend_leaves_is_told_again() {
    let (_server, mut backend, mut socket) = opened("").await;
    socket.text("foo").await;
    exchange(&mut backend, "TEXT 3\r\nfoo\r\n", accepting(1)).await;
    socket.close(4000, "").await;
    let expected = b"TEXT 2\r\noo\r\nCLOSE 2\r\n\x0f\xa0\r\n";
    // It accepts nothing, has set no interval, and is told again.
    for _ in 0..2 {
        exchange(&mut backend, expected, accepting(0)).await;
    }
    let answer = Answer::events("CLOSE\r\n");
    exchange(&mut backend, expected, answer).await;
    socket.expect_close(1000, "").await;
}

#[tokio::test]
async fn one_event_a_request() {
    let (_server, mut backend, mut socket) = opened(",one_event").await;
    socket.text("first").await;
    let first = backend.next().await;
    for text in ["", "a"] {
        socket.text(text).await;
    }
    socket.close(1000, "").await;
    first.answer(Answer::events("")).await;
    for expected in ["TEXT\r\n", "TEXT 1\r\na\r\n"] {
        exchange(&mut backend, expected, Answer::events("")).await;
    }
    let exchange = backend.next().await;
    assert_eq!(exchange.request.body, b"CLOSE 2\r\n\x03\xe8\r\n");
    exchange.answer(Answer::events("CLOSE\r\n")).await;
    socket.expect_close(1000, "").await;
}

#[tokio::test]
async fn large_events_both_ways() {
    let (mut server, mut backend, mut socket) = opened("").await;
    let most = "x".repeat(200_000);
    socket.text(&most).await;
    let large = "y".repeat(999_980 - 2);
    let body = format!("TEXT {:x}\r\nm:{large}\r\n", large.len() + 2);
    let expected = format!("TEXT 30d40\r\n{most}\r\n");
    exchange(&mut backend, expected, Answer::events(body)).await;
    socket.expect_text(&large).await;
    // One byte more than a client may say in one message.
    socket.text(&(most + "x")).await;
    socket.expect_close(1009, "").await;
    exchange(&mut backend, "DISCONNECT\r\n", Answer::events("")).await;
    assert_eq!(server.counted("socket_messages_too_large"), 1);

    let (_server, mut backend, mut socket) = opened("").await;
    socket.text("x").await;
    let body = format!("TEXT f4240\r\n{}\r\n", "y".repeat(1_000_000));
    exchange(&mut backend, "TEXT 1\r\nx\r\n", Answer::events(body)).await;
    socket.expect_dropped().await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let redirect = || Answer::new("302 Found").header("Location", "/elsewhere");
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ",over_http"));
    let answer = async { backend.next().await.answer(redirect()).await };
    let (refused, ()) = join!(WebSocket::try_connect(&server, "/", &[]), answer);
    assert_eq!(refusal(refused).headers()["location"], "/elsewhere");
    let (_server, mut backend, mut socket) = opened("").await;
    socket.text("x").await;
    exchange(&mut backend, "TEXT 1\r\nx\r\n", redirect()).await;
    socket.expect_dropped().await;
    assert!(!backend.has_seen_more());
}

/// A backend that can be taken away, and comes back at the same address.
struct Restartable {
    port: Reserved,
    listener: Option<tokio::net::TcpListener>,
}

impl Restartable {
    fn start() -> Restartable {
        let mut backend = Restartable { port: Reserved::new(), listener: None };
        backend.restart();
        backend
    }

    fn restart(&mut self) {
        let listener = self.port.listen();
        listener.set_nonblocking(true).expect("a socket");
        self.listener = Some(tokio::net::TcpListener::from_std(listener).expect("a listener"));
    }

    /// Answers one request on a connection that ends with it; gives the request's body.
    async fn answers(&mut self, events: &str) -> Vec<u8> {
        let listener = self.listener.as_ref().expect("it listens");
        let (mut stream, _) = within("a connection", listener.accept()).await.expect("accepted");
        let mut read = Vec::new();
        let (end, length) = loop {
            within("a request", stream.read_buf(&mut read)).await.expect("bytes");
            let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
            let Some(end) = text.find("\r\n\r\n") else { continue };
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.expect("a length").parse().expect("a number");
            if read.len() >= end + 4 + length {
                break (end + 4, length);
            }
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/websocket-events\r\n\
            Sec-WebSocket-Extensions: grip\r\nConnection: close\r\n";
        let answer = format!("{head}Content-Length: {}\r\n\r\n{events}", events.len());
        stream.write_all(answer.as_bytes()).await.expect("it is read");
        read[end..end + length].to_vec()
    }
}

#[tokio::test]
async fn a_backend_that_is_away_is_asked_again() {
    let mut backend = Restartable::start();
    let route = format!("* {},over_http", backend.port.address);
    let mut server = Server::start(&[route]);
    let (mut socket, open) = join!(WebSocket::connect(&server, "/"), backend.answers("OPEN\r\n"));
    assert_eq!(open, b"OPEN\r\n");
    backend.listener = None;
    socket.text("one").await;
    // What comes while it is away waits behind what is being told.
    socket.text("two").await;
    server.wait_for_line("done=retried");
    backend.restart();
    let mut got = backend.answers("TEXT 6\r\nm:back\r\n").await;
    socket.expect_text("back").await;
    while got != b"TEXT 3\r\none\r\nTEXT 3\r\ntwo\r\n" {
        got.extend(backend.answers("").await);
    }
    // A client that leaves is told of as well.
    backend.listener = None;
    drop(socket);
    backend.restart();
    assert_eq!(backend.answers("").await, b"DISCONNECT\r\n");
    assert!(server.counted("events_retries") >= 1);
}

#[tokio::test]
async fn a_process_that_stops_tells_the_backends_nothing() {
    let (mut server, mut backend, mut socket) = opened("").await;
    server.terminate();
    socket.expect_close(1001, "").await;
    socket.expect_dropped_quietly().await;
    server.exit_code(std::time::Duration::from_secs(20));
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn a_client_that_leaves_while_open_is_in_flight() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ",over_http"));
    let connecting = WebSocket::connect(&server, "/");
    let exchange = tokio::select! {
        _ = connecting => panic!("too early"),
        exchange = backend.next() => exchange,
    };
    let id = exchange.request.header("connection-id").expect("an id").to_owned();
    let accepting = Answer::open("").header("Set-Meta-User", "alice");
    exchange.answer(accepting).await;
    let exchange = backend.next().await;
    assert_eq!(exchange.request.body, b"DISCONNECT\r\n");
    assert_eq!(exchange.request.header("connection-id"), Some(&*id));
    assert_eq!(exchange.request.header("meta-user"), Some("alice"));
    exchange.answer(Answer::new("500 No")).await;
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn what_follows_an_open_that_is_no_message_ends_the_connection() {
    for event in ["DISCONNECT\r\n", "OPEN\r\n"] {
        let mut backend = Backend::manual();
        let server = Server::route(backend.route("*", ",over_http"));
        let opening = async { backend.next().await.answer(Answer::open(event)).await };
        let (mut socket, ()) = join!(WebSocket::connect(&server, "/"), opening);
        socket.expect_dropped().await;
        assert!(!backend.has_seen_more());
    }
}

#[tokio::test]
async fn a_client_without_answer_to_its_close_is_dropped() {
    for answer in [Answer::events(""), Answer::events("DISCONNECT\r\n"), Answer::new("500 No")] {
        let (_server, mut backend, mut socket) = opened("").await;
        socket.close(3001, "bye").await;
        exchange(&mut backend, b"CLOSE 5\r\n\x0b\xb9bye\r\n", answer).await;
        socket.expect_dropped().await;
        assert!(!backend.has_seen_more());
    }
}

#[tokio::test]
async fn a_refresh_waits_for_the_request_under_way_and_several_are_one() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ",over_http,sub=room"));
    let opening = async { backend.next().await.answer(Answer::open("")).await };
    let (mut socket, ()) = join!(WebSocket::connect(&server, "/"), opening);
    let publisher = Publisher::new(&server);
    socket.text("x").await;
    let under_way = backend.next().await;
    for _ in 0..3 {
        publisher.formats("room", json!({ "ws-message": { "action": "refresh" } })).await;
    }
    publisher.message("room", "refreshed").await;
    socket.expect_text("refreshed").await;
    under_way.answer(Answer::events("")).await;
    let request = exchange(&mut backend, "", Answer::events("TEXT 6\r\nm:done\r\n")).await;
    assert_eq!(request.header("content-length"), Some("0"));
    socket.expect_text("done").await;
    assert!(!backend.has_seen_more());
}
