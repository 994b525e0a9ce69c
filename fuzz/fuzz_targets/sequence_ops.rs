//! Any list of operations leaves the sequencer consistent and within its bounds, leads no reader
//! in circles, and accounts for every item.
#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use linchpin::clock::Tick;
use linchpin::grip::channel::ChannelName;
use linchpin::grip::format::{Action, StreamContent};
use linchpin::grip::item::Item;
use linchpin::hub::sequence::{Arrival, Position, Sequencer, Settings};

#[derive(Arbitrary, Debug)]
enum Op {
    Arrive { channel: u8, id: Option<u8>, prev: Option<u8>, no_seq: bool, size: u8 },
    Next { channel: u8 },
    Join { channel: u8, tracked: bool },
    Leave { channel: u8, which: u8, linger: bool },
    Forget { channel: u8 },
    ForgetAll,
    Advance { ms: u16 },
}

#[derive(Arbitrary, Debug)]
struct Bounds {
    pending: u8,
    pending_bytes: u16,
    ring_items: u8,
    ring_bytes: u16,
    total_bytes: u16,
    channels: u8,
}

const CHANNELS: usize = 5;

fn item(name: &ChannelName, ids: [Option<u8>; 2], no_seq: bool, size: u8) -> Arc<Item> {
    let [id, prev_id] = ids.map(|id| id.map(|id| (id % 16).to_string().into()));
    let content = Bytes::from(vec![b'x'; usize::from(size)]);
    Arc::new(Item {
        channel: name.clone(),
        id,
        prev_id,
        http_response: None,
        http_stream: Some(Action::Send(StreamContent { content, content_filters: None })),
        ws_message: None,
        meta: Vec::new(),
        size: None,
        no_seq,
    })
}

/// Follows the entries from `prev` on; it ends.
fn read(sequencer: &Sequencer, name: &ChannelName, prev: &str) {
    let (mut prev, mut hint) = (std::rc::Rc::from(prev), None);
    for _ in 0..=sequencer.load().kept {
        match sequencer.after(name, &prev, hint) {
            Position::Next(entry, place) => {
                assert_eq!(entry.prev.as_ref(), Some(&prev));
                (prev, hint) = (entry.id.clone().expect("a kept entry has an id"), Some(place));
            }
            _ => return,
        }
    }
    panic!("more entries than there are");
}

fuzz_target!(|input: (Bounds, Vec<Op>)| {
    let (bounds, ops) = input;
    let settings = Settings {
        message_wait_ms: 5000,
        pending_max: usize::from(bounds.pending % 8),
        pending_total_bytes_max: usize::from(bounds.pending_bytes),
        ring_items_max: usize::from(bounds.ring_items % 32),
        ring_bytes_max: usize::from(bounds.ring_bytes),
        ring_age_ms: 20_000,
        ring_total_bytes_max: usize::from(bounds.total_bytes),
        channels_max: usize::from(bounds.channels % 8),
        linger_ms: 10_000,
    };
    let mut sequencer = Sequencer::new(settings.clone());
    let names: Vec<_> = (0..CHANNELS).map(|n| ChannelName::new(&n.to_string())).collect();
    let place = |channel: u8| usize::from(channel) % CHANNELS;
    let mut subscriptions: Vec<Vec<bool>> = vec![Vec::new(); CHANNELS];
    let mut last = [0_u8; CHANNELS];
    let (mut now, mut arrived, mut released) = (Tick(0), 0_u64, 0_u64);
    for op in ops {
        let mut arrive = |sequencer: &mut Sequencer, item: &Arc<Item>, subscribed: bool| {
            arrived += 1;
            let before = released;
            let arrival = sequencer.arrive(item, subscribed, now, &mut |_| released += 1);
            assert_eq!(arrival == Arrival::Released, released > before);
        };
        match op {
            Op::Arrive { channel, id, prev, no_seq, size } => {
                let at = place(channel);
                let item = item(&names[at], [id, prev], no_seq, size);
                arrive(&mut sequencer, &item, !subscriptions[at].is_empty());
            }
            Op::Next { channel } => {
                let at = place(channel);
                let next = last[at].wrapping_add(1);
                let prev = std::mem::replace(&mut last[at], next);
                let item = item(&names[at], [Some(next), Some(prev)], false, 0);
                arrive(&mut sequencer, &item, !subscriptions[at].is_empty());
            }
            Op::Join { channel, tracked } => {
                let at = place(channel);
                let first = subscriptions[at].is_empty();
                assert!(first || !sequencer.joined(&names[at], tracked, first));
                if first {
                    sequencer.joined(&names[at], tracked, first);
                }
                subscriptions[at].push(tracked);
            }
            Op::Leave { channel, which, linger } => {
                let at = place(channel);
                let known = &mut subscriptions[at];
                if !known.is_empty() {
                    let tracked = known.swap_remove(usize::from(which) % known.len());
                    sequencer.left(&names[at], tracked, known.is_empty(), linger, now);
                }
            }
            Op::Forget { channel } => sequencer.forget(&names[place(channel)]),
            Op::ForgetAll => sequencer.forget_all(),
            Op::Advance { ms } => {
                now = now.plus_ms(u64::from(ms));
                sequencer.tick(now, &mut |_| released += 1);
                assert!(sequencer.next_deadline().is_none_or(|next| next > now));
            }
        }
        sequencer.verify();
        let (load, counters) = (sequencer.load(), sequencer.counters());
        assert!(load.pending_bytes <= settings.pending_total_bytes_max);
        assert!(load.kept_bytes <= settings.ring_total_bytes_max);
        assert!(load.channels <= settings.channels_max.max(1) + CHANNELS);
        let dropped = counters.dropped_duplicate_prev
            + counters.dropped_pending_full
            + counters.dropped_pending_bytes;
        assert_eq!(arrived, released + load.pending as u64 + counters.discarded + dropped);
        for name in &names {
            read(&sequencer, name, "3");
        }
    }
    for (name, known) in names.iter().zip(subscriptions) {
        for left in (0..known.len()).rev() {
            sequencer.left(name, known[left], left == 0, false, now);
        }
    }
    sequencer.tick(now.plus_ms(100_000), &mut |_| {});
    let load = sequencer.load();
    assert_eq!((load.channels, load.pending, load.kept), (0, 0, 0));
});
