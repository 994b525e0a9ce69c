//! Who is let in: at the last connection, without descriptors, among clients that say nothing.

use std::time::{Duration, Instant};

use super::harness::{Client, Publisher, Server, within};

const REFUSED: &str = "HTTP/1.1 503 Service Unavailable";

fn serve(arguments: &[&str]) -> Server {
    let arguments = [&["--workers", "1"], arguments].concat();
    Server::start_with(&["* test".to_owned()], &arguments)
}

/// Opens a stream; `None` when the client is refused.
async fn open(server: &Server) -> Option<Client> {
    let mut client = Client::get(server.http, "/stream").await;
    let head = client.head().await;
    if head.status == REFUSED {
        assert_eq!(head.header("connection"), Some("close"));
        assert_eq!(client.rest().await, b"Too many connections now\n");
        return None;
    }
    assert_eq!(head.status, "HTTP/1.1 200 OK");
    client.chunk().await;
    Some(client)
}

async fn expect(client: &mut Client, content: &str) {
    let chunk = String::from_utf8(client.chunk().await).expect("text");
    assert!(chunk.contains(content), "{chunk:?}");
}

#[tokio::test]
async fn beyond_the_last_connection_clients_wait() {
    let server = serve(&["--client-maxconn", "2"]);
    let first = open(&server).await;
    let _second = open(&server).await.expect("room for two");
    let mut third = Client::get(server.http, "/").await;
    assert!(!third.hears().await, "the third was not to be served yet");
    drop(first);
    assert_eq!(third.response().await.1, "Hello from the linchpin test handler!\n");
}

#[tokio::test]
async fn each_that_leaves_lets_one_in() {
    let server = serve(&["--client-maxconn", "3"]);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(open(&server).await.expect("room for three"));
    }
    let mut waiting = Vec::new();
    for _ in 0..6 {
        waiting.push(Client::get(server.http, "/stream").await);
    }
    for mut client in waiting {
        drop(held.remove(0));
        client.head().await;
        held.push(client);
    }
}

#[tokio::test]
async fn beyond_the_last_connection_clients_are_refused_by_option() {
    let mut server = serve(&["--client-maxconn", "2", "--at-capacity", "503"]);
    let first = open(&server).await.expect("room for two");
    let _second = open(&server).await.expect("room for two");
    for _ in 0..3 {
        assert!(open(&server).await.is_none(), "there is no room");
    }
    drop(first);
    within("room", async { while open(&server).await.is_none() {} }).await;
    assert!(server.counted("clients_refused") >= 3);
}

#[tokio::test]
#[allow(clippy::disallowed_methods)] // CPU time is compared with the time that passes
async fn without_descriptors_it_serves_who_is_there_and_comes_back() {
    let mut server = serve(&[]);
    let publisher = Publisher::new(&server);
    // Its connection is there before the descriptors go.
    publisher.stream("test", "early\n").await;
    server.limit_descriptors(40);
    let mut held = Vec::new();
    while let Some(client) = open(&server).await {
        held.push(client);
        assert!(held.len() < 40, "the limit has no effect");
    }
    assert!(held.len() > 5, "only {} were let in", held.len());
    let (before, begun) = (server.cpu_time(), Instant::now());
    let mut told = Vec::new();
    for _ in 0..6 {
        told.push(Client::get(server.http, "/").await);
    }
    for mut client in told {
        assert_eq!(client.head_in(30).await.status, REFUSED);
    }
    let (used, passed) = (server.cpu_time() - before, begun.elapsed());
    assert!(used < passed / 4 + Duration::from_millis(50), "{used:?} of CPU time in {passed:?}");
    publisher.stream("test", "still here\n").await;
    for client in &mut held {
        expect(client, "still here").await;
    }
    held.truncate(3);
    within("a descriptor", async {
        loop {
            if let Some(client) = open(&server).await {
                return held.push(client);
            }
        }
    })
    .await;
    publisher.stream("test", "all\n").await;
    for client in &mut held {
        expect(client, "all").await;
    }
    assert!(server.counted("accept_failures") > 0);
}

#[tokio::test]
async fn who_says_nothing_is_closed_and_who_is_held_is_not() {
    let mut server = serve(&["--handshake-timeout", "3000"]);
    let publisher = Publisher::new(&server);
    let mut held = open(&server).await.expect("room");
    let mut silent = Client::connect(server.http).await;
    let mut half = Client::connect(server.http).await;
    half.send("GET / HTTP/1.1\r\nHost: a\r\n").await;
    silent.expect_closed().await;
    half.expect_closed().await;
    publisher.stream("test", "later\n").await;
    expect(&mut held, "later").await;
    assert_eq!(server.counted("handshakes_timed_out"), 2);
}

#[tokio::test]
async fn silent_clients_do_not_keep_others_out() {
    let mut server = serve(&["--handshakes-max", "4"]);
    let mut silent = Vec::new();
    for _ in 0..12 {
        silent.push(Client::connect(server.http).await);
    }
    assert!(open(&server).await.is_some());
    for mut client in silent.drain(..8) {
        client.expect_closed().await;
    }
    assert!(server.counted("handshakes_dropped") >= 8);
}
