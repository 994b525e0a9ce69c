//! What is bounded: bodies, messages, what waits, sessions at once.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::*;

#[tokio::test]
async fn bodies() {
    let server = echo(&[]);
    let session = Session::open(&server, "s").await;
    let body = |bytes: usize| format!("[\"{}\"]", "x".repeat(bytes - 4));
    session.send(&body(100_000)).await;
    assert_eq!(session.poll().await.len(), 100_002);
    for last in ["xhr_send", "xhr"] {
        let (head, text) = session.ask("POST", last, &body(100_001)).await.response().await;
        let bad = "HTTP/1.1 400 Bad Request";
        assert_eq!((&*head.status, &*text), (bad, "Request too large.\n"));
    }
    session.send("[\"still there\"]").await;
    assert_eq!(session.poll().await, "a[\"still there\"]\n");
}

#[tokio::test]
async fn messages_of_the_backend() {
    let mut backend = Backend::manual();
    let mut server = serve(&backend.route("*,sockjs=/sj", ""), &["--sockjs-queue-bytes", "10000"]);
    let (session, mut behind, _) = native(&server, &mut backend, "s", "").await;
    behind.text(&"x".repeat(10_000)).await;
    assert_eq!(session.poll().await.len(), 10_006);
    behind.text(&"x".repeat(10_001)).await;
    behind.expect_dropped().await;
    assert_eq!(server.counted("sockjs_sessions_overfull"), 1);
}

#[tokio::test]
async fn what_waits_for_a_client() {
    let mut backend = Backend::manual();
    let mut server = serve(&backend.route("*,sockjs=/sj", ""), &["--sockjs-queue-bytes", "10000"]);
    let (session, mut behind, _) = native(&server, &mut backend, "s", "").await;
    let half = "x".repeat(4_998);
    behind.text(&half).await;
    behind.text(&half).await;
    // Both wait; a third would be too much, but it is left to wait with the backend.
    behind.text(&half).await;
    behind.text("last").await;
    let mut heard = String::new();
    while !heard.ends_with("\"last\"]\n") {
        heard += &session.poll().await;
    }
    let all = format!("a[\"{half}\",\"{half}\",\"{half}\",\"last\"]\n");
    assert!(heard.replace("]\na[", ",") == all);
    // What waits for less than half, and then more than the rest.
    behind.text("x").await;
    behind.text(&"x".repeat(9_999)).await;
    behind.expect_dropped().await;
    assert_eq!(server.counted("sockjs_sessions_overfull"), 1);
}

#[tokio::test]
async fn sessions_at_once() {
    // One for each worker.
    let mut server = echo(&[&PATIENT[..], &["--sockjs-sessions-max", "4"]].concat());
    let mut opened = 0;
    for number in 0..12 {
        let session = Session::new(&server, &format!("s{number}"));
        let (head, body) = session.xhr().await;
        if head.status == "HTTP/1.1 200 OK" {
            assert_eq!(body, "o\n");
            opened += 1;
        } else {
            assert_eq!(head.status, "HTTP/1.1 503 Service Unavailable");
            assert_eq!(head.header("access-control-allow-origin"), Some("*"));
        }
    }
    assert!((1..=4).contains(&opened), "{opened}");
    assert_eq!(server.counted("sockjs_sessions_refused"), 12 - opened);
}

#[tokio::test]
async fn a_backend_that_does_not_take_what_is_sent() {
    let mut backend = Backend::manual();
    let server = serve(&backend.route("*,sockjs=/sj", ",over_http"), &[]);
    let (session, _) = over_http(&server, &mut backend, "s", "").await;
    let body = format!("[\"{}\"]", "x".repeat(90_000));
    // Whether it is on its way.
    let send = || async {
        let mut client = session.ask("POST", "xhr_send", &body).await;
        let head = client.head().await;
        if head.status == "HTTP/1.1 204 No Content" {
            return true;
        }
        assert_eq!(head.status, "HTTP/1.1 400 Bad Request");
        assert_eq!(client.until(b"\n").await, b"Already sending\n");
        false
    };
    // Fewer at once than may wait for a session; one after the other, until the way to the backend
    // holds no more.
    let mut sends: FuturesUnordered<_> = (0..4).map(|_| send()).collect();
    let mut sent = 0;
    while sends.next().await.expect("four are on their way") {
        sent += 1;
        sends.push(send());
    }
    // Its backend takes what waits: nobody is left without an answer, nothing is lost.
    let mut all_answered = false;
    let mut arrived = 0;
    while !all_answered || arrived < sent {
        tokio::select! {
            accepted = sends.next(), if !all_answered => match accepted {
                Some(accepted) => sent += usize::from(accepted),
                None => all_answered = true,
            },
            exchange = backend.next() => {
                let events = String::from_utf8_lossy(&exchange.request.body);
                arrived += events.matches("TEXT 15f90\r\n").count();
                exchange.answer(Answer::events("")).await;
            }
        }
    }
    assert_eq!(arrived, sent);
}

#[tokio::test]
async fn messages_over_a_websocket() {
    let server = echo(&[]);
    let mut socket = WebSocket::connect(&server, "/sj/0/s/websocket").await;
    socket.expect_text("o").await;
    let message = "x".repeat(190_000);
    socket.text(&format!("[\"{message}\",\"y\"]")).await;
    socket.expect_text(&format!("a[\"{message}\"]")).await;
    socket.expect_text("a[\"y\"]").await;
    socket.text(&format!("[\"{}\"]", "x".repeat(200_001))).await;
    socket.expect_dropped().await;

    let mut socket = WebSocket::connect(&server, "/sj/0/s/websocket").await;
    socket.expect_text("o").await;
    let parts = format!("[\"{}\"]", "x".repeat(199_995));
    socket.text(&parts).await;
    socket.expect_text(&format!("a{parts}")).await;
    let spaces = " ".repeat(399_994);
    socket.text(&format!("[\"at\"]{spaces}")).await;
    socket.expect_text("a[\"at\"]").await;
    socket.text(&format!("[\"at\"]{spaces} ")).await;
    socket.expect_close(1009, "").await;
}

#[tokio::test]
async fn what_is_published_while_nobody_fetches() {
    let mut server = echo(&PATIENT);
    let publisher = Publisher::new(&server);
    let session = Session::open(&server, "s").await;
    let message = "x".repeat(8_000);
    for _ in 0..100 {
        publisher.message("test", &message).await;
    }
    session.until_new().await;
    assert_eq!(server.counted("clients_too_slow"), 1);
}

#[tokio::test]
async fn messages_of_the_backend_over_a_websocket() {
    let mut backend = Backend::manual();
    let mut server = serve(&backend.route("*,sockjs=/sj", ""), &[]);
    let connecting = WebSocket::connect(&server, "/sj/0/s/websocket");
    let (mut client, (mut behind, _)) = join!(connecting, accept(&mut backend, ""));
    client.expect_text("o").await;
    // What frames it counts for the client, whose own bound is the same.
    let most = "x".repeat(16 * 1024 * 1024 - 5);
    let frame = format!("a[\"{most}\"]");
    join!(behind.text(&most), client.expect_text(&frame));
    // Its backend is not listened to any more, and may notice before it has said all.
    let more = format!("{most}012345");
    let sending = futures_util::SinkExt::send(&mut behind.inner, Message::text(more));
    let (_, ()) = join!(sending, client.expect_dropped());
    assert_eq!(server.counted("sockjs_sessions_overfull"), 1);
}
