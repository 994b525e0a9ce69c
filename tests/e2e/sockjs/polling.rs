//! Polling and sending: xhr, jsonp, and what backends see of it.

use super::*;

#[tokio::test]
async fn an_echo_over_xhr() {
    let server = echo(&[]);
    let session = Session::open(&server, "one").await;
    session.send("[\"a\",\"\u{e9}\\u2028\"]").await;
    let mut heard = session.poll().await;
    if heard == "a[\"a\"]\n" {
        // It was faster than the second message.
        heard = format!("a[\"a\",{}", &session.poll().await[2..]);
    }
    assert_eq!(heard, "a[\"a\",\"\u{e9}\\u2028\"]\n");
    // One that waits is answered when there is something.
    let mut waiting = session.waiting("xhr").await;
    session.send("[\"b\"]").await;
    let (head, body) = waiting.response().await;
    assert_eq!(body, "a[\"b\"]\n");
    assert_eq!(head.header("content-type"), Some("application/javascript; charset=UTF-8"));
    assert_eq!(head.header("content-length"), Some("7"));
    assert_eq!(head.header("access-control-allow-origin"), Some("*"));
    assert!(head.header("cache-control").unwrap().contains("no-store"));
    assert_eq!(head.header("set-cookie"), None);
}

#[tokio::test]
async fn many_sessions_at_once() {
    let server = echo(&[]);
    let talk = |number: usize| {
        let server = &server;
        async move {
            let session = Session::open(server, &format!("s{number}")).await;
            for round in 0..5 {
                session.send(&format!("[\"{number}-{round}\"]")).await;
                assert_eq!(session.poll().await, format!("a[\"{number}-{round}\"]\n"));
            }
        }
    };
    futures_util::future::join_all((0..20).map(talk)).await;
}
