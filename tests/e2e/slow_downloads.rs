//! Clients that take an answer slowly, or not at all: neither is held against the backend, and who
//! takes nothing is not waited for for ever.

use crate::harness::{Answer, Backend, Client, Server};

/// More than sockets hold.
const LARGE: usize = 16 * 1024 * 1024;

fn large() -> Backend {
    Backend::answering(|request| match &*request.target {
        "/silent" => Answer::raw("", false),
        _ => Answer::ok(vec![b'x'; LARGE]),
    })
}

#[tokio::test]
async fn a_slow_client_is_not_held_against_its_backend() {
    let backend = large();
    let mut server = Server::start_with(&[backend.route("*", "")], &["--backend-timeout", "4000"]);
    let mut slow = Client::get(server.http, "/").await;
    assert!(slow.head().await.status.contains(" 200 "));
    // So long a silent backend is given up after its time, and once more.
    for _ in 0..2 {
        let mut other = Client::get(server.http, "/silent").await;
        assert!(other.head_in(30).await.status.contains(" 502 "));
    }
    let body = slow.exactly(LARGE).await;
    assert!(body.iter().all(|byte| *byte == b'x'));
    assert_eq!(server.counted("backend_body_timeouts"), 0);
}

#[tokio::test]
async fn who_takes_nothing_is_closed() {
    let backend = large();
    let mut server = Server::start_with(&[backend.route("*", "")], &["--download-timeout", "1"]);
    let mut stuck = Client::get(server.http, "/stuck").await;
    assert!(stuck.head().await.status.contains(" 200 "));
    let line = server.wait_for_line("/stuck -> ");
    assert!(line.ends_with(" error"), "{line}");
    assert_eq!(server.counted("clients_stuck"), 1);
}
