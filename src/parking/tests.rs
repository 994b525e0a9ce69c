//! The lot over real socket pairs: what is written when, what is queued, what the shard is asked.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::task::Waker;

use bytes::Bytes;

use super::poll::Poll;
use super::*;
use crate::hub::fanout::{Delivery, Outlet, Then};
use crate::hub::slab::SessionId;
use crate::listen::socket::Socket;
use crate::listen::stream::Stream;
use crate::session::outbox::Slow;

const ID: SessionId = SessionId { index: 3, generation: 7 };

/// A lot with one open session, and both ends of a connection; the client's end does not block.
fn lot(outbox_bytes_max: usize) -> (Lot, Stream, UnixStream) {
    let settings = Settings {
        outbox_bytes_max,
        outbox_messages_max: 1000,
        slow: Slow::Close,
        read_ahead_bytes_max: 8,
    };
    let set = Rc::new(Poll::new().unwrap());
    let mut lot = Lot::new(set, settings, Rc::default(), Rc::default());
    lot.open(ID);
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let ours = tokio::net::UnixStream::from_std(ours).unwrap();
    (lot, Stream::Plain(Socket::Unix(ours)), theirs)
}

fn notices(lot: &mut Lot) -> Vec<Notice> {
    std::iter::from_fn(|| lot.next_notice()).collect()
}

/// All that has come.
fn received(client: &mut UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    match client.read_to_end(&mut all) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
        _ => all,
    }
}

/// Sends until the socket takes no more.
fn fill(lot: &mut Lot) -> usize {
    let piece = Bytes::from(vec![b'x'; 4096]);
    let mut sent = 0;
    loop {
        match lot.send(ID, &piece) {
            Delivery::Written => sent += piece.len(),
            Delivery::Queued => return sent + piece.len(),
            other => panic!("{other:?} after {sent} bytes"),
        }
    }
}

#[tokio::test]
async fn what_was_sent_before_parking_goes_out_first() {
    let (mut lot, stream, mut client) = lot(1000);
    assert_eq!(lot.send(ID, &Bytes::from_static(b"one ")), Delivery::Queued);
    lot.park(ID, stream, Bytes::new()).unwrap();
    assert_eq!(lot.send(ID, &Bytes::from_static(b"two")), Delivery::Written);
    assert_eq!(received(&mut client), b"one two");
    assert_eq!(lot.backlog(ID), 0);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_queued_for_and_then_dropped() {
    let (mut lot, stream, mut client) = lot(10_000);
    lot.park(ID, stream, Bytes::new()).unwrap();
    let sent = fill(&mut lot);
    assert_eq!(lot.send(ID, &Bytes::from(vec![b'y'; 10_000])), Delivery::Refused);
    assert_eq!(notices(&mut lot), [Notice::Broken(ID)]);
    assert_eq!(lot.stats.clients_too_slow.get(), 1);
    assert_eq!(lot.send(ID, &Bytes::from_static(b"z")), Delivery::Gone);
    assert!(received(&mut client).len() <= sent);
}

#[tokio::test]
async fn a_remainder_leaves_in_order_when_there_is_room() {
    let (mut lot, stream, mut client) = lot(1 << 20);
    lot.park(ID, stream, Bytes::new()).unwrap();
    let sent = fill(&mut lot);
    assert_eq!(lot.send(ID, &Bytes::from_static(b"end")), Delivery::Queued);
    lot.finish(ID, Then::Reuse);
    assert!(notices(&mut lot).is_empty(), "not everything has left");
    let mut all = Vec::new();
    while lot.backlog(ID) > 0 {
        all.extend(received(&mut client));
        lot.flush(ID);
    }
    all.extend(received(&mut client));
    assert_eq!(all.len(), sent + 3);
    assert!(all.ends_with(b"xend"));
    assert_eq!(notices(&mut lot), [Notice::Drained(ID), Notice::Done(ID, Then::Reuse)]);
}

#[tokio::test]
async fn several_pieces_leave_together_and_their_rest_in_order() {
    let (mut lot, stream, mut client) = lot(1 << 20);
    lot.park(ID, stream, Bytes::new()).unwrap();
    let piece = |n: usize| Bytes::from(format!("{n:04}").repeat(1000));
    let pieces: Vec<Bytes> = (0..200).map(piece).collect();
    let shares: Vec<&Bytes> = pieces.iter().collect();
    let (few, many) = shares.split_at(5);
    assert_eq!(lot.send_many(ID, few), (5, Delivery::Written));
    assert_eq!(lot.send_many(ID, many), (195, Delivery::Queued));
    assert!(lot.backlog(ID) > 0, "more than the socket takes");
    assert_eq!(lot.send_many(ID, few), (5, Delivery::Queued));
    let mut all = Vec::new();
    while lot.backlog(ID) > 0 {
        all.extend(received(&mut client));
        lot.flush(ID);
    }
    all.extend(received(&mut client));
    let expected: Vec<u8> = shares.iter().chain(few).flat_map(|piece| piece.to_vec()).collect();
    assert!(all == expected);
}

#[tokio::test]
async fn several_pieces_are_refused_where_the_bound_is() {
    let (mut lot, stream, _client) = lot(10_000);
    lot.park(ID, stream, Bytes::new()).unwrap();
    fill(&mut lot);
    let piece = Bytes::from(vec![b'y'; 4000]);
    let (sent, delivery) = lot.send_many(ID, &[&piece; 5]);
    assert_eq!(delivery, Delivery::Refused);
    assert!(sent < 5);
    assert_eq!(notices(&mut lot), [Notice::Broken(ID)]);
    assert_eq!(lot.send_many(ID, &[&piece; 2]), (0, Delivery::Gone));
}

#[tokio::test]
async fn a_finished_connection_comes_back_with_what_was_sent_ahead() {
    let (mut lot, stream, client) = lot(1000);
    lot.park(ID, stream, Bytes::from_static(b"GET ")).unwrap();
    assert_eq!(lot.parked(), 1);
    lot.keep(ID, b"/");
    assert!(lot.is_reading(ID));
    lot.keep(ID, b" HT");
    assert!(!lot.is_reading(ID), "the client has to wait at the bound");
    lot.finish(ID, Then::Reuse);
    assert_eq!(lot.send(ID, &Bytes::from_static(b"late")), Delivery::Gone);
    assert_eq!(notices(&mut lot), [Notice::Done(ID, Then::Reuse)]);
    let (_stream, read_ahead) = lot.unpark(ID).unwrap();
    assert_eq!(read_ahead, "GET / HT");
    assert_eq!(lot.parked(), 0);
    assert_eq!((&client).write(b"P").unwrap(), 1, "the connection lives");
}

#[tokio::test]
async fn a_stale_id_reaches_nobody() {
    let (mut lot, stream, mut client) = lot(1000);
    lot.park(ID, stream, Bytes::new()).unwrap();
    let stale = SessionId { generation: 6, ..ID };
    assert_eq!(lot.send(stale, &Bytes::from_static(b"x")), Delivery::Gone);
    lot.close(stale);
    assert_eq!(lot.send(ID, &Bytes::from_static(b"y")), Delivery::Written);
    lot.close(ID);
    assert_eq!(received(&mut client), b"y");
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "the end of the stream");
    assert_eq!(lot.parked(), 0);
}

#[tokio::test]
async fn a_reader_gets_all_pieces_and_then_the_end() {
    let (mut lot, _stream, _client) = lot(1000);
    let waker = Waker::noop();
    assert!(lot.poll_next(ID, waker).is_pending());
    lot.send(ID, &Bytes::from_static(b"a"));
    lot.finish(ID, Then::Close);
    assert_eq!(lot.poll_next(ID, waker), std::task::Poll::Ready(Some(Bytes::from_static(b"a"))));
    assert_eq!(lot.poll_next(ID, waker), std::task::Poll::Ready(None));
}

#[tokio::test]
async fn the_readiness_set_tells_of_bytes_and_of_the_end() {
    let (mut lot, stream, mut client) = lot(1000);
    lot.park(ID, stream, Bytes::new()).unwrap();
    client.write_all(b"hello").unwrap();
    let set = lot.set.clone();
    let mut ready = Vec::new();
    while ready.is_empty() {
        set.wait(&mut ready).await.unwrap();
    }
    let (id, readiness) = ready[0];
    assert!(id == ID && readiness.read && !readiness.left);
    let mut buffer = [0; 16];
    assert_eq!(lot.read(ID, &mut buffer).unwrap(), 5);
    assert_eq!(lot.read(ID, &mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(client);
    ready.clear();
    while ready.is_empty() {
        set.wait(&mut ready).await.unwrap();
    }
    assert!(ready[0].1.left);
    assert_eq!(lot.read(ID, &mut buffer).unwrap(), 0);
}

#[tokio::test]
async fn messages_are_dropped_whole_for_who_may_do_without() {
    for (slow, kept) in [(Slow::DropOldest, 3), (Slow::Conflate, 1)] {
        let (mut lot, stream, mut client) = lot(10_000);
        lot.set_slow(ID, slow);
        lot.park(ID, stream, Bytes::new()).unwrap();
        // Pieces that no buffer of the system holds a whole number of.
        let message = |n: usize| Bytes::from(format!("{n:03}").repeat(1000));
        let mut published = 0;
        while lot.backlog(ID) == 0 {
            lot.publish(ID, &message(published));
            published += 1;
        }
        let pieces: Vec<Bytes> = (published..published + 20).map(message).collect();
        let shares: Vec<&Bytes> = pieces.iter().collect();
        assert_eq!(lot.publish_many(ID, &shares), (20, Delivery::Queued));
        published += 20;
        assert!(lot.backlog(ID) <= 10_000 + 3000);
        let mut all = Vec::new();
        while lot.backlog(ID) > 0 {
            all.extend(received(&mut client));
            lot.flush(ID);
        }
        all.extend(received(&mut client));
        let whole: Vec<usize> = all
            .chunks(3000)
            .map(|chunk| {
                let n = std::str::from_utf8(&chunk[..3]).unwrap().parse().unwrap();
                assert!(chunk == &message(n)[..], "{n} is not whole");
                n
            })
            .collect();
        assert!(whole.is_sorted());
        assert!(whole.ends_with(&Vec::from_iter(published - kept..published)), "{whole:?}");
        let lost = (published - whole.len()) as u64;
        let stats = &lot.stats;
        let counted = [stats.messages_dropped.get(), stats.messages_conflated.get()];
        assert_eq!(counted, if kept == 3 { [lost, 0] } else { [0, lost] });
        assert!(lost > 10);
    }
}

#[tokio::test]
async fn what_is_not_a_message_is_never_dropped() {
    let (mut lot, stream, _client) = lot(10_000);
    lot.set_slow(ID, Slow::DropOldest);
    lot.park(ID, stream, Bytes::new()).unwrap();
    fill(&mut lot);
    let piece = Bytes::from(vec![b'y'; 4000]);
    while lot.send(ID, &piece) == Delivery::Queued {}
    assert_eq!(notices(&mut lot), [Notice::Broken(ID)]);
    assert_eq!((lot.stats.clients_too_slow.get(), lot.stats.messages_dropped.get()), (1, 0));
}

#[test]
fn a_slot_is_small() {
    assert!(size_of::<super::lot::Slot>() <= 48, "{}", size_of::<super::lot::Slot>());
}

#[tokio::test]
async fn what_moves_is_not_silent() {
    assert_eq!(size_of::<super::lot::Slot>(), 48);
    let (mut lot, stream, mut client) = lot(100);
    lot.park(ID, stream, Bytes::new()).unwrap();
    let silent = |lot: &mut Lot, beat| {
        lot.set_beat(beat);
        lot.silent(1, 10)
    };
    assert_eq!(silent(&mut lot, 9), []);
    assert_eq!(silent(&mut lot, 10), [ID]);
    assert_eq!(lot.publish(ID, &Bytes::from_static(b"x")), Delivery::Written);
    assert_eq!(silent(&mut lot, 19), []);
    client.write_all(b"y").unwrap();
    assert_eq!(lot.read(ID, &mut [0; 8]).unwrap(), 1);
    // A read without bytes, or bytes that only wait, are none that move.
    assert!(lot.read(ID, &mut [0; 8]).is_err());
    assert_eq!(silent(&mut lot, 28), []);
    assert_eq!(silent(&mut lot, 29), [ID]);
    // In parts: all of the lot is looked at once a round.
    let seen: Vec<usize> = (0..8).map(|_| lot.silent(4, 10).len()).collect();
    assert_eq!(seen.iter().sum::<usize>(), 2);
    lot.close(ID);
    assert_eq!(silent(&mut lot, 100), []);
}

#[tokio::test]
async fn a_reader_hears_what_the_lot_would_do() {
    let (mut lot, ..) = lot(1000);
    let woken = std::sync::Arc::new(Woken::default());
    let waker = Waker::from(std::sync::Arc::clone(&woken));
    lot.set_reading(ID, true);
    assert!(lot.wants_reading(ID));
    assert!(lot.poll_next(ID, &waker).is_pending());
    lot.set_reading(ID, false);
    assert!(woken.take() && !lot.wants_reading(ID));
    assert!(lot.poll_next(ID, &waker).is_pending());
    assert_eq!(lot.finished(ID), None);
    lot.finish(ID, Then::AwaitClose);
    assert!(woken.take());
    assert_eq!(lot.finished(ID), Some(Then::AwaitClose));
    assert!(lot.poll_next(ID, &waker).is_ready());
    let mut cx = std::task::Context::from_waker(&waker);
    assert!(lot.poll_closed(ID, &mut cx).is_pending());
    lot.close(ID);
    assert!(woken.take() && lot.poll_closed(ID, &mut cx).is_ready());
    assert!(!lot.wants_reading(ID) && lot.finished(ID).is_none());
}

#[derive(Default)]
struct Woken(std::sync::atomic::AtomicBool);

impl Woken {
    fn take(&self) -> bool {
        self.0.swap(false, std::sync::atomic::Ordering::Relaxed)
    }
}

impl std::task::Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
