//! What one published item becomes for each of those who are held: merged with what each holds,
//! and every action where it means something and where it does not.

use serde_json::{Value, json};

use super::harness::{Answer, Backend, Client, Publisher, Server, WebSocket, chunk, within};

/// Serves one route; what is held is not asked about again, so that nothing comes in between.
fn serve(route: String) -> Server {
    Server::start_with(&[route], &["--update-on-first-subscription", "false"])
}

/// Waits until so many are subscribed, by an item that does nothing to anybody.
async fn held(publisher: &Publisher, channel: &str, count: u64) {
    let formats = json!({ "http-response": { "action": "close" },
        "http-stream": { "content": "" }, "ws-message": { "action": "hint" } });
    let body = json!({ "items": [{ "channel": channel, "formats": formats }] }).to_string();
    within("everybody to be subscribed", async {
        loop {
            let request = publisher.request(reqwest::Method::POST, "/publish?receipt=1");
            let request = request.header("Accept", "application/json").body(body.clone());
            let (_, answer) = publisher.send(request).await;
            let answer: Value = serde_json::from_str(&answer).expect("JSON");
            if answer["items"][0]["matched"] == count {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn each_long_poll_gets_the_item_merged_with_what_it_holds() {
    let backend = Backend::answering(|request| {
        let who = request.target.trim_start_matches('/').to_owned();
        Answer::hold("response", "c", format!("{{\"who\":\"{who}\"}}\n"))
            .header("Grip-Status", "202")
            .header("X-Who", &who)
            .header("X-Held", "held")
            .header("X-Dropped", "held")
    });
    let server = serve(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut clients = Vec::new();
    for who in ["a", "b", "c"] {
        clients.push((who, Client::get(server.http, &format!("/{who}")).await));
    }
    held(&publisher, "c", 3).await;
    let patch = json!([{ "op": "add", "path": "/n", "value": 1 }]);
    let headers = json!([["x-held", "new"], ["X-N", "1"], ["Grip-Expose-Headers", "x-dropped"]]);
    let response = json!({ "reason": "Made", "headers": headers, "body-patch": patch });
    publisher.formats("c", json!({ "http-response": response })).await;
    for (who, client) in &mut clients {
        let (head, body) = client.response().await;
        // The held status is not inherited.
        assert_eq!(head.status, "HTTP/1.1 200 Made");
        assert_eq!(head.header("x-who"), Some(*who));
        assert_eq!(head.all("x-held"), ["new"]);
        assert_eq!(head.header("x-n"), Some("1"));
        assert_eq!(head.header("x-dropped"), None);
        assert!(head.is_grip_free());
        assert_eq!(body, format!("{{\"n\":1,\"who\":\"{who}\"}}\n"));
    }
    // What cannot be patched leaves the body empty, and the rest as it is.
    let (who, client) = &mut clients[0];
    client.send(format!("GET /{who} HTTP/1.1\r\nHost: a.example\r\n\r\n")).await;
    held(&publisher, "c", 1).await;
    let patch = json!([{ "op": "remove", "path": "/nothing" }]);
    let response = json!({ "code": 201, "body-patch": patch });
    publisher.formats("c", json!({ "http-response": response })).await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 201 Created");
    assert_eq!(head.header("x-held"), Some("held"));
    assert_eq!(body, "");
}

#[tokio::test]
async fn of_several_items_of_one_call_a_long_poll_gets_the_first() {
    let backend = Backend::answering(|_| Answer::hold("response", "c", "held\n"));
    let server = serve(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/").await;
    held(&publisher, "c", 1).await;
    let item = |formats: Value| json!({ "channel": "c", "formats": formats });
    publisher
        .items(json!([
            item(json!({ "http-response": { "action": "close" } })),
            item(json!({ "http-response": { "action": "refresh" } })),
            item(json!({ "http-stream": { "content": "not for it" } })),
            item(json!({ "http-response": { "body": "first" } })),
            item(json!({ "http-response": { "body": "second" } })),
        ]))
        .await;
    assert_eq!(client.response().await.1, "first");
    held(&publisher, "c", 0).await;
}

#[tokio::test]
async fn a_stream_heeds_what_is_sent_and_close() {
    let backend = Backend::answering(|_| Answer::hold("stream", "c", ""));
    let server = serve(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/").await;
    client.head().await;
    held(&publisher, "c", 1).await;
    for formats in [
        json!({ "http-stream": { "action": "refresh" } }),
        // There is no next link that it could have followed.
        json!({ "http-stream": { "action": "hint" } }),
        json!({ "http-response": { "body": "not for it" } }),
        json!({ "ws-message": { "action": "close" } }),
        json!({ "unknown": 1 }),
    ] {
        publisher.formats("c", formats).await;
    }
    publisher.stream("c", "one\n").await;
    assert_eq!(client.chunk().await, chunk("one\n"));
    publisher.close_stream("c").await;
    publisher.stream("c", "too late\n").await;
    assert_eq!(client.chunk().await, b"0\r\n\r\n");
}

#[tokio::test]
async fn a_websocket_is_closed_as_the_item_says() {
    let subscribe = r#"c:{"type":"subscribe","channel":"c"}"#;
    let events = format!("TEXT {:x}\r\n{subscribe}\r\n", subscribe.len());
    for (close, code, reason) in [
        (json!({ "action": "close" }), 1000, ""),
        // Without a code there is no reason.
        (json!({ "action": "close", "reason": "unheard" }), 1000, ""),
        (json!({ "action": "close", "code": 70_000, "reason": "cut" }), 4464, "cut"),
    ] {
        let events = events.clone();
        let backend = Backend::answering(move |request| match &request.body[..] {
            b"OPEN\r\n" => Answer::open(&events),
            _ => Answer::events(""),
        });
        let server = serve(backend.route("*", ",over_http"));
        let publisher = Publisher::new(&server);
        let mut socket = WebSocket::connect(&server, "/").await;
        held(&publisher, "c", 1).await;
        publisher.formats("c", json!({ "ws-message": { "action": "hint" } })).await;
        publisher.formats("c", json!({ "http-stream": { "action": "close" } })).await;
        publisher.message("c", "before").await;
        socket.expect_text("before").await;
        publisher.formats("c", json!({ "ws-message": close })).await;
        publisher.message("c", "after").await;
        socket.expect_close(code, reason).await;
    }
}
