//! Other protocols than HTTP and WebSocket: changed to where the operator allows it and the backend
//! agrees, and never otherwise.

use tokio::io::AsyncWriteExt;

use super::harness::{Answer, Backend, Client, Server, chunk};

const ASK: &str = "GET /line HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: foo/1, h2c\r\nX-Mine: 1\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: foo/1\r\nX-Theirs: 2\r\n\r\n";

#[tokio::test]
async fn bytes_are_carried_both_ways() {
    let mut backend = Backend::manual();
    let target = backend.address;
    let options = ["--upgrade-protocols=foo,bar"];
    let mut server = Server::start_with(&[backend.route("*", "")], &options);
    let mut client = Client::connect(server.http).await;
    client.send(ASK).await;
    let mut exchange = backend.next().await;
    assert_eq!(exchange.request.header("upgrade"), Some("foo/1"));
    assert_eq!(exchange.request.header("connection"), Some("Upgrade"));
    assert_eq!(exchange.request.header("x-mine"), Some("1"));
    exchange.write([SWITCH.as_bytes(), b"hello"].concat()).await;
    let head = client.head().await;
    assert_eq!(head.status, "HTTP/1.1 101 Switching Protocols");
    assert_eq!(head.header("upgrade"), Some("foo/1"));
    assert_eq!(head.header("connection"), Some("Upgrade"));
    assert_eq!(head.header("x-theirs"), Some("2"));
    assert_eq!(client.exactly(5).await, b"hello");
    server.wait_for_line(&format!("GET http://a/line -> {target} code=101 0"));
    let large = vec![b'x'; 1_000_000];
    let mut backend_side = Client::over(exchange.stream);
    let (up, down) = (large.clone(), large.clone());
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(backend_side.exactly(18).await, b"GET / HTTP/1.1\r\n\r\n");
    let (mut client_reads, mut client_writes) = client.stream.into_split();
    let writing = async { client_writes.write_all(&up).await.expect("it reads") };
    let (_, got) = tokio::join!(writing, backend_side.exactly(large.len()));
    assert_eq!(got.len(), large.len());
    drop(client_writes);
    backend_side.send(&down).await;
    drop(backend_side);
    let mut got = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut client_reads, &mut got).await.expect("an end");
    assert_eq!(got.len(), down.len());
    assert_eq!(server.counted("tunnels"), 1);
}

#[tokio::test]
async fn a_backend_that_does_not_want_to() {
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/hold" => Answer::hold("stream", "c", "held"),
        _ => Answer::ok("as ever"),
    });
    let server = Server::start_with(&[backend.route("*", "")], &["--upgrade-protocols=any"]);
    let mut client = Client::connect(server.http).await;
    for _ in 0..2 {
        client.send(ASK).await;
        assert_eq!(client.response().await.1, "as ever");
    }
    client.send(ASK.replace("/line", "/hold")).await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("held"));
}

#[tokio::test]
async fn nothing_comes_of_it_where_it_is_not_allowed() {
    let mut backend = Backend::answering(|_| Answer::raw(SWITCH, false));
    for (options, upgrade, method) in [
        (&[][..], "foo", "GET"),
        (&["--upgrade-protocols=bar"], "foo", "GET"),
        (&["--upgrade-protocols=any"], "h2c", "GET"),
        (&["--upgrade-protocols=any"], "HTTP/2.0, TLS/1.2", "OPTIONS"),
    ] {
        let server = Server::start_with(&[backend.route("*", "")], options);
        let mut client = Client::connect(server.http).await;
        let head = format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
        );
        client.send(head).await;
        assert_eq!(client.response().await.0.status, "HTTP/1.1 502 Bad Gateway", "{upgrade}");
        let seen = backend.seen().await;
        assert_eq!(seen.header("connection"), None);
        assert_eq!(seen.header("upgrade"), Some(upgrade), "as any other field");
    }
}

#[tokio::test]
async fn nothing_else_than_what_was_offered() {
    let backend = Backend::answering(|_| Answer::raw(SWITCH.replace("foo/1", "websocket"), false));
    let server = Server::start_with(&[backend.route("*", "")], &["--upgrade-protocols=foo"]);
    let mut client = Client::connect(server.http).await;
    client.send(ASK).await;
    assert_eq!(client.response().await.0.status, "HTTP/1.1 502 Bad Gateway");
}

#[tokio::test]
async fn requests_with_a_body_and_old_clients_change_nothing() {
    let mut backend = Backend::answering(|_| Answer::ok("ok"));
    let server = Server::start_with(&[backend.route("*", "")], &["--upgrade-protocols=foo"]);
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\
         Content-Length: 1\r\n\r\nx",
        "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
    ] {
        let mut client = Client::connect(server.http).await;
        client.send(request).await;
        assert_eq!(client.response().await.1, "ok");
        assert_eq!(backend.seen().await.header("connection"), None);
    }
}

#[tokio::test]
async fn a_quiet_tunnel_is_closed_and_counted() {
    let mut backend = Backend::manual();
    let options = ["--upgrade-protocols=foo", "--websocket-idle-timeout=1"];
    let mut server = Server::start_with(&[backend.route("*", "")], &options);
    let mut client = Client::connect(server.http).await;
    client.send(ASK).await;
    let mut exchange = backend.next().await;
    exchange.write(SWITCH).await;
    client.head().await;
    client.expect_closed().await;
    assert!(exchange.closed().await.is_empty());
    assert_eq!(server.counted("tunnels_idle"), 1);
}
