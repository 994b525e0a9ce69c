//! Polling and sending: xhr, jsonp, and what backends see of it.

use super::*;

#[tokio::test]
async fn an_echo_over_xhr() {
    let server = echo(&[]);
    let session = Session::open(&server, "one").await;
    session.send("[\"a\",\"\u{e9}\\u2028\"]").await;
    let mut heard = session.poll().await;
    if heard == "a[\"a\"]\n" {
        // It was faster than the second message.
        heard = format!("a[\"a\",{}", &session.poll().await[2..]);
    }
    assert_eq!(heard, "a[\"a\",\"\u{e9}\\u2028\"]\n");
    // One that waits is answered when there is something.
    let mut waiting = session.waiting().await;
    session.send("[\"b\"]").await;
    let (head, body) = waiting.response().await;
    assert_eq!(body, "a[\"b\"]\n");
    assert_eq!(head.header("content-type"), Some("application/javascript; charset=UTF-8"));
    assert_eq!(head.header("content-length"), Some("7"));
    assert_eq!(head.header("access-control-allow-origin"), Some("*"));
    assert!(head.header("cache-control").unwrap().contains("no-store"));
    assert_eq!(head.header("set-cookie"), None);
    // Nothing to send is fine.
    session.send("[]").await;
}

#[tokio::test]
async fn many_sessions_at_once() {
    let server = echo(&[]);
    let talk = |number: usize| {
        let server = &server;
        async move {
            let session = Session::open(server, &format!("s{number}")).await;
            for round in 0..5 {
                session.send(&format!("[\"{number}-{round}\"]")).await;
                assert_eq!(session.poll().await, format!("a[\"{number}-{round}\"]\n"));
            }
        }
    };
    futures_util::future::join_all((0..20).map(talk)).await;
}

#[tokio::test]
async fn one_connection_for_all() {
    let server = echo(&[]);
    let mut client = Client::connect(server.http).await;
    for (path, body, expected) in [
        ("xhr", "", "o\n"),
        ("xhr_send", "[\"x\"]", ""),
        ("xhr", "", "a[\"x\"]\n"),
        ("nothing", "", "Not Found\n"),
        ("xhr_send", "[\"y\"]", ""),
        ("xhr", "", "a[\"y\"]\n"),
    ] {
        let length = body.len();
        let head = format!("POST /sj/0/s/{path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}");
        client.send(format!("{head}\r\n\r\n{body}")).await;
        if expected.is_empty() {
            assert_eq!(client.head().await.status, "HTTP/1.1 204 No Content");
        } else {
            assert_eq!(client.response().await.1, expected);
        }
    }
}

#[tokio::test]
async fn jsonp_and_transports_that_take_turns() {
    let server = echo(&[]);
    let session = Session::new(&server, "s");
    let jsonp = async |method: &str, path: &str, body: &str| {
        let (head, body) = session.ask(method, path, body).await.response().await;
        (head.status.split_once(' ').unwrap().1.to_owned(), body)
    };
    let ok = |body: &str| ("200 OK".to_owned(), body.to_owned());
    assert_eq!(jsonp("GET", "jsonp?c=%63b", "").await, ok("cb(\"o\");\r\n"));
    assert_eq!(jsonp("POST", "jsonp_send", "d=%5B%22x%22%5D").await, ok("ok"));
    assert_eq!(session.poll().await, "a[\"x\"]\n");
    assert_eq!(jsonp("POST", "jsonp_send", "[\"y\"]").await, ok("ok"));
    assert_eq!(jsonp("POST", "jsonp?callback=f", "").await, ok("f(\"a[\\\"y\\\"]\");\r\n"));
    assert_eq!(jsonp("GET", "jsonp_send?d=%5B%22z%22%5D&c=f", "").await, ok("f(\"ok\");\r\n"));
    assert_eq!(session.poll().await, "a[\"z\"]\n");
    let bad = jsonp("GET", "jsonp", "").await;
    assert_eq!(bad.0, "500 Internal Server Error");
    assert!(bad.1.contains("\"callback\" parameter required"), "{}", bad.1);
    let bad = jsonp("GET", "jsonp?c=a(", "").await;
    assert!(bad.1.contains("invalid \"callback\" parameter"), "{}", bad.1);
}

#[tokio::test]
async fn payloads_that_are_none() {
    let server = echo(&[]);
    let session = Session::open(&server, "s").await;
    for (last, body, text) in [
        ("xhr_send", "[\"x", "Broken JSON encoding."),
        ("xhr_send", "", "Payload expected."),
        ("xhr_send", "{}", "Payload expected."),
        ("xhr_send", "[1]", "Payload expected."),
        ("jsonp_send", "d=%5B", "Broken JSON encoding."),
        ("jsonp_send", "d=", "Payload expected."),
        ("jsonp_send", "", "Payload expected."),
    ] {
        let (head, answer) = session.ask("POST", last, body).await.response().await;
        assert_eq!(head.status, "HTTP/1.1 500 Internal Server Error", "{last} {body}");
        assert!(answer.contains(text), "{last} {body}: {answer}");
    }
    session.send("[\"still there\"]").await;
    assert_eq!(session.poll().await, "a[\"still there\"]\n");
}

#[tokio::test]
async fn who_is_not_known_cannot_send() {
    let server = echo(&[]);
    for last in ["xhr_send", "jsonp_send"] {
        let session = Session::new(&server, "nobody");
        let (head, _) = session.ask("POST", last, "[\"x\"]").await.response().await;
        assert_eq!(head.status, "HTTP/1.1 404 Not Found");
    }
}

#[tokio::test]
async fn a_backend_over_http() {
    let mut backend = Backend::manual();
    let route = backend.route("*,sockjs=/sj,sockjs_as_path=/as", ",over_http");
    let server = serve(&route, &[]);
    let opening = async {
        let mut client = Client::connect(server.http).await;
        let lines = "Host: a.example\r\nOrigin: http://b.example\r\nCookie: a=b\r\n\
            Content-Type: text/x\r\nX-Own: 1\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
        let body = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        client.send(format!("POST /sj/0/s/xhr?q=1&c=d HTTP/1.1\r\n{lines}{body}")).await;
        client.response().await
    };
    let answer = backend.answer("/as?q=1&c=d", Answer::open("TEXT 4\r\nm:hi\r\n"));
    let ((head, body), request) = join!(opening, answer);
    assert_eq!(head.header("access-control-allow-origin"), Some("http://b.example"));
    assert_eq!(head.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(request.body, b"OPEN\r\n");
    assert_eq!(request.header("content-type"), Some("application/websocket-events"));
    assert_eq!(request.header("origin"), Some("http://b.example"));
    assert_eq!(request.header("cookie"), Some("a=b"));
    assert_eq!(request.header("x-own"), Some("1"));
    assert_eq!(request.header("sec-websocket-extensions"), Some("grip"));
    assert_eq!(request.header("transfer-encoding"), None);
    assert!(request.header("sec-websocket-key").is_some());
    let session = Session::new(&server, "s");
    assert_eq!(body, "o\n");
    assert_eq!(session.poll().await, "a[\"hi\"]\n");
    session.send("[\"one\"]").await;
    // A message of a backend over HTTP comes in fragments when it is long.
    let long = "x".repeat(50_000);
    let events = format!("TEXT {:x}\r\nm:{long}\r\nPING\r\nTEXT 3\r\nm:!\r\n", long.len() + 2);
    let request = backend.answer("/as?q=1&c=d", Answer::events(events)).await;
    assert_eq!(request.body, b"TEXT 3\r\none\r\n");
    assert_eq!(request.header("x-own"), Some("1"));
    let mut heard = String::new();
    while !heard.ends_with("\"!\"]\n") {
        heard += &session.poll().await;
    }
    let heard = heard.replace("]\na[", ",");
    assert!(heard == format!("a[\"{long}\",\"!\"]\n"), "{} bytes", heard.len());
}

#[tokio::test]
async fn a_native_backend() {
    let mut backend = Backend::manual();
    let server = serve(&backend.route("*,sockjs=/sj", ""), &[]);
    let (session, mut behind, request) = native(&server, &mut backend, "s", "").await;
    assert_eq!((request.method.as_str(), &*request.target), ("GET", "/sj"));
    assert_eq!(request.header("upgrade"), Some("websocket"));
    assert_eq!(request.header("connection"), Some("Upgrade"));
    assert_eq!(request.header("content-length"), None);
    behind.text("a \"b\"\n").await;
    behind.send(Message::Ping("p".into())).await;
    assert_eq!(behind.next().await, Message::Pong("p".into()));
    assert_eq!(session.poll().await, "a[\"a \\\"b\\\"\\n\"]\n");
    behind.send(Message::binary(vec![b'x', 0xff])).await;
    assert_eq!(session.poll().await, "a[\"x\\ufffd\"]\n");
    session.send("[\"1\",\"2\"]").await;
    behind.expect_text("1").await;
    behind.expect_text("2").await;
}

#[tokio::test]
async fn several_publishes_come_together() {
    let mut backend = Backend::manual();
    let route = backend.route("*,sockjs=/sj,prefix=p-", "");
    let server = serve(&route, &[]);
    let publisher = Publisher::new(&server);
    let lines = "Sec-WebSocket-Extensions: grip\r\n";
    let (session, mut behind, _) = native(&server, &mut backend, "s", lines).await;
    behind.text("c:{\"type\":\"subscribe\",\"channel\":\"t\"}").await;
    behind.text("m:ready").await;
    behind.text("not for clients").await;
    assert_eq!(session.poll().await, "a[\"ready\"]\n");
    let item =
        |text: &str| json!({ "channel": "p-t", "formats": { "ws-message": { "content": text } } });
    publisher.items(json!([item("one"), item("two"), item("three")])).await;
    let mut heard = String::new();
    while !heard.contains("three") {
        heard += &session.poll().await;
    }
    assert_eq!(heard.replace("]\na[", ","), "a[\"one\",\"two\",\"three\"]\n");
    // A subscriber of each transport gets the same.
    let mut waiting = session.waiting().await;
    publisher.message("p-t", "four").await;
    assert_eq!(waiting.response().await.1, "a[\"four\"]\n");
}

#[tokio::test]
async fn names_are_of_their_route() {
    let routes = [
        "a.example,sockjs=/sj,sockjs_as_path=/ws test".to_owned(),
        "b.example,sockjs=/sj,sockjs_as_path=/ws test".to_owned(),
    ];
    let server = Server::start_with(&routes, &["--workers", "4"]);
    let session = Session::open(&server, "s").await;
    let mut other = Client::connect(server.http).await;
    let head = "POST /sj/0/s/xhr HTTP/1.1\r\nHost: b.example\r\nContent-Length: 0\r\n\r\n";
    other.send(head).await;
    assert_eq!(other.response().await.1, "o\n");
    session.send("[\"x\"]").await;
    assert_eq!(session.poll().await, "a[\"x\"]\n");
}

#[tokio::test]
async fn the_cookie_for_load_balancers() {
    let server = serve("*,sockjs=/sj,sockjs_as_path=/ws,sockjs_cookie test", &[]);
    let session = Session::new(&server, "s");
    let (head, _) = session.xhr().await;
    assert_eq!(head.header("set-cookie"), Some("JSESSIONID=dummy; path=/"));
    let mut client = Client::connect(server.http).await;
    let lines = "Host: a.example\r\nCookie: x=y; JSESSIONID=me\r\nContent-Length: 5\r\n\r\n[\"x\"]";
    client.send(format!("POST /sj/000/s/xhr_send HTTP/1.1\r\n{lines}")).await;
    assert_eq!(client.head().await.header("set-cookie"), Some("JSESSIONID=me; path=/"));
}
