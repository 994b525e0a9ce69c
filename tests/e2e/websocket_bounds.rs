//! What a WebSocket may do and for how long nothing: each bound at its limit, what is seen past it,
//! and its counter.

use tokio::io::AsyncWriteExt;
use tokio::join;

use super::harness::frames::{Ends, from_client, from_server, handshake, switching};
use super::harness::wait::soon;
use super::harness::{Answer, Backend, Client, Server, WebSocket, within};

const CLOSE: u8 = 0x88;
const TOO_LARGE: [u8; 2] = [0x03, 0xf1];
const POLICY: [u8; 2] = [0x03, 0xf0];

/// A client of the test target behind these arguments.
async fn of_the_test_target(arguments: &[&str]) -> (Server, Client) {
    let server = Server::start_with(&["* test".to_owned()], arguments);
    let client = opened(&server, "/ws").await;
    (server, client)
}

async fn opened(server: &Server, target: &str) -> Client {
    let mut client = Client::connect(server.http).await;
    client.send(handshake(target, "")).await;
    assert_eq!(client.head().await.status, "HTTP/1.1 101 Switching Protocols");
    client
}

impl Ends {
    /// What the client sent was too much: the backend hears it, answers, and the client is told.
    async fn refused_with(&mut self, code: [u8; 2]) {
        while self.behind.frame().await != (CLOSE, code.to_vec(), true) {}
        self.behind.send(from_server(CLOSE, "")).await;
        self.client.expect_frame(CLOSE, code).await;
    }
}

#[tokio::test]
async fn a_client_that_goes_on_sending_is_told_all_the_same() {
    let limit = ["--websocket-message-bytes", "1000"];
    let frame = from_client(0x82, vec![7; 1_000_000]);
    let mut ends = Ends::open("", &limit).await;
    ends.client.send(&frame).await;
    ends.refused_with(TOO_LARGE).await;

    let (_server, mut client) = of_the_test_target(&limit).await;
    client.send(&frame).await;
    client.expect_frame(CLOSE, TOO_LARGE).await;
    client.expect_closed().await;
}

#[tokio::test]
async fn messages_of_clients() {
    let limit = ["--websocket-message-bytes", "1000"];
    let mut ends = Ends::open("", &limit).await;
    let whole = from_client(0x82, [7; 1000]);
    let parts = [from_client(0x02, [7; 600]), from_client(0x80, [7; 400])].concat();
    for frames in [&whole, &parts] {
        ends.client.send(frames).await;
        assert_eq!(ends.behind.message().await, [7; 1000]);
    }
    // Backends are not bound by it.
    ends.behind.send(from_server(0x82, [7; 5000])).await;
    assert_eq!(ends.client.message().await, [7; 5000]);
    ends.client.send([from_client(0x02, [7; 600]), from_client(0x80, [7; 401])].concat()).await;
    ends.refused_with(TOO_LARGE).await;
    ends.client.expect_closed().await;
    assert_eq!(ends.server.counted("socket_messages_too_large"), 1);

    let (mut server, mut client) = of_the_test_target(&limit).await;
    client.send(&parts).await;
    client.expect_frame(0x82, [7; 1000]).await;
    client.send(from_client(0x82, [7; 1001])).await;
    client.expect_frame(CLOSE, TOO_LARGE).await;
    client.expect_closed().await;
    assert_eq!(server.counted("socket_messages_too_large"), 1);
}

#[tokio::test]
async fn messages_of_clients_whose_backend_is_asked_over_http() {
    for (arguments, limit) in
        [(&["--websocket-message-bytes", "1000"][..], 1000_usize), (&[], 200_000)]
    {
        let mut backend = Backend::answering(|request| match request.body.as_slice() {
            b"OPEN\r\n" => Answer::open(""),
            _ => Answer::events(""),
        });
        let mut server = Server::start_with(&[backend.route("*", ",over_http")], arguments);
        let mut client = opened(&server, "/").await;
        backend.seen().await;
        client.send(from_client(0x82, vec![7; limit])).await;
        let request = backend.seen().await;
        assert!(request.body.starts_with(format!("BINARY {limit:x}\r\n").as_bytes()));
        client.send(from_client(0x82, vec![7; limit + 1])).await;
        client.expect_frame(CLOSE, TOO_LARGE).await;
        assert_eq!(backend.seen().await.body, b"DISCONNECT\r\n");
        assert_eq!(server.counted("socket_messages_too_large"), 1);
    }
}

#[tokio::test]
async fn frames_of_clients() {
    let limit = ["--websocket-frame-bytes", "1000"];
    let most = [from_client(0x02, [7; 1000]), from_client(0x80, [7; 1000])].concat();
    let mut ends = Ends::open("", &limit).await;
    ends.client.send(&most).await;
    assert_eq!(ends.behind.message().await, [7; 2000]);
    ends.client.send(from_client(0x82, [7; 1001])).await;
    ends.refused_with(TOO_LARGE).await;
    assert_eq!(ends.server.counted("socket_messages_too_large"), 1);

    let (mut server, mut client) = of_the_test_target(&limit).await;
    client.send(&most).await;
    client.expect_frame(0x82, [7; 2000]).await;
    client.send(from_client(0x82, [7; 1001])).await;
    client.expect_frame(CLOSE, TOO_LARGE).await;
    assert_eq!(server.counted("socket_messages_too_large"), 1);
}

/// A message of so many frames without a byte.
fn fragments(frame: fn(u8, [u8; 0]) -> Vec<u8>, count: usize) -> Vec<u8> {
    let middle = frame(0x00, []).repeat(count - 2);
    [frame(0x01, []), middle, frame(0x80, [])].concat()
}

#[tokio::test]
async fn fragments_of_one_message() {
    let limit = ["--websocket-fragments", "50"];
    let (most, many) = (fragments(from_client, 50), fragments(from_client, 51));
    let mut ends = Ends::open("", &limit).await;
    ends.client.send(&most).await;
    ends.behind.message().await;
    ends.client.send(&many).await;
    ends.refused_with(POLICY).await;
    assert_eq!(ends.server.counted("socket_fragments_refused"), 1);

    let (mut server, mut client) = of_the_test_target(&limit).await;
    client.send(&most).await;
    client.expect_frame(0x81, "").await;
    client.send(&many).await;
    client.expect_frame(CLOSE, POLICY).await;
    assert_eq!(server.counted("socket_fragments_refused"), 1);

    // Backends are bound by it, too.
    let mut ends = Ends::open("", &limit).await;
    ends.behind.send(fragments(from_server, 50)).await;
    ends.client.message().await;
    ends.behind.send(fragments(from_server, 51)).await;
    ends.behind.expect_frame(CLOSE, POLICY).await;
    ends.client.rest().await;
    assert_eq!(ends.server.counted("socket_backend_errors"), 1);
}

#[tokio::test]
async fn bytes_before_the_backend_has_accepted() {
    let mut backend = Backend::manual();
    let arguments = ["--websocket-early-bytes", "20000"];
    let mut server = Server::start_with(&[backend.route("*", "")], &arguments);
    let message = vec![7; 1_000_000];
    let frames = from_client(0x82, &message).repeat(30);
    let mut client = Client::connect(server.http).await;
    client.send(handshake("/", "")).await;
    let mut exchange = backend.next().await;
    let mut sent = 0;
    while sent < frames.len() {
        let mut wrote = 0;
        let more = async { wrote = client.stream.write(&frames[sent..]).await.expect("written") };
        if !soon(500, more).await {
            break;
        }
        sent += wrote;
    }
    assert!(sent < 15_000_000, "{sent} bytes were taken");
    exchange.write(switching(&exchange.request, "")).await;
    let mut behind = Client::over(exchange.stream);
    let write = async { client.stream.write_all(&frames[sent..]).await.expect("written") };
    let read = async {
        for _ in 0..30 {
            assert!(behind.message().await == message);
        }
    };
    join!(write, read);
    assert_eq!(server.counted("socket_early_waits"), 1);
}

#[tokio::test]
async fn few_bytes_before_the_backend_has_accepted_are_not_counted() {
    let (mut server, mut client) = of_the_test_target(&["--websocket-early-bytes", "100"]).await;
    client.send(from_client(0x81, [b'x'; 200])).await;
    client.expect_frame(0x81, [b'x'; 200]).await;
    assert_eq!(server.counted("socket_early_waits"), 0);
}

#[tokio::test]
async fn time_until_the_backend_has_decided() {
    let mut backend = Backend::manual();
    let routes = [backend.route("*,path_beg=/http", ",over_http"), backend.route("*", "")];
    let mut server = Server::start_with(&routes, &["--websocket-open-timeout", "3"]);
    let mut client = Client::connect(server.http).await;
    client.send(handshake("/", "")).await;
    let mut silent = backend.next().await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 502 Bad Gateway");
    assert_eq!(body, "Error while proxying to origin.\n");
    client.expect_closed().await;
    silent.closed().await;

    // One that asks for patience.
    let mut client = Client::connect(server.http).await;
    client.send(handshake("/http", "")).await;
    let later = Answer::events("").header("Keep-Alive-Interval", "20");
    backend.answer("/http", later).await;
    assert_eq!(client.response().await.0.status, "HTTP/1.1 502 Bad Gateway");

    // One that accepts when nobody waits any more.
    let mut client = Client::connect(server.http).await;
    client.send(handshake("/http", "")).await;
    let exchange = backend.next().await;
    assert_eq!(client.response().await.0.status, "HTTP/1.1 502 Bad Gateway");
    exchange.answer(Answer::open("")).await;
    assert_eq!(backend.next().await.request.body, b"DISCONNECT\r\n");
    server.wait_for_line("no decision within 3000 ms");
    assert_eq!(server.counted("socket_openings_timed_out"), 3);
}

#[tokio::test]
async fn time_without_a_byte() {
    let mut backend = Backend::manual();
    let routes = [
        backend.route("*,path_beg=/http", ",over_http"),
        "*,path_beg=/test test".to_owned(),
        backend.route("*", ""),
    ];
    let mut server = Server::start_with(&routes, &["--websocket-idle-timeout", "5"]);
    let mut echoed = opened(&server, "/test/ws").await;
    let over_http = async { backend.answer("/http", Answer::open("")).await };
    let (mut asked, _) = join!(opened(&server, "/http"), over_http);
    let accept = async {
        let mut exchange = backend.next().await;
        exchange.write(switching(&exchange.request, "")).await;
        Client::over(exchange.stream)
    };
    let (mut relayed, mut behind) = join!(opened(&server, "/"), accept);
    echoed.send(from_client(0x81, "x")).await;
    echoed.expect_frame(0x81, "x").await;
    echoed.expect_closed().await;
    asked.expect_closed().await;
    relayed.expect_closed().await;
    behind.expect_closed().await;
    assert_eq!(backend.next().await.request.body, b"DISCONNECT\r\n");
    assert_eq!(server.counted("sockets_idle"), 3);
}

#[tokio::test]
async fn time_without_a_byte_does_not_pass_while_bytes_come() {
    let (mut server, mut client) = of_the_test_target(&["--websocket-idle-timeout", "3"]).await;
    let begin = std::time::SystemTime::now();
    while begin.elapsed().expect("time passes").as_millis() < 7000 {
        client.send(from_client(0x8a, "alive")).await;
        client.expect_frame(0x8a, "alive").await;
    }
    assert_eq!(server.counted("sockets_idle"), 0);
}

#[tokio::test]
async fn websockets_at_once() {
    let mut backend = Backend::manual();
    let routes = [
        backend.route("*,path_beg=/http", ",over_http"),
        "*,path_beg=/test test".to_owned(),
        backend.route("*", ""),
    ];
    let arguments = ["--client-maxconn", "3", "--workers", "1"];
    let server = Server::start_with(&routes, &arguments);
    let accept = async { WebSocket::accept(backend.next().await, "").await };
    let (relayed, _behind) = join!(opened(&server, "/"), accept);
    let answer = async { backend.answer("/http", Answer::open("")).await };
    let (_asked, _) = join!(opened(&server, "/http"), answer);
    let _echoed = opened(&server, "/test/ws").await;
    let mut waiting = Client::connect(server.http).await;
    waiting.send(handshake("/test/ws", "")).await;
    assert!(!waiting.hears().await, "it is one too many");
    drop(relayed);
    let head = within("room for one more", waiting.head()).await;
    assert_eq!(head.status, "HTTP/1.1 101 Switching Protocols");
}
