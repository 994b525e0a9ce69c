//! What somebody is given who comes with the id that it has.

use super::*;

#[test]
fn a_reader_gets_what_it_has_missed() {
    let mut bench = Bench::new(settings());
    assert_eq!(bench.read("1"), "unknown");
    bench.publish("2<1 3<2 4<3");
    // The id before the oldest entry is in reach as well.
    assert_eq!(bench.read("1"), "2 3 4 newest");
    assert_eq!((bench.read("3").as_str(), bench.read("4").as_str()), ("4 newest", "newest"));
    assert_eq!(bench.read("0"), "missed");
}

#[test]
fn a_hint_is_checked() {
    let mut bench = Bench::new(Settings { ring_items_max: 2, ..settings() });
    bench.publish("2<1 3<2");
    let c = name("c");
    let Position::Next(entry, place) = bench.sequencer.after(&c, "1", None) else { panic!() };
    assert_eq!(entry.id.as_deref(), Some("2"));
    // Of another id, and of an entry that is gone.
    assert!(matches!(bench.sequencer.after(&c, "3", Some(place)), Position::Newest));
    bench.publish("4<3 5<4");
    assert!(matches!(bench.sequencer.after(&c, "2", Some(place)), Position::Missed));
    let Position::Next(entry, _) = bench.sequencer.after(&c, "3", Some(place)) else { panic!() };
    assert_eq!(entry.id.as_deref(), Some("4"));
}

#[test]
fn order_of_arrival_does_not_matter_where_nobody_was_subscribed() {
    let mut bench = Bench::unsubscribed(settings());
    bench.publish("2<1 5<4");
    assert_eq!((bench.read("1").as_str(), bench.read("4").as_str()), ("2 missed", "5 missed"));
    bench.publish("4<3");
    assert_eq!(bench.read("3"), "4 5 missed");
    bench.publish("3<2");
    assert_eq!(bench.read("1"), "2 3 4 5 newest");
    bench.publish("9<8 6<5");
    assert_eq!((bench.read("2").as_str(), bench.read("9").as_str()), ("3 4 5 6 missed", "missed"));
    bench.publish("7<6 8<7");
    assert_eq!(bench.read("1"), "2 3 4 5 6 7 8 9 newest");
}

#[test]
fn nobody_is_led_across_a_hole() {
    let mut bench = Bench::new(settings());
    bench.publish("1 2<1 5<4");
    bench.tick(5000);
    bench.publish("6<5");
    assert_eq!(bench.ids(), "1 2 5 6");
    assert_eq!((bench.read("1").as_str(), bench.read("2").as_str()), ("2 missed", "missed"));
    assert_eq!((bench.read("4").as_str(), bench.read("6").as_str()), ("5 6 newest", "newest"));
}

#[test]
fn what_comes_late_closes_its_hole() {
    let mut bench = Bench::new(settings());
    bench.publish("1 2<1 4<3 5<4");
    bench.tick(5000);
    bench.publish("3<2");
    bench.tick(5000);
    assert_eq!((bench.ids().as_str(), bench.last()), ("1 2 4 5 3", Some("3")));
    assert_eq!((bench.read("2").as_str(), bench.read("5").as_str()), ("3 4 5 newest", "newest"));
}

#[test]
fn of_two_that_name_the_same_one_the_first_counts() {
    let mut bench = Bench::new(settings());
    bench.publish("1 2<1");
    bench.sequencer.forget(&name("c"));
    bench.publish("3<1");
    assert_eq!((bench.read("1").as_str(), bench.read("2").as_str()), ("2 missed", "missed"));
    assert_eq!(bench.read("3"), "newest");
}

#[test]
fn an_item_without_its_place_makes_all_before_it_useless() {
    for without in ["-", "-<2", "7"] {
        let mut bench = Bench::new(settings());
        bench.publish(&format!("1 2<1 {without}"));
        assert_eq!((bench.read("1").as_str(), bench.read("2").as_str()), ("missed", "missed"));
        assert_eq!(bench.counters().ring_cleared, 2);
        bench.publish("9<8 -<9 - -");
        assert_eq!((bench.read("8").as_str(), bench.read("9").as_str()), ("missed", "missed"));
        // A sign that there was something stays for as long as an item would.
        bench.leave(false);
        bench.tick(60_000);
        assert_eq!(
            (bench.read("9").as_str(), bench.sequencer.load()),
            ("unknown", Load::default())
        );
    }
}

#[test]
fn ids_that_come_again_lead_nobody_in_circles() {
    let mut bench = Bench::unsubscribed(settings());
    bench.publish("b<a a<b b<a a<b");
    assert_eq!((bench.read("a").as_str(), bench.read("b").as_str()), ("newest", "a newest"));
    bench.publish("x<x x<x");
    assert_eq!(bench.read("x"), "missed");
}

#[test]
fn forgetting_stops_asking_until_there_is_more() {
    let mut bench = Bench::new(settings());
    let c = name("c");
    bench.publish("1 2<1");
    assert_eq!(bench.read("9"), "missed");
    bench.sequencer.forget(&c);
    assert_eq!((bench.read("9").as_str(), bench.read("1").as_str()), ("unknown", "2 newest"));
    // Also when the subscription ends and begins again meanwhile.
    bench.leave(false);
    assert_eq!(bench.read("9"), "unknown");
    bench.publish("3<2");
    assert_eq!((bench.read("9").as_str(), bench.read("1").as_str()), ("missed", "2 3 newest"));
}

#[test]
fn without_rings_tracked_subscriptions_are_caught_up_with() {
    let mut bench = Bench::new(Settings { ring_items_max: 0, pending_max: 3, ..settings() });
    let c = name("c");
    bench.publish("1 2<1");
    assert_eq!((bench.read("1").as_str(), bench.read("2").as_str()), ("missed", "newest"));
    bench.sequencer.joined(&c, true, false);
    bench.sequencer.joined(&c, true, false);
    bench.publish("3<2 4<3 5<4 6<5");
    assert_eq!((bench.read("2").as_str(), bench.read("3").as_str()), ("missed", "4 5 6 newest"));
    bench.tick(600_000);
    bench.sequencer.left(&c, true, false, false, NOW);
    assert_eq!(bench.read("3"), "4 5 6 newest");
    bench.sequencer.left(&c, true, false, false, NOW);
    assert_eq!((bench.read("3").as_str(), bench.read("6").as_str()), ("missed", "newest"));
    assert_eq!((bench.sequencer.load().kept, bench.sequencer.next_deadline()), (0, None));
}
