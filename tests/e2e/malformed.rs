//! Requests that no backend may ever see.

use super::harness::{Answer, Backend, Client, Server};

/// Sends `request`; the answer must have this status, and the connection must be closed.
async fn refused(request: &[u8], status: &str) {
    let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
    let mut backend = Backend::answering(|_| Answer::ok("never"));
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    client.send(request).await;
    let rest = String::from_utf8_lossy(&client.rest().await).into_owned();
    let line = rest.lines().next().unwrap_or_default();
    assert!(line.contains(status), "{shown:?} got {rest:?}");
    assert_eq!(rest.matches("HTTP/1.1 ").count(), 1, "one answer and no more: {rest:?}");
    assert!(!backend.has_seen_more(), "a backend saw {shown:?}");
    // Others are served as before.
    let mut client = Client::get(server.http, "/").await;
    assert_eq!(client.response().await.1, "never");
}

#[tokio::test]
async fn two_framings_at_once() {
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
        Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    refused(request, " 400 ").await;
}

#[tokio::test]
async fn two_different_lengths() {
    let request =
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nbody.";
    refused(request, " 400 ").await;
    refused(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nbody.", " 400 ").await;
}

#[tokio::test]
async fn lengths_that_are_no_numbers() {
    for length in ["-1", "0x5", "5 5", "99999999999999999999", ""] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nbody.");
        refused(request.as_bytes(), " 400 ").await;
    }
}

#[tokio::test]
async fn an_unknown_transfer_coding() {
    for coding in ["gzip", "chunked, gzip", "xchunked"] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n");
        refused(format!("{head}0\r\n\r\n").as_bytes(), " 400 ").await;
    }
}

#[tokio::test]
async fn a_folded_header() {
    refused(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n folded\r\n\r\n", " 400 ").await;
    refused(b"GET / HTTP/1.1\r\nHost: a\r\n folded: 1\r\n\r\n", " 400 ").await;
}

#[tokio::test]
async fn control_characters() {
    refused(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r2\r\n\r\n", " 400 ").await;
    refused(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\x002\r\n\r\n", " 400 ").await;
    refused(b"GET / HTTP/1.1\r\nHost: a\r\nX-\x00A: 1\r\n\r\n", " 400 ").await;
    refused(b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", " 400 ").await;
}

#[tokio::test]
async fn a_space_before_the_colon() {
    refused(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nbody.", " 400 ").await;
}

#[tokio::test]
async fn a_line_that_is_no_request() {
    refused(b"nonsense\r\n\r\n", " 400 ").await;
    refused(b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", " 400 ").await;
    refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", " 400 ").await;
}

#[tokio::test]
async fn a_head_that_is_too_large() {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "x".repeat(9000));
    refused(head.as_bytes(), " 431 ").await;
}

#[tokio::test]
async fn a_head_that_just_fits() {
    let backend = Backend::answering(|_| Answer::ok("fits"));
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    let frame = "GET / HTTP/1.1\r\nHost: a\r\nX-A: \r\n\r\n".len();
    let filling = "x".repeat(8192 - frame);
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {filling}\r\n\r\n")).await;
    assert_eq!(client.response().await.1, "fits");
}

#[tokio::test]
async fn a_broken_chunk_ends_the_request_and_the_connection() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(format!("{head}zz\r\nbroken\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")).await;
    let rest = String::from_utf8_lossy(&client.rest().await).into_owned();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400"), "{rest:?}");
    assert!(!backend.has_seen_more());
}
