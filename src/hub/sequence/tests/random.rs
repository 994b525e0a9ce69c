//! Any list of operations does what it does to the naive sequencer.

use proptest::prelude::*;

use super::naive::{Naive, Stand, Thing};
use super::*;

const CHANNELS: u8 = 4;
const IDS: u8 = 7;

#[derive(Clone, Debug)]
enum Op {
    Arrive {
        channel: u8,
        id: Option<u8>,
        prev: Option<u8>,
        no_seq: bool,
        size: usize,
    },
    /// The next item of the channel's true history.
    Next {
        channel: u8,
    },
    Join {
        channel: u8,
        tracked: bool,
    },
    Leave {
        channel: u8,
        which: usize,
        linger: bool,
    },
    Forget(u8),
    ForgetAll,
    Advance(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let id = || prop::option::weighted(0.9, 0..IDS);
    let arrive = (0..CHANNELS, id(), id(), prop::bool::weighted(0.05), 0..200_usize);
    let join = (0..CHANNELS, any::<bool>());
    let join = join.prop_map(|(channel, tracked)| Op::Join { channel, tracked });
    let leave = (0..CHANNELS, 0..4_usize, any::<bool>());
    prop_oneof![
        8 => arrive.prop_map(|(channel, id, prev, no_seq, size)| Op::Arrive {
            channel, id, prev, no_seq, size,
        }),
        8 => (0..CHANNELS).prop_map(|channel| Op::Next { channel }),
        3 => join,
        2 => leave.prop_map(|(channel, which, linger)| Op::Leave { channel, which, linger }),
        1 => (0..CHANNELS).prop_map(Op::Forget),
        1 => Just(Op::ForgetAll),
        3 => (0..40_u64, 0..4_u32).prop_map(|(ms, power)| Op::Advance(ms * 10_u64.pow(power))),
    ]
}

fn bounds() -> impl Strategy<Value = Settings> {
    let ring = (0..6_usize, 500..3000_usize, 500..6000_usize);
    (1..4_usize, 500..3000_usize, ring, 2..6_usize).prop_map(
        |(pending_max, pending_total_bytes_max, ring, channels_max)| Settings {
            message_wait_ms: 500,
            pending_max,
            pending_total_bytes_max,
            ring_items_max: ring.0,
            ring_bytes_max: ring.1,
            ring_age_ms: 3000,
            ring_total_bytes_max: ring.2,
            channels_max,
            linger_ms: 1000,
        },
    )
}

fn text(id: u8) -> String {
    format!("id-{id}")
}

fn number(id: &str) -> u8 {
    id.trim_start_matches("id-").parse().unwrap()
}

fn made(thing: &Thing, size: usize) -> Arc<Item> {
    let channel = thing.channel.to_string();
    let ids = [thing.id, thing.prev].map(|id| id.map(text).unwrap_or_default());
    let mut item = (*on(&channel, &ids[0], &ids[1], thing.no_seq)).clone();
    item.meta.push(("x".into(), "y".repeat(size).into()));
    Arc::new(item)
}

/// Both sequencers, and who is subscribed.
struct Pair {
    sequencer: Sequencer,
    naive: Naive,
    now: u64,
    subscriptions: Vec<Vec<bool>>,
    history: Vec<u8>,
    released: Vec<Entry>,
}

impl Pair {
    fn new(settings: Settings) -> Pair {
        Pair {
            sequencer: Sequencer::new(settings.clone()),
            naive: Naive::new(settings),
            now: 0,
            subscriptions: vec![Vec::new(); usize::from(CHANNELS)],
            history: vec![0; usize::from(CHANNELS)],
            released: Vec::new(),
        }
    }

    fn arrive(&mut self, mut thing: Thing, size: usize) {
        let item = made(&thing, size);
        thing.bytes = item.memory_bytes();
        let subscribed = !self.subscriptions[usize::from(thing.channel)].is_empty();
        let released = &mut self.released;
        let arrival = self.sequencer.arrive(&item, subscribed, Tick(self.now), &mut |entry| {
            released.push(entry);
        });
        assert_eq!(arrival, self.naive.arrive(&thing, subscribed, self.now));
    }

    fn act(&mut self, op: Op) {
        match op {
            Op::Arrive { channel, id, prev, no_seq, size } => {
                self.arrive(Thing { channel, id, prev, no_seq, bytes: 0 }, size);
            }
            Op::Next { channel } => {
                let last = &mut self.history[usize::from(channel)];
                let prev = std::mem::replace(last, (*last + 1) % IDS);
                let (id, prev) = (Some(*last), Some(prev));
                self.arrive(Thing { channel, id, prev, no_seq: false, bytes: 0 }, 0);
            }
            Op::Join { channel, tracked } => {
                let known = &mut self.subscriptions[usize::from(channel)];
                let first = known.is_empty();
                known.push(tracked);
                let joined = self.sequencer.joined(&name(&channel.to_string()), tracked, first);
                assert_eq!(joined, self.naive.joined(channel, tracked, first));
            }
            Op::Leave { channel, which, linger } => {
                let known = &mut self.subscriptions[usize::from(channel)];
                if known.is_empty() {
                    return;
                }
                let tracked = known.remove(which % known.len());
                let last = known.is_empty();
                let channel_name = name(&channel.to_string());
                self.sequencer.left(&channel_name, tracked, last, linger, Tick(self.now));
                self.naive.left(channel, tracked, last, linger, self.now);
            }
            Op::Forget(channel) => {
                self.sequencer.forget(&name(&channel.to_string()));
                self.naive.forget(channel);
            }
            Op::ForgetAll => {
                self.sequencer.forget_all();
                (0..CHANNELS).for_each(|channel| self.naive.forget(channel));
            }
            Op::Advance(ms) => {
                self.now += ms;
                let released = &mut self.released;
                self.sequencer.tick(Tick(self.now), &mut |entry| released.push(entry));
                self.naive.tick(self.now);
                let next = self.sequencer.next_deadline();
                assert!(next.is_none_or(|next| next > Tick(self.now)));
            }
        }
    }

    fn compare(&mut self) {
        self.sequencer.verify();
        let released = self.released.drain(..).map(|entry| {
            let Entry { item, prev, id, .. } = entry;
            assert!(id.is_none() || id.as_deref() == item.id.as_deref());
            assert!(prev.is_none() || prev.as_deref() == item.prev_id.as_deref());
            (item.channel.as_str().to_owned(), item.id.as_deref().map(number))
        });
        let expected = self.naive.released.drain(..);
        let expected = expected.map(|thing| (thing.channel.to_string(), thing.id));
        assert_eq!(released.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        assert_eq!(self.sequencer.counters(), self.naive.counters);
        assert_eq!(self.sequencer.load(), self.naive.load());
        for channel in 0..CHANNELS {
            let channel_name = name(&channel.to_string());
            let last = self.sequencer.last_id(&channel_name).map(|id| number(id));
            assert_eq!(last, self.naive.last(channel));
            for id in 0..IDS {
                let position = match self.sequencer.after(&channel_name, &text(id), None) {
                    Position::Newest => Stand::Newest,
                    Position::Next(entry, _) => Stand::Next(entry.id.as_deref().map(number)),
                    Position::Unknown => Stand::Unknown,
                    Position::Missed => Stand::Missed,
                };
                assert_eq!(position, self.naive.after(channel, id), "{channel} {id}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn it_does_what_the_naive_one_does(
        settings in bounds(),
        ops in prop::collection::vec(op(), 0..200),
    ) {
        let mut pair = Pair::new(settings);
        for op in ops {
            pair.act(op);
            pair.compare();
        }
    }

    /// In whatever order a history arrives, a reader that knows its beginning is led through it
    /// without a hole, however the bounds are.
    #[test]
    fn readers_are_never_led_across_a_hole(
        settings in bounds(),
        order in Just((1..40_u8).collect::<Vec<_>>()).prop_shuffle(),
        near in 1..8_usize,
        subscribed in any::<bool>(),
    ) {
        // Nothing counts as settled before all has come.
        let message_wait_ms = 5000;
        let settings = Settings { message_wait_ms, ring_total_bytes_max: 1_000_000, ..settings };
        let mut bench = Bench::unsubscribed(settings);
        bench.subscribed = subscribed;
        // Items are late by less than `near`.
        let mut order: Vec<_> = (1..40_u8).zip(order).collect();
        order.sort_by_key(|&(n, random)| usize::from(n) + usize::from(random) % near);
        for (n, _) in order {
            bench.arrive(&item(&n.to_string(), &(n - 1).to_string()));
            bench.tick(100);
            for from in 0..40_u8 {
                let read = bench.read(&from.to_string());
                let read: Vec<&str> = read.split(' ').collect();
                let (end, ids) = read.split_last().unwrap();
                let expected = (from + 1..).map(|id| id.to_string());
                prop_assert!(ids.iter().zip(expected).all(|(id, next)| *id == next));
                if *end == "newest" && !subscribed {
                    let all = bench.released.iter().filter_map(|entry| entry.id.as_deref());
                    let newest = all.map(|id| id.parse::<u8>().unwrap()).max().unwrap();
                    prop_assert_eq!(usize::from(from) + ids.len(), usize::from(newest));
                }
            }
        }
    }
}
