//! TLS at the clients' side: certificates by name, https and wss.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::harness::{Answer, Backend, Client, Publisher, Server, WebSocket, chunk, within};

/// Writes a certificate for `names` as `FILE.crt` and `FILE.key`.
fn certificate(folder: &Path, file: &str, names: &[&str]) -> CertificateDer<'static> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    std::fs::write(folder.join(format!("{file}.crt")), made.cert.pem()).expect("written");
    std::fs::write(folder.join(format!("{file}.key")), made.signing_key.serialize_pem())
        .expect("written");
    made.cert.der().clone()
}

struct Secure {
    server: Server,
    backend: Backend,
    roots: rustls::RootCertStore,
    _folder: tempfile::TempDir,
}

/// A server with certificates for one name, a wildcard, and any other name.
fn start(route: &str, backend: Backend) -> Secure {
    start_with(route, backend, &[])
}

fn start_with(route: &str, backend: Backend, more: &[&str]) -> Secure {
    let folder = tempfile::tempdir().expect("a folder");
    let mut roots = rustls::RootCertStore::empty();
    for (file, names) in [
        ("one.example", ["one.example"]),
        ("_.wild.example", ["*.wild.example"]),
        ("default", ["default.example"]),
    ] {
        let made = certificate(folder.path(), file, &names);
        roots.add(made).expect("a root");
    }
    let certs = folder.path().to_string_lossy().into_owned();
    let arguments = [&["--https-port", "0", "--certs", &certs], more].concat();
    let server = Server::start_with(&[route.to_owned()], &arguments);
    Secure { server, backend, roots, _folder: folder }
}

impl Secure {
    async fn connect(&self, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = rustls::ClientConfig::builder().with_root_certificates(self.roots.clone());
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let address = self.server.https.expect("it serves TLS");
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        within("the TLS handshake", TlsConnector::from(Arc::new(config)).connect(name, stream))
            .await
    }
}

fn secure_backend() -> Secure {
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/stream" => Answer::hold("stream", "s", "init\n"),
        _ => Answer::ok("secure\n"),
    });
    let route = backend.route("*", "");
    start(&route, backend)
}

#[tokio::test]
async fn a_body_that_is_cut_short_lacks_the_closing_alert() {
    let backend = Backend::manual();
    let route = backend.route("*", "");
    let mut secure = start(&route, backend);
    for version in ["1.0", "1.1"] {
        let stream = secure.connect("one.example").await.expect("a connection");
        let mut client = Client::over(stream);
        client.send(format!("GET / HTTP/{version}\r\nHost: one.example\r\n\r\n")).await;
        let mut exchange = secure.backend.next().await;
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        exchange.write(format!("{head}5\r\nhello\r\n")).await;
        client.until(b"hello").await;
        drop(exchange);
        let mut rest = Vec::new();
        let ended = client.stream.read_to_end(&mut rest);
        let ended = within("the server to close", ended).await.map_err(|error| error.kind());
        assert_eq!(ended, Err(std::io::ErrorKind::UnexpectedEof), "HTTP/{version}: {rest:?}");
    }
}

#[tokio::test]
async fn certificates_are_chosen_by_name() {
    let secure = secure_backend();
    for name in ["one.example", "a.wild.example", "b.wild.example", "default.example"] {
        let stream = secure.connect(name).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()), "{name}");
        let mut client = Client::over(stream);
        client.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n")).await;
        assert_eq!(client.response().await.1, "secure\n");
    }
    // Verified against the default certificate, which does not cover it.
    assert!(secure.connect("deep.a.wild.example").await.is_err());
}

#[tokio::test]
async fn backends_are_told_that_the_client_is_secure() {
    let mut secure = secure_backend();
    let mut client = Client::over(secure.connect("one.example").await.expect("TLS"));
    client.send("GET / HTTP/1.1\r\nHost: one.example\r\nX-Forwarded-Proto: ftp\r\n\r\n").await;
    client.response().await;
    assert_eq!(secure.backend.seen().await.header("x-forwarded-proto"), Some("https"));
}

#[tokio::test]
async fn streams_are_held_over_tls() {
    let secure = secure_backend();
    let publisher = Publisher::new(&secure.server);
    let mut client = Client::over(secure.connect("one.example").await.expect("TLS"));
    client.send("GET /stream HTTP/1.1\r\nHost: one.example\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("init\n"));
    for n in 0..3 {
        publisher.stream("s", &format!("{n}\n")).await;
        assert_eq!(client.chunk().await, chunk(format!("{n}\n")));
    }
    let large = "x".repeat(150_000);
    publisher.stream("s", &large).await;
    assert_eq!(client.chunk().await, chunk(&large));
    publisher.close_stream("s").await;
    assert_eq!(client.chunk().await, b"0\r\n\r\n");
}

#[tokio::test]
async fn websockets_work_over_tls() {
    let secure = start("* test", Backend::answering(|_| Answer::ok("unused")));
    let publisher = Publisher::new(&secure.server);
    let stream = secure.connect("one.example").await.expect("TLS");
    let mut socket = WebSocket::over(stream, "/ws?channel=w", &[]).await.expect("accepted");
    socket.text("over tls").await;
    socket.expect_text("over tls").await;
    publisher.message("w", "published").await;
    socket.expect_text("published").await;
}

#[tokio::test]
async fn routes_tell_secure_from_plain() {
    let plain = Backend::answering(|_| Answer::ok("plain"));
    let folder = tempfile::tempdir().expect("a folder");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate(folder.path(), "default", &["one.example"])).expect("a root");
    let backend = Backend::answering(|_| Answer::ok("secure"));
    let routes = [plain.route("*,ssl=no", ""), backend.route("*,ssl=yes", "")];
    let certs = folder.path().to_string_lossy().into_owned();
    let server = Server::start_with(&routes, &["--https-port", "0", "--certs", &certs]);
    let mut client = Client::get(server.http, "/").await;
    assert_eq!(client.response().await.1, "plain");
    let secure = Secure { server, backend, roots, _folder: folder };
    let mut client = Client::over(secure.connect("one.example").await.expect("TLS"));
    client.send("GET / HTTP/1.1\r\nHost: one.example\r\n\r\n").await;
    assert_eq!(client.response().await.1, "secure");
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_closed() {
    let secure = secure_backend();
    let address = secure.server.https.expect("it serves TLS");
    let mut client = Client::get(address, "/").await;
    let rest = client.rest().await;
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn silent_clients_do_not_keep_handshakes_out() {
    let limits = ["--workers", "1", "--handshakes-max", "3"];
    let mut secure = start_with("* test", Backend::manual(), &limits);
    let address = secure.server.https.expect("it serves TLS");
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(Client::connect(address).await);
    }
    let stream = secure.connect("one.example").await.expect("a handshake");
    let mut client = Client::over(stream);
    client.send("GET / HTTP/1.1\r\nHost: one.example\r\n\r\n").await;
    assert_eq!(client.response().await.1, "Hello from the linchpin test handler!\n");
    for mut client in silent.drain(..3) {
        client.expect_closed().await;
    }
    assert!(secure.server.counted("handshakes_dropped") >= 3);
}

#[tokio::test]
async fn at_capacity_a_tls_client_is_closed() {
    let limits = ["--workers", "1", "--client-maxconn", "2", "--at-capacity", "503"];
    let mut secure = start_with("* test", Backend::manual(), &limits);
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = Client::over(secure.connect("one.example").await.expect("a handshake"));
        client.send("GET /stream HTTP/1.1\r\nHost: one.example\r\n\r\n").await;
        client.head().await;
        held.push(client);
    }
    assert!(secure.connect("one.example").await.is_err());
    assert_eq!(secure.server.counted("clients_refused"), 1);
}
