//! How sessions end: by their backend, by their client, by time, by the server.

use super::*;

const CLOSED: &str = "c[3000,\"Go away!\"]\n";
const BUSY: &str = "c[2010,\"Another connection still open\"]\n";

fn gone((head, body): (Head, String)) {
    assert_eq!((&*head.status, &*body), ("HTTP/1.1 410 Gone", "Session terminated\n"));
    assert_eq!(head.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_close_of_the_backend_is_told_last_and_again() {
    let mut backend = Backend::manual();
    let server = serve(&backend.route("*,sockjs=/sj", ""), &[]);
    let (session, mut behind, _) = native(&server, &mut backend, "s", "").await;
    let mut waiting = session.waiting().await;
    behind.text("last").await;
    assert_eq!(waiting.response().await.1, "a[\"last\"]\n");
    let mut waiting = session.waiting().await;
    behind.close(3000, "Go away!").await;
    assert_eq!(waiting.response().await.1, CLOSED);
    behind.expect_close(3000, "").await;
    behind.expect_dropped_quietly().await;
    for _ in 0..3 {
        assert_eq!(session.poll().await, CLOSED);
    }
    // What is sent now means nothing.
    session.send("[\"late\"]").await;
}

#[tokio::test]
async fn a_close_without_a_receiver_waits_for_one() {
    let mut backend = Backend::manual();
    let server = serve(&backend.route("*,sockjs=/sj", ""), &[]);
    let (session, mut behind, _) = native(&server, &mut backend, "s", "").await;
    behind.text("last").await;
    behind.close(1000, "").await;
    behind.expect_close(1000, "").await;
    assert_eq!(session.poll().await, "a[\"last\"]\n");
    assert_eq!(session.poll().await, "c[1000,\"Connection closed\"]\n");
    let (head, body) = session.ask("GET", "jsonp?c=f", "").await.response().await;
    assert_eq!(body, "f(\"c[1000,\\\"Connection closed\\\"]\");\r\n");
    assert_eq!(head.header("content-type"), Some("application/javascript; charset=UTF-8"));
    assert!(session.ask("POST", "xhr_streaming", "").await.head().await.status.contains("200"));
}

#[tokio::test]
async fn a_lost_backend_is_told_to_a_receiver_only() {
    let mut backend = Backend::manual();
    let server = serve(&backend.route("*,sockjs=/sj", ""), &[]);
    let (session, behind, _) = native(&server, &mut backend, "s", "").await;
    let mut waiting = session.waiting().await;
    drop(behind);
    gone(waiting.response().await);
    let (session, behind, _) = native(&server, &mut backend, "s", "").await;
    drop(behind);
    let anew = async {
        let opened = accept(&mut backend, "");
        join!(session.until_new(), opened).1
    };
    let (mut behind, _) = anew.await;
    // A streaming answer is broken off.
    let mut stream = session.ask("POST", "xhr_streaming", "").await;
    stream.head().await;
    behind.text("x").await;
    stream.until(b"a[\"x\"]\n\r\n").await;
    drop(behind);
    stream.expect_closed().await;
}

#[tokio::test]
async fn without_a_receiver_it_is_over_soon() {
    let mut backend = Backend::manual();
    let mut server = serve(&backend.route("*,sockjs=/sj", ""), &QUICK);
    let (session, mut behind, _) = native(&server, &mut backend, "s", "").await;
    // What is sent does not keep it.
    session.send("[\"x\"]").await;
    behind.expect_text("x").await;
    behind.expect_dropped().await;
    let unknown = session.ask("POST", "xhr_send", "[\"x\"]").await.head().await;
    assert_eq!(unknown.status, "HTTP/1.1 404 Not Found");
    assert_eq!(server.counted("sockjs_sessions_expired"), 1);
}

#[tokio::test]
async fn a_backend_over_http_hears_of_it() {
    let mut backend = Backend::manual();
    let server = serve(&backend.route("*,sockjs=/sj", ",over_http"), &QUICK);
    over_http(&server, &mut backend, "s", "").await;
    let request = backend.answer("/sj", Answer::events("")).await;
    assert_eq!(request.body, b"DISCONNECT\r\n");
}

#[tokio::test]
async fn a_receiver_that_leaves_ends_it() {
    let mut backend = Backend::manual();
    let server = serve(&backend.route("*,sockjs=/sj", ""), &[]);
    // With `Content-Length: 0`, as browsers have it.
    let (session, mut behind, _) = native(&server, &mut backend, "s", "").await;
    drop(session.waiting().await);
    behind.expect_dropped().await;
    for (method, last) in [("POST", "xhr_streaming"), ("GET", "eventsource")] {
        let (session, mut behind, _) = native(&server, &mut backend, "s", "").await;
        let mut stream = session.ask(method, last, "body").await;
        stream.head().await;
        drop(stream);
        behind.expect_dropped().await;
    }
    join!(session.until_new(), accept(&mut backend, ""));
}

#[tokio::test]
async fn a_client_that_leaves_while_it_opens() {
    let mut backend = Backend::manual();
    let server = serve(&backend.route("*,sockjs=/sj", ""), &[]);
    let session = Session::new(&server, "s");
    let opening = session.ask("POST", "xhr", "").await;
    let mut exchange = backend.next().await;
    // Until it has been decided there is one receiver, and nothing to send to.
    assert_eq!(session.poll().await, BUSY);
    let unknown = session.ask("POST", "xhr_send", "[\"x\"]").await.head().await;
    assert_eq!(unknown.status, "HTTP/1.1 404 Not Found");
    drop(opening);
    exchange.closed().await;
    native(&server, &mut backend, "s", "").await;
}

#[tokio::test]
async fn a_second_receiver_is_told_so() {
    let server = echo(&[]);
    let session = Session::open(&server, "s").await;
    let mut waiting = session.waiting().await;
    assert_eq!(session.poll().await, BUSY);
    let (_, body) = session.ask("GET", "jsonp?c=f", "").await.response().await;
    assert_eq!(body, "f(\"c[2010,\\\"Another connection still open\\\"]\");\r\n");
    let mut stream = session.ask("GET", "eventsource", "").await;
    stream.head().await;
    stream.expect_content(&format!("\r\ndata: {}\r\n\r\n", BUSY.trim_end())).await;
    stream.expect_end().await;
    session.send("[\"x\"]").await;
    assert_eq!(waiting.response().await.1, "a[\"x\"]\n");
}

#[tokio::test]
async fn heartbeats_of_polls_and_streams() {
    let server = echo(&["--sockjs-heartbeat", "200"]);
    let session = Session::open(&server, "s").await;
    assert_eq!(session.poll().await, "h\n");
    let mut stream = session.ask("GET", "eventsource", "").await;
    stream.head().await;
    stream.expect_content("\r\ndata: h\r\n\r\ndata: h\r\n\r\n").await;
}

#[tokio::test]
async fn rejections_and_backends_that_are_not_there() {
    let mut backend = Backend::manual();
    for options in ["", ",over_http"] {
        let server = serve(&backend.route("*,sockjs=/sj", options), &[]);
        let session = Session::new(&server, "s");
        for (last, method) in [("xhr", "POST"), ("jsonp?c=f", "GET"), ("xhr_streaming", "POST")] {
            let mut asking = session.ask(method, last, "").await;
            let answer = Answer::new("403 Go Away").header("X-Why", "so").body("no");
            let request = backend.next().await;
            request.answer(answer.header("Content-Type", "text/x-no")).await;
            let (head, body) = asking.response().await;
            assert_eq!((&*head.status, &*body), ("HTTP/1.1 403 Go Away", "no"), "{options} {last}");
            assert_eq!(head.header("x-why"), Some("so"));
            assert_eq!(head.header("content-type"), Some("text/x-no"));
            assert_eq!(head.header("access-control-allow-origin"), Some("*"));
            assert!(head.header("cache-control").unwrap().contains("no-store"));
        }
        let unknown = session.ask("POST", "xhr_send", "[\"x\"]").await.head().await;
        assert_eq!(unknown.status, "HTTP/1.1 404 Not Found");
    }
    let nobody = super::super::harness::backend::refusing();
    let server = serve(&format!("*,sockjs=/sj {nobody}"), &[]);
    let (head, body) = Session::new(&server, "s").xhr().await;
    assert_eq!(head.status, "HTTP/1.1 502 Bad Gateway");
    assert_eq!(body, "Error while proxying to origin.\n");
    assert_eq!(head.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_published_close() {
    let server = echo(&[]);
    let publisher = Publisher::new(&server);
    let session = Session::open(&server, "s").await;
    publisher.message("test", "one").await;
    publisher.message("test", "two").await;
    let close = json!({ "ws-message": { "action": "close", "code": 4001, "reason": "enough" } });
    publisher.formats("test", close).await;
    let mut heard = String::new();
    while !heard.ends_with("c[4001,\"enough\"]\n") {
        heard += &session.poll().await;
    }
    let heard = heard.replace("]\na[", ",");
    assert_eq!(heard, "a[\"one\",\"two\"]\nc[4001,\"enough\"]\n");
}

#[tokio::test]
async fn a_server_that_stops_tells_who_waits() {
    let mut server = echo(&["--drain-timeout", "600000"]);
    let mut waiting = Vec::new();
    for number in 0..6 {
        let session = Session::open(&server, &format!("s{number}")).await;
        waiting.push(session.waiting().await);
    }
    let session = Session::open(&server, "stream").await;
    let mut stream = session.ask("GET", "eventsource", "").await;
    stream.head().await;
    stream.expect_content("\r\n").await;
    // One that nobody waits for does not hold it up.
    Session::open(&server, "idle").await;
    server.terminate();
    for mut client in waiting {
        let (_, body) = client.response().await;
        assert!(body.starts_with("c[1001,"), "{body}");
    }
    let last = String::from_utf8(stream.rest().await).unwrap();
    assert!(last.contains("data: c[1001,") && last.ends_with("0\r\n\r\n"), "{last}");
    assert_eq!(server.exit_code(Duration::from_secs(30)), Some(0));
}

#[tokio::test]
#[allow(clippy::disallowed_methods)] // time is what it is given
async fn a_client_that_gives_up_and_is_back_at_once_has_a_new_session() {
    /// For so long it is looked whether the one that waits has left.
    const GRACE: Duration = Duration::from_millis(100);
    let server = echo(&[]);
    for turn in 0..20 {
        let session = Session::open(&server, &format!("s{turn}")).await;
        // It waits: another one is told so.
        let waiting = session.waiting().await;
        let left = std::time::Instant::now();
        drop(waiting);
        // On a busy machine the worker that it had may be later than that.
        loop {
            let answer = session.poll().await;
            if answer == "o\n" {
                break;
            }
            assert_eq!(answer, BUSY);
            assert!(left.elapsed() >= GRACE, "nobody looked whether it has left");
        }
    }
}
