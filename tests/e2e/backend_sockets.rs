//! Backends that fail WebSockets, over HTTP or not: what is tried, what the client is told, and
//! what the log says. And a process that has no descriptor left for them.

use crate::harness::backend::swallowing;
use crate::harness::websocket::refusal;
use crate::harness::{Answer, Backend, Client, Server, WebSocket, within};

async fn status(server: &Server, path: &str) -> u16 {
    let opened = within("an answer", WebSocket::try_connect(server, path, &[])).await;
    refusal(opened).status().as_u16()
}

#[tokio::test]
async fn a_rejection_that_is_seen_to_be_cut_is_none() {
    let cut = "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let backend = Backend::answering(move |_| Answer::raw(cut, true));
    let mut server = Server::start(&[backend.route("*,sockjs=/sockjs", "")]);
    assert_eq!(status(&server, "/ws").await, 502);
    let line = server.wait_for_line("reason=\"body malformed\"");
    assert!(line.contains("done=answered 502"), "{line}");
    server.wait_for_line("GET ws://a.example/ws -> ");
    let mut client = Client::connect(server.http).await;
    let head = "POST /sockjs/0/a/xhr HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n";
    client.send(head).await;
    assert_eq!(client.response().await.0.status, "HTTP/1.1 502 Bad Gateway");
    server.wait_for_line("GET ws://a.example/sockjs -> ");
    assert_eq!(server.counted("backend_bodies_malformed"), 2);
    assert_eq!(server.counted("backend_failures"), 2);
}

#[tokio::test]
async fn targets_over_http_share_the_time_too() {
    let dead = swallowing();
    let mut backend = Backend::answering(|_| Answer::open(""));
    let routes = [format!("* {},over_http {},over_http", dead.0, backend.address)];
    let bounds = ["--backend-connect-timeout", "12000", "--websocket-open-timeout", "10"];
    let mut server = Server::start_with(&routes, &bounds);
    let _client = within("a WebSocket", WebSocket::connect(&server, "/ws")).await;
    assert_eq!(backend.seen().await.body, b"OPEN\r\n");
    assert_eq!(server.counted("backend_connect_timeouts"), 1);
}

#[tokio::test]
async fn the_line_of_one_that_was_not_decided_names_who_was_asked() {
    let mut backend = Backend::manual();
    let routes = [backend.route("*,path_beg=/h", ",over_http"), backend.route("*", "")];
    let mut server = Server::start_with(&routes, &["--websocket-open-timeout", "4"]);
    for (path, suffix) in [("/ws", ""), ("/h", "[http]")] {
        let (status, _silent) = tokio::join!(status(&server, path), backend.next());
        assert_eq!(status, 502);
        let asked = format!("{path} -> {}{suffix} code=502 32", backend.address);
        server.wait_for_line(&asked);
        server.wait_for_line(&format!(
            "{}{suffix} could not be opened: no decision",
            backend.address
        ));
    }
}

#[tokio::test]
async fn what_fails_behind_an_open_one_is_told() {
    let mut backend = Backend::manual();
    let mut server = Server::start(&[backend.route("*,id=r", ",over_http")]);
    let opening = WebSocket::connect(&server, "/ws");
    let answering = async { backend.next().await.answer(Answer::open("")).await };
    let (mut client, ()) = within("a WebSocket", async { tokio::join!(opening, answering) }).await;
    client.text("hello").await;
    // Over the connection that was there, and over a new one.
    for _ in 0..2 {
        drop(backend.next().await);
    }
    let line = server.wait_for_line("done=given up");
    assert!(line.contains("route=r method=POST path=/ws"), "{line}");
    assert!(line.contains("reason=\"reset before head\""), "{line}");
    client.expect_dropped().await;
}

#[tokio::test]
async fn without_a_descriptor_it_is_not_the_targets_fault() {
    let backend = Backend::answering(|_| Answer::ok("ok"));
    let routes = ["*,path_beg=/response test".to_owned(), backend.route("*", "")];
    let arguments = ["--workers", "1", "--backend-fails", "1"];
    let mut server = Server::start_with(&routes, &arguments);
    let mut client = Client::connect(server.http).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n");
    client.send(get("/response-not")).await;
    assert!(client.response().await.0.status.contains(" 404 "));
    server.limit_descriptors(3);
    client.send(get("/")).await;
    let (head, body) = client.response().await;
    assert!(head.status.contains(" 503 "), "{head:?}");
    assert_eq!(body, "Too many requests are being proxied.\n");
    let line = server.wait_for_line("reason=\"no descriptor\"");
    assert!(line.contains("done=answered 503"), "{line}");
    server.wait_for_line("code=503 37");
    assert_eq!(server.counted("backend_descriptors_missing"), 1);
    assert_eq!(server.counted("backend_targets_ill"), 0);
}

#[tokio::test]
async fn an_answer_with_too_many_fields_is_too_large() {
    let fields = "X: y\r\n".repeat(101);
    let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
    let backend = Backend::answering(move |_| Answer::raw(&answer, false));
    let mut server = Server::start(&[backend.route("*", "")]);
    let mut client = Client::get(server.http, "/").await;
    assert!(client.response().await.0.status.contains(" 502 "));
    server.wait_for_line("reason=\"head too large\"");
    assert_eq!(server.counted("backend_heads_too_large"), 1);
}
