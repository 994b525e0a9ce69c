//! The HTTP control API: its paths, its answers, and everything that it refuses.

use reqwest::Method;
use serde_json::json;

use super::harness::{Answer, Backend, Client, Publisher, Server, chunk};

fn server() -> (Server, Publisher) {
    let server = Server::route("* test");
    let publisher = Publisher::new(&server);
    (server, publisher)
}

#[tokio::test]
async fn greets_and_knows_its_paths() {
    let (_server, publisher) = server();
    let (status, body) = publisher.send(publisher.request(Method::GET, "/")).await;
    assert_eq!(status, 200);
    assert!(body == "linchpin API\n" || body == "Pushpin API\n", "{body:?}");
    for path in ["/nowhere", "/publish/x", "/publish?x=1"] {
        let answer = publisher.post(path, "{}").await;
        assert_eq!(answer, (404, "Not Found\n".to_owned()), "{path}");
    }
    for path in ["/publish", "/publish/"] {
        let answer = publisher.post(path, r#"{"items":[]}"#).await;
        assert_eq!(answer, (200, "Published\n".to_owned()), "{path}");
        let answer = publisher.request(Method::GET, path).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 405, "{path}");
        assert_eq!(answer.headers()["allow"], "POST");
        assert_eq!(answer.text().await.expect("a body"), "Method not allowed: GET.\n");
    }
}

#[tokio::test]
async fn answers_in_the_form_that_is_asked_for() {
    let (_server, publisher) = server();
    for (accept, expected) in [
        ("text/plain", Ok("Published\n")),
        ("*/*", Ok("Published\n")),
        ("application/json", Err(())),
        ("text/plain, application/json", Err(())),
        ("application/json, text/plain", Ok("Published\n")),
    ] {
        let request = publisher.request(Method::POST, "/publish/").header("Accept", accept);
        let (status, body) = publisher.send(request.body(r#"{"items":[]}"#)).await;
        assert_eq!(status, 200, "{accept}");
        match expected {
            Ok(text) => assert_eq!(body, text, "{accept}"),
            Err(()) => {
                let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
                assert_eq!(value, json!({ "message": "Published" }), "{accept}");
                assert!(body.ends_with('\n'));
            }
        }
    }
    let request = publisher.request(Method::POST, "/publish/").header("Accept", "image/png");
    let answer = publisher.send(request.body(r#"{"items":[]}"#)).await;
    let text = "Not Acceptable. Supported formats are text/plain and application/json.\n";
    assert_eq!(answer, (406, text.to_owned()));
}

#[tokio::test]
async fn refuses_what_is_no_publish() {
    let (_server, publisher) = server();
    for (body, text) in [
        ("nonsense", "Body is not valid JSON."),
        ("17", "Body is not valid JSON."),
        (r#"{"items":[],}"#, "Body is not valid JSON."),
        ("[]", "Invalid format."),
        ("{}", "Invalid format: object does not contain 'items'"),
        (r#"{"items":{}}"#, "Invalid format: object contains 'items' with wrong type"),
    ] {
        let answer = publisher.post("/publish/", body).await;
        assert_eq!(answer, (400, format!("{text}\n")), "{body}");
    }
}

#[tokio::test]
async fn refuses_every_invalid_item_by_name() {
    let (_server, publisher) = server();
    let formats = json!({ "http-stream": { "content": "x" } });
    for (item, text) in [
        (json!(17), "publish item object is not an object"),
        (json!({ "formats": formats }), "publish item object does not contain 'channel'"),
        (json!({ "channel": 1 }), "publish item object contains 'channel' with wrong type"),
        (
            json!({ "channel": "c", "id": 1, "formats": formats }),
            "publish item object contains 'id' with wrong type",
        ),
        (
            json!({ "channel": "c", "prev-id": null, "formats": formats }),
            "publish item object contains 'prev-id' with wrong type",
        ),
        (
            json!({ "channel": "c", "formats": [] }),
            "publish item object contains 'formats' with wrong type",
        ),
        (json!({ "channel": "c", "formats": {} }), "no formats specified"),
        (json!({ "channel": "c" }), "no formats specified"),
        (
            json!({ "channel": "c", "formats": formats, "meta": { "a": 1 } }),
            "'meta' contains 'a' with wrong type",
        ),
        (
            json!({ "channel": "c", "formats": formats, "size": -1 }),
            "publish item object contains 'size' with invalid value",
        ),
        (
            json!({ "channel": "c", "formats": formats, "no-seq": "yes" }),
            "publish item object contains 'no-seq' with wrong type",
        ),
    ] {
        refuses(&publisher, item, text).await;
    }
}

#[tokio::test]
async fn refuses_every_invalid_format_by_name() {
    let (_server, publisher) = server();
    for (formats, text) in [
        (json!({ "http-stream": null }), "'http-stream' is not an object"),
        (json!({ "http-stream": {} }), "'http-stream' does not contain 'content' or 'content-bin'"),
        (
            json!({ "http-stream": { "content": 1 } }),
            "'http-stream' contains 'content' with wrong type",
        ),
        (json!({ "http-stream": { "action": "Send" } }), ""),
        (
            json!({ "http-stream": { "action": 1 } }),
            "'http-stream' contains 'action' with wrong type",
        ),
        (
            json!({ "http-response": {} }),
            "'http-response' does not contain 'body', 'body-bin', or 'body-patch'",
        ),
        (
            json!({ "http-response": { "code": 1000, "body": "" } }),
            "'http-response' contains 'code' with invalid value",
        ),
        (
            json!({ "http-response": { "code": null, "body": "" } }),
            "'http-response' contains 'code' with wrong type",
        ),
        (
            json!({ "http-response": { "headers": [["a"]], "body": "" } }),
            "headers contains list with wrong number of elements",
        ),
        (
            json!({ "http-response": { "headers": { "a": 1 }, "body": "" } }),
            "headers contains 'a' with wrong type",
        ),
        (json!({ "ws-message": {} }), "'ws-message' does not contain 'content' or 'content-bin'"),
        (
            json!({ "ws-message": { "type": "Text", "content": "" } }),
            "'ws-message' contains 'type' with unknown value",
        ),
        (
            json!({ "ws-message": { "action": "close", "code": -1 } }),
            "'ws-message' contains 'code' with invalid value",
        ),
    ] {
        refuses(&publisher, json!({ "channel": "c", "formats": formats }), text).await;
    }
}

async fn refuses(publisher: &Publisher, item: serde_json::Value, text: &str) {
    let answer = publisher.post("/publish/", json!({ "items": [item] }).to_string()).await;
    assert_eq!(answer, (400, format!("Invalid format: {text}\n")), "{item}");
}

#[tokio::test]
async fn delivers_nothing_of_a_call_with_a_bad_item() {
    let backend = Backend::answering(|_| Answer::hold("stream", "c", "init\n"));
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/").await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("init\n"));
    let knock = json!({ "http-stream": { "content": "knock\n" } });
    let hears = tokio::sync::Mutex::new(&mut client);
    publisher.until("c", knock, || async { hears.lock().await.hears().await }).await;
    let good = json!({ "channel": "c", "formats": { "http-stream": { "content": "never\n" } } });
    let items = json!({ "items": [good, { "channel": "c" }] });
    let (status, _) = publisher.post("/publish/", items.to_string()).await;
    assert_eq!(status, 400);
    publisher.stream("c", "only this\n").await;
    assert_eq!(client.chunk().await, chunk("only this\n"));
}

#[tokio::test]
async fn refuses_what_is_too_large_or_has_no_length() {
    let (server, _) = server();
    for (request, status, text) in [
        (
            "POST /publish/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            "411 Length Required",
            "Request requires Content-Length.\n",
        ),
        (
            "POST /publish/ HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n".to_owned(),
            "400 Bad Request",
            "Bad Content-Length.\n",
        ),
        (
            "POST /publish/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000001\r\n\r\n".to_owned(),
            "400 Bad Request",
            "Request body too large.\n",
        ),
        (
            format!("GET / HTTP/1.1\r\nX-A: {}\r\n\r\n", "x".repeat(11_000)),
            "400 Bad Request",
            "Request header too large.\n",
        ),
    ] {
        let mut client = Client::connect(server.control).await;
        client.send(request).await;
        let (head, body) = client.response().await;
        assert_eq!((head.status, body.as_str()), (format!("HTTP/1.1 {status}"), text));
    }
}
