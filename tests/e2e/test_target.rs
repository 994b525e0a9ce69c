//! The built-in `test` target, path for path.

use tokio_tungstenite::tungstenite::Message;

use super::harness::websocket::refusal;
use super::harness::{Client, Publisher, Server, WebSocket, chunk};

#[tokio::test]
async fn answers_its_paths() {
    let server = Server::route("* test");
    for (target, status, expected) in [
        ("/", "200 OK", None),
        ("/nowhere", "404 Not Found", Some("no such test resource\n")),
        ("/ws", "404 Not Found", Some("no such test resource\n")),
        ("/Response", "404 Not Found", Some("no such test resource\n")),
    ] {
        let mut client = Client::get(server.http, target).await;
        let (head, body) = client.response().await;
        assert_eq!(head.status, format!("HTTP/1.1 {status}"), "{target}");
        assert_eq!(head.header("content-type"), Some("text/plain"));
        match expected {
            Some(text) => assert_eq!(body, text),
            None => assert!(body.starts_with("Hello from the ") && body.ends_with("handler!\n")),
        }
    }
}

#[tokio::test]
async fn holds_streams_on_the_channels_of_the_query() {
    let server = Server::route("* test");
    let publisher = Publisher::new(&server);
    let mut default = Client::get(server.http, "/stream/").await;
    let mut several = Client::get(server.http, "/stream?channel=a&channel=b").await;
    for client in [&mut default, &mut several] {
        let head = client.head().await;
        assert_eq!(head.status, "HTTP/1.1 200 OK");
        assert_eq!(head.header("content-type"), Some("text/plain"));
        assert_eq!(client.chunk().await, chunk("[stream opened]\n"));
    }
    let knock = serde_json::json!({ "http-stream": { "content": "knock\n" } });
    for (channel, client) in [("test", &mut default), ("b", &mut several)] {
        let hears = tokio::sync::Mutex::new(&mut *client);
        publisher
            .until(channel, knock.clone(), || async { hears.lock().await.hears().await })
            .await;
    }
    publisher.stream("test", "to test\n").await;
    assert_eq!(default.chunk().await, chunk("to test\n"));
    for channel in ["a", "b"] {
        publisher.stream(channel, &format!("to {channel}\n")).await;
        assert_eq!(several.chunk().await, chunk(format!("to {channel}\n")));
    }
}

#[tokio::test]
async fn holds_long_polls() {
    let server = Server::route("* test");
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/response").await;
    let formats = serde_json::json!({ "http-response": { "body": "published\n" } });
    let hears = tokio::sync::Mutex::new(&mut client);
    publisher.until("test", formats, || async { hears.lock().await.hears().await }).await;
    assert_eq!(client.response().await.1, "published\n");
}

#[tokio::test]
async fn drops_the_paths_beginning_of_its_route() {
    let server = Server::route("*,path_beg=/x/ test");
    let mut client = Client::get(server.http, "/x/stream").await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("[stream opened]\n"));
}

#[tokio::test]
async fn shows_its_instructions_on_a_route_without_grip() {
    let server = Server::route("*,no_grip test");
    let mut client = Client::get(server.http, "/response?channel=b").await;
    let (head, body) = client.response().await;
    assert_eq!(head.header("grip-hold"), Some("response"));
    assert_eq!(head.header("grip-channel"), Some("b"));
    assert_eq!(body, "nothing for now\n");
}

#[tokio::test]
async fn echoes_websockets_and_takes_publishes() {
    let server = Server::route("* test");
    let publisher = Publisher::new(&server);
    let mut socket = WebSocket::connect(&server, "/ws?channel=w").await;
    socket.text("hello").await;
    socket.expect_text("hello").await;
    socket.send(Message::binary(vec![0, 1, 255])).await;
    assert_eq!(socket.next().await, Message::binary(vec![0, 1, 255]));
    socket.send(Message::Ping("there?".into())).await;
    assert_eq!(socket.next().await, Message::Ping("there?".into()));
    // Every frame comes back: also the pong with which our client has answered its own ping.
    assert_eq!(socket.next().await, Message::Pong("there?".into()));
    publisher.message("w", "published").await;
    socket.expect_text("published").await;
    socket.close(4000, "enough").await;
    socket.expect_close(4000, "enough").await;
}

#[tokio::test]
async fn refuses_websockets_elsewhere() {
    let server = Server::route("* test");
    let refused = refusal(WebSocket::try_connect(&server, "/nowhere", &[]).await);
    assert_eq!(refused.status().as_u16(), 404);
    assert_eq!(refused.headers()["content-type"], "text/plain");
}
