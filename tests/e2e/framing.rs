//! How bodies are framed on both sides, old clients and old backends, answers that come early, and
//! sides that do not read.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::harness::{Answer, Backend, Client, Request, Server, chunk, within};

/// A request on a connection that stays, and its answer.
async fn asked(request: impl AsRef<[u8]>) -> Request {
    let mut backend = Backend::answering(|_| Answer::ok("ok"));
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    client.send(request).await;
    assert_eq!(client.response().await.1, "ok");
    backend.seen().await
}

/// All that a client gets for a request, up to the end of its connection.
async fn all_of(request: &str, answer: Answer) -> String {
    let backend = Backend::answering(move |_| answer.clone());
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    client.send(request).await;
    String::from_utf8(client.rest().await).expect("text")
}

/// A backend of which the test has each connection as it is.
struct Bare(TcpListener);

impl Bare {
    async fn start() -> (Bare, Server) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = Server::route(format!("* {}", listener.local_addr().expect("bound")));
        (Bare(listener), server)
    }

    async fn accept(&self) -> Client<TcpStream> {
        Client::over(within("a connection", self.0.accept()).await.expect("it comes").0)
    }
}

#[tokio::test]
async fn lengths_towards_backends() {
    let head =
        |method: &str, fields: &str| format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    for method in ["GET", "HEAD", "OPTIONS"] {
        // The answer to HEAD has no body.
        if method != "HEAD" {
            let seen = asked(head(method, "")).await;
            assert_eq!(seen.header("content-length"), None, "{method}");
        }
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let seen = asked(head(method, "")).await;
        assert_eq!(seen.header("content-length"), Some("0"), "{method}");
        assert_eq!(seen.method, method);
    }
    let seen = asked(head("GET", "Content-Length: 4\r\n") + "body").await;
    assert_eq!((seen.header("content-length"), seen.body.as_slice()), (Some("4"), &b"body"[..]));
    let seen = asked(head("GET", "Content-Length: 0\r\n")).await;
    assert_eq!(seen.header("content-length"), Some("0"));
}

#[tokio::test]
async fn a_short_chunked_upload_gets_a_length() {
    let request = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n\
        3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-T: dropped\r\n\r\n";
    let seen = asked(request).await;
    assert_eq!(seen.body, b"abcde");
    assert_eq!(seen.header("content-length"), Some("5"));
    assert_eq!(seen.header("transfer-encoding"), None);
    assert_eq!(seen.header("trailer"), Some("X-T"));
    assert_eq!(seen.header("x-t"), None);
}

#[tokio::test]
async fn a_long_chunked_upload_stays_chunked() {
    let mut request = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    request.extend(chunk(vec![b'x'; 20_000]));
    request.extend(b"0\r\nX-T: dropped\r\n\r\n");
    let seen = asked(request).await;
    assert_eq!(seen.body.len(), 20_000);
    assert_eq!(seen.header("content-length"), None);
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    assert_eq!(seen.header("connection"), Some("Transfer-Encoding"));
}

#[tokio::test]
async fn a_chunked_upload_of_five_megabytes() {
    let mut request = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for size in [1, 65_536, 1_000_000, 4_000_000] {
        request.extend(chunk(vec![b'x'; size]));
    }
    request.extend(b"0\r\n\r\n");
    assert_eq!(asked(request).await.body.len(), 5_065_537);
}

/// What a client gets of an answer whose body comes after its head, up to the connection's end.
async fn all_in_parts(request: &str, head: &str, body: &str) -> String {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    client.send(request).await;
    let mut exchange = backend.next().await;
    exchange.write(head).await;
    let mut all = client.until(b"\r\n\r\n").await;
    exchange.write(body).await;
    drop(exchange);
    all.extend(client.rest().await);
    String::from_utf8(all).expect("text")
}

const CLOSING: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n";
const CHUNKS: &str = "2;e\r\nok\r\n0\r\nX-T: dropped\r\n\r\n";

#[tokio::test]
async fn lengths_towards_clients() {
    let known = all_in_parts(CLOSING, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok").await;
    assert_eq!(known, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    let until_close = all_in_parts(CLOSING, "HTTP/1.0 200 OK\r\nX: 1\r\n\r\n", "ok").await;
    let (head, body) = until_close.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nX: 1\r\n"), "{head}");
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    assert_eq!(body, "2\r\nok\r\n0\r\n\r\n");
    let chunked = all_in_parts(CLOSING, CHUNKED, CHUNKS).await;
    assert!(chunked.contains("Trailer: X-T\r\n"), "{chunked}");
    assert!(chunked.ends_with("\r\n\r\n2\r\nok\r\n0\r\n\r\n"), "{chunked}");
}

#[tokio::test]
async fn clients_of_http_1_0() {
    let get = "GET / HTTP/1.0\r\n\r\n";
    let known = all_in_parts(get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok").await;
    assert_eq!(known, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let unknown = all_in_parts(get, CHUNKED, CHUNKS).await;
    assert_eq!(unknown, "HTTP/1.0 200 OK\r\n\r\nok");
}

#[tokio::test]
async fn a_client_of_http_1_0_may_stay() {
    let mut backend = Backend::answering(|_| Answer::ok("ok"));
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n").await;
        let (head, body) = client.response().await;
        assert_eq!((head.status.as_str(), body.as_str()), ("HTTP/1.0 200 OK", "ok"));
        assert_eq!(head.header("connection"), Some("keep-alive"));
        assert!(backend.seen().await.head.starts_with(b"GET / HTTP/1.1\r\n"));
    }
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let (head, _) = client.response().await;
    assert_eq!(head.header("connection"), None);
    client.expect_closed().await;
}

#[tokio::test]
async fn expectations() {
    let mut backend = Backend::answering(|request| Answer::ok(&request.body));
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    let head = |expectation: &str, framing: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: {expectation}\r\n{framing}\r\n\r\n")
    };
    client.send(head("100-Continue", "Transfer-Encoding: chunked")).await;
    assert_eq!(client.until(b"\r\n\r\n").await, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("4\r\nbody\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.1, "body");
    // Without a body, or with another expectation, there is nothing to continue with.
    client.send(head("100-continue", "Content-Length: 0")).await;
    assert_eq!(client.head().await.status, "HTTP/1.1 200 OK");
    client.send(head("miracles", "Content-Length: 4") + "body").await;
    assert_eq!(client.response().await.1, "body");
    for _ in 0..3 {
        assert_eq!(backend.seen().await.header("expect"), None);
    }
    let mut old = Client::connect(server.http).await;
    old.send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
    old.send("body").await;
    assert_eq!(old.response().await.1, "body");
}

#[tokio::test]
async fn what_comes_before_an_answer_is_passed_on() {
    let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: 1\r\n\r\n\
        HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let all = all_of(get, Answer::raw(hints, false)).await;
    let passed =
        "HTTP/1.1 102 Processing\r\nX: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    assert_eq!(all, [passed, answer].concat());
}

#[tokio::test]
async fn any_status_and_reason() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for status in ["200 Fine, thanks", "200 ", "599 Odd", "999 Last", "404 Not Found"] {
        let raw = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let all = all_of(get, Answer::raw(raw, false)).await;
        assert_eq!(all.split("\r\n").next(), Some(format!("HTTP/1.1 {status}").as_str()));
    }
}

#[tokio::test]
async fn an_early_answer_is_relayed_at_once_and_ends_the_connection() {
    let (bare, server) = Bare::start().await;
    let mut client = Client::connect(server.http).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n").await;
    client.send(vec![b'x'; 20_000]).await;
    let mut backend = bare.accept().await;
    backend.until(b"\r\n\r\n").await;
    backend.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let (head, body) = client.response().await;
    assert_eq!((head.status.as_str(), body.as_str()), ("HTTP/1.1 403 Forbidden", "no"));
    assert_eq!(head.header("connection"), Some("close"));
    client.expect_closed().await;
}

#[tokio::test]
async fn a_refusal_is_seen_by_who_is_still_sending() {
    let server = Server::route("a.example test".to_owned());
    for (head, status) in [
        ("Host: other.example", "HTTP/1.1 502 Bad Gateway"),
        ("Host: a b", "HTTP/1.1 400 Bad Request"),
        ("Host: a.example\r\nUpgrade: websocket", "HTTP/1.1 400 Bad Request"),
    ] {
        let mut client = Client::connect(server.http).await;
        let head = format!("POST / HTTP/1.1\r\n{head}\r\nContent-Length: 3000000\r\n\r\n");
        client.send(head).await;
        // All of it is taken: who resets the connection takes the answer with it.
        client.send(vec![b'x'; 3_000_000]).await;
        let (head, _) = client.response().await;
        assert_eq!((head.status.as_str(), head.header("connection")), (status, Some("close")));
        client.expect_closed().await;
    }
}

#[tokio::test]
async fn a_client_that_stops_sending_has_left() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    let mut exchange = backend.next().await;
    client.stream.shutdown().await.expect("the sending side");
    assert!(exchange.closed().await.is_empty());
    client.expect_closed().await;
}

#[tokio::test]
async fn a_client_that_leaves_in_its_upload() {
    let (bare, server) = Bare::start().await;
    let mut client = Client::connect(server.http).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
    client.send(vec![b'x'; 20_000]).await;
    let mut backend = bare.accept().await;
    backend.until(b"xxxx").await;
    drop(client);
    let mut rest = Vec::new();
    let left = within("the backend is left", backend.stream.read_to_end(&mut rest)).await;
    assert!(left.is_err() || rest.len() < 1_000_000);
}

const MANY: usize = 5_000_000;
/// More than all buffers have, and a fifth of what is relayed.
const RESIDENT_MORE_MAX: usize = 20_000_000;

#[tokio::test]
async fn a_backend_is_read_no_faster_than_its_client_reads() {
    let (bare, server) = Bare::start().await;
    let before = server.resident_bytes();
    let mut client = Client::get(server.http, "/").await;
    let mut backend = bare.accept().await;
    backend.until(b"\r\n\r\n").await;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 20 * MANY);
    backend.send(head).await;
    // Until nobody takes more, for as long as a server needs to take all.
    let piece = vec![b'x'; 65_536];
    let mut sent = 0;
    while let Ok(Ok(count)) =
        tokio::time::timeout(std::time::Duration::from_millis(500), backend.stream.write(&piece))
            .await
    {
        sent += count;
        assert!(sent < 15 * MANY, "it reads as much as it is given");
    }
    client.head().await;
    let mut rest = 20 * MANY - sent;
    let writing = async {
        while rest > 0 {
            let piece = &piece[..rest.min(piece.len())];
            backend.stream.write_all(piece).await.expect("it reads on");
            rest -= piece.len();
        }
    };
    let reading = async {
        let mut left = 20 * MANY;
        let mut scratch = vec![0; 65_536];
        while left > 0 {
            let some = client.exactly(left.min(scratch.len())).await;
            left -= some.len();
            scratch.truncate(65_536);
        }
    };
    tokio::join!(writing, reading);
    let more = server.resident_bytes().saturating_sub(before);
    assert!(more < RESIDENT_MORE_MAX, "{more} bytes more");
}

#[tokio::test]
async fn a_client_is_read_no_faster_than_its_backend_reads() {
    let (bare, server) = Bare::start().await;
    let before = server.resident_bytes();
    let mut client = Client::connect(server.http).await;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 20 * MANY);
    client.send(head).await;
    let piece = vec![b'x'; 65_536];
    let mut sent = 0;
    while let Ok(Ok(count)) =
        tokio::time::timeout(std::time::Duration::from_millis(500), client.stream.write(&piece))
            .await
    {
        sent += count;
        assert!(sent < 15 * MANY, "it reads as much as it is given");
    }
    let mut backend = bare.accept().await;
    backend.until(b"\r\n\r\n").await;
    let reading = async {
        let mut left = 20 * MANY;
        while left > 0 {
            left -= backend.exactly(left.min(65_536)).await.len();
        }
        backend.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    };
    let writing = async {
        let mut rest = 20 * MANY - sent;
        while rest > 0 {
            let piece = &piece[..rest.min(piece.len())];
            client.stream.write_all(piece).await.expect("it reads on");
            rest -= piece.len();
        }
    };
    tokio::join!(reading, writing);
    assert_eq!(client.response().await.1, "ok");
    let more = server.resident_bytes().saturating_sub(before);
    assert!(more < RESIDENT_MORE_MAX, "{more} bytes more");
}

#[tokio::test]
async fn many_fields_of_a_backend() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let with = |count: usize| {
        let fields: String = (0..count).map(|n| format!("x-Field-{n}: {n}\r\n")).collect();
        Answer::raw(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"), true)
    };
    let all = all_of(get, with(90)).await;
    let names: Vec<_> = all.lines().filter(|line| line.starts_with("x-Field-")).collect();
    assert_eq!(names.len(), 90, "names as they were written, in order");
    assert_eq!((names[0], names[89]), ("x-Field-0: 0", "x-Field-89: 89"));
    assert!(all_of(get, with(101)).await.starts_with("HTTP/1.1 502 "));
}
