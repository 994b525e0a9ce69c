//! Each bound at its limit, and the counter of what it drops.

use super::*;

#[test]
fn a_second_item_after_the_same_one_is_dropped() {
    let mut bench = Bench::new(settings());
    let arrivals = bench.publish("1 3<2 4<2");
    assert_eq!(arrivals[2], Arrival::Dropped(Why::DuplicatePrev));
    bench.publish("2<1");
    assert_eq!(bench.ids(), "1 2 3");
    assert_eq!(bench.counters().dropped_duplicate_prev, 1);
}

#[test]
fn so_many_items_of_a_channel_wait() {
    let mut bench = Bench::new(settings());
    bench.publish("0");
    for n in 0..100 {
        let (id, prev) = (format!("b{n}"), format!("a{n}"));
        assert_eq!(bench.arrive(&item(&id, &prev)), Arrival::Waiting);
    }
    assert_eq!(bench.publish("y<x"), [Arrival::Dropped(Why::PendingFull)]);
    bench.arrive(&on("d", "0", "", false));
    assert_eq!(bench.arrive(&on("d", "y", "x", false)), Arrival::Waiting);
    assert_eq!((bench.counters().dropped_pending_full, bench.counters().held_back), (1, 101));
    bench.tick(5000);
    assert_eq!((bench.sequencer.load().pending, bench.counters().released_late), (0, 101));
}

#[test]
fn so_many_bytes_wait_in_all() {
    let one = item("3", "2").memory_bytes();
    let mut bench = Bench::new(Settings { pending_total_bytes_max: 2 * one, ..settings() });
    for channel in ["c", "d"] {
        bench.arrive(&on(channel, "1", "", false));
        assert_eq!(bench.arrive(&on(channel, "3", "2", false)), Arrival::Waiting);
    }
    assert_eq!(bench.sequencer.load().pending_bytes, 2 * one);
    assert_eq!(bench.publish("5<4"), [Arrival::Dropped(Why::PendingBytes)]);
    assert_eq!(bench.counters().dropped_pending_bytes, 1);
    bench.publish("2<1");
    assert_eq!(bench.publish("5<4"), [Arrival::Waiting]);
}

#[test]
fn a_ring_has_so_many_items() {
    let mut bench = Bench::new(Settings { ring_items_max: 3, ..settings() });
    bench.publish("2<1 3<2 4<3");
    assert_eq!((bench.read("1").as_str(), bench.counters().ring_evicted), ("2 3 4 newest", 0));
    bench.publish("5<4");
    assert_eq!((bench.read("1").as_str(), bench.read("2").as_str()), ("missed", "3 4 5 newest"));
    assert_eq!((bench.counters().ring_evicted, bench.sequencer.load().kept), (1, 3));
}

#[test]
fn a_ring_has_so_many_bytes() {
    let one = item("3", "2").memory_bytes();
    let mut bench = Bench::new(Settings { ring_bytes_max: 2 * one, ..settings() });
    bench.publish("2<1 3<2");
    assert_eq!((bench.read("1").as_str(), bench.counters().ring_evicted), ("2 3 newest", 0));
    bench.publish("4<3");
    assert_eq!((bench.read("1").as_str(), bench.read("2").as_str()), ("missed", "3 4 newest"));
    // One that is larger than the ring leaves nothing in it.
    let large = "x".repeat(2 * one);
    bench.publish(&format!("{large}<4"));
    assert_eq!((bench.read("4").as_str(), bench.read(&large).as_str()), ("missed", "newest"));
    assert_eq!((bench.counters().ring_evicted, bench.sequencer.load().kept_bytes), (4, 0));
}

#[test]
fn a_ring_keeps_so_long() {
    let mut bench = Bench::new(settings());
    bench.publish("2<1");
    bench.tick(10_000);
    bench.publish("3<2");
    assert_eq!(bench.sequencer.next_deadline(), Some(Tick(1000 + 60_000 + 1000)));
    bench.tick(49_999);
    assert_eq!((bench.read("1").as_str(), bench.counters().ring_expired), ("2 3 newest", 0));
    bench.tick(1);
    assert_eq!((bench.read("1").as_str(), bench.read("2").as_str()), ("missed", "3 newest"));
    assert_eq!(bench.counters().ring_expired, 1);
    bench.tick(11_000);
    assert_eq!((bench.read("3").as_str(), bench.sequencer.next_deadline()), ("newest", None));
    bench.leave(false);
    assert_eq!(bench.sequencer.load(), Load::default());
}

#[test]
fn with_an_item_goes_what_is_before_it_though_it_came_later() {
    let mut bench = Bench::unsubscribed(settings());
    bench.publish("3<2");
    bench.tick(1000);
    bench.publish("4<3 2<1");
    bench.tick(59_000);
    assert_eq!((bench.read("2").as_str(), bench.read("3").as_str()), ("missed", "4 newest"));
    assert_eq!(bench.counters().ring_expired, 2);
}

#[test]
fn all_rings_have_so_many_bytes() {
    let one = item("3", "2").memory_bytes();
    let total = 3 * one;
    let mut bench = Bench::unsubscribed(Settings { ring_total_bytes_max: total, ..settings() });
    bench.publish("2<1");
    bench.arrive(&on("d", "2", "1", false));
    bench.publish("3<2");
    assert_eq!((bench.sequencer.load().kept_bytes, bench.counters().ring_evicted), (total, 0));
    bench.arrive(&on("d", "3", "2", false));
    assert_eq!((bench.read("1").as_str(), bench.read("2").as_str()), ("missed", "3 newest"));
    bench.arrive(&on("d", "4", "3", false));
    bench.arrive(&on("d", "5", "4", false));
    // Nothing is left of `c`, not even its name.
    assert_eq!((bench.read("2").as_str(), bench.sequencer.load().channels), ("unknown", 1));
    assert_eq!(bench.counters().ring_evicted, 3);
}

#[test]
fn a_ring_has_so_many_chains() {
    let mut bench = Bench::unsubscribed(Settings { ring_items_max: 100, ..settings() });
    for n in 0..17 {
        bench.arrive(&item(&format!("b{n}"), &format!("a{n}")));
    }
    assert_eq!((bench.sequencer.load().kept, bench.counters().ring_evicted), (16, 1));
    assert_eq!((bench.read("a0").as_str(), bench.read("a1").as_str()), ("missed", "b1 missed"));
}

#[test]
fn so_many_channels_are_known() {
    let mut bench = Bench::new(Settings { channels_max: 2, ..settings() });
    bench.publish("1 3<2");
    bench.arrive(&on("d", "1", "", false));
    bench.publish("2<1");
    bench.arrive(&on("e", "1", "", false));
    assert_eq!((bench.sequencer.last_id(&name("d")), bench.last()), (None, Some("3")));
    bench.publish("9<8");
    bench.arrive(&on("e", "2", "1", false));
    bench.arrive(&on("f", "1", "", false));
    assert_eq!((bench.last(), bench.sequencer.load().channels), (None, 2));
    let counters = bench.counters();
    assert_eq!((counters.channels_evicted, counters.discarded, counters.ring_evicted), (2, 1, 4));
}

#[test]
fn a_forgotten_channel_still_knows_who_is_tracked() {
    let off = Settings { channels_max: 1, ring_items_max: 0, ..settings() };
    let mut bench = Bench::new(off);
    let c = name("c");
    bench.sequencer.joined(&c, true, false);
    bench.publish("1 2<1");
    bench.arrive(&on("d", "1", "", false));
    assert_eq!((bench.last(), bench.read("1").as_str()), (None, "unknown"));
    bench.publish("3<2 4<3");
    assert_eq!(bench.read("2"), "3 4 newest");
    bench.sequencer.left(&c, true, true, false, NOW);
    assert_eq!(bench.sequencer.load().kept, 0);
}
