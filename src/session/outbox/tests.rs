//! The queue of one client at its bounds, with each policy.

use super::*;

#[test]
fn a_full_queue_refuses_and_keeps_what_it_has() {
    let mut outbox = Outbox::default();
    outbox.push(Bytes::from_static(b"12345"), 8).unwrap();
    assert_eq!(outbox.push(Bytes::from_static(b"6789"), 8), Err(Full));
    outbox.push(Bytes::from_static(b"678"), 8).unwrap();
    assert_eq!(outbox.bytes(), 8);
    assert_eq!(outbox.pieces().collect::<Vec<_>>(), [&b"12345"[..], b"678"]);
}

#[test]
fn an_empty_queue_takes_one_payload_of_any_size() {
    let mut outbox = Outbox::default();
    outbox.push(Bytes::from(vec![0; 100]), 8).unwrap();
    assert_eq!(outbox.push(Bytes::from_static(b"x"), 8), Err(Full));
}

#[test]
fn advancing_splits_pieces() {
    let mut outbox = Outbox::default();
    for piece in [&b"abc"[..], b"def"] {
        outbox.push(Bytes::copy_from_slice(piece), 100).unwrap();
    }
    outbox.advance(4);
    assert_eq!(outbox.pieces().collect::<Vec<_>>(), [&b"ef"[..]]);
    assert_eq!(outbox.bytes(), 2);
    outbox.advance(9);
    assert!(outbox.is_empty());
}

#[test]
fn a_reader_is_woken() {
    let mut outbox = Outbox::default();
    let waker = Waker::noop();
    assert!(outbox.poll_pop(waker).is_pending());
    outbox.push(Bytes::from_static(b"x"), 8).unwrap();
    assert_eq!(outbox.poll_pop(waker), Poll::Ready(Bytes::from_static(b"x")));
}
