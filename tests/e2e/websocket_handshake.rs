//! How WebSockets are opened: what is recognised, what a backend is asked, what the client is
//! answered, byte for byte, and what becomes of an attempt that fails or that its client abandons.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;

use super::harness::backend::refusing;
use super::harness::frames::{ACCEPT, from_client, from_server, handshake, switching};
use super::harness::{Answer, Backend, Client, Server, WebSocket, within};

const GENERIC: &str = "Error while proxying to origin.\n";

/// A backend that accepts with a 101 that says nothing more.
fn accepting() -> Backend {
    Backend::answering(|request| match request.all("upgrade").as_slice() {
        ["websocket"] => Answer::raw(switching(request, ""), false),
        _ => Answer::ok("plain\n"),
    })
}

async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Client {
    let mut client = Client::connect(address).await;
    client.send(request).await;
    client
}

/// The answer to what is no WebSocket, to the end of the connection.
async fn refused(address: SocketAddr, target: &str) -> String {
    let mut client = ask(address, handshake(target, "")).await;
    String::from_utf8(client.rest().await).expect("text")
}

fn failure(text: &str) -> String {
    let length = text.len();
    format!(
        "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}"
    )
}

#[tokio::test]
async fn an_upgrade_in_any_case_is_a_websocket_whatever_connection_says() {
    let backend = accepting();
    let server = Server::route(backend.route("*", ""));
    let plain = handshake("/", "");
    for request in [
        plain.replace("Upgrade: websocket", "upgrade: WEBsocket"),
        plain.replace("Connection: Upgrade\r\n", ""),
        plain.replace("Connection: Upgrade", "Connection: close"),
        plain.replace("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        handshake("/", "Content-Length: 0\r\n"),
    ] {
        let mut client = ask(server.http, &request).await;
        let head = client.head().await;
        assert_eq!(head.status, "HTTP/1.1 101 Switching Protocols", "{request}");
        assert_eq!(head.header("connection"), Some("Upgrade"), "{request}");
        assert_eq!(head.header("upgrade"), Some("websocket"));
        assert_eq!(head.header("sec-websocket-accept"), Some(ACCEPT));
    }
}

#[tokio::test]
async fn a_list_of_upgrades_is_plain_http() {
    let mut backend = accepting();
    let server = Server::route(backend.route("*", ""));
    let request = handshake("/", "").replace("Upgrade: websocket", "Upgrade: websocket, foo");
    let (head, body) = ask(server.http, request).await.response().await;
    assert_eq!((head.status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "plain\n"));
    assert_ne!(backend.seen().await.header("sec-websocket-extensions"), Some("grip"));
}

#[tokio::test]
async fn http_1_0_is_answered_in_kind() {
    let backend = accepting();
    let server = Server::start(&[backend.route("*", ""), "*,path_beg=/test test".to_owned()]);
    for (target, connection) in [("/", "Upgrade"), ("/", "keep-alive"), ("/test/ws", "Upgrade")] {
        let request = handshake(target, "").replace("HTTP/1.1", "HTTP/1.0");
        let request = request.replace("Connection: Upgrade", &format!("Connection: {connection}"));
        let mut client = ask(server.http, request).await;
        let head = client.head().await;
        assert_eq!(head.status, "HTTP/1.0 101 Switching Protocols");
        assert_eq!(head.header("connection"), Some("Upgrade"));
    }
    let mut client = ask(server.http, handshake("/test/ws", "").replace("/1.1", "/1.0")).await;
    client.head().await;
    client.send(from_client(0x81, "echo")).await;
    client.expect_frame(0x81, "echo").await;
}

#[tokio::test]
async fn a_request_that_is_no_handshake_is_400() {
    let mut backend = Backend::answering(|_| Answer::ok("never"));
    let server = Server::route(backend.route("*", ""));
    let plain = handshake("/", "");
    let text = "Request contained an Upgrade header with value \"websocket\" but the request was \
        not a valid WebSocket request.\n";
    let expected = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\
         Content-Length: 110\r\n\r\n{text}"
    );
    let long = "k".repeat(221);
    for request in [
        plain.replace("GET ", "POST "),
        handshake("/", "Content-Length: 1\r\n") + "x",
        handshake("/", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n",
        plain.replace("Version: 13", "Version: 8"),
        plain.replace("Sec-WebSocket-Version: 13\r\n", ""),
        plain.replace("Sec-WebSocket-Key", "X-Key"),
        plain.replace("dGhlIHNhbXBsZSBub25jZQ==", &long),
    ] {
        let answer = ask(server.http, &request).await.rest().await;
        assert_eq!(String::from_utf8_lossy(&answer), expected, "{request}");
    }
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn a_key_need_not_be_one() {
    let backend = accepting();
    let server = Server::route(backend.route("*", ""));
    for key in ["x", &"k".repeat(220)] {
        let request = handshake("/", "").replace("dGhlIHNhbXBsZSBub25jZQ==", key);
        let head = ask(server.http, request).await.head().await;
        assert_eq!(head.status, "HTTP/1.1 101 Switching Protocols", "{key}");
    }
}

#[tokio::test]
async fn the_101_is_the_backends_byte_for_byte() {
    let backend = Backend::answering(|request| {
        let lines = "Set-Cookie: a=1\r\nKeep-Alive: 5\r\nX-ODD: x\r\nSet-Cookie: b=2\r\n\
            Grip-Hold: stream\r\nSec-WebSocket-Protocol: never-offered\r\n\
            Sec-WebSocket-Extensions: grip\r\nTransfer-Encoding: chunked\r\n";
        let head = switching(request, lines).replace("Switching Protocols", "Come In");
        Answer::raw(head, false)
    });
    let server = Server::route(backend.route("*", ""));
    let mut client = ask(server.http, handshake("/", "")).await;
    let head = String::from_utf8(client.until(b"\r\n\r\n").await).expect("text");
    let expected = format!(
        "HTTP/1.1 101 Come In\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-ODD: x\r\n\
         Grip-Hold: stream\r\nSec-WebSocket-Protocol: never-offered\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[1..].sort();
        lines
    };
    assert_eq!(sorted(&head), sorted(&expected));
    assert!(head.find("a=1") < head.find("b=2"), "{head}");
    assert!(head.find("Grip-Hold") < head.find("Upgrade: websocket"), "{head}");
}

#[tokio::test]
async fn what_a_backend_is_asked() {
    let mut backend = accepting();
    let routes = [
        backend.route("*,path_beg=/app/,path_rem=4", ""),
        backend.route("*,no_grip", ",host=Other.example:81"),
    ];
    let server = Server::start(&routes);
    let lines = "Origin: http://o.example\r\nCookie: a=b\r\nUser-Agent: test\r\n\
        Sec-WebSocket-Protocol: one, two\r\nSec-WebSocket-Protocol: three\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
        Sec-WebSocket-Extensions: grip\r\nAccept-Encoding: gzip\r\nContent-Encoding: br\r\n\
        Keep-Alive: 1\r\nExpect: nothing\r\nGrip-Sig: forged\r\nGrip-Feature: forged\r\n\
        Grip-X: forged\r\nX-Odd: kept\r\nContent-Length: 0\r\n";
    ask(server.http, handshake("/app/socket?x=%20", lines)).await.head().await;
    let request = backend.seen().await;
    assert!(request.head.starts_with(b"GET /socket?x=%20 HTTP/1.1\r\n"));
    for (name, value) in [
        ("host", "a.example"),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-extensions", "grip"),
        ("origin", "http://o.example"),
        ("cookie", "a=b"),
        ("user-agent", "test"),
        ("x-odd", "kept"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    assert_eq!(request.all("sec-websocket-protocol"), ["one, two", "three"]);
    let key = request.header("sec-websocket-key").expect("a key");
    assert!(key.len() == 24 && key != "dGhlIHNhbXBsZSBub25jZQ==", "{key}");
    let features = request.header("grip-feature").expect("features");
    assert!(features.contains("filter:skip-self") && features != "forged");
    for name in
        ["accept-encoding", "content-encoding", "keep-alive", "expect", "grip-x", "content-length"]
    {
        assert_eq!(request.all(name), Vec::<&str>::new(), "{name}");
    }
    ask(server.http, handshake("/", lines)).await.head().await;
    let request = backend.seen().await;
    assert_eq!(request.header("host"), Some("other.example:81"));
    for name in ["sec-websocket-extensions", "grip-sig", "grip-feature", "grip-x"] {
        assert_eq!(request.all(name), Vec::<&str>::new(), "{name}");
    }
}

#[tokio::test]
async fn rejections_are_relayed_whole() {
    let large = "r".repeat(1_000_000);
    let answers = [
        (Answer::new("401 Who Are You").header("WWW-Authenticate", "Basic").body("no\n"), "no\n"),
        (Answer::ok("not a WebSocket"), "not a WebSocket"),
        (Answer::new("302 Found").header("Location", "/elsewhere"), ""),
        (Answer::new("500 Oops").body(&large), &large),
        (Answer::new("404 Not Found").header("Upgrade", "h2c").body("x"), "x"),
    ];
    for (answer, body) in answers {
        let mut backend = Backend::manual();
        let server = Server::route(backend.route("*", ""));
        let mut client = ask(server.http, handshake("/", "")).await;
        backend.next().await.answer(answer.clone()).await;
        let (head, got) = client.response().await;
        assert_eq!(head.status, format!("HTTP/1.1 {}", answer.status()));
        assert!(got == body, "{} bytes of {}", got.len(), body.len());
        assert_eq!(head.header("connection"), Some("close"));
        assert_eq!(head.header("upgrade"), None);
        let of_401 = answer.status().starts_with("401").then_some("Basic");
        assert_eq!(head.header("www-authenticate"), of_401);
        client.expect_closed().await;
        assert!(!backend.has_seen_more(), "redirects are the client's to follow");
    }
}

#[tokio::test]
async fn a_rejection_without_body_or_length_is_relayed() {
    let chunked = "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for (answer, status, body) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content", ""),
        (chunked, "HTTP/1.1 403 No", "abc"),
        ("HTTP/1.0 403 No\r\n\r\nold", "HTTP/1.1 403 No", "old"),
    ] {
        let mut backend = Backend::manual();
        let server = Server::route(backend.route("*", ""));
        let mut client = ask(server.http, handshake("/", "")).await;
        let mut exchange = backend.next().await;
        exchange.write(answer).await;
        drop(exchange);
        let got = String::from_utf8(client.rest().await).expect("text");
        let (head, framed) = got.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with(status), "{got}");
        // What has come whole at once has a length.
        let expected = match head.to_ascii_lowercase() {
            head if head.contains("\r\ntransfer-encoding: chunked") => {
                format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
            }
            head if head.contains(&format!("\r\ncontent-length: {}", body.len())) => {
                body.to_owned()
            }
            _ => {
                assert!(body.is_empty(), "where does it end? {got}");
                String::new()
            }
        };
        assert_eq!(framed, expected, "{got}");
    }
}

#[tokio::test]
async fn a_rejection_that_breaks_off_is_not_made_whole() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ""));
    let mut client = ask(server.http, handshake("/", "")).await;
    let mut exchange = backend.next().await;
    exchange.write("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    assert_eq!(client.head().await.status, "HTTP/1.1 403 No");
    assert_eq!(client.until(b"half\r\n").await, b"4\r\nhalf\r\n");
    drop(exchange);
    client.expect_closed().await;
}

#[tokio::test]
async fn failures_have_their_texts() {
    let backend = Backend::answering(|request| {
        let accepted = switching(request, "");
        Answer::raw(
            match request.target.as_str() {
                "/wrong" => accepted.replace("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x"),
                "/missing" => accepted.replace("Sec-WebSocket-Accept: ", "X-Accept: "),
                "/quote" => switching(request, "Sec-WebSocket-Extensions: x; y=\"z\r\n"),
                "/half" => "HTTP/1.1 101 Switching".to_owned(),
                _ => String::new(),
            },
            true,
        )
    });
    let (one, two) = (refusing(), refusing());
    let all = backend.route("a.example", "");
    let routes = [
        all.clone(),
        format!("a.example,path_beg=/none {one} {two}"),
        format!("a.example,path_beg=/debug,debug {one} {two}"),
    ];
    let server = Server::start(&routes);
    for target in ["/wrong", "/missing", "/quote", "/half", "/nothing", "/none"] {
        assert_eq!(refused(server.http, target).await, failure(GENERIC), "{target}");
    }
    let tried = format!("Unable to connect to any targets. Tried: {one}, {two}\n");
    assert_eq!(refused(server.http, "/debug").await, failure(&tried));
    let server = Server::start_with(&routes, &["--debug"]);
    assert_eq!(refused(server.http, "/none").await, failure(&tried));
    assert_eq!(refused(server.http, "/wrong").await, failure(GENERIC));
    let server = Server::start(&["other.example test".to_owned()]);
    assert_eq!(refused(server.http, "/").await, failure("Route not found\n"));
}

#[tokio::test]
async fn only_targets_that_do_not_answer_are_passed_over() {
    let mut last = accepting();
    let plain = Server::route("* test");
    let refusing = refusing();
    let server = Server::route(format!(
        // One that refuses, and one that does not speak TLS.
        "* {refusing} {},ssl,insecure {}",
        plain.http, last.address
    ));
    let head = ask(server.http, handshake("/", "")).await.head().await;
    assert_eq!(head.status, "HTTP/1.1 101 Switching Protocols");
    last.seen().await;

    // One that hangs up without a word: a handshake is a GET, and may be made twice.
    let silent = Backend::answering(|_| Answer::raw("", true));
    let server = Server::route(format!("* {} {}", silent.address, last.address));
    let head = ask(server.http, handshake("/", "")).await.head().await;
    assert_eq!(head.status, "HTTP/1.1 101 Switching Protocols");
    last.seen().await;

    for (answer, status) in [
        (
            Answer::raw("HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n", true),
            "HTTP/1.1 502 Bad Gateway",
        ),
        (Answer::raw("not HTTP\r\n\r\n", true), "HTTP/1.1 502 Bad Gateway"),
        (Answer::new("503 Busy").body("x"), "HTTP/1.1 503 Busy"),
    ] {
        let first = Backend::answering(move |_| answer.clone());
        let server = Server::route(format!("* {} {}", first.address, last.address));
        let head = ask(server.http, handshake("/", "")).await.head().await;
        assert_eq!(head.status, status);
        assert!(!last.has_seen_more(), "{status}");
    }
}

#[tokio::test]
async fn a_backend_with_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).expect("a certificate");
    std::fs::write(folder.path().join("default.crt"), made.cert.pem()).expect("written");
    let key = made.signing_key.serialize_pem();
    std::fs::write(folder.path().join("default.key"), key).expect("written");
    let certs = folder.path().to_string_lossy().into_owned();
    let behind =
        Server::start_with(&["* test".to_owned()], &["--https-port", "0", "--certs", &certs]);
    let address = behind.https.expect("it serves TLS");
    let server = Server::start(&[
        format!("*,path_beg=/ws {address},ssl,insecure"),
        // Its certificate is not known.
        format!("* {address},ssl"),
    ]);
    let mut socket = WebSocket::connect(&server, "/ws").await;
    let large = "t".repeat(300_000);
    socket.text("over TLS").await;
    socket.expect_text("over TLS").await;
    let two = large.get(..150_000).expect("shorter");
    socket.text(two).await;
    socket.expect_text(two).await;
    socket.close(4000, "done").await;
    socket.expect_close(4000, "done").await;
    assert_eq!(refused(server.http, "/other").await, failure(GENERIC));
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_attempt() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ""));
    let early = from_client(0x81, "early");
    for (lines, frames) in
        [("", &b""[..]), ("Content-Length: 0\r\n", b""), ("", &early), ("", &early.repeat(500))]
    {
        let request = [handshake("/", lines).as_bytes(), frames].concat();
        let client = ask(server.http, request).await;
        let mut exchange = backend.next().await;
        drop(client);
        let rest = exchange.closed().await;
        assert_eq!(rest, b"");
    }
    // What it sends later is read, too.
    let mut client = ask(server.http, handshake("/", "")).await;
    let mut exchange = backend.next().await;
    client.send(&early).await;
    client.stream.shutdown().await.expect("shut down");
    exchange.closed().await;
}

#[tokio::test]
async fn frames_that_come_early_are_relayed() {
    let mut backend = Backend::manual();
    let server = Server::start(&[backend.route("*", ""), "*,path_beg=/test test".to_owned()]);
    let one = [handshake("/", "").as_bytes(), &from_client(0x81, "one")].concat();
    let mut client = ask(server.http, one).await;
    let mut exchange = backend.next().await;
    client.send(from_client(0x82, "two")).await;
    let three = from_client(0x01, "three");
    client.send(&three[..4]).await;
    exchange.write(switching(&exchange.request, "")).await;
    let mut behind = Client::over(exchange.stream);
    behind.expect_frame(0x81, "one").await;
    behind.expect_frame(0x82, "two").await;
    client.send(&three[4..]).await;
    client.send(from_client(0x80, "four")).await;
    assert_eq!(behind.message().await, b"threefour");

    let request = [handshake("/test/ws", "").as_bytes(), &from_client(0x81, "one")].concat();
    let mut client = ask(server.http, request).await;
    client.head().await;
    client.expect_frame(0x81, "one").await;
}

#[tokio::test]
async fn a_length_of_zero_is_no_message() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ""));
    let mut client = ask(server.http, handshake("/", "Content-Length: 0\r\n")).await;
    let mut exchange = backend.next().await;
    exchange.write(switching(&exchange.request, "")).await;
    let mut behind = Client::over(exchange.stream);
    client.head().await;
    client.send(from_client(0x81, "first")).await;
    behind.expect_frame(0x81, "first").await;
}

#[tokio::test]
async fn frames_that_come_with_the_101_are_relayed() {
    let backend = Backend::answering(|request| {
        let frames = [from_server(0x81, "at once"), from_server(0x88, [0x0f, 0xa1])].concat();
        Answer::raw([switching(request, "").as_bytes(), &frames].concat(), false)
    });
    let server = Server::route(backend.route("*", ""));
    let mut client = ask(server.http, handshake("/", "")).await;
    client.head().await;
    client.expect_frame(0x81, "at once").await;
    client.expect_frame(0x88, [0x0f, 0xa1]).await;
    client.send(from_client(0x88, [0x0f, 0xa1])).await;
    client.expect_closed().await;
}

#[tokio::test]
async fn the_next_request_of_a_connection_may_be_a_websocket() {
    let backend = accepting();
    let server = Server::route(backend.route("*", ""));
    let both = ["GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", &handshake("/", "")].concat();
    let mut client = ask(server.http, both).await;
    assert_eq!(client.response().await.1, "plain\n");
    let head = within("the 101", client.head()).await;
    assert_eq!(head.status, "HTTP/1.1 101 Switching Protocols");
}
