//! Tests of `requests`: what comes in pieces is read as what comes at once.

use proptest::prelude::*;

use super::*;
use crate::publish::head::{Method, Refusal};

const LIMITS: HeadLimits = HeadLimits { head_bytes_max: 200, body_bytes_max: 100_000 };

fn give(requests: &mut Requests, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let room = requests.room();
        let n = room.len().min(bytes.len());
        room[..n].copy_from_slice(&bytes[..n]);
        requests.filled(n);
        bytes = &bytes[n..];
    }
}

/// What is complete, one word each: the body of a request, or what else it is.
fn take(requests: &mut Requests) -> Vec<String> {
    let mut taken = Vec::new();
    loop {
        taken.push(match requests.take() {
            Next::More => return taken,
            Next::Continue => "continue".into(),
            Next::Request(Request { body, exceeded, .. }) => {
                let exceeded = if exceeded { " exceeded" } else { "" };
                format!("{}{exceeded}", body.escape_ascii())
            }
            Next::Refused(refused) => {
                taken.push(refused.refusal.to_string());
                return taken;
            }
        });
    }
}

fn post(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn many_requests_in_one_piece() {
    let mut requests = Requests::new(LIMITS);
    assert!(requests.is_empty());
    give(&mut requests, (post("a") + &post("") + "\r\n" + &post("c") + "POST").as_bytes());
    assert_eq!(take(&mut requests), ["a", "", "c"]);
    assert!(!requests.is_empty());
    give(&mut requests, b" / HTTP/1.1\r\nContent-Length: 1\r\n\r\n");
    assert!(take(&mut requests).is_empty());
    give(&mut requests, b"d");
    assert_eq!(take(&mut requests), ["d"]);
    assert!(requests.is_empty());
}

#[test]
fn one_request_in_many_pieces() {
    let mut requests = Requests::new(LIMITS);
    let whole = post("body") + "x";
    for byte in &whole.as_bytes()[..whole.len() - 2] {
        give(&mut requests, &[*byte]);
        assert_eq!(requests.take(), Next::More);
    }
    give(&mut requests, b"yx");
    let Next::Request(request) = requests.take() else { panic!("a request") };
    assert_eq!((request.head.method, request.body), (Method::Post, b"body".as_slice()));
}

#[test]
fn continue_is_asked_for_once_and_before_the_request() {
    let mut requests = Requests::new(LIMITS);
    give(&mut requests, b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\na");
    assert_eq!(take(&mut requests), ["continue"]);
    assert!(take(&mut requests).is_empty());
    give(&mut requests, b"b");
    assert_eq!(take(&mut requests), ["ab"]);
}

#[test]
fn more_than_announced_counts_only_at_the_end_of_a_connection() {
    let mut requests = Requests::new(LIMITS);
    let last = "GET / HTTP/1.0\r\nContent-Length: 0\r\n\r\nzz";
    give(&mut requests, (post("a") + last).as_bytes());
    assert_eq!(take(&mut requests)[..2], ["a", " exceeded"]);
    // Who announced nothing has not exceeded it.
    let mut requests = Requests::new(LIMITS);
    give(&mut requests, b"GET / HTTP/1.0\r\n\r\nzz");
    assert_eq!(take(&mut requests)[..1], [""]);
}

#[test]
fn a_refusal_ends_it() {
    let mut requests = Requests::new(LIMITS);
    give(&mut requests, (post("a") + "oops\r\n\r\n").as_bytes());
    assert_eq!(take(&mut requests), ["a".to_owned(), Refusal::Malformed.to_string()]);
}

#[test]
fn a_large_body_grows_the_buffer_and_the_buffer_shrinks_again() {
    let mut requests = Requests::new(LIMITS);
    // What is announced takes no room.
    give(&mut requests, b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
    assert!(take(&mut requests).is_empty());
    assert!(requests.buffer.len() <= READ_BYTES);
    give(&mut requests, &[b' '; 100_000]);
    assert!(requests.buffer.len() <= 4 * 100_000);
    assert_eq!(take(&mut requests).len(), 1);
    requests.room();
    assert_eq!(requests.buffer.len(), READ_BYTES);
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        bodies in proptest::collection::vec("[a-z]{0,200}", 0..8),
        tail in "(oops\r\n\r\n|POST / HTTP|GET / HTTP/1.0\r\n\r\n|)",
        sizes in proptest::collection::vec(1usize..300, 1..20),
    ) {
        let whole = bodies.iter().map(|body| post(body)).collect::<String>() + &tail;
        let mut at_once = Requests::new(LIMITS);
        give(&mut at_once, whole.as_bytes());
        let expected = take(&mut at_once);
        prop_assert_eq!(&expected[..bodies.len()], &bodies);
        let (mut requests, mut taken) = (Requests::new(LIMITS), Vec::new());
        let (mut rest, mut sizes) = (whole.as_bytes(), sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            give(&mut requests, piece);
            taken.extend(take(&mut requests));
            rest = after;
        }
        prop_assert_eq!(taken, expected);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let mut requests = Requests::new(LIMITS);
        give(&mut requests, &bytes);
        let _ = take(&mut requests);
    }
}
