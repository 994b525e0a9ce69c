//! TLS towards backends: whose certificates are accepted, what backends are shown, and what becomes
//! of a request when a handshake fails.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::harness::authority::{Authority, Signed, replace};
use super::harness::{Answer, Backend, Client, Server, WebSocket, within};

/// What a backend saw of a connection, and the head of a request over it.
#[derive(Debug)]
struct Seen {
    connection: usize,
    name: Option<String>,
    protocol: Option<Vec<u8>>,
    certificate: Option<CertificateDer<'static>>,
    resumed: bool,
    head: String,
}

/// A backend that speaks TLS only. It answers every request, or every message of a WebSocket, with
/// `secure`.
struct Secure {
    address: SocketAddr,
    seen: mpsc::UnboundedReceiver<Seen>,
}

impl Secure {
    /// With this certificate; clients must show one of `clients`, if there are any.
    fn start(own: &Signed, clients: Option<&Authority>) -> Secure {
        Secure::speaking(own, clients, rustls::ALL_VERSIONS)
    }

    fn speaking(
        own: &Signed,
        clients: Option<&Authority>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Secure {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(versions).expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.der()).expect("a root");
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("a key");
        let mut config = builder.with_single_cert(vec![own.der.clone()], key).expect("usable");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("a bound socket");
        let (sender, seen) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let tasks = tokio::task::LocalSet::new();
            let accepting = accept(listener, TlsAcceptor::from(Arc::new(config)), sender);
            tasks.block_on(&runtime.expect("a runtime"), accepting);
        });
        Secure { address, seen }
    }

    async fn next(&mut self) -> Seen {
        within("a request at the backend", self.seen.recv()).await.expect("it runs")
    }

    fn target(&self, options: &str) -> String {
        format!("{},ssl{options}", self.address)
    }
}

async fn accept(
    listener: std::net::TcpListener,
    acceptor: TlsAcceptor,
    seen: mpsc::UnboundedSender<Seen>,
) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let mut connection = 0;
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, seen) = (acceptor.clone(), seen.clone());
        tokio::task::spawn_local(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, connection, &seen).await;
            }
        });
        connection += 1;
    }
}

async fn serve(
    mut stream: TlsStream<TcpStream>,
    connection: usize,
    seen: &mpsc::UnboundedSender<Seen>,
) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.is_ok_and(|count| count > 0) {
                continue;
            }
            return;
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let session = stream.get_ref().1;
        let socket_key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let key = socket_key.map(str::to_owned);
        let close = head.contains("/close");
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let _ = seen.send(Seen {
            connection,
            name: session.server_name().map(str::to_owned),
            protocol: session.alpn_protocol().map(<[u8]>::to_vec),
            certificate: certificate.map(|der| der.clone().into_owned()),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            head,
        });
        if let Some(key) = key {
            return echo(stream, &key).await;
        }
        let more = if close { "Connection: close\r\n" } else { "" };
        let answer = format!("HTTP/1.1 200 OK\r\n{more}Content-Length: 6\r\n\r\nsecure");
        if stream.write_all(answer.as_bytes()).await.is_err() || close {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

async fn echo(mut stream: TlsStream<TcpStream>, key: &str) {
    use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
    use tokio_tungstenite::tungstenite::protocol::Role;
    let accept = derive_accept_key(key.as_bytes());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let mut socket =
        tokio_tungstenite::WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

const CA: &[&str] = &["--backend-ca", "ca.pem"];

/// A server with these routes and files; the working directory is the files' folder.
fn server(routes: &[String], arguments: &[&str], files: &[(&str, &str)]) -> Server {
    Server::start_in(routes, arguments, |folder: &Path| {
        for (name, content) in files {
            std::fs::write(folder.join(name), content).expect("written");
        }
    })
}

/// The status and body of the answer to a request for a host and a path.
async fn ask(server: &Server, host: &str, path: &str) -> (String, String) {
    let mut client = Client::connect(server.http).await;
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    let (head, body) = client.response().await;
    (head.status.trim_start_matches("HTTP/1.1 ").to_owned(), body)
}

async fn is_served(server: &Server) -> bool {
    ask(server, "a.example", "/").await == ("200 OK".into(), "secure".into())
}

#[tokio::test]
async fn only_certificates_that_can_be_checked_are_accepted() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let pem = ours.pem();
    let good = ours.sign(&["a.example"]);
    for (own, options, arguments, served) in [
        (&good, "", CA, true),
        (&good, "", &[], false),
        (&good, ",insecure", &[], true),
        (&ours.sign(&["b.example"]), "", CA, false),
        (&ours.sign(&["b.example"]), ",insecure", CA, true),
        (&ours.sign_until(&["a.example"], 2010), "", CA, false),
        (&others.sign(&["a.example"]), "", CA, false),
        (&ours.sign(&["b.example", "a.example"]), "", CA, true),
        // A whole branch of names is nobody's.
        (&ours.sign(&["*.example"]), "", CA, false),
    ] {
        let backend = Secure::start(own, None);
        let route = format!("* {}", backend.target(options));
        let server = server(std::slice::from_ref(&route), arguments, &[("ca.pem", &pem)]);
        assert_eq!(is_served(&server).await, served, "{route} {arguments:?}");
    }
}

#[tokio::test]
async fn which_name_is_asked_for_and_checked() {
    let ours = Authority::new("ours");
    let pem = ours.pem();
    // What the certificate is for, the target's options, and the name and Host it is asked for.
    for (certified, options, name, host) in [
        ("a.example", "", Some("a.example"), "a.example"),
        ("b.example", ",host=b.example", Some("b.example"), "b.example"),
        ("b.example", ",host=b.example:99", Some("b.example"), "b.example:99"),
        ("127.0.0.1", ",trust_connect_host", None, "a.example"),
        ("127.0.0.1", ",trust_connect_host,host=b.example", None, "b.example"),
    ] {
        let mut backend = Secure::start(&ours.sign(&[certified]), None);
        let route = format!("* {}", backend.target(options));
        let server = server(std::slice::from_ref(&route), CA, &[("ca.pem", &pem)]);
        assert!(is_served(&server).await, "{route}");
        let seen = backend.next().await;
        assert_eq!(seen.name.as_deref(), name, "{route}");
        assert!(seen.head.contains(&format!("\r\nHost: {host}\r\n")), "{route}: {}", seen.head);
        assert_eq!(seen.protocol.as_deref(), Some(&b"http/1.1"[..]));
    }
}

#[tokio::test]
async fn a_handshake_that_fails_is_followed_by_the_next_target() {
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let pem = ours.pem();
    let good = ours.sign(&["a.example"]);
    let mut plain = Backend::answering(|_| Answer::ok("next"));
    let (v12, v13) = (&[&rustls::version::TLS12], &[&rustls::version::TLS13]);
    for (backend, reason) in [
        (Secure::start(&ours.sign(&["b.example"]), None), "tls: certificate"),
        (Secure::start(&ours.sign_until(&["a.example"], 2010), None), "tls: certificate"),
        // They want a certificate that we have not; with TLS 1.3 they say so late.
        (Secure::speaking(&good, Some(&clients), v12), "tls: certificate"),
        (Secure::speaking(&good, Some(&clients), v13), "tls: certificate"),
    ] {
        let route = format!("* {} {}", backend.target(""), plain.address);
        let mut server = server(std::slice::from_ref(&route), CA, &[("ca.pem", &pem)]);
        for method in ["GET", "POST"] {
            let mut client = Client::connect(server.http).await;
            let length = if method == "POST" { "Content-Length: 3\r\n\r\nabc" } else { "\r\n" };
            client.send(format!("{method} / HTTP/1.1\r\nHost: a.example\r\n{length}")).await;
            assert_eq!(client.response().await.1, "next", "{route} {method}");
            let request = plain.seen().await;
            assert_eq!(request.method, method);
            assert_eq!(request.body, if method == "POST" { &b"abc"[..] } else { b"" });
        }
        server.wait_for_line(reason);
    }
    // And plain HTTP where TLS is expected.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            let _ = stream.and_then(|mut stream| std::io::Write::write_all(&mut stream, answer));
        }
    });
    let route = format!("* {address},ssl {}", plain.address);
    let server = server(&[route], CA, &[("ca.pem", &pem)]);
    assert_eq!(ask(&server, "a.example", "/").await.1, "next");
}

/// Two routes with certificates of their own, and one without, to the same backend.
#[tokio::test]
async fn each_route_shows_its_own_certificate_over_its_own_connections() {
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let [alice, bob] = [["alice"], ["bob"]].map(|name| clients.sign(&name));
    let mut backend = Secure::start(&ours.sign(&["a.example", "b.example"]), Some(&clients));
    let both = format!("{}{}", bob.certificate, bob.key);
    let routes = [
        format!("a.example {}", backend.target(",client_cert=alice.crt,client_key=alice.key")),
        format!("b.example {}", backend.target(",client_cert=bob.pem")),
        format!("c.example {}", backend.target("")),
    ];
    let files = [
        ("ca.pem", ours.pem()),
        ("alice.crt", alice.certificate.clone()),
        ("alice.key", alice.key.clone()),
        ("bob.pem", both),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, &**text)).collect();
    let server = server(&routes, &[CA, &["--workers", "1"]].concat(), &files);
    let mut connections = [None, None];
    for _ in 0..3 {
        for (place, (host, signed)) in [("a", &alice), ("b", &bob)].into_iter().enumerate() {
            let host = format!("{host}.example");
            assert_eq!(ask(&server, &host, "/").await.0, "200 OK");
            let seen = backend.next().await;
            assert_eq!(seen.certificate.as_ref(), Some(&signed.der), "{host}");
            let known = *connections[place].get_or_insert(seen.connection);
            assert_eq!(seen.connection, known, "it is used again");
        }
    }
    assert_ne!(connections[0], connections[1]);
    assert_eq!(ask(&server, "c.example", "/").await.0, "502 Bad Gateway");
}

#[tokio::test]
async fn sessions_are_resumed_with_a_backend_and_a_replaced_certificate_is_shown() {
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let [first, second] = [["first"], ["second"]].map(|name| clients.sign(&name));
    let mut backend = Secure::start(&ours.sign(&["a.example"]), Some(&clients));
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = first.write(folder.path(), "own");
    let files = format!(",client_cert={},client_key={}", certificate.display(), key.display());
    let route = format!("* {}", backend.target(&files));
    let server = server(&[route], &[CA, &["--workers", "1"]].concat(), &[("ca.pem", &ours.pem())]);
    for resumed in [false, true, true] {
        assert_eq!(ask(&server, "a.example", "/close").await.0, "200 OK");
        let seen = backend.next().await;
        assert_eq!((seen.resumed, seen.certificate.as_ref()), (resumed, Some(&first.der)));
    }
    second.write(folder.path(), "own");
    assert_eq!(ask(&server, "a.example", "/close").await.0, "200 OK");
    let seen = backend.next().await;
    assert_eq!((seen.resumed, seen.certificate.as_ref()), (false, Some(&second.der)));
    // One that does not work leaves the one before.
    replace(&certificate, "nothing");
    assert_eq!(ask(&server, "a.example", "/close").await.0, "200 OK");
    assert_eq!(backend.next().await.certificate.as_ref(), Some(&second.der));
}

#[tokio::test]
async fn websockets_go_to_backends_with_tls_too() {
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let alice = clients.sign(&["alice"]);
    let mut backend = Secure::start(&ours.sign(&["a.example"]), Some(&clients));
    let wrong = Secure::start(&ours.sign(&["b.example"]), None);
    let own = ",client_cert=alice.crt,client_key=alice.key";
    // The first target's handshake fails.
    let route = format!("* {} {}", wrong.target(""), backend.target(own));
    let files = [
        ("ca.pem", ours.pem()),
        ("alice.crt", alice.certificate.clone()),
        ("alice.key", alice.key.clone()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, &**text)).collect();
    let server = server(&[route], CA, &files);
    let stream = TcpStream::connect(server.http).await.expect("it accepts");
    let mut socket = WebSocket::over(stream, "/ws", &[]).await;
    let socket = socket.as_mut().expect("accepted");
    socket.text("over tls").await;
    socket.expect_text("over tls").await;
    let seen = backend.next().await;
    assert_eq!(seen.certificate.as_ref(), Some(&alice.der));
}

#[tokio::test]
async fn a_line_whose_files_cannot_be_read_is_left_out() {
    let alice = Authority::new("clients").sign(&["alice"]);
    let bob = Authority::new("clients").sign(&["bob"]);
    let plain = Backend::answering(|_| Answer::ok("plain"));
    let target = format!("{},ssl", plain.address);
    let routes = [
        format!("a.example {target},client_cert=nowhere.crt"),
        format!("b.example {target},client_cert=alice.crt,client_key=nowhere.key"),
        format!("c.example {target},client_cert=alice.crt,client_key=bob.key"),
        format!("d.example {target},client_cert=text.pem"),
        plain.route("*", ""),
    ];
    let files = [
        ("alice.crt", alice.certificate.as_str()),
        ("bob.key", bob.key.as_str()),
        ("text.pem", "hello"),
    ];
    let mut server = server(&routes, &[], &files);
    for mark in [
        "failed to open nowhere.crt: No such file",
        "failed to open nowhere.key: No such file",
        "alice.crt: does not work with its key bob.key",
        "text.pem: expected PEM with certificates",
    ] {
        server.wait_for_line(mark);
    }
    for host in ["a.example", "b.example", "c.example", "d.example"] {
        assert_eq!(ask(&server, host, "/").await.1, "plain", "{host}");
    }
}
