//! The memory of ids against a plain model, and at its bounds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NEW: Sight = Sight::First { forgotten: 0 };

fn seen(ttl_ms: u64) -> Seen {
    Seen::new(Settings { ttl_ms, ..Settings::default() })
}

fn show(seen: &mut Seen, channel: &str, id: &str, now: u64) -> Sight {
    seen.show(&ChannelName::new(channel), id, Tick(now))
}

#[test]
fn an_id_is_a_duplicate_until_its_time_is_over() {
    let mut seen = seen(60_000);
    assert_eq!(show(&mut seen, "c", "1", 5), NEW);
    assert_eq!(show(&mut seen, "c", "1", 5), Sight::Again);
    // From first sight: being seen again does not make it live longer.
    assert_eq!(show(&mut seen, "c", "1", 60_004), Sight::Again);
    assert_eq!(show(&mut seen, "c", "1", 60_005), NEW);
    assert_eq!(show(&mut seen, "c", "1", 60_006), Sight::Again);
}

#[test]
fn ids_are_those_of_their_channel() {
    let mut seen = seen(1000);
    assert_eq!(show(&mut seen, "ab", "c", 0), NEW);
    for (channel, id) in [("a", "bc"), ("abc", ""), ("", "abc"), ("ab", "C"), ("b", "c")] {
        assert_eq!(show(&mut seen, channel, id, 0), NEW, "{channel} {id}");
        assert_eq!(show(&mut seen, channel, id, 0), Sight::Again, "{channel} {id}");
    }
}

#[test]
fn the_empty_id_counts() {
    let mut seen = seen(1000);
    assert_eq!(show(&mut seen, "c", "", 0), NEW);
    assert_eq!(show(&mut seen, "c", "", 0), Sight::Again);
}

#[test]
fn without_a_time_nothing_is_remembered() {
    let mut seen = seen(0);
    assert!(!seen.is_on());
    assert_eq!(show(&mut seen, "c", "1", 0), NEW);
    assert_eq!(show(&mut seen, "c", "1", 0), NEW);
    assert!(seen.entries.is_empty());
}

#[test]
fn at_its_bound_the_oldest_is_forgotten_and_told() {
    let bounds = Settings { ttl_ms: 1000, entries_max: 2, ..Settings::default() };
    let mut seen = Seen::new(bounds);
    assert_eq!(show(&mut seen, "c", "1", 0), NEW);
    assert_eq!(show(&mut seen, "c", "2", 0), NEW);
    assert_eq!(show(&mut seen, "c", "3", 0), Sight::First { forgotten: 1 });
    assert_eq!(show(&mut seen, "c", "2", 0), Sight::Again);
    assert_eq!(show(&mut seen, "c", "1", 0), Sight::First { forgotten: 1 });
    // What is over is not forgotten before its time.
    assert_eq!(show(&mut seen, "c", "4", 1000), NEW);
}

#[test]
fn bytes_are_bounded_too() {
    let two = 2 * (ENTRY_BYTES + 2);
    let mut seen = Seen::new(Settings { ttl_ms: 1000, entries_max: 100, bytes_max: two });
    assert_eq!(show(&mut seen, "c", "1", 0), NEW);
    assert_eq!(show(&mut seen, "c", "2", 0), NEW);
    assert_eq!(seen.bytes, two);
    assert_eq!(show(&mut seen, "c", "33", 0), Sight::First { forgotten: 2 });
    // One that is larger than the bound is kept alone.
    let large = "x".repeat(two);
    assert_eq!(show(&mut seen, "c", &large, 0), Sight::First { forgotten: 1 });
    assert_eq!(show(&mut seen, "c", &large, 0), Sight::Again);
    assert_eq!(show(&mut seen, "c", "1", 0), Sight::First { forgotten: 1 });
    assert_eq!((seen.entries.len(), seen.bytes), (1, ENTRY_BYTES + 2));
}

proptest! {
    #[test]
    fn it_agrees_with_a_plain_model(
        shown in proptest::collection::vec(("[ab]{0,2}", "[ab]{0,2}", 0u64..40), 0..300),
        entries_max in 1usize..20,
    ) {
        const TTL_MS: u64 = 100;
        let mut seen = Seen::new(Settings { ttl_ms: TTL_MS, entries_max, bytes_max: usize::MAX });
        let mut model: BTreeMap<(String, String), (u64, usize)> = BTreeMap::new();
        let mut now = 0;
        for (at, (channel, id, passed)) in shown.into_iter().enumerate() {
            now += passed;
            model.retain(|_, (expires, _)| *expires > now);
            let got = show(&mut seen, &channel, &id, now);
            let key = (channel, id);
            if model.contains_key(&key) {
                prop_assert_eq!(got, Sight::Again);
                continue;
            }
            let mut forgotten = 0;
            if model.len() == entries_max {
                let oldest = model.iter().min_by_key(|(_, (_, at))| *at).unwrap().0.clone();
                model.remove(&oldest);
                forgotten = 1;
            }
            model.insert(key, (now + TTL_MS, at));
            prop_assert_eq!(got, Sight::First { forgotten });
            prop_assert_eq!(seen.entries.len(), model.len());
            prop_assert_eq!(seen.numbers.len(), model.len());
            let bytes: usize = seen.entries.iter().map(Entry::memory_bytes).sum();
            prop_assert_eq!(seen.bytes, bytes);
        }
    }
}
