//! What becomes of items by their ids, as their publisher is told, and `/recover`: against the real
//! binary.

use serde_json::{Value, json};

use super::harness::publisher::KNOCK;
use super::harness::{Answer, Backend, Client, Publisher, Server, chunk};

struct Held {
    server: Server,
    _backend: Backend,
    publisher: Publisher,
    client: Client,
}

/// A stream on the channel `c`.
async fn held(arguments: &[&str]) -> Held {
    let backend = Backend::answering(|_| Answer::hold("stream", "c", "init\n"));
    let server = Server::start_with(&[backend.route("*", "")], arguments);
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/").await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("init\n"));
    let knock = json!({ "http-stream": { "content": KNOCK } });
    let hears = tokio::sync::Mutex::new(&mut client);
    publisher.until("c", knock, || async { hears.lock().await.hears().await }).await;
    Held { server, _backend: backend, publisher, client }
}

fn item(id: &str, content: &str) -> Value {
    json!({ "channel": "c", "id": id, "no-seq": true,
        "formats": { "http-stream": { "content": content } } })
}

#[tokio::test]
async fn a_call_may_be_sent_again() {
    let mut held = held(&[]).await;
    for _ in 0..3 {
        held.publisher.items(json!([item("1", "one\n"), item("", "empty\n")])).await;
    }
    held.publisher.items(json!([item("2", "two\n"), item("2", "again\n")])).await;
    let mut got = String::new();
    while !got.ends_with("two\n") {
        let piece = held.client.chunk().await;
        let text = String::from_utf8(piece).expect("text").replace(KNOCK, "");
        got += text.split_once("\r\n").expect("a chunk").1.trim_end_matches("\r\n");
    }
    assert_eq!(got, "one\nempty\ntwo\n");
    assert_eq!(held.server.counted("items_duplicate"), 5);
}

#[tokio::test]
async fn without_a_memory_every_item_is_new() {
    let mut held = held(&["--id-cache-ttl", "0"]).await;
    held.publisher.items(json!([item("1", "one\n")])).await;
    assert_eq!(held.client.chunk().await, chunk("one\n"));
    held.publisher.items(json!([item("1", "one\n")])).await;
    assert_eq!(held.client.chunk().await, chunk("one\n"));
    assert_eq!(held.server.counted("items_duplicate"), 0);
}

#[tokio::test]
async fn recover_leaves_what_cannot_be_recovered_alone() {
    let mut held = held(&[]).await;
    let answer = held.publisher.post("/recover/", "{}").await;
    assert_eq!(answer, (200, "Updated\n".to_owned()));
    held.publisher.stream("c", "still here\n").await;
    assert_eq!(held.client.chunk().await, chunk("still here\n"));
}

/// Publishes an item and says how it stands: its state, and how many it was for.
async fn state(publisher: &Publisher, id: &str, prev_id: Option<&str>) -> (String, u64) {
    let mut item = item(id, &format!("{id}\n"));
    item["no-seq"] = false.into();
    if let Some(prev_id) = prev_id {
        item["prev-id"] = prev_id.into();
    }
    let request = publisher.request(reqwest::Method::POST, "/publish?receipt=1");
    let body = json!({ "items": [item] }).to_string();
    let request = request.header("Accept", "application/json").body(body);
    let (status, answer) = publisher.send(request).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["complete"], true, "{answer}");
    let entry = &answer["items"][0];
    assert_eq!(entry["id"], id);
    (
        entry["state"].as_str().expect("text").to_owned(),
        entry["matched"].as_u64().expect("a number"),
    )
}

#[tokio::test]
async fn publishers_are_told_how_items_stand() {
    let mut held = held(&["--message-wait", "600000"]).await;
    let told = |state: &str, matched| (state.to_owned(), matched);
    let publisher = &held.publisher;
    assert_eq!(state(publisher, "1", None).await, told("delivered", 1));
    assert_eq!(state(publisher, "1", None).await, told("duplicate", 0));
    assert_eq!(state(publisher, "3", Some("2")).await, told("waiting", 0));
    assert_eq!(state(publisher, "3b", Some("2")).await, told("dropped", 0));
    assert_eq!(state(publisher, "2", Some("1")).await, told("delivered", 1));
    let mut got = String::new();
    while !got.ends_with("3\n") {
        let piece = held.client.chunk().await;
        let text = String::from_utf8(piece).expect("text").replace(KNOCK, "");
        got += text.split_once("\r\n").expect("a chunk").1.trim_end_matches("\r\n");
    }
    assert_eq!(got, "1\n2\n3\n");
}
