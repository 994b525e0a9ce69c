//! Each rule of the order, each bound, and the sequencer beside a naive one.

mod bounds;
mod naive;
mod random;
mod readers;

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::{Arrival, Counters, Entry, Load, Place, Position, Sequencer, Settings, Why};
use crate::clock::Tick;
use crate::grip::channel::ChannelName;
use crate::grip::format::{Action, StreamContent};
use crate::grip::item::Item;

const NOW: Tick = Tick(1000);

/// Small bounds.
fn settings() -> Settings {
    Settings {
        message_wait_ms: 5000,
        pending_max: 100,
        pending_total_bytes_max: 1_000_000,
        ring_items_max: 10,
        ring_bytes_max: 1_000_000,
        ring_age_ms: 60_000,
        ring_total_bytes_max: 1_000_000,
        channels_max: 100,
        linger_ms: 60_000,
    }
}

fn name(text: &str) -> ChannelName {
    ChannelName::new(text)
}

/// An item of channel `c` with ids; `""` stands for none.
fn item(id: &str, prev: &str) -> Arc<Item> {
    on("c", id, prev, false)
}

fn on(channel: &str, id: &str, prev: &str, no_seq: bool) -> Arc<Item> {
    let some = |text: &str| (!text.is_empty()).then(|| Box::from(text));
    let content = StreamContent { content: Bytes::from(format!("{id};")), content_filters: None };
    Arc::new(Item {
        channel: name(channel),
        id: some(id),
        prev_id: some(prev),
        http_response: None,
        http_stream: Some(Action::Send(content)),
        ws_message: None,
        meta: Vec::new(),
        size: None,
        no_seq,
    })
}

/// A sequencer whose releases are written down, with one subscription on `c`.
struct Bench {
    sequencer: Sequencer,
    released: Vec<Entry>,
    now: Tick,
    subscribed: bool,
}

impl Bench {
    fn new(settings: Settings) -> Bench {
        let sequencer = Sequencer::new(settings);
        let mut bench = Bench { sequencer, released: Vec::new(), now: NOW, subscribed: true };
        assert!(bench.sequencer.joined(&name("c"), false, true));
        bench
    }

    fn unsubscribed(settings: Settings) -> Bench {
        let sequencer = Sequencer::new(settings);
        Bench { sequencer, released: Vec::new(), now: NOW, subscribed: false }
    }

    fn arrive(&mut self, item: &Arc<Item>) -> Arrival {
        let Bench { sequencer, released, now, subscribed } = self;
        let arrival = sequencer.arrive(item, *subscribed, *now, &mut |entry| released.push(entry));
        self.sequencer.verify();
        arrival
    }

    /// Publishes items on `c`, each written `id<prev`.
    fn publish(&mut self, items: &str) -> Vec<Arrival> {
        let items = items.split_whitespace().map(|text| {
            let (id, prev) = text.split_once('<').unwrap_or((text, ""));
            item(id.trim_start_matches('-'), prev)
        });
        let items: Vec<_> = items.collect();
        items.iter().map(|item| self.arrive(item)).collect()
    }

    fn tick(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        let Bench { sequencer, released, now, .. } = self;
        sequencer.tick(*now, &mut |entry| released.push(entry));
        self.sequencer.verify();
    }

    /// The ids released since this was last asked.
    fn ids(&mut self) -> String {
        let ids =
            self.released.drain(..).map(|entry| entry.id.map_or("-".into(), |id| id.to_string()));
        ids.collect::<Vec<_>>().join(" ")
    }

    fn last(&self) -> Option<&str> {
        self.sequencer.last_id(&name("c")).map(|id| &**id)
    }

    fn counters(&self) -> Counters {
        self.sequencer.counters()
    }

    fn leave(&mut self, linger: bool) {
        self.subscribed = false;
        self.sequencer.left(&name("c"), false, true, linger, self.now);
        self.sequencer.verify();
    }

    /// How a reader of `c` gets on from here: the ids that it is given, and where that ends.
    fn read(&self, from: &str) -> String {
        let (mut prev, mut hint): (Rc<str>, Option<Place>) = (from.into(), None);
        let mut read = Vec::new();
        loop {
            let end = match self.sequencer.after(&name("c"), &prev, hint) {
                Position::Next(entry, place) => {
                    assert_eq!(entry.prev.as_deref(), Some(&*prev));
                    prev = entry.id.clone().unwrap();
                    hint = Some(place);
                    read.push(prev.to_string());
                    continue;
                }
                Position::Newest => "newest",
                Position::Unknown => "unknown",
                Position::Missed => "missed",
            };
            read.push(end.into());
            return read.join(" ");
        }
    }
}

#[test]
fn what_comes_out_of_order_waits_for_what_is_before_it() {
    let mut bench = Bench::new(settings());
    let arrivals = bench.publish("1 3<2 4<3 2<1");
    assert_eq!(arrivals[..3], [Arrival::Released, Arrival::Waiting, Arrival::Waiting]);
    assert_eq!((arrivals[3], bench.ids().as_str()), (Arrival::Released, "1 2 3 4"));
    assert_eq!((bench.last(), bench.counters().held_back), (Some("4"), 2));
    assert_eq!(bench.sequencer.load().pending, 0);
}

#[test]
fn equal_ids_are_one() {
    let mut bench = Bench::new(settings());
    bench.publish("1 2<1 3<2");
    for pair in bench.released.windows(2) {
        assert!(Rc::ptr_eq(pair[0].id.as_ref().unwrap(), pair[1].prev.as_ref().unwrap()));
    }
    let last = bench.sequencer.last_id(&name("c")).unwrap();
    assert!(Rc::ptr_eq(last, bench.released[2].id.as_ref().unwrap()));
    assert!(bench.released.iter().all(|entry| entry.kept));
}

#[test]
fn an_item_without_prev_id_is_in_order() {
    let mut bench = Bench::new(settings());
    assert_eq!(bench.publish("1 5 6<5"), [Arrival::Released; 3]);
    assert_eq!((bench.ids().as_str(), bench.last()), ("1 5 6", Some("6")));
}

#[test]
fn an_item_without_id_forgets_the_last_id() {
    let mut bench = Bench::new(settings());
    assert_eq!(bench.publish("1 -<1 9<7"), [Arrival::Released; 3]);
    assert_eq!((bench.ids().as_str(), bench.last()), ("1 - 9", Some("9")));
    // One that is out of order waits all the same.
    assert_eq!(bench.publish("-<8"), [Arrival::Waiting]);
    assert_eq!(bench.publish("8<9"), [Arrival::Released]);
    assert_eq!((bench.ids().as_str(), bench.last()), ("8 -", None));
}

#[test]
fn an_empty_id_is_an_id() {
    let mut bench = Bench::new(settings());
    let empty = Arc::new(Item { id: Some("".into()), ..(*item("", "1")).clone() });
    bench.publish("1");
    bench.arrive(&empty);
    assert_eq!(bench.last(), Some(""));
    let next = Arc::new(Item { prev_id: Some("".into()), ..(*item("2", "")).clone() });
    assert_eq!(bench.arrive(&next), Arrival::Released);
    assert_eq!(bench.read("1"), " 2 newest");
}

#[test]
fn no_seq_passes_by_the_order() {
    let mut bench = Bench::new(settings());
    bench.publish("1");
    assert_eq!(bench.arrive(&on("c", "9", "8", true)), Arrival::Released);
    assert_eq!(bench.last(), Some("1"));
    assert!(!bench.released[1].kept && bench.released[1].prev.as_deref() == Some("8"));
    bench.publish("2<1");
    assert_eq!((bench.ids().as_str(), bench.read("1").as_str()), ("1 9 2", "2 newest"));
    assert_eq!(bench.read("9"), "missed");
}

#[test]
fn where_nobody_is_subscribed_nothing_waits() {
    let mut bench = Bench::unsubscribed(settings());
    assert_eq!(bench.publish("1 3<2 2<1 8<7"), [Arrival::Released; 4]);
    assert_eq!((bench.ids().as_str(), bench.last()), ("1 3 2 8", None));
}

#[test]
fn who_has_waited_long_enough_is_released_oldest_first() {
    let mut bench = Bench::new(settings());
    bench.publish("1 3<2");
    bench.tick(1000);
    bench.publish("7<6 4<3");
    assert_eq!(bench.sequencer.next_deadline(), Some(Tick(6000)));
    bench.tick(3999);
    assert_eq!(bench.ids(), "1");
    bench.tick(1);
    assert_eq!((bench.ids().as_str(), bench.last()), ("3 4", Some("4")));
    assert_eq!(bench.sequencer.next_deadline(), Some(Tick(7000)));
    bench.tick(1000);
    assert_eq!((bench.ids().as_str(), bench.last()), ("7", Some("7")));
    assert_eq!((bench.counters().held_back, bench.counters().released_late), (3, 2));
    // What was missing comes late: it waits in turn, and is then the last.
    bench.publish("2<1");
    bench.tick(5000);
    assert_eq!((bench.ids().as_str(), bench.last()), ("2", Some("2")));
}

#[test]
fn the_oldest_of_all_channels_is_released_first() {
    let mut bench = Bench::new(settings());
    for (channel, id, prev) in [("a", "1", ""), ("b", "1", ""), ("b", "3", "2"), ("a", "5", "4")] {
        bench.arrive(&on(channel, id, prev, false));
    }
    bench.arrive(&on("b", "7", "6", false));
    bench.ids();
    bench.tick(9000);
    assert_eq!(bench.ids(), "3 5 7");
}

#[test]
fn with_the_last_subscription_goes_the_order_but_not_the_ring() {
    let mut bench = Bench::new(settings());
    bench.publish("1 2<1 4<3");
    bench.leave(false);
    assert_eq!((bench.last(), bench.counters().discarded), (None, 1));
    assert_eq!(bench.sequencer.load().pending, 0);
    assert_eq!(bench.read("1"), "2 newest");
    bench.publish("3<2");
    assert_eq!((bench.last(), bench.read("1").as_str()), (None, "2 3 newest"));
}

#[test]
fn a_lingering_channel_counts_as_subscribed() {
    let mut bench = Bench::new(settings());
    bench.publish("1");
    bench.leave(true);
    assert_eq!(bench.last(), Some("1"));
    assert_eq!(bench.publish("3<2"), [Arrival::Waiting]);
    bench.publish("2<1");
    assert_eq!((bench.ids().as_str(), bench.last()), ("1 2 3", Some("3")));
    bench.tick(59_999);
    assert_eq!(bench.last(), Some("3"));
    bench.tick(1);
    assert_eq!(bench.last(), None);
}

#[test]
fn lingering_begins_again_and_does_not_end_a_subscription() {
    let mut bench = Bench::new(settings());
    let c = name("c");
    bench.publish("1");
    bench.leave(true);
    bench.tick(30_000);
    assert!(!bench.sequencer.joined(&c, false, true));
    bench.leave(true);
    bench.tick(59_999);
    assert_eq!(bench.last(), Some("1"));
    // A subscription that does not linger leaves the lingering as it is.
    assert!(!bench.sequencer.joined(&c, false, true));
    bench.leave(false);
    assert_eq!(bench.last(), Some("1"));
    assert!(!bench.sequencer.joined(&c, false, true));
    bench.tick(60_000);
    assert_eq!(bench.last(), Some("1"));
    bench.leave(false);
    assert_eq!(bench.last(), None);
    assert!(bench.sequencer.joined(&c, false, true));
}

#[test]
fn first_is_who_finds_neither_subscription_nor_lingering() {
    let mut sequencer = Sequencer::new(settings());
    let c = name("c");
    assert!(sequencer.joined(&c, false, true) && !sequencer.joined(&c, true, false));
    sequencer.left(&c, true, false, false, NOW);
    sequencer.left(&c, false, true, true, NOW);
    assert!(!sequencer.joined(&c, true, true));
    sequencer.left(&c, true, true, false, NOW);
    sequencer.tick(NOW.plus_ms(60_000), &mut |_| {});
    assert!(sequencer.joined(&c, true, true));
    sequencer.left(&c, true, true, false, NOW);
    assert_eq!(sequencer.load(), Load::default());
}

#[test]
fn what_is_forgotten_holds_nothing_back() {
    let mut bench = Bench::new(settings());
    bench.publish("1 2<1");
    bench.sequencer.forget(&name("c"));
    assert_eq!((bench.last(), bench.read("1").as_str()), (None, "2 newest"));
    assert_eq!(bench.publish("5<4"), [Arrival::Released]);
    bench.publish("6<5");
    bench.sequencer.forget_all();
    assert_eq!(bench.publish("9<8"), [Arrival::Released]);
    assert_eq!((bench.ids().as_str(), bench.last()), ("1 2 5 6 9", Some("9")));
}

#[test]
fn channels_without_ids_leave_no_trace() {
    let mut bench = Bench::new(settings());
    bench.publish("- - -<1");
    bench.arrive(&on("d", "7", "", true));
    assert_eq!((bench.sequencer.load(), bench.ids().as_str()), (Load::default(), "- - - -"));
    bench.leave(false);
    bench.subscribed = false;
    let mut off = Bench::unsubscribed(Settings { ring_items_max: 0, ..settings() });
    off.publish("1 2<1");
    assert!(off.released.iter().all(|entry| entry.id.is_none() && !entry.kept));
    assert_eq!(off.sequencer.load(), Load::default());
}
