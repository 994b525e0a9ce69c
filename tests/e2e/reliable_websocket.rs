//! WebSockets that lose nothing: served from what was published lately, or by their backends, who
//! are asked once.

use serde_json::{Value, json};
use tokio::join;
use tokio_tungstenite::tungstenite::Message;

use super::harness::{Answer, Backend, Publisher, Server, WebSocket};

const GRIP: &str = "Sec-WebSocket-Extensions: grip\r\n";

fn subscribe(prev_id: &str) -> Value {
    json!({ "type": "subscribe", "channel": "c", "prev-id": prev_id })
}

/// Control messages and ordinary ones, as events.
fn events(contents: &[String]) -> String {
    let event = |content: &String| format!("TEXT {:x}\r\n{content}\r\n", content.len());
    contents.iter().map(event).collect()
}

fn control(message: &Value) -> String {
    format!("c:{message}")
}

/// Publishes items whose ids are the numbers from `first` to `last`, each after the one before.
async fn publish(publisher: &Publisher, first: usize, last: usize) {
    let item = |id: usize| {
        json!({ "channel": "p-c", "id": id.to_string(), "prev-id": (id - 1).to_string(),
                "formats": { "ws-message": { "content": id.to_string() } } })
    };
    publisher.items((first..=last).map(item).collect::<Vec<_>>().into()).await;
}

async fn expect(socket: &mut WebSocket, first: usize, last: usize) {
    for id in first..=last {
        socket.expect_text(&id.to_string()).await;
    }
}

/// A server with one worker: what has been published lately is known where it was subscribed to.
fn start(backend: &Backend, options: &str) -> (Server, Publisher) {
    let routes = [backend.route("*,prefix=p-", options)];
    let server = Server::start_with(&routes, &["--workers", "1"]);
    let publisher = Publisher::new(&server);
    (server, publisher)
}

/// A client of a backend over HTTP, which answers its opening with these messages.
async fn open(server: &Server, backend: &mut Backend, contents: &[String]) -> WebSocket {
    let opening = async { backend.next().await.answer(Answer::open(events(contents))).await };
    let (socket, ()) = join!(WebSocket::connect(server, "/"), opening);
    socket
}

#[tokio::test]
async fn what_was_published_lately_comes_without_the_backend() {
    let mut backend = Backend::manual();
    let (mut server, publisher) = start(&backend, ",over_http");
    let mut first = open(&server, &mut backend, &[control(&subscribe("0"))]).await;
    publish(&publisher, 1, 5).await;
    expect(&mut first, 1, 5).await;
    // Who leaves makes a request.
    let mut stay = Vec::new();
    for known in [0, 3, 5] {
        let contents = ["m:ready".to_owned(), control(&subscribe(&known.to_string()))];
        let mut socket = open(&server, &mut backend, &contents).await;
        socket.expect_text("ready").await;
        expect(&mut socket, known + 1, 5).await;
        stay.push(socket);
    }
    publish(&publisher, 6, 7).await;
    for socket in stay.iter_mut().chain([&mut first]) {
        expect(socket, 6, 7).await;
    }
    assert!(!backend.has_seen_more());
    assert_eq!(server.counted("socket_recoveries"), 0);
}

#[tokio::test]
async fn a_backend_over_http_brings_what_nobody_else_knows() {
    let mut backend = Backend::manual();
    let (mut server, publisher) = start(&backend, ",over_http");
    let mut first = open(&server, &mut backend, &[control(&subscribe("10"))]).await;
    publish(&publisher, 11, 12).await;
    expect(&mut first, 11, 12).await;
    let mut socket = open(&server, &mut backend, &[control(&subscribe("3"))]).await;
    let exchange = backend.next().await;
    let recover = r#"{"channel":"c","prev-id":"3"}"#;
    let body = format!("RECOVER {:x}\r\n{recover}\r\n", recover.len());
    assert_eq!(String::from_utf8_lossy(&exchange.request.body), body);
    // Nothing comes before what is missing; and the backend is not asked again.
    publish(&publisher, 13, 14).await;
    expect(&mut first, 13, 14).await;
    let mut contents: Vec<String> = (4..=12).map(|id| format!("m:{id}")).collect();
    contents.push(control(&subscribe("12")));
    exchange.answer(Answer::events(events(&contents))).await;
    expect(&mut socket, 4, 14).await;
    publish(&publisher, 15, 16).await;
    expect(&mut socket, 15, 16).await;
    expect(&mut first, 15, 16).await;
    assert!(!backend.has_seen_more());
    assert_eq!(server.counted("socket_recoveries"), 1);
}

#[tokio::test]
async fn a_backend_may_give_up_what_was_missed() {
    let mut backend = Backend::manual();
    let (_server, publisher) = start(&backend, ",over_http");
    let server = &_server;
    let mut first = open(server, &mut backend, &[control(&subscribe("10"))]).await;
    publish(&publisher, 11, 12).await;
    expect(&mut first, 11, 12).await;
    let mut socket = open(server, &mut backend, &[control(&subscribe("3"))]).await;
    let plain = control(&json!({ "type": "subscribe", "channel": "c" }));
    let contents = [plain, "m:from now on".to_owned()];
    backend.next().await.answer(Answer::events(events(&contents))).await;
    socket.expect_text("from now on").await;
    publish(&publisher, 13, 14).await;
    expect(&mut socket, 13, 14).await;
    assert!(!backend.has_seen_more());
}

/// A client, and the socket behind it.
async fn connect(server: &Server, backend: &mut Backend) -> (WebSocket, WebSocket) {
    let accepting = async { WebSocket::accept(backend.next().await, GRIP).await };
    join!(WebSocket::connect(server, "/"), accepting)
}

#[tokio::test]
async fn a_websocket_backend_is_asked_among_messages() {
    let mut backend = Backend::manual();
    let (mut server, publisher) = start(&backend, "");
    let (mut first, mut behind_first) = connect(&server, &mut backend).await;
    behind_first.text(&control(&subscribe("10"))).await;
    behind_first.text("m:ready").await;
    first.expect_text("ready").await;
    publish(&publisher, 11, 12).await;
    expect(&mut first, 11, 12).await;

    // Served by what was published lately.
    let (mut second, mut behind) = connect(&server, &mut backend).await;
    behind.text(&control(&subscribe("10"))).await;
    expect(&mut second, 11, 12).await;

    // Served by the backend, who is asked once.
    let (mut third, mut behind) = connect(&server, &mut backend).await;
    third.text("hello").await;
    behind.expect_text("hello").await;
    behind.text(&control(&subscribe("3"))).await;
    behind.expect_text(r#"c:{"type":"recover","channel":"c","prev-id":"3"}"#).await;
    publish(&publisher, 13, 14).await;
    expect(&mut first, 13, 14).await;
    expect(&mut second, 13, 14).await;
    third.text("meanwhile").await;
    behind.expect_text("meanwhile").await;
    for id in 4..=12 {
        behind.text(&format!("m:{id}")).await;
    }
    behind.text(&control(&subscribe("12"))).await;
    expect(&mut third, 4, 14).await;
    publish(&publisher, 15, 16).await;
    for socket in [&mut first, &mut second, &mut third] {
        expect(socket, 15, 16).await;
    }
    third.text("the last").await;
    behind.expect_text("the last").await;
    assert_eq!(server.counted("socket_recoveries"), 1);
}

const ITEMS: usize = 100;

fn large(id: usize) -> String {
    format!("{id} {}", "x".repeat(8000))
}

/// The large items from the first to the last; where among them `ready` comes does not matter.
async fn expect_large(socket: &mut WebSocket) {
    let (mut id, mut ready) = (1, false);
    while id <= ITEMS || !ready {
        match socket.next().await {
            Message::Text(text) if text.as_str() == "ready" => ready = true,
            Message::Text(text) => {
                assert!(text.as_str() == large(id), "this is not {id}");
                id += 1;
            }
            other => panic!("{other:?} is no message"),
        }
    }
}

async fn publish_large(publisher: &Publisher) {
    for id in 1..=ITEMS {
        let content = json!({ "ws-message": { "content": large(id) } });
        let item = json!({ "channel": "p-c", "id": id.to_string(),
            "prev-id": (id - 1).to_string(), "formats": content });
        publisher.items(json!([item])).await;
    }
}

#[tokio::test]
async fn more_than_a_client_takes_at_once_comes_as_it_reads() {
    let mut backend = Backend::manual();
    let (server, publisher) = start(&backend, ",over_http");
    let contents = [control(&subscribe("0")), "m:ready".to_owned()];
    let mut first = open(&server, &mut backend, &contents).await;
    join!(publish_large(&publisher), expect_large(&mut first));
    let mut second = open(&server, &mut backend, &contents).await;
    expect_large(&mut second).await;
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn more_than_a_relay_takes_at_once_comes_as_its_client_reads() {
    let mut backend = Backend::manual();
    let (server, publisher) = start(&backend, "");
    let mut behind = Vec::new();
    for is_first in [true, false] {
        let (mut client, mut socket) = connect(&server, &mut backend).await;
        socket.text(&control(&subscribe("0"))).await;
        socket.text("m:ready").await;
        if is_first {
            client.expect_text("ready").await;
            socket.text("m:ready").await;
            join!(publish_large(&publisher), expect_large(&mut client));
        } else {
            expect_large(&mut client).await;
        }
        behind.push((client, socket));
    }
}
