//! Behind a proxy that says who its clients are: both versions, over every kind of listener.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::harness::server::command;
use super::harness::{Answer, Backend, Client, Publisher, Server, WebSocket, within};

const LINE: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// Version 2: a command, an address family, addresses and further values.
fn block(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[0x20 | command, family][..], &length, rest].concat()
}

/// From 2001:db8::7 to ::1, with a value that does not matter.
fn block_of_ipv6() -> Vec<u8> {
    let mut rest = vec![0; 36];
    rest[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    rest[15] = 7;
    rest[31] = 1;
    rest.extend_from_slice(&[0x02, 0, 1, b'x']);
    block(1, 0x21, &rest)
}

fn backend() -> Backend {
    Backend::answering(|request| match request.target.as_str() {
        "/poll" => Answer::hold("response", "p", "nothing yet\n"),
        _ => Answer::ok("ok"),
    })
}

fn start(backend: &Backend, more: &[&str]) -> Server {
    let arguments = [&["--proxy-protocol", "on", "--x-forwarded-for", "append"], more].concat();
    Server::start_with(&[backend.route("*", "")], &arguments)
}

async fn sent(server: &Server, bytes: impl AsRef<[u8]>) -> Client {
    let mut client = Client::connect(server.http).await;
    client.send(bytes).await;
    client
}

/// Whom the backend takes for the client of the next request.
async fn client_of(backend: &mut Backend) -> Option<String> {
    backend.seen().await.header("x-forwarded-for").map(str::to_owned)
}

#[tokio::test]
async fn the_client_is_who_the_proxy_says() {
    let mut backend = backend();
    let server = start(&backend, &[]);
    let unknown = "PROXY UNKNOWN whatever\r\n";
    for (head, expected) in [
        (LINE.as_bytes().to_vec(), "192.0.2.7"),
        (block_of_ipv6(), "2001:db8::7"),
        (unknown.as_bytes().to_vec(), "127.0.0.1"),
        (block(0, 0, b""), "127.0.0.1"),
    ] {
        let mut client = sent(&server, [&head, REQUEST.as_bytes()].concat()).await;
        assert_eq!(client.response().await.1, "ok");
        assert_eq!(client_of(&mut backend).await.as_deref(), Some(expected));
        // And of the next one on the same connection.
        client.send(REQUEST).await;
        assert_eq!(client.response().await.1, "ok");
        assert_eq!(client_of(&mut backend).await.as_deref(), Some(expected));
    }
    // Over a Unix socket to the proxy: a client without an address.
    let mut client = sent(&server, [&block(1, 0x31, &[0; 216]), REQUEST.as_bytes()].concat()).await;
    assert_eq!(client.response().await.1, "ok");
    assert_eq!(client_of(&mut backend).await, None);
}

#[tokio::test]
async fn it_may_come_byte_by_byte() {
    let mut backend = backend();
    let server = start(&backend, &[]);
    for head in [LINE.as_bytes(), &block_of_ipv6()] {
        let mut client = Client::connect(server.http).await;
        for byte in head {
            client.send([*byte]).await;
        }
        client.send(REQUEST).await;
        assert_eq!(client.response().await.1, "ok");
        assert!(client_of(&mut backend).await.is_some_and(|client| client != "127.0.0.1"));
    }
}

#[tokio::test]
async fn who_is_held_is_not_forgotten() {
    let mut backend = backend();
    let server = start(&backend, &[]);
    let publisher = Publisher::new(&server);
    let poll = "GET /poll HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let mut client = sent(&server, format!("{LINE}{poll}")).await;
    let formats = json!({ "http-response": { "body": "published\n" } });
    let hears = tokio::sync::Mutex::new(&mut client);
    publisher.until("p", formats, || async { hears.lock().await.hears().await }).await;
    assert_eq!(client.response().await.1, "published\n");
    assert_eq!(client_of(&mut backend).await.as_deref(), Some("192.0.2.7"));
    client.send(REQUEST).await;
    assert_eq!(client.response().await.1, "ok");
    assert_eq!(client_of(&mut backend).await.as_deref(), Some("192.0.2.7"));
}

#[tokio::test]
async fn it_comes_before_tls_and_over_unix_sockets() {
    let mut backend = backend();
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).expect("made");
    std::fs::write(folder.path().join("default.crt"), made.cert.pem()).expect("written");
    let key = made.signing_key.serialize_pem();
    std::fs::write(folder.path().join("default.key"), key).expect("written");
    let certs = folder.path().display().to_string();
    let path = folder.path().join("s");
    let local = path.display().to_string();
    let options = ["--https-port", "0", "--certs", &certs, "--local-ports", &local];
    let server = start(&backend, &options);
    assert_eq!(server.banner(" (PROXY protocol)").len(), 3);

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let stream = TcpStream::connect(server.https.expect("TLS")).await.expect("it accepts");
    let mut proxy = Client::over(stream);
    proxy.send(block_of_ipv6()).await;
    let name = "a.example".try_into().expect("a name");
    let handshake = connector.connect(name, proxy.stream);
    let stream = within("the TLS handshake", handshake).await.expect("TLS");
    let mut client = Client::over(stream);
    client.send(REQUEST).await;
    assert_eq!(client.response().await.1, "ok");
    assert_eq!(client_of(&mut backend).await.as_deref(), Some("2001:db8::7"));

    let stream = UnixStream::connect(&path).await.expect("it accepts");
    let mut client = Client::over(stream);
    client.send(format!("{LINE}{REQUEST}")).await;
    assert_eq!(client.response().await.1, "ok");
    assert_eq!(client_of(&mut backend).await.as_deref(), Some("192.0.2.7"));
}

#[tokio::test]
async fn web_sockets_too() {
    let server = Server::start_with(&["* test".to_owned()], &["--proxy-protocol", "on"]);
    let publisher = Publisher::new(&server);
    let proxy = sent(&server, LINE).await;
    let mut socket = WebSocket::over(proxy.stream, "/ws", &[]).await.expect("a WebSocket");
    socket.text("hello").await;
    socket.expect_text("hello").await;
    publisher.message("test", "published").await;
    socket.expect_text("published").await;
}

#[tokio::test]
async fn who_does_not_say_it_is_closed() {
    let mut backend = backend();
    let mut server = start(&backend, &["--handshake-timeout", "3000"]);
    for wrong in [REQUEST.as_bytes(), b"PROXY TCP4 1.2.3.4\r\n", &block(2, 0x11, &[0; 12])] {
        sent(&server, wrong).await.expect_closed().await;
    }
    // Half of one, and then nothing.
    sent(&server, &LINE[..20]).await.expect_closed().await;
    assert!(!backend.has_seen_more());
    assert_eq!(server.counted("proxy_headers_invalid"), 3);
    let line = server.wait_for_line("counters:");
    assert!(line.contains("handshakes_timed_out=1"), "{line}");
}

#[tokio::test]
async fn who_may_not_say_it_is_closed() {
    let mut backend = backend();
    let mut server = start(&backend, &["--proxy-protocol-from", "10.0.0.0/8,::1"]);
    sent(&server, format!("{LINE}{REQUEST}")).await.rest().await;
    server.wait_for_line("closed: not in --proxy-protocol-from");
    assert!(!backend.has_seen_more());
    assert_eq!(server.counted("proxies_not_trusted"), 1);
}

#[tokio::test]
async fn only_where_it_is_expected() {
    let mut backend = backend();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let local = path.display().to_string();
    let options =
        ["--local-ports", &local, "--proxy-protocol", &local, "--x-forwarded-for", "append"];
    let server = Server::start_with(&[backend.route("*", "")], &options);
    let mut plain = sent(&server, REQUEST).await;
    assert_eq!(plain.response().await.1, "ok");
    assert_eq!(client_of(&mut backend).await.as_deref(), Some("127.0.0.1"));
    let mut client = Client::over(UnixStream::connect(&path).await.expect("it accepts"));
    client.send(format!("{LINE}{REQUEST}")).await;
    assert_eq!(client.response().await.1, "ok");
    assert_eq!(client_of(&mut backend).await.as_deref(), Some("192.0.2.7"));
    let mut client = sent(&server, format!("{LINE}{REQUEST}")).await;
    assert_eq!(client.head().await.status, "HTTP/1.1 400 Bad Request");
    let mut command = command();
    command.args(["--http-port", "0", "--control", "127.0.0.1:0", "--proxy-protocol", "81"]);
    let output = command.output().expect("it runs");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("--proxy-protocol: 0.0.0.0:81 is not the address of a listener"),
        "{text}"
    );
}

#[tokio::test]
async fn a_proxy_that_only_looks_costs_nothing() {
    let backend = backend();
    let mut server = start(&backend, &[]);
    for _ in 0..3 {
        let mut client = Client::connect(server.http).await;
        client.send(block(0, 0, b"")).await;
        drop(client);
    }
    let mut client = sent(&server, format!("{LINE}{REQUEST}")).await;
    assert_eq!(client.response().await.1, "ok");
    assert_eq!(server.counted("proxy_headers_invalid"), 0);
    assert_eq!(server.exit_code(Duration::from_secs(10)), Some(0));
}
