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

const TIGHT: Bounds = Bounds { bytes: 12, messages: 3, slow: Slow::Close };
const OLDEST: Bounds = Bounds { slow: Slow::DropOldest, ..TIGHT };
const NEWEST: Bounds = Bounds { slow: Slow::Conflate, ..TIGHT };

fn put(outbox: &mut Outbox, text: &'static str, kind: Kind, bounds: &Bounds) -> (usize, bool) {
    let queued = outbox.put(Bytes::from_static(text.as_bytes()), kind, bounds).unwrap();
    let bytes: usize = outbox.pieces().map(<[u8]>::len).sum();
    assert_eq!(outbox.bytes(), bytes);
    (queued.dropped, queued.became_slow)
}

fn publish(outbox: &mut Outbox, text: &'static str, bounds: &Bounds) -> (usize, bool) {
    put(outbox, text, Kind::Message, bounds)
}

fn waiting(outbox: &Outbox) -> Vec<&str> {
    outbox.pieces().map(|piece| std::str::from_utf8(piece).unwrap()).collect()
}

#[test]
fn an_outbox_is_small() {
    assert!(size_of::<Outbox>() <= 56, "{}", size_of::<Outbox>());
    assert_eq!(size_of::<Queue>(), size_of::<std::collections::VecDeque<Bytes>>());
}

#[test]
fn one_message_more_than_the_bound_is_refused() {
    let mut outbox = Outbox::default();
    for text in ["a", "b", "c"] {
        assert_eq!(publish(&mut outbox, text, &TIGHT), (0, false));
    }
    assert_eq!(outbox.put(Bytes::from_static(b"d"), Kind::Message, &TIGHT), Err(Full));
    // What has to arrive is bounded in bytes only.
    put(&mut outbox, "123456789", Kind::Kept, &TIGHT);
    assert_eq!(outbox.put(Bytes::from_static(b"0"), Kind::Kept, &TIGHT), Err(Full));
    assert!(matches!(outbox.queue, Queue::Kept(_)), "nothing of it may be dropped");
}

#[test]
fn the_oldest_give_way_to_what_comes() {
    let mut outbox = Outbox::default();
    for text in ["a", "b", "c"] {
        assert_eq!(publish(&mut outbox, text, &OLDEST), (0, false));
    }
    assert_eq!(publish(&mut outbox, "d", &OLDEST), (1, true));
    assert_eq!(publish(&mut outbox, "e", &OLDEST), (1, false));
    assert_eq!(waiting(&outbox), ["c", "d", "e"]);
    assert_eq!(publish(&mut outbox, "12345678901", &OLDEST), (2, false));
    assert_eq!(waiting(&outbox), ["e", "12345678901"]);
    assert_eq!(publish(&mut outbox, "more than there is room for", &OLDEST), (2, false));
    assert_eq!(waiting(&outbox), ["more than there is room for"]);
    assert_eq!(publish(&mut outbox, "f", &OLDEST), (1, false));
    outbox.advance(1);
    assert!(outbox.is_empty());
    assert_eq!(publish(&mut outbox, "123456789012", &OLDEST), (0, false));
    assert_eq!(publish(&mut outbox, "g", &OLDEST), (1, true), "slow once more");
}

#[test]
fn only_the_newest_waits_until_all_has_been_read() {
    let mut outbox = Outbox::default();
    for text in ["a", "b", "c"] {
        assert_eq!(publish(&mut outbox, text, &NEWEST), (0, false));
    }
    assert_eq!(publish(&mut outbox, "d", &NEWEST), (3, true));
    assert_eq!(publish(&mut outbox, "e", &NEWEST), (1, false));
    assert_eq!(waiting(&outbox), ["e"]);
    assert_eq!(outbox.poll_pop(Waker::noop()), Poll::Ready(Bytes::from_static(b"e")));
    for text in ["f", "g", "h"] {
        assert_eq!(publish(&mut outbox, text, &NEWEST), (0, false));
    }
    assert_eq!(waiting(&outbox), ["f", "g", "h"]);
}

#[test]
fn what_has_been_written_in_part_is_not_dropped() {
    for bounds in [OLDEST, NEWEST] {
        let mut outbox = Outbox::default();
        for text in ["abcd", "ef", "gh"] {
            publish(&mut outbox, text, &bounds);
        }
        outbox.advance(1);
        publish(&mut outbox, "ij", &bounds);
        publish(&mut outbox, "kl", &bounds);
        let expected: &[&str] = match bounds.slow {
            Slow::DropOldest => &["bcd", "ij", "kl"],
            _ => &["bcd", "kl"],
        };
        assert_eq!(waiting(&outbox), expected);
        outbox.advance(4);
        assert_eq!(waiting(&outbox)[0].len(), 1, "the next one has begun");
        publish(&mut outbox, "123456789012", &bounds);
        assert_eq!(waiting(&outbox).last(), Some(&"123456789012"));
        assert_eq!(waiting(&outbox)[0].len(), 1);
    }
}

#[test]
fn what_has_to_arrive_stays_where_it_is() {
    for bounds in [OLDEST, NEWEST] {
        let mut outbox = Outbox::default();
        put(&mut outbox, "head", Kind::Kept, &bounds);
        publish(&mut outbox, "a", &bounds);
        put(&mut outbox, "pong", Kind::Kept, &bounds);
        assert_eq!(publish(&mut outbox, "b", &bounds), (1, true));
        assert_eq!(publish(&mut outbox, "c", &bounds), (1, false));
        assert_eq!(waiting(&outbox), ["head", "pong", "c"]);
        // Messages give way to what has to arrive, but nothing else does.
        assert_eq!(put(&mut outbox, "1234", Kind::Kept, &bounds), (1, false));
        assert_eq!(waiting(&outbox), ["head", "pong", "1234"]);
        assert_eq!(outbox.put(Bytes::from_static(b"5"), Kind::Kept, &bounds), Err(Full));
        // One message has a place beside all that.
        assert_eq!(publish(&mut outbox, "d", &bounds), (0, false));
        assert_eq!(publish(&mut outbox, "e", &bounds), (1, false));
        assert_eq!(waiting(&outbox), ["head", "pong", "1234", "e"]);
    }
}

mod histories {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Publish(usize),
        Send(usize),
        Advance(usize),
        Pop,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (1..9_usize).prop_map(Step::Publish),
            1 => (1..9_usize).prop_map(Step::Send),
            2 => (0..12_usize).prop_map(Step::Advance),
            1 => Just(Step::Pop),
        ];
        proptest::collection::vec(step, 0..60)
    }

    /// A piece tells where it begins, so that one that is not whole is seen.
    fn piece(number: usize, bytes: usize) -> Bytes {
        Bytes::from(vec![u8::try_from(number).unwrap(); bytes])
    }

    proptest! {
        #[test]
        fn what_is_read_is_whole_and_in_order(steps in steps(), newest in any::<bool>()) {
            let slow = if newest { Slow::Conflate } else { Slow::DropOldest };
            let bounds = Bounds { bytes: 30, messages: 5, slow };
            let mut outbox = Outbox::default();
            let (mut read, mut lengths) = (Vec::<u8>::new(), Vec::new());
            let (mut sent, mut dropped, mut last) = (Vec::new(), 0, None);
            for (number, step) in steps.into_iter().enumerate() {
                let mut put = |bytes, kind| {
                    lengths.push((number, bytes));
                    let put = outbox.put(piece(number, bytes), kind, &bounds);
                    dropped += put.map_or(0, |queued| queued.dropped);
                    put.is_ok()
                };
                match step {
                    Step::Publish(bytes) => {
                        prop_assert!(put(bytes, Kind::Message));
                        last = Some(number);
                    }
                    Step::Send(bytes) => {
                        if put(bytes, Kind::Kept) {
                            sent.push(number);
                        } else {
                            prop_assert!(lengths.pop().is_some());
                            // Its client would be closed here; the messages before it may be gone.
                            return Ok(());
                        }
                    }
                    Step::Advance(bytes) => {
                        let waiting: Vec<u8> = outbox.pieces().flatten().copied().collect();
                        let bytes = bytes.min(waiting.len());
                        read.extend(&waiting[..bytes]);
                        outbox.advance(bytes);
                    }
                    Step::Pop => {
                        if let Poll::Ready(piece) = outbox.poll_pop(Waker::noop()) {
                            read.extend(&piece);
                        }
                    }
                }
                let waiting: usize = outbox.pieces().map(<[u8]>::len).sum();
                prop_assert_eq!(outbox.bytes(), waiting);
                // One message more has a place, and one that is read just now is not dropped.
                prop_assert!(waiting <= bounds.bytes + 2 * 9);
            }
            outbox.pieces().for_each(|piece| read.extend(piece));
            let mut arrived = Vec::new();
            for (number, bytes) in &lengths {
                let came = read.iter().filter(|byte| usize::from(**byte) == *number).count();
                prop_assert!(came == 0 || came == *bytes, "{} is not whole", number);
                if came > 0 {
                    arrived.push(*number);
                }
            }
            prop_assert!(read.is_sorted());
            prop_assert_eq!(arrived.len() + dropped, lengths.len());
            prop_assert!(sent.iter().all(|number| arrived.contains(number)));
            prop_assert!(last.is_none_or(|last| arrived.contains(&last) || !sent.is_empty()));
        }
    }
}
