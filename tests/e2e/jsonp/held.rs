//! JSON-P with holds: answered by a publish, by their time-out, after another question; streams.

use super::*;

/// A hold on the channel that the path names; not for long if that is to be brief.
fn held(request: &Request) -> Answer {
    let path = request.target.split('?').next().unwrap_or_default();
    let channel = path.rsplit('/').next().unwrap_or_default();
    let mode = if path.contains("stream") { "stream" } else { "response" };
    let answer = Answer::hold(mode, channel, "held\r\n").header("X-H", "h").header("X-H", "i");
    let seconds = if channel == "brief" { "1" } else { "55" };
    answer.header("Cache-Control", "no").header("Grip-Timeout", seconds)
}

fn routes(backend: &Backend) -> [String; 2] {
    [backend.route("*,aco", ""), backend.route("*,path_beg=/basic,aco,jsonp_mode=basic", "")]
}

async fn publish(publisher: &Publisher, channel: &str, response: Value, client: &mut Client) {
    let hears = tokio::sync::Mutex::new(client);
    let formats = json!({ "http-response": response });
    publisher.until(channel, formats, || async { hears.lock().await.hears().await }).await;
}

#[tokio::test]
async fn a_publish() {
    let mut backend = Backend::answering(held);
    let mut server = Server::start(&routes(&backend));
    let publisher = Publisher::new(&server);
    let mut client = ask(&server, "/ext?callback=f&a=b", "").await;
    for _ in 0..2 {
        assert_eq!(backend.seen().await.target, "/ext?a=b");
        let headers = json!({ "X-P": "p", "Grip-Foo": "1", "Content-Length": "77" });
        let response = json!({ "body": "p\"\u{e9}\n", "code": 404, "headers": headers });
        publish(&publisher, "ext", response, &mut client).await;
        let (head, body) = client.response().await;
        assert!(is_script(&head), "{head:?}");
        assert_eq!(names(&head), ["x-h", "x-h", "cache-control", "x-p", "content-type"]);
        assert_eq!(
            body,
            "/**/f({\"body\":\"p\\\"\u{e9}\\n\",\"code\":404,\"headers\":{\"Cache-Control\":\"no\",\
             \"Content-Type\":\"text/plain\",\"X-H\":\"h, i\",\"X-P\":\"p\"},\
             \"reason\":\"Not Found\"});\n"
        );
        // The connection serves the next one.
        client.send("GET /ext?callback=f&a=b HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    }
    server.wait_for_line("GET http://a.example/ext?a=b -> ");
    let mut client = ask(&server, "/basic?callback=f", "").await;
    publish(&publisher, "basic", json!({ "body": "{}\n\r\n", "code": 500 }), &mut client).await;
    let (head, body) = client.response().await;
    assert!(is_script(&head), "{head:?}");
    assert_eq!(body, "/**/f({}\n);\n");
}

#[tokio::test]
async fn a_publish_to_many_callbacks() {
    let backend = Backend::answering(held);
    let server = Server::start(&routes(&backend));
    let publisher = Publisher::new(&server);
    let mut clients = Vec::new();
    for callback in ["f", "f", "g", ""] {
        let query =
            if callback.is_empty() { String::new() } else { format!("?callback={callback}") };
        clients.push(ask(&server, &format!("/many{query}"), "").await);
    }
    for (number, begin) in ["/**/f({", "/**/f({", "/**/g({", "knock"].into_iter().enumerate() {
        publish(&publisher, "many", json!({ "body": "knock\n" }), &mut clients[number]).await;
        let (head, body) = clients[number].response().await;
        assert!(body.starts_with(begin), "{body}");
        assert_eq!(is_script(&head), number < 3, "{head:?}");
    }
}

#[tokio::test]
async fn the_time_out() {
    let backend = Backend::answering(held);
    let server = Server::start(&routes(&backend));
    let mut extended = ask(&server, "/brief?callback=f", "").await;
    let mut basic = ask(&server, "/basic/brief?callback=f", "Connection: close\r\n").await;
    let mut head_only = ask(&server, "/head/brief?callback=f&_method=HEAD", "").await;
    let (head, body) = extended.response().await;
    assert!(is_script(&head), "{head:?}");
    assert_eq!(
        body,
        "/**/f({\"body\":\"held\\r\\n\",\"code\":200,\"headers\":{\"Cache-Control\":\"no\",\
         \"Content-Type\":\"text/plain\",\"X-H\":\"h, i\"},\"reason\":\"OK\"});\n"
    );
    let (head, body) = basic.response().await;
    assert!(is_script(&head) && head.header("connection") == Some("close"), "{head:?}");
    assert_eq!(body, "/**/f(held);\n");
    basic.expect_closed().await;
    assert_eq!(object(&head_only.response().await.1)["code"], 200);
}

#[tokio::test]
async fn streams_are_not_wrapped() {
    let backend = Backend::answering(|request: &Request| match request.target.as_str() {
        "/links" => Answer::ok("first\n").next_link("/next"),
        "/next" => Answer::ok("second\n"),
        _ => held(request),
    });
    let server = Server::start(&routes(&backend));
    let publisher = Publisher::new(&server);
    let mut client = ask(&server, "/stream/raw?callback=f", "Origin: http://o\r\n").await;
    let head = client.head().await;
    assert_eq!(head.header("content-type"), Some("text/plain"));
    assert_eq!(head.header("access-control-allow-origin"), Some("http://o"));
    client.expect_content("held\r\n").await;
    let hears = tokio::sync::Mutex::new(&mut client);
    let formats = json!({ "http-stream": { "content": "more\n" } });
    publisher.until("raw", formats, || async { hears.lock().await.hears().await }).await;
    client.expect_content("more\n").await;
    let mut client = ask(&server, "/links?callback=f", "").await;
    assert_eq!(client.head().await.header("access-control-allow-origin"), Some("*"));
    client.expect_content("first\nsecond\n").await;
}

#[tokio::test]
async fn instructions_that_hold_nothing_and_those_that_are_wrong() {
    let backend = Backend::answering(|request: &Request| match request.target.as_str() {
        "/wrong" => Answer::ok("x").header("Grip-Hold", "foo"),
        "/document" => Answer::new("200 OK")
            .header("Content-Type", "application/grip-instruct")
            .body(r#"{"response":{"code":201,"reason":"Cr","headers":{"X-D":"d"},"body":"doc"}}"#),
        _ => Answer::ok("doc\n").header("Grip-Status", "205 Foo").header("Cache-Control", "a"),
    });
    let server = Server::start(&routes(&backend));
    for (target, expected) in [
        (
            "/status?callback=f",
            "/**/f({\"code\": 205, \"reason\": \"Foo\", \"headers\": {\"Cache-Control\":\"a\",\
             \"Content-Type\":\"text/plain\"}, \"body\": \"doc\\n\"});\n",
        ),
        ("/basic?callback=f", "/**/f(doc);\n"),
        (
            "/document?callback=f",
            "/**/f({\"code\": 201, \"reason\": \"Cr\", \"headers\": {\"X-D\":\"d\"}, \
             \"body\": \"doc\"});\n",
        ),
        (
            "/wrong?callback=f",
            "/**/f({\"code\": 502, \"reason\": \"Bad Gateway\", \"headers\": \
             {\"Content-Length\":\"32\",\"Content-Type\":\"text/plain\"}, \
             \"body\": \"Error while proxying to origin.\\n\"});\n",
        ),
    ] {
        let (head, body) = asked(&server, target).await;
        assert!(is_script(&head), "{head:?}");
        assert_eq!(body, expected);
    }
}

/// What the backend says when it is asked once more.
type Again = fn() -> Answer;

#[tokio::test]
async fn a_long_poll_that_is_asked_about_again() {
    let answers: [(Again, &str); 4] = [
        (
            || Answer::ok("after\n").header("Cache-Control", "e").header("X-A", "1"),
            "/**/f({\"code\": 200, \"reason\": \"OK\", \"headers\": {\"Cache-Control\":\"e\",\
             \"Content-Length\":\"6\",\"Content-Type\":\"text/plain\",\"X-A\":\"1\"}, \
             \"body\": \"after\\n\"});\n",
        ),
        (
            || Answer::ok("after\n").header("Cache-Control", "e").header("Grip-Foo", "1"),
            "/**/f({\"code\": 200, \"reason\": \"OK\", \"headers\": {\"Cache-Control\":\"e\",\
             \"Content-Type\":\"text/plain\"}, \"body\": \"after\\n\"});\n",
        ),
        (
            || Answer::ok("x").header("Grip-Hold", "foo"),
            "/**/f({\"code\": 502, \"reason\": \"Bad Gateway\", \"headers\": \
             {\"Content-Length\":\"32\",\"Content-Type\":\"text/plain\"}, \
             \"body\": \"Error while proxying to origin.\\n\"});\n",
        ),
        (|| Answer::hold("stream", "again", "after\n"), ""),
    ];
    for (again, expected) in answers {
        let mut backend = Backend::manual();
        let server = Server::route(backend.route("*,aco", ""));
        let publisher = Publisher::new(&server);
        let mut client = ask(&server, "/again?callback=f&a=b&_method=PUT&_body=x", "").await;
        let first = backend.answer("/again?a=b", Answer::hold("response", "again", "")).await;
        let hint = json!({ "http-response": { "action": "hint" } });
        let exchange = loop {
            publisher.formats("again", hint.clone()).await;
            if let Some(exchange) = backend.next_soon().await {
                break exchange;
            }
        };
        let request = &exchange.request;
        assert_eq!((&request.method, &request.target), (&first.method, &first.target));
        assert_eq!((request.method.as_str(), &request.body[..]), ("PUT", &b"x"[..]));
        exchange.answer(again()).await;
        if expected.is_empty() {
            assert_eq!(client.head().await.header("access-control-allow-origin"), Some("*"));
            client.expect_content("after\n").await;
            continue;
        }
        let (head, body) = client.response().await;
        assert!(is_script(&head), "{head:?}");
        assert_eq!(body, expected);
        assert_eq!(head.header("cache-control").is_some(), body.contains("Cache-Control"));
    }
}
