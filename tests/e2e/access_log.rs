//! The access line: what it says of each kind of request, and how it ended.

use super::harness::{Answer, Backend, Client, Server, WebSocket};

/// A GET with further fields, each line with its end.
async fn ask(server: &Server, target: &str, fields: &str) -> Client {
    let mut client = Client::connect(server.http).await;
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a.com\r\n{fields}\r\n")).await;
    client
}

/// What stands behind the method in the first line that has `mark` in it.
fn line(server: &mut Server, mark: &str) -> String {
    let line = server.wait_for_line(mark);
    let at = line.find("GET ").or_else(|| line.find("POST ")).expect("a method");
    line[at..].to_owned()
}

#[tokio::test]
async fn answers_and_refusals() {
    let backend = Backend::answering(|_| Answer::ok("thirteen byte"));
    let target = backend.address;
    let mut server = Server::start(&[backend.route("a.com,id=shop", ""), "b.com test".into()]);
    ask(&server, "/x?y=1", "").await.response().await;
    assert_eq!(
        line(&mut server, "/x?y"),
        format!("GET http://a.com/x?y=1 -> {target} route=shop code=200 13")
    );
    let mut client = Client::connect(server.http).await;
    client.send("GET /none HTTP/1.1\r\nHost: q.com:81\r\n\r\n").await;
    client.response().await;
    assert_eq!(line(&mut server, "/none"), "GET http://q.com:81/none code=502 16");
    client.send("POST /post HTTP/1.1\r\nHost: b.com\r\nContent-Length: 0\r\n\r\n").await;
    client.response().await;
    assert_eq!(line(&mut server, "/post"), "POST http://b.com/post -> test code=404 22");
}

#[tokio::test]
async fn answers_without_a_body_are_whole() {
    let backend = Backend::answering(|request| {
        let head: &[u8] = match request.method == "HEAD" {
            true => b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n",
            false => b"HTTP/1.1 204 No Content\r\n\r\n",
        };
        Answer::raw(head, false)
    });
    let target = backend.address;
    let mut server = Server::start(&[backend.route("*", "")]);
    ask(&server, "/none", "").await.head().await;
    assert_eq!(line(&mut server, "/none"), format!("GET http://a.com/none -> {target} code=204 0"));
    let mut client = Client::connect(server.http).await;
    client.send("HEAD /head HTTP/1.1\r\nHost: a.com\r\n\r\n").await;
    client.head().await;
    let written = server.wait_for_line("/head");
    assert!(
        written.ends_with(&format!("HEAD http://a.com/head -> {target} code=200 0")),
        "{written}"
    );
}

#[tokio::test]
async fn what_clients_say_of_themselves() {
    let options = ["--log-from", "--log-user-agent"];
    let mut server = Server::start_with(&["* test".to_owned()], &options);
    let fields = "Referer: http://b.com/from\r\nUser-Agent: some one/1 (x)\r\n\
        X-Forwarded-For: 1.2.3.4\r\nGrip-Last: c; last-id=5\r\n";
    ask(&server, "/all", fields).await.response().await;
    assert_eq!(
        line(&mut server, "/all"),
        "GET http://a.com/all -> test from=127.0.0.1 ref=http://b.com/from code=404 22 \
         ua=some one/1 (x) #c=5"
    );
}

#[tokio::test]
async fn holds_are_accepted() {
    let mut server = Server::route("* test");
    let mut client = ask(&server, "/stream", "").await;
    client.head().await;
    assert_eq!(line(&mut server, "/stream -> "), "GET http://a.com/stream -> test accept");
    let _polling = ask(&server, "/response?channel=x", "").await;
    let accepted = line(&mut server, "/response?channel=x -> ");
    assert_eq!(accepted, "GET http://a.com/response?channel=x -> test accept");
}

#[tokio::test]
async fn a_request_that_comes_back_from_a_hold() {
    let mut server =
        Server::start_with(&["* test".to_owned()], &["--update-on-first-subscription", "true"]);
    let _polling = ask(&server, "/response", "").await;
    assert_eq!(line(&mut server, "accept retry"), "GET http://a.com/response -> test accept retry");
}

#[tokio::test]
async fn websockets_when_they_are_accepted() {
    let backend = Backend::answering(|_| Answer::open(""));
    let target = backend.address;
    let routes = ["a.example test".to_owned(), backend.route("*", ",over_http")];
    let mut server = Server::start(&routes);
    let _socket = WebSocket::connect(&server, "/ws").await;
    assert_eq!(line(&mut server, "/ws -> "), "GET ws://a.example/ws -> test code=101 0");
    let mut client = Client::connect(server.http).await;
    client
        .send(
            "GET /over HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    assert_eq!(client.head().await.status, "HTTP/1.1 101 Switching Protocols");
    let over = line(&mut server, "/over");
    assert_eq!(over, format!("GET ws://b/over -> {target}[http] code=101 0"));
}

#[tokio::test]
async fn what_breaks_off_is_an_error() {
    let mut backend = Backend::manual();
    let target = backend.address;
    let mut server = Server::route(backend.route("*", ""));
    let client = ask(&server, "/client", "").await;
    let _exchange = backend.next().await;
    drop(client);
    assert_eq!(line(&mut server, "/client"), format!("GET http://a.com/client -> {target} error"));
    let mut client = ask(&server, "/backend", "").await;
    let mut exchange = backend.next().await;
    exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    client.until(b"half").await;
    drop(exchange);
    let broken = line(&mut server, "/backend");
    assert_eq!(broken, format!("GET http://a.com/backend -> {target} error"));
}

#[tokio::test]
async fn a_route_says_less_or_more() {
    let routes = ["a.com,log_level=0 test".to_owned(), "b.com,log_level=2 test".to_owned()];
    let mut server = Server::start_with(&routes, &["--log-level", "warn"]);
    ask(&server, "/hidden", "").await.response().await;
    let mut client = Client::connect(server.http).await;
    client.send("GET /told HTTP/1.1\r\nHost: b.com\r\n\r\n").await;
    client.response().await;
    assert_eq!(line(&mut server, "/told"), "GET http://b.com/told -> test code=404 22");
    server.terminate();
    server.exit_code(std::time::Duration::from_secs(20));
    assert!(!server.has_printed("/hidden"));
}

#[tokio::test]
async fn as_json() {
    let options = ["--log-format", "json", "--log-from", "--log-user-agent"];
    let mut server = Server::start_with(&["*,id=r test".to_owned()], &options);
    let fields = "Referer: http://b.com/\r\nUser-Agent: x\r\nGrip-Last: c; last-id=5\r\n";
    ask(&server, "/json", fields).await.response().await;
    let line = server.wait_for_line("/json");
    let value: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
    let fields = &value["fields"];
    for (name, expected) in [
        ("method", "GET"),
        ("uri", "http://a.com/json"),
        ("to", "test"),
        ("from", "127.0.0.1"),
        ("referer", "http://b.com/"),
        ("route", "r"),
        ("outcome", "code=404 22"),
        ("user_agent", "x"),
        ("last", "c=5"),
    ] {
        assert_eq!(fields[name], expected, "{name} of {line}");
    }
    assert_eq!((&fields["status"], &fields["bytes"]), (&404.into(), &22.into()));
    assert_eq!(fields["retry"], false);
    assert!(fields["ms"].is_u64());
}

#[tokio::test]
async fn a_client_that_leaves_within_its_upload_is_an_error() {
    let backend = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let target = backend.local_addr().expect("a bound socket");
    let mut server = Server::start_with(&[format!("* {target}")], &["--workers", "1"]);
    let head = |path: &str| format!("POST {path} HTTP/1.1\r\nHost: a.com\r\n");
    // Before anybody is asked.
    for (path, rest) in [
        ("/length", "Content-Length: 10\r\n\r\nhalf"),
        ("/chunks", "Transfer-Encoding: chunked\r\n\r\na\r\nhalf"),
    ] {
        let mut client = Client::connect(server.http).await;
        client.send(head(path) + rest).await;
        drop(client);
        assert_eq!(line(&mut server, path), format!("POST http://a.com{path} error"));
    }
    // While the backend reads.
    let mut client = Client::connect(server.http).await;
    let rest = format!("Content-Length: 60000\r\n\r\n{}", "x".repeat(30_000));
    client.send(head("/large") + &rest).await;
    let _reading = backend.accept().await.expect("a connection");
    drop(client);
    let large = line(&mut server, "/large");
    assert_eq!(large, format!("POST http://a.com/large -> {target} error"));
    // It is nobody else's failure.
    assert!(!server.has_printed("a backend failed"));
    for counter in ["backend_failures", "backend_resets_before_head", "requests_malformed"] {
        assert_eq!(server.counted(counter), 0, "{counter}");
    }
}

#[tokio::test]
async fn the_body_of_a_rejection_is_counted() {
    let mut backend = Backend::manual();
    let target = backend.address;
    for (session, answer) in [
        ("whole", "Content-Length: 7\r\n\r\nno, no."),
        ("chunks", "Transfer-Encoding: chunked\r\n\r\n3\r\nno,\r\n4\r\n no.\r\n0\r\n\r\n"),
    ] {
        let mut server = Server::route(backend.route("*,sockjs=/sj", ""));
        let mut client = Client::connect(server.http).await;
        let request = format!("POST /sj/000/{session}/xhr HTTP/1.1\r\nHost: a.com\r\n");
        client.send(request + "Content-Length: 0\r\n\r\n").await;
        let answer = format!("HTTP/1.1 403 No\r\n{answer}");
        backend.next().await.answer(Answer::raw(answer, false)).await;
        let length = client.head().await.header("content-length").map(str::to_owned);
        match session {
            "whole" => {
                assert_eq!(length.as_deref(), Some("7"));
                assert_eq!(client.exactly(7).await, b"no, no.");
            }
            _ => {
                assert_eq!(length, None);
                client.expect_content("no, no.").await;
                client.expect_end().await;
            }
        }
        let written = server.wait_for_line("ws://a.com/sj ");
        assert!(written.ends_with(&format!(" -> {target} code=403 7")), "{written}");
    }
}
