//! Long-polls: held, answered by a publish or by their time-out, and the connection used again.

use std::time::Duration;

use serde_json::json;

use super::harness::{Answer, Backend, Client, Publisher, Server};

/// The channel is the last part of the path; so each test and request has its own.
fn held(request: &super::harness::Request) -> Answer {
    let channel = request.target.rsplit('/').next().unwrap_or_default().to_owned();
    Answer::hold("response", &channel, "nothing yet\n")
        .header("X-A", "a")
        .header("X-B", "b")
        .header("Grip-Timeout", "55")
}

async fn publish_until_answered(publisher: &Publisher, channel: &str, client: &mut Client) {
    let formats = json!({ "http-response": { "body": format!("{channel}\n") } });
    let client = tokio::sync::Mutex::new(client);
    publisher.until(channel, formats, || async { client.lock().await.hears().await }).await;
}

#[tokio::test]
async fn is_answered_by_a_publish() {
    let backend = Backend::answering(held);
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/hold/one").await;
    let formats = json!({ "http-response": {
        "code": 201, "reason": "Made", "headers": { "X-C": "c" }, "body": "published\n",
    }});
    let hears = tokio::sync::Mutex::new(&mut client);
    publisher.until("one", formats, || async { hears.lock().await.hears().await }).await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 201 Made");
    assert_eq!(body, "published\n");
    assert_eq!(head.header("content-type"), Some("text/plain"));
    assert_eq!(head.header("x-c"), Some("c"));
    assert!(head.is_grip_free(), "{head:?}");
}

#[tokio::test]
async fn merges_the_headers_of_the_item_over_those_held() {
    let backend = Backend::answering(held);
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/hold/merge").await;
    let formats = json!({ "http-response": {
        "headers": { "x-a": "new", "X-N": "1", "Grip-Foo": "zz", "Content-Length": "77" },
        "body": "pub",
    }});
    let hears = tokio::sync::Mutex::new(&mut client);
    publisher.until("merge", formats, || async { hears.lock().await.hears().await }).await;
    let text = client.until(b"\r\n\r\npub").await;
    let text = String::from_utf8(text).expect("text");
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines[0], "HTTP/1.1 200 OK");
    let fields = &lines[1..lines.len() - 2];
    let lower: Vec<String> = fields.iter().map(|line| line.to_ascii_lowercase()).collect();
    let expected = ["content-type: text/plain", "x-b: b", "x-n: 1", "x-a: new"];
    let order: Vec<_> = expected.iter().map(|e| lower.iter().position(|l| l == e)).collect();
    assert!(order.iter().all(Option::is_some), "{fields:?}");
    assert!(order.is_sorted(), "held ones first, then the item's: {fields:?}");
    assert!(lower.contains(&"content-length: 3".to_owned()), "{fields:?}");
    assert_eq!(fields.len(), 5, "nothing else: {fields:?}");
}

#[tokio::test]
async fn times_out_with_the_response_that_was_held() {
    let backend = Backend::answering(|_| {
        Answer::hold("response", "quiet", "nothing yet\n")
            .header("Grip-Timeout", "1")
            .header("X-A", "a")
    });
    let server = Server::route(backend.route("*", ""));
    let begun = tokio::time::Instant::now();
    let mut client = Client::get(server.http, "/").await;
    let (head, body) = client.response().await;
    assert!(begun.elapsed() > Duration::from_millis(4500), "1 s counts as the least, 5 s");
    assert_eq!((head.status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "nothing yet\n"));
    assert_eq!(head.header("x-a"), Some("a"));
    assert!(head.is_grip_free(), "{head:?}");
}

#[tokio::test]
async fn uses_the_connection_again() {
    let backend = Backend::answering(held);
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::connect(server.http).await;
    for channel in ["first", "second", "third"] {
        client.send(format!("GET /hold/{channel} HTTP/1.1\r\nHost: a.example\r\n\r\n")).await;
        publish_until_answered(&publisher, channel, &mut client).await;
        assert_eq!(client.response().await.1, format!("{channel}\n"));
    }
}

#[tokio::test]
async fn answers_a_request_that_was_sent_ahead() {
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/plain" => Answer::ok("plain\n"),
        _ => held(request),
    });
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/hold/ahead").await;
    client.send("GET /plain HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    publish_until_answered(&publisher, "ahead", &mut client).await;
    assert_eq!(client.response().await.1, "ahead\n");
    assert_eq!(client.response().await.1, "plain\n");
}

#[tokio::test]
async fn closes_when_the_client_asked_for_it() {
    let backend = Backend::answering(held);
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::connect(server.http).await;
    let request = "GET /hold/closing HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    client.send(request).await;
    publish_until_answered(&publisher, "closing", &mut client).await;
    let (head, body) = client.response().await;
    assert_eq!(head.header("connection"), Some("close"));
    assert_eq!(body, "closing\n");
    client.expect_closed().await;
}

#[tokio::test]
async fn speaks_http_1_0_to_a_client_of_that_time() {
    let backend = Backend::answering(held);
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::connect(server.http).await;
    client.send("GET /hold/old HTTP/1.0\r\nHost: a.example\r\n\r\n").await;
    publish_until_answered(&publisher, "old", &mut client).await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.0 200 OK");
    assert_eq!(body, "old\n");
    client.expect_closed().await;
}

#[tokio::test]
async fn sends_no_body_to_a_head_request() {
    let backend = Backend::answering(|request| {
        let answer = if request.target == "/plain" { Answer::ok("plain\n") } else { held(request) };
        if request.method == "HEAD" {
            return Answer::raw(
                "HTTP/1.1 200 OK\r\nGrip-Hold: response\r\nGrip-Channel: head\r\n\
                 Content-Length: 0\r\n\r\n",
                false,
            );
        }
        answer
    });
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::connect(server.http).await;
    client.send("HEAD /hold/head HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    publish_until_answered(&publisher, "head", &mut client).await;
    let head = client.head().await;
    assert_eq!(head.status, "HTTP/1.1 200 OK");
    client.send("GET /plain HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let (next, body) = client.response().await;
    assert_eq!((next.status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "plain\n"));
}

#[tokio::test]
async fn is_held_by_a_document() {
    let backend = Backend::answering(|_| {
        let document = json!({
            "hold": { "mode": "response", "channels": [{ "name": "document" }], "timeout": 5 },
            "response": {
                "code": 202, "reason": "Held", "headers": [["X-A", "1"], ["X-A", "2"]],
                "body": "from the document\n",
            },
        });
        Answer::new("200 OK")
            .header("Content-Type", "application/grip-instruct")
            .header("X-Dropped", "yes")
            .body(document.to_string())
    });
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 202 Held");
    assert_eq!(head.all("x-a"), ["1", "2"]);
    assert_eq!(head.header("x-dropped"), None);
    assert_eq!(body, "from the document\n");
}

#[tokio::test]
async fn ignores_what_is_not_for_it() {
    let backend = Backend::answering(held);
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/hold/mine").await;
    let other = json!({
        "http-stream": { "content": "not for a long-poll\n" },
        "ws-message": { "content": "nor this" },
    });
    publisher.formats("mine", other).await;
    publisher.formats("mine", json!({ "http-response": { "action": "close" } })).await;
    publisher.formats("other", json!({ "http-response": { "body": "elsewhere\n" } })).await;
    publish_until_answered(&publisher, "mine", &mut client).await;
    assert_eq!(client.response().await.1, "mine\n");
}

#[tokio::test]
async fn an_invalid_instruction_is_502_and_named_in_the_log() {
    let backend = Backend::answering(|_| Answer::hold("maybe", "x", "body\n"));
    let mut server = Server::route(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 502 Bad Gateway");
    assert_eq!(head.header("content-type"), Some("text/plain"));
    assert_eq!(body, "Error while proxying to origin.\n");
    server.wait_for_line("Grip-Hold");
    server.wait_for_line("code=502 32");
}

#[tokio::test]
async fn a_status_that_cannot_be_sent_is_502_and_named_in_the_log() {
    let backend = Backend::answering(|_| Answer::ok("body\n").header("Grip-Status", "99 Low"));
    let mut server = Server::route(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    assert_eq!(client.response().await.0.status, "HTTP/1.1 502 Bad Gateway");
    server.wait_for_line("Grip-Status");
}

#[tokio::test]
async fn an_invalid_instruction_is_explained_on_a_debug_route() {
    let backend = Backend::answering(|_| {
        Answer::hold("response", "x", "body\n").header("Grip-Timeout", "soon")
    });
    let server = Server::route(backend.route("*,debug", ""));
    let mut client = Client::get(server.http, "/").await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 502 Bad Gateway");
    assert_eq!(body, "Failed to parse accept instructions: failed to parse Grip-Timeout\n");
}

#[tokio::test]
async fn a_response_without_a_hold_loses_its_grip_headers() {
    let backend = Backend::answering(|_| {
        Answer::ok("plain\n").header("Grip-Foo", "x").header("Grip-Status", "203 Changed")
    });
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 203 Changed");
    assert_eq!(body, "plain\n");
    assert!(head.is_grip_free(), "{head:?}");
}
