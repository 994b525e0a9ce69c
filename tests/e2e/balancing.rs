//! Which of a route's targets a request goes to.

use crate::harness::backend::refusing;
use crate::harness::{Answer, Backend, Client, Server, WebSocket};

fn naming(name: &'static str) -> Backend {
    Backend::answering(move |request| match request.header("content-type") {
        Some("application/websocket-events") => Answer::open(""),
        _ => Answer::ok(name),
    })
}

async fn get(client: &mut Client) -> String {
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    client.response().await.1
}

#[tokio::test]
async fn the_first_target_gets_all_unless_the_route_says_otherwise() {
    let (a, b) = (naming("a"), naming("b"));
    let server = Server::route(format!("* {} {}", a.address, b.address));
    let mut client = Client::connect(server.http).await;
    for _ in 0..10 {
        assert_eq!(get(&mut client).await, "a");
    }
}

#[tokio::test]
async fn round_robin_goes_round_past_those_that_fail() {
    let (a, b) = (naming("a"), naming("b"));
    let routes = [format!("*,balance=round-robin {} {} {}", a.address, refusing(), b.address)];
    let server = Server::start_with(&routes, &["--workers", "1", "--backend-fails", "0"]);
    let mut client = Client::connect(server.http).await;
    let mut answers = String::new();
    for _ in 0..12 {
        answers += &get(&mut client).await;
    }
    // The turn of the one that fails goes to the next one.
    let rounds = ["abb", "bba", "bab"].map(|round| round.repeat(4));
    assert!(rounds.contains(&answers), "{answers}");
}

#[tokio::test]
async fn the_least_loaded_target_is_first() {
    let (mut a, b) = (Backend::manual(), naming("b"));
    let routes = [format!("*,balance=least {} {}", a.address, b.address)];
    let server = Server::start_with(&routes, &["--workers", "1"]);
    // One after the other until the first target has one under way.
    let mut waiting = Client::connect(server.http).await;
    let exchange = loop {
        waiting.send("GET /slow HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        tokio::select! {
            exchange = a.next() => break exchange,
            (_, body) = waiting.response() => assert_eq!(body, "b"),
        }
    };
    let mut client = Client::connect(server.http).await;
    for _ in 0..10 {
        assert_eq!(get(&mut client).await, "b");
    }
    exchange.answer(Answer::ok("a")).await;
    assert_eq!(waiting.response().await.1, "a");
    // Now both have nothing to do, and take turns.
    let (asked, answered) = (get(&mut client), async {
        let exchange = a.next().await;
        exchange.answer(Answer::ok("a")).await;
    });
    let mut asked = Box::pin(asked);
    let turns = tokio::select! {
        body = &mut asked => body,
        () = answered => asked.await,
    };
    assert!(turns == "a" || turns == "b");
}

#[tokio::test]
async fn websockets_over_http_take_turns_and_stay() {
    let (mut a, mut b) = (naming("a"), naming("b"));
    let routes = [format!("*,balance=round-robin {},over_http {},over_http", a.address, b.address)];
    let server = Server::start_with(&routes, &["--workers", "1"]);
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(WebSocket::connect(&server, "/").await);
    }
    let mut opened = Vec::new();
    for backend in [&mut a, &mut b] {
        for _ in 0..2 {
            let request = backend.seen().await;
            assert_eq!(request.body, b"OPEN\r\n");
            opened.push((request.connection, request.header("connection-id").unwrap().to_owned()));
        }
        assert!(!backend.has_seen_more());
    }
    for client in &mut clients {
        client.text("x").await;
    }
    for (backend, opened) in [(&mut a, &opened[..2]), (&mut b, &opened[2..])] {
        for _ in 0..2 {
            let request = backend.seen().await;
            let id = request.header("connection-id").unwrap();
            assert!(opened.iter().any(|(_, known)| known == id), "it went elsewhere");
        }
    }
}
