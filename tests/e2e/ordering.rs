//! The order of what is published with ids: duplicates, items that come before their predecessors,
//! items out of the order of ids, and what falls between two long-polls (specification, GRIP 5.1
//! to 5.4). All but the last was seen to be so on Pushpin 1.36.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::Message;

use super::harness::publisher::KNOCK;
use super::harness::wait::within_seconds;
use super::harness::{Answer, Backend, Client, Publisher, Server, WebSocket};

fn content(text: &str) -> Value {
    json!({ "http-stream": { "content": text }, "ws-message": { "content": text } })
}

/// A stream on `channel` that is seen to be subscribed.
async fn listen(server: &Server, publisher: &Publisher, channel: &str) -> Client {
    let mut client = Client::get(server.http, &format!("/{channel}")).await;
    client.head().await;
    client.expect_content("init\n").await;
    let shared = Mutex::new(&mut client);
    let heard = || async { shared.lock().await.hears().await };
    publisher.until(channel, json!({ "http-stream": { "content": KNOCK } }), heard).await;
    client
}

/// A backend that holds a stream on the channel that the path names.
fn streams() -> Backend {
    Backend::answering(|request| Answer::hold("stream", &request.target[1..], "init\n"))
}

#[tokio::test]
async fn items_are_delivered_in_the_order_of_their_ids() {
    let backend = streams();
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = listen(&server, &publisher, "c").await;
    publisher.step("c", "1", None, content("1\n")).await;
    publisher.step("c", "1", None, content("1 again\n")).await;
    client.expect_content("1\n").await;
    publisher.step("c", "3", Some("2"), content("3\n")).await;
    publisher.step("c", "4", Some("3"), content("4\n")).await;
    publisher.stream("elsewhere", "what is published here waits for nothing\n").await;
    publisher.step("c", "2", Some("1"), content("2\n")).await;
    client.expect_content("2\n3\n4\n").await;
    publisher.step("c", "5", Some("4"), content("5\n")).await;
    client.expect_content("5\n").await;
}

#[tokio::test]
async fn several_items_of_one_call_are_put_in_order() {
    let backend = streams();
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = listen(&server, &publisher, "c").await;
    let item = |id: u32| {
        let (text, prev_id) = (format!("{id}\n"), (id - 1).to_string());
        json!({ "channel": "c", "id": id.to_string(), "prev-id": prev_id, "formats": content(&text) })
    };
    publisher.step("c", "10", None, content("10\n")).await;
    publisher.items(json!([item(15), item(13), item(12), item(11), item(14)])).await;
    client.expect_content("10\n11\n12\n13\n14\n15\n").await;
}

#[tokio::test]
async fn websockets_get_items_in_the_same_order() {
    let backend = Backend::answering(|request| {
        let channel = "c:{\"type\":\"subscribe\",\"channel\":\"c\"}";
        match request.body.starts_with(b"OPEN") {
            true => Answer::open(format!("TEXT {:X}\r\n{channel}\r\n", channel.len())),
            false => Answer::events(""),
        }
    });
    let server = Server::route(backend.route("*", ",over_http"));
    let publisher = Publisher::new(&server);
    let mut socket = WebSocket::connect(&server, "/").await;
    let shared = Mutex::new(&mut socket);
    let heard = || async {
        super::harness::wait::soon(100, async {
            shared.lock().await.next().await;
        })
        .await
    };
    publisher.until("c", json!({ "ws-message": { "content": KNOCK } }), heard).await;
    for (id, prev_id) in [("1", None), ("3", Some("2")), ("4", Some("3")), ("2", Some("1"))] {
        publisher.step("c", id, prev_id, content(id)).await;
    }
    let mut got = Vec::new();
    while got.len() < 4 {
        match socket.next().await {
            Message::Text(text) if text.as_str() == KNOCK => {}
            Message::Text(text) => got.push(text.as_str().to_owned()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn an_item_that_waits_in_vain_is_delivered_at_last() {
    let backend = streams();
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = listen(&server, &publisher, "c").await;
    publisher.step("c", "1", None, content("1\n")).await;
    publisher.step("c", "5", Some("4"), content("5\n")).await;
    publisher.step("c", "3", Some("2"), content("3\n")).await;
    client.expect_content("1\n").await;
    assert!(!client.hears().await, "5 and 3 wait for 4 and 2");
    // `message_wait` is 5 s, and is looked at once a second; then the oldest goes first.
    within_seconds("message_wait", 25, async { while !client.hears().await {} }).await;
    client.expect_content("5\n3\n").await;
}

#[tokio::test]
async fn an_item_without_a_predecessor_is_always_next() {
    let backend = streams();
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = listen(&server, &publisher, "c").await;
    publisher.step("c", "1", None, content("1\n")).await;
    publisher.step("c", "9", None, content("9\n")).await;
    publisher.step("c", "10", Some("9"), content("10\n")).await;
    client.expect_content("1\n9\n10\n").await;
    // One without an id: where the channel is, nobody knows after it.
    publisher.stream("c", "no id\n").await;
    publisher.step("c", "31", Some("30"), content("31\n")).await;
    client.expect_content("no id\n31\n").await;
}

#[tokio::test]
async fn no_seq_goes_past_those_that_wait() {
    let backend = streams();
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = listen(&server, &publisher, "c").await;
    publisher.step("c", "1", None, content("1\n")).await;
    publisher.step("c", "3", Some("2"), content("3\n")).await;
    let urgent = |id: &str| json!([{ "channel": "c", "id": id, "prev-id": "8", "no-seq": true, "formats": content("now\n") }]);
    publisher.items(urgent("9")).await;
    client.expect_content("1\nnow\n").await;
    publisher.items(urgent("9")).await;
    publisher.step("c", "2", Some("1"), content("2\n")).await;
    client.expect_content("2\n3\n").await;
}

#[tokio::test]
async fn a_duplicate_is_one_whether_or_not_anybody_listens() {
    let backend = streams();
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    publisher.step("c", "1", None, content("unheard\n")).await;
    let mut client = listen(&server, &publisher, "c").await;
    publisher.step("c", "1", None, content("again\n")).await;
    publisher.step("d", "1", None, content("of another channel\n")).await;
    publisher.step("c", "2", None, content("2\n")).await;
    client.expect_content("2\n").await;
}

#[tokio::test]
async fn what_is_published_before_somebody_listens_does_not_hold_up_what_comes_after() {
    let backend = streams();
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    publisher.step("c", "1", None, content("unheard\n")).await;
    let mut client = listen(&server, &publisher, "c").await;
    publisher.step("c", "8", Some("7"), content("8\n")).await;
    client.expect_content("8\n").await;
}

/// A backend with a history of numbers: it answers with all that are past the client's last, else
/// it holds. Grip-Last of the proxy counts more than what the client once asked.
fn history() -> (Backend, Arc<AtomicUsize>) {
    let written = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&written);
    let backend = Backend::answering(move |request| {
        let after = request.header("grip-last").and_then(|last| last.rsplit('=').next());
        let after = after.or_else(|| request.target.rsplit('=').next());
        let after: usize = after.expect("a position").parse().expect("a number");
        let written = seen.load(Ordering::SeqCst);
        if after < written {
            let numbers: Vec<String> = (after + 1..=written).map(|n| n.to_string()).collect();
            return Answer::ok(numbers.join(" "));
        }
        Answer::hold("response", &format!("c; prev-id={after}"), "")
    });
    (backend, written)
}

#[tokio::test]
async fn nothing_falls_between_two_long_polls() {
    let (backend, written) = history();
    let server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let polling = async {
        let mut client = Client::connect(server.http).await;
        let mut got: Vec<usize> = Vec::new();
        while got.last() < Some(&200) {
            let after = got.last().copied().unwrap_or_default();
            client.send(format!("GET /?after={after} HTTP/1.1\r\nHost: a.example\r\n\r\n")).await;
            let (_, body) = client.response().await;
            got.extend(body.split(' ').map(|number| number.parse::<usize>().expect("a number")));
        }
        got
    };
    let publishing = async {
        for number in 1..=200_usize {
            written.store(number, Ordering::SeqCst);
            let (id, prev_id) = (number.to_string(), (number - 1).to_string());
            let formats = json!({ "http-response": { "body": id } });
            publisher.step("c", &id, Some(&prev_id), formats).await;
        }
    };
    let (got, ()) = tokio::join!(polling, publishing);
    assert_eq!(got, (1..=200).collect::<Vec<_>>());
}
