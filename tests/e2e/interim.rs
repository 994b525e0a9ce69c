//! Interim answers (1xx) of backends: passed on before the answer, to who can make use of them, and
//! never in the place of anything else.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::harness::authority::Authority;
use super::harness::backend::Exchange;
use super::harness::{Answer, Backend, Client, Publisher, Server, WebSocket, within};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn start() -> (Backend, Server) {
    let backend = Backend::manual();
    let server = Server::route(backend.route("*", ""));
    (backend, server)
}

/// All that a client gets for a request, up to the end of its connection.
async fn all_of(request: &str, answer: impl AsRef<[u8]>) -> String {
    let answer = Answer::raw(answer, true);
    let backend = Backend::answering(move |_| answer.clone());
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    client.send(request).await;
    String::from_utf8(client.rest().await).expect("text")
}

/// The backend says something of its own; the client gets this at once, before there is more.
async fn passes<S>(exchange: &mut Exchange, client: &mut Client<S>, said: &str, got: &str)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    exchange.write(said).await;
    let head = client.until(b"\r\n\r\n").await;
    assert_eq!(String::from_utf8_lossy(&head), got);
}

#[tokio::test]
async fn they_can_be_left_out() {
    let backend = Backend::answering(|_| Answer::raw(format!("{HINTS}{HINTS}{OK}"), false));
    let routes = [backend.route("*", "")];
    let mut server = Server::start_with(&routes, &["--drop-interim-answers"]);
    let mut client = Client::connect(server.http).await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let (head, body) = client.response().await;
        assert_eq!((head.status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "ok"));
    }
    assert_eq!(server.counted("interim_answers"), 0);
}

#[tokio::test]
async fn they_come_at_once_and_the_answer_after_them() {
    let (mut backend, mut server) = start();
    let mut client = Client::connect(server.http).await;
    for method in ["GET", "HEAD", "GET"] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let mut exchange = backend.next().await;
        passes(&mut exchange, &mut client, HINTS, HINTS).await;
        let odd = "HTTP/1.1 102 Still At It\r\nETag: \"x\"\r\nx-ODD: 1\r\nX-Odd: 2\r\n\r\n";
        passes(&mut exchange, &mut client, odd, odd).await;
        passes(&mut exchange, &mut client, HINTS, HINTS).await;
        let bare = "HTTP/1.1 199 \r\n\r\n";
        passes(&mut exchange, &mut client, bare, bare).await;
        exchange.answer(Answer::raw(if method == "HEAD" { &OK[..38] } else { OK }, false)).await;
        let head = client.head().await;
        assert_eq!(head.status, "HTTP/1.1 200 OK");
        assert_eq!(head.header("link"), None);
        if method == "GET" {
            assert_eq!(client.exactly(2).await, b"ok");
        }
    }
    assert_eq!(backend.connections(), 1, "the connection goes on");
    assert_eq!(server.counted("interim_answers"), 12);
}

#[tokio::test]
async fn what_is_the_hop_s_or_ours_is_left_out() {
    let (mut backend, server) = start();
    let mut client = Client::get(server.http, "/").await;
    let mut exchange = backend.next().await;
    let said = "HTTP/1.1 103 Early Hints\r\nX-1: a\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\
        Keep-Alive: timeout=5\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\
        grip-hold: response\r\nGrip-Channel: c\r\nX-2:  b \r\n\r\n";
    let got = "HTTP/1.1 103 Early Hints\r\nX-1: a\r\nX-2: b\r\n\r\n";
    passes(&mut exchange, &mut client, said, got).await;
    exchange.answer(Answer::raw(OK, false)).await;
    assert_eq!(client.response().await.1, "ok");
}

#[tokio::test]
async fn clients_that_could_not_tell_them_from_the_answer_get_none() {
    let answer = format!("{HINTS}{HINTS}{OK}");
    let got = all_of("GET / HTTP/1.0\r\n\r\n", &answer).await;
    assert!(got.starts_with("HTTP/1.0 200 OK\r\n") && got.ends_with("\r\n\r\nok"), "{got}");
    let backend = Backend::answering(move |_| Answer::raw(&answer, false));
    let mut server = Server::route(backend.route("*,aco,jsonp_cb=cb", ""));
    let mut client = Client::get(server.http, "/?cb=f").await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 200 OK");
    assert!(body.starts_with("/**/f("), "{body}");
    assert_eq!(server.counted("interim_answers"), 0);
}

#[tokio::test]
async fn a_hundred_is_only_for_who_waits_for_it() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let got = all_of(get, format!("HTTP/1.1 100 Continue\r\n\r\n{OK}")).await;
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{got}");
    let (mut backend, server) = start();
    let mut client = Client::connect(server.http).await;
    let fields = "Host: a\r\nExpect: 100-continue\r\nContent-Length: 20000";
    client.send(format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n")).await;
    assert_eq!(client.head().await.status, "HTTP/1.1 100 Continue");
    client.send(vec![b'x'; 20_000]).await;
    let mut exchange = backend.next().await;
    let said = format!("HTTP/1.1 100 Continue\r\n\r\n{HINTS}");
    passes(&mut exchange, &mut client, &said, HINTS).await;
    exchange.answer(Answer::raw(OK, false)).await;
    assert_eq!(client.response().await.1, "ok");
}

#[tokio::test]
async fn one_comes_while_the_request_is_still_on_its_way() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let server = Server::route(format!("* {}", listener.local_addr().expect("bound")));
    let mut client = Client::connect(server.http).await;
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n").await;
    client.send(vec![b'x'; 20_000]).await;
    let (stream, _) = within("a connection", listener.accept()).await.expect("it comes");
    let mut backend = Client::over(stream);
    backend.until(b"\r\n\r\n").await;
    backend.send(HINTS).await;
    assert_eq!(client.until(b"\r\n\r\n").await, HINTS.as_bytes());
    client.send(vec![b'x'; 10_000]).await;
    assert_eq!(backend.exactly(30_000).await, vec![b'x'; 30_000]);
    backend.send(OK).await;
    assert_eq!(client.response().await.1, "ok");
}

#[tokio::test]
async fn requests_that_were_sent_together_get_their_own() {
    let backend = Backend::answering(|request| {
        let own = &request.target;
        let body = "x".repeat(100_000);
        let hint = format!("HTTP/1.1 103 Early Hints\r\nX-Of: {own}\r\n\r\n");
        let head = format!("HTTP/1.1 200 OK\r\nX-Of: {own}\r\nContent-Length: 100000\r\n\r\n");
        Answer::raw([&*hint, &hint, &head, &body].concat(), false)
    });
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    let all: String = (0..20).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(all).await;
    for n in 0..20 {
        for status in ["103 Early Hints", "103 Early Hints", "200 OK"] {
            let head = client.head().await;
            assert_eq!(head.status, format!("HTTP/1.1 {status}"));
            assert_eq!(head.header("x-of"), Some(format!("/{n}").as_str()));
        }
        client.exactly(100_000).await;
    }
}

#[tokio::test]
async fn a_held_request_gets_them_before_it_is_held() {
    let backend = Backend::answering(|request| {
        let hold = Answer::hold("response", "c", "nothing\n").bytes();
        match request.target.as_str() {
            "/poll" => Answer::raw([HINTS.as_bytes(), &hold].concat(), false),
            _ => Answer::raw(format!("{HINTS}{OK}"), false),
        }
    });
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::connect(server.http).await;
    for _ in 0..2 {
        client.send("GET /poll HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.until(b"\r\n\r\n").await, HINTS.as_bytes());
        let formats = json!({ "http-response": { "body": "published\n" } });
        let hears = tokio::sync::Mutex::new(&mut client);
        publisher.until("c", formats, || async { hears.lock().await.hears().await }).await;
        assert_eq!(client.response().await.1, "published\n");
        client.send("GET /plain HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.until(b"\r\n\r\n").await, HINTS.as_bytes());
        assert_eq!(client.response().await.1, "ok");
    }
}

#[tokio::test]
async fn so_many_and_so_large() {
    let large = |bytes: usize| {
        let begin = "HTTP/1.1 103 Early Hints\r\nX: ";
        format!("{begin}{}\r\n\r\n", "x".repeat(bytes - begin.len() - 4))
    };
    let (mut backend, mut server) = start();
    let mut client = Client::get(server.http, "/").await;
    let mut exchange = backend.next().await;
    let both = large(16_385) + &large(16_384);
    passes(&mut exchange, &mut client, &both, &large(16_384)).await;
    for _ in 1..100 {
        passes(&mut exchange, &mut client, HINTS, HINTS).await;
    }
    exchange.answer(Answer::raw(format!("{HINTS}{OK}"), false)).await;
    assert_eq!(client.response().await.1, "ok", "the hundred and first is left out");
    // The next request has its own hundred.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut exchange = backend.next().await;
    passes(&mut exchange, &mut client, HINTS, HINTS).await;
    exchange.answer(Answer::raw(OK, false)).await;
    assert_eq!(client.response().await.1, "ok");
    assert_eq!(server.counted("interim_answers_dropped"), 2);
}

#[tokio::test]
async fn no_end_of_them_is_a_failure() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let got = all_of(get, [&HINTS.repeat(1001), OK].concat()).await;
    let after = got.trim_start_matches(HINTS);
    assert!(after.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{after}");
}

#[tokio::test]
async fn a_request_that_one_came_for_is_not_made_again() {
    let first = Backend::answering(|_| Answer::raw(HINTS, true));
    let mut second = Backend::answering(|_| Answer::ok("second"));
    let mut server = Server::route(format!("{} {}", first.route("*", ""), second.address));
    let mut client = Client::get(server.http, "/").await;
    assert_eq!(client.until(b"\r\n\r\n").await, HINTS.as_bytes());
    assert_eq!(client.response().await.0.status, "HTTP/1.1 502 Bad Gateway");
    assert!(!second.has_seen_more());
    assert_eq!(server.counted("backend_heads_cut_short"), 1);
}

#[tokio::test]
async fn silence_after_one_ends_in_time() {
    let mut backend = Backend::manual();
    let mut server =
        Server::start_with(&[backend.route("*", "")], &["--backend-head-timeout", "4000"]);
    let mut client = Client::get(server.http, "/").await;
    let mut exchange = backend.next().await;
    passes(&mut exchange, &mut client, HINTS, HINTS).await;
    assert_eq!(client.response_in(30).await.0.status, "HTTP/1.1 502 Bad Gateway");
    assert_eq!(server.counted("backend_head_timeouts"), 1);
}

async fn local(path: &Path) -> Client<UnixStream> {
    let stream = within("the server to accept", UnixStream::connect(path)).await;
    Client::over(stream.expect("the server accepts"))
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_some_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("clients.sock");
    let mut backend = Backend::manual();
    // Over such a socket little is on its way.
    let place = format!("unix:{}", path.display());
    let arguments = ["--local-ports", &place, "--workers", "1"];
    let mut server = Server::start_with(&[backend.route("*", "")], &arguments);
    let mut client = local(&path).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut exchange = backend.next().await;
    let one = |n: usize| format!("HTTP/1.1 103 N\r\nX-{n}: {}\r\n\r\n", "x".repeat(15_000));
    for n in 0..90 {
        exchange.write(one(n)).await;
    }
    exchange.answer(Answer::raw(OK, false)).await;
    // All of it has been read when the connection is used again.
    within("the first connection to be used again", async {
        let mut other = local(&path).await;
        loop {
            other.send("GET /other HTTP/1.1\r\nHost: a\r\n\r\n").await;
            let exchange = backend.next().await;
            let connection = exchange.request.connection;
            exchange.answer(Answer::ok("other").header("Connection", "close")).await;
            assert_eq!(other.response().await.1, "other");
            if connection == 0 {
                break;
            }
        }
    })
    .await;
    let mut last = None;
    let head = loop {
        let head = client.head().await;
        if head.status != "HTTP/1.1 103 N" {
            break head;
        }
        let [(name, value)] = &head.headers[..] else { panic!("not one field: {head:?}") };
        let n: usize = name.strip_prefix("x-").expect("ours").parse().expect("a number");
        assert_eq!(value.len(), 15_000);
        assert!(last < Some(n), "{n} after {last:?}");
        last = Some(n);
    };
    assert_eq!(head.status, "HTTP/1.1 200 OK");
    assert_eq!(client.exactly(2).await, b"ok");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut exchange = backend.next().await;
    passes(&mut exchange, &mut client, HINTS, HINTS).await;
    exchange.answer(Answer::raw(OK, false)).await;
    assert_eq!(client.response().await.1, "ok");
    assert!(server.counted("interim_answers_dropped") > 0);
}

#[tokio::test]
async fn over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("servers");
    authority.sign(&["a.example"]).write(folder.path(), "a.example");
    let at = folder.path().to_string_lossy().into_owned();
    let mut backend = Backend::manual();
    let arguments = ["--https-port", "0", "--certs", &at];
    let server = Server::start_with(&[backend.route("*", "")], &arguments);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der()).expect("a root");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let stream =
        TcpStream::connect(server.https.expect("it serves TLS")).await.expect("it accepts");
    let name = ServerName::try_from("a.example").expect("a name");
    let stream = within("the TLS handshake", connector.connect(name, stream)).await;
    let mut client = Client::over(stream.expect("it is trusted"));
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        let mut exchange = backend.next().await;
        for _ in 0..3 {
            passes(&mut exchange, &mut client, HINTS, HINTS).await;
        }
        exchange.answer(Answer::raw(OK, false)).await;
        assert_eq!(client.response().await.1, "ok");
    }
}

#[tokio::test]
async fn a_change_of_protocol_may_have_some_before_it() {
    let mut backend = Backend::manual();
    let options = ["--upgrade-protocols=foo"];
    let server = Server::start_with(&[backend.route("*", "")], &options);
    let mut client = Client::connect(server.http).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n").await;
    let mut exchange = backend.next().await;
    passes(&mut exchange, &mut client, HINTS, HINTS).await;
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n";
    exchange.write([switch, "hello"].concat()).await;
    assert_eq!(client.head().await.status, "HTTP/1.1 101 Switching Protocols");
    assert_eq!(client.exactly(5).await, b"hello");
}

#[tokio::test]
async fn the_client_of_a_websocket_gets_none() {
    let (mut backend, server) = start();
    let accepting = async {
        let mut exchange = backend.next().await;
        exchange.write(HINTS).await;
        WebSocket::accept(exchange, "").await
    };
    let (socket, _backend) = tokio::join!(WebSocket::connect(&server, "/"), accepting);
    assert_eq!(socket.response.status(), 101);
}
