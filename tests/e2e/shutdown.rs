//! Stopping: what is held is ended as its protocol asks, within a bound, and the exit code is 0.

use std::time::Duration;

use super::harness::{Answer, Backend, Client, Server, WebSocket, chunk};

/// More than the bound for those who never finish.
const BOUND: Duration = Duration::from_secs(30);
/// For those that are not to reach that bound.
const FOREVER: [&str; 2] = ["--drain-timeout", "600000"];

#[tokio::test]
async fn what_is_held_is_ended_as_it_asks() {
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/poll" => Answer::hold("response", "p", "nothing yet\n"),
        "/stream" => Answer::hold("stream", "s", "init\n"),
        _ => Answer::ok("plain\n"),
    });
    let routes = [backend.route("*", ""), "*,proto=ws test".to_owned()];
    let mut server = Server::start(&routes);
    let mut stream = Client::get(server.http, "/stream").await;
    stream.head().await;
    assert_eq!(stream.chunk().await, chunk("init\n"));
    let mut socket = WebSocket::connect(&server, "/ws").await;
    socket.text("hello").await;
    socket.expect_text("hello").await;
    let mut idle = Client::get(server.http, "/plain").await;
    assert_eq!(idle.response().await.1, "plain\n");
    let mut poll = Client::get(server.http, "/poll").await;
    // The line of the request is written when the hold is there.
    server.wait_for_line("/poll");
    server.terminate();
    assert_eq!(poll.response().await.1, "nothing yet\n");
    poll.expect_closed().await;
    assert_eq!(stream.chunk().await, b"0\r\n\r\n");
    stream.expect_closed().await;
    socket.expect_close(1001, "").await;
    drop(socket);
    idle.expect_closed().await;
    assert_eq!(server.exit_code(BOUND), Some(0));
}

#[tokio::test]
async fn a_request_in_flight_is_answered_first() {
    let mut backend = Backend::manual();
    let mut server = Server::start_with(&[backend.route("*", "")], &FOREVER);
    let mut client = Client::get(server.http, "/").await;
    let exchange = backend.next().await;
    server.terminate();
    exchange.answer(Answer::ok("late but there\n")).await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 200 OK");
    assert_eq!(body, "late but there\n");
    client.expect_closed().await;
    // Before the bound for those who never finish: nobody is left.
    assert_eq!(server.exit_code(BOUND), Some(0));
}

#[tokio::test]
async fn a_backend_that_never_answers_does_not_hinder_it() {
    let mut backend = Backend::manual();
    let mut server = Server::route(backend.route("*", ""));
    let client = Client::get(server.http, "/").await;
    let exchange = backend.next().await;
    server.terminate();
    assert_eq!(server.exit_code(BOUND), Some(0));
    drop((client, exchange));
}

#[tokio::test]
async fn an_idle_server_stops_at_once() {
    let mut server = Server::start_with(&["* test".to_owned()], &FOREVER);
    server.terminate();
    assert_eq!(server.exit_code(BOUND), Some(0));
}
