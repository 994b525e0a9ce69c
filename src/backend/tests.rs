//! The whole of `backend` against a scripted server on a real socket.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use ::http::{Method, Request, Version};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::body::BodyError;
use super::connect::ServerTls;
use super::error::{Kind, Stage};
use super::*;

/// Runs a test on a shard of its own; no test may take longer than ten seconds.
fn shard<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let set = tokio::task::LocalSet::new();
    set.block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(10), test).await.expect("took too long");
    });
}

fn backend_with(settings: Settings) -> Backend {
    Backend::new(settings, ClientTls::with_roots(rustls::RootCertStore::empty()).unwrap())
}

fn backend() -> Backend {
    backend_with(Settings::default())
}

async fn listener() -> (TcpListener, Destination) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = destination(listener.local_addr().unwrap());
    (listener, to)
}

fn destination(address: SocketAddr) -> Destination {
    let host = address.ip().to_string();
    Destination { host, port: address.port(), tls: None, untrusted: false }
}

fn get(path: &str) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::empty());
    *request.uri_mut() = path.parse().unwrap();
    request.headers_mut().insert("host", "h".parse().unwrap());
    request
}

fn post(body: &'static str) -> Request<RequestBody> {
    let mut request = get("/post");
    *request.method_mut() = Method::POST;
    *request.body_mut() = RequestBody::Whole(Some(Bytes::from_static(body.as_bytes())));
    request
}

/// Reads until `end` is in what was read; gives it all.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0_u8; 4096];
    while !text.contains(end) {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

/// Waits until the peer has closed.
async fn closed(stream: &mut TcpStream) {
    let mut buffer = [0_u8; 4096];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

/// Answers one request with `answer`; gives the connection.
async fn answer(listener: &TcpListener, answer: &str) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream
}

async fn text(response: Response<AnswerBody>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn refused_goes_to_the_next_target() {
    shard(async {
        let (free, to) = listener().await;
        drop(free);
        let error = backend().send(&to, get("/")).await.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Connect, Kind::Refused));
        assert!(error.next_target());
    });
}

#[test]
fn unknown_names_go_to_the_next_target() {
    shard(async {
        let to = Destination {
            host: "does-not-exist.invalid".into(),
            port: 80,
            tls: None,
            untrusted: false,
        };
        let error = backend().send(&to, get("/")).await.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Resolve, Kind::NotFound));
        assert!(error.next_target());
    });
}

#[test]
fn untrusted_targets_may_not_be_local() {
    shard(async {
        let (_listener, mut to) = listener().await;
        to.untrusted = true;
        let error = backend().send(&to, get("/")).await.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Policy, Kind::Forbidden));
        assert!(!error.next_target());
    });
}

#[test]
fn the_request_on_the_wire() {
    shard(async {
        let (listener, to) = listener().await;
        let mut request = post("hello");
        request.headers_mut().insert("x-one-two", "3".parse().unwrap());
        let backend = backend();
        let (response, seen) = tokio::join!(backend.send(&to, request), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let seen = read_until(&mut stream, "hello").await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            seen
        });
        assert_eq!(
            seen,
            "POST /post HTTP/1.1\r\nHost: h\r\nX-One-Two: 3\r\nContent-Length: 5\r\n\r\nhello"
        );
        assert_eq!(response.unwrap().version(), Version::HTTP_11);
    });
}

#[test]
fn framing() {
    let framed = |method: Method, body: RequestBody, given: Option<&str>| {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        if let Some(given) = given {
            request.headers_mut().insert("content-length", given.parse().unwrap());
        }
        http::frame(&mut request);
        let headers = request.headers();
        let length = headers.get("content-length").map(|v| v.to_str().unwrap().to_owned());
        (length, headers.contains_key("transfer-encoding"))
    };
    let whole = || RequestBody::Whole(Some(Bytes::from_static(b"abc")));
    let endless = || {
        let frames = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, BodyError>>();
        RequestBody::Streamed(Box::pin(StreamBody::new(frames)))
    };
    let known = || {
        RequestBody::Streamed(Box::pin(Full::new(Bytes::from_static(b"abcd")).map_err(Into::into)))
    };
    let length = |text: &str| (Some(text.to_owned()), false);
    assert_eq!(framed(Method::GET, RequestBody::empty(), None), (None, false));
    assert_eq!(framed(Method::GET, RequestBody::empty(), Some("0")), length("0"));
    assert_eq!(framed(Method::OPTIONS, RequestBody::empty(), Some("7")), (None, false));
    assert_eq!(framed(Method::POST, RequestBody::empty(), None), length("0"));
    assert_eq!(framed(Method::DELETE, RequestBody::Whole(Some(Bytes::new())), None), length("0"));
    assert_eq!(framed(Method::POST, whole(), None), length("3"));
    assert_eq!(framed(Method::POST, whole(), Some("9")), length("3"));
    assert_eq!(framed(Method::PUT, known(), None), length("4"));
    assert_eq!(framed(Method::GET, endless(), None), (None, true));
    assert_eq!(framed(Method::POST, endless(), Some("5")), (None, true));
}

#[test]
fn connections_are_used_again_once_read() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend();
        let client = async {
            assert_eq!(text(backend.send(&to, get("/1")).await.unwrap()).await, "ok");
            assert_eq!(text(backend.send(&to, get("/2")).await.unwrap()).await, "two\n");
            let response = backend.send(&to, get("/3")).await.unwrap();
            assert_eq!(response.status(), 204);
            drop(response); // nothing to read
            assert_eq!(text(backend.send(&to, get("/4")).await.unwrap()).await, "ok");
        };
        let server = async {
            let mut stream = answer(&listener, OK).await;
            for (path, response) in [
                (
                    "/2",
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntwo\n\r\n0\r\n\r\n",
                ),
                ("/3", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
                ("/4", OK),
            ] {
                assert!(read_until(&mut stream, "\r\n\r\n").await.contains(path));
                stream.write_all(response.as_bytes()).await.unwrap();
            }
            stream
        };
        let (_stream, ()) = tokio::join!(server, client);
        assert_eq!(backend.idle_connections(), 1);
    });
}

#[test]
fn head_and_304_have_no_body_whatever_their_length_says() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend();
        let client = async {
            let mut head = get("/");
            *head.method_mut() = Method::HEAD;
            let response = backend.send(&to, head).await.unwrap();
            assert_eq!(response.headers()["content-length"], "100");
            assert_eq!(text(response).await, "");
            let response = backend.send(&to, get("/")).await.unwrap();
            assert_eq!(response.status(), 304);
            assert_eq!(text(response).await, "");
            assert_eq!(text(backend.send(&to, get("/")).await.unwrap()).await, "ok");
        };
        let server = async {
            let mut stream =
                answer(&listener, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").await;
            read_until(&mut stream, "\r\n\r\n").await;
            let unchanged = "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n";
            stream.write_all(unchanged.as_bytes()).await.unwrap();
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            stream
        };
        let _stream = tokio::join!(server, client);
    });
}

#[test]
fn informational_responses_are_skipped() {
    shard(async {
        let (listener, to) = listener().await;
        let all =
            format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{OK}");
        let backend = backend();
        let (response, _stream) =
            tokio::join!(backend.send(&to, get("/")), answer(&listener, &all));
        let response = response.unwrap();
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("link"));
        assert_eq!(text(response).await, "ok");
    });
}

#[test]
fn a_stale_connection_is_replaced_once() {
    shard(async {
        for request in [get("/again"), post("again")] {
            let (listener, to) = listener().await;
            let backend = backend();
            let (first, mut stream) =
                tokio::join!(backend.send(&to, get("/")), answer(&listener, OK));
            text(first.unwrap()).await;
            let server = async {
                // The backend takes the request and closes: it had given the connection up.
                read_until(&mut stream, "again").await;
                drop(stream);
                let (mut stream, _) = listener.accept().await.unwrap();
                assert!(
                    read_until(&mut stream, "again").await.starts_with(request.method().as_str())
                );
                stream.write_all(OK.as_bytes()).await.unwrap();
                stream
            };
            let again = copy(&request).unwrap();
            let (second, _stream) = tokio::join!(backend.send(&to, again), server);
            assert_eq!(text(second.unwrap()).await, "ok");
        }
    });
}

#[test]
fn an_idle_connection_that_the_backend_closes_is_dropped() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend();
        let (first, stream) = tokio::join!(backend.send(&to, get("/")), answer(&listener, OK));
        text(first.unwrap()).await;
        assert_eq!(backend.idle_connections(), 1);
        drop(stream);
        while backend.idle_connections() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_fresh_connection_that_is_closed_is_not_tried_again() {
    shard(async {
        let (listener, to) = listener().await;
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_until(&mut stream, "\r\n\r\n").await;
        };
        let backend = backend();
        let (response, ()) = tokio::join!(backend.send(&to, get("/")), server);
        let error = response.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Head, Kind::Closed));
        assert!(!error.next_target());
    });
}

#[test]
fn malformed_and_oversized_heads() {
    shard(async {
        let (listener, to) = listener().await;
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(70_000));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(101));
        let lengths =
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx".to_owned();
        for head in [long, many, lengths, "SSH-2.0-x\r\n\r\n".to_owned()] {
            let backend = backend();
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                read_until(&mut stream, "\r\n\r\n").await;
                let _ = stream.write_all(head.as_bytes()).await;
                closed(&mut stream).await;
            };
            let (response, ()) = tokio::join!(backend.send(&to, get("/")), server);
            let error = response.err().unwrap();
            assert_eq!((error.stage, error.kind), (Stage::Head, Kind::Malformed), "{error}");
        }
    });
}

#[test]
fn truncated_bodies_are_errors() {
    shard(async {
        let (listener, to) = listener().await;
        for cut in [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            let backend = backend();
            let (response, stream) =
                tokio::join!(backend.send(&to, get("/")), answer(&listener, cut));
            let mut body = response.unwrap().into_body();
            let first = body.frame().await.unwrap().unwrap();
            assert_eq!(&first.into_data().unwrap()[..], b"abc");
            drop(stream);
            let error = body.frame().await.unwrap().err().unwrap();
            let error = error.downcast_ref::<Error>().unwrap();
            assert_eq!((error.stage, error.kind), (Stage::Body, Kind::Closed));
        }
    });
}

#[test]
fn silence_times_out_before_the_head_and_within_the_body() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend_with(Settings { progress_ms: 50, ..Settings::default() });
        let (response, stream) = tokio::join!(backend.send(&to, get("/")), answer(&listener, ""));
        let error = response.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Head, Kind::TimedOut));
        assert!(error.next_target());
        drop(stream);
        let part = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
        let (response, mut stream) =
            tokio::join!(backend.send(&to, get("/")), answer(&listener, part));
        let error = response.unwrap().into_body().collect().await.err().unwrap();
        assert_eq!(error.downcast_ref::<Error>().unwrap().kind, Kind::TimedOut);
        closed(&mut stream).await;
    });
}

#[test]
fn idle_connections_are_closed_in_time() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend_with(Settings { idle_ms: 40, ..Settings::default() });
        let (response, mut stream) =
            tokio::join!(backend.send(&to, get("/")), answer(&listener, OK));
        text(response.unwrap()).await;
        closed(&mut stream).await;
        assert_eq!(backend.idle_connections(), 0);
    });
}

#[test]
fn leaving_early_closes_the_backends_connection() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend();
        // While the head is awaited.
        let (tell, mut told) = mpsc::channel::<()>(1);
        let asking = async {
            tokio::select! {
                _ = backend.send(&to, get("/")) => panic!("nobody answers"),
                _ = told.recv() => {}
            }
        };
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_until(&mut stream, "\r\n\r\n").await;
            tell.send(()).await.unwrap();
            closed(&mut stream).await;
        };
        tokio::join!(asking, server);
        // Within the body, while the backend is quiet.
        let part = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
        let (response, mut stream) =
            tokio::join!(backend.send(&to, get("/")), answer(&listener, part));
        let mut body = response.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        closed(&mut stream).await;
        assert_eq!(backend.idle_connections(), 0);
    });
}

#[test]
fn an_upload_that_breaks_is_the_clients_fault() {
    shard(async {
        let (listener, to) = listener().await;
        let frames = futures_util::stream::iter([
            Ok(http_body::Frame::data(Bytes::from_static(b"part"))),
            Err(BodyError::from("the client left")),
        ]);
        let mut request = post("");
        *request.body_mut() = RequestBody::Streamed(Box::pin(StreamBody::new(frames)));
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            closed(&mut stream).await;
        };
        let backend = backend();
        let (response, ()) = tokio::join!(backend.send(&to, request), server);
        let error = response.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Send, Kind::Upload), "{error}");
    });
}

#[test]
fn upgrades_switch_or_are_answered() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend();
        let handshake = || {
            let mut request = get("/ws");
            request.headers_mut().insert("connection", "Upgrade".parse().unwrap());
            request.headers_mut().insert("upgrade", "websocket".parse().unwrap());
            request
        };
        let switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nearly";
        let (opened, mut stream) =
            tokio::join!(backend.upgrade(&to, handshake()), answer(&listener, switched));
        let Ok(Opened::Switched { response, mut io, read_ahead }) = opened else { panic!() };
        assert_eq!(response.status(), 101);
        assert_eq!(&read_ahead[..], b"early");
        io.write_all(b"there").await.unwrap();
        read_until(&mut stream, "there").await;
        stream.write_all(b"back").await.unwrap();
        let mut buffer = [0_u8; 4];
        io.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"back");
        drop(io);
        closed(&mut stream).await;

        let refusal = "HTTP/1.1 401 No\r\nContent-Length: 4\r\n\r\nwho?";
        let (opened, stream) =
            tokio::join!(backend.upgrade(&to, handshake()), answer(&listener, refusal));
        let Ok(Opened::Answered(response)) = opened else { panic!() };
        assert_eq!(response.status(), 401);
        assert_eq!(text(response).await, "who?");
        drop(stream);
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_until(&mut stream, "\r\n\r\n").await;
        };
        let (opened, ()) = tokio::join!(backend.upgrade(&to, handshake()), server);
        assert_eq!(opened.err().unwrap().kind, Kind::Closed);
    });
}

#[test]
fn tls_towards_backends() {
    shard(async {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["b.test".to_owned()]).unwrap();
        std::fs::write(folder.path().join("default.crt"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("default.key"), made.signing_key.serialize_pem())
            .unwrap();
        let (certificates, _) = crate::tls::Certificates::load(folder.path());
        let server = crate::tls::ServerTls::new(std::sync::Arc::new(certificates), 443).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(server.config(0));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let backend = Backend::new(Settings::default(), ClientTls::with_roots(roots).unwrap());
        let (listener, to) = listener().await;
        let named = |name: &str, insecure| Destination {
            tls: Some(ServerTls { name: name.to_owned(), insecure }),
            ..to.clone()
        };
        let serve = async || {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut buffer = [0_u8; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(OK.as_bytes()).await;
            let _ = stream.read(&mut buffer).await;
        };
        for (name, insecure) in [("b.test", false), ("other.test", true), ("127.0.0.1", true)] {
            let to = named(name, insecure);
            let asking = async {
                assert_eq!(text(backend.send(&to, get("/")).await.unwrap()).await, "ok");
            };
            tokio::select! { () = asking => {}, () = async { serve().await; std::future::pending().await } => {} }
        }
        let to = named("other.test", false);
        let (response, ()) = tokio::join!(backend.send(&to, get("/")), serve());
        let error = response.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Tls, Kind::Certificate), "{error}");
        assert!(error.next_target());
    });
}
