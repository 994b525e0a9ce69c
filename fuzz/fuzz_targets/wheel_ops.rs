//! Any list of operations on the timer wheel does what it does on a sorted map.
#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use linchpin::clock::Tick;
use linchpin::wheel::Wheel;

#[derive(Arbitrary, Debug)]
enum Op {
    Insert(u32),
    /// Far away: all levels are reached.
    InsertFar(u64),
    Cancel(u16),
    Advance(u32),
}

fuzz_target!(|ops: Vec<Op>| {
    let mut wheel = Wheel::new();
    let mut model = BTreeSet::new();
    let mut timers = Vec::new();
    let mut now = 0_u64;
    for op in ops {
        match op {
            Op::Insert(_) | Op::InsertFar(_) => {
                let at = match op {
                    Op::Insert(ms) => now.saturating_add(u64::from(ms)),
                    Op::InsertFar(at) => at,
                    _ => 0,
                };
                let number = timers.len();
                timers.push((wheel.insert(Tick(at), number), at));
                model.insert((at, number));
            }
            Op::Cancel(number) => {
                let number = usize::from(number);
                if let Some(&(timer, at)) = timers.get(number) {
                    let runs = model.remove(&(at, number));
                    assert_eq!(wheel.deadline(timer), runs.then_some(Tick(at)));
                    assert_eq!(wheel.cancel(timer), runs.then_some(number));
                }
            }
            Op::Advance(ms) => {
                now = now.saturating_add(u64::from(ms));
                let mut due = BTreeSet::new();
                wheel.advance(Tick(now), |number| {
                    assert!(due.insert((timers[number].1, number)));
                });
                let expected: BTreeSet<_> =
                    model.iter().copied().take_while(|&(at, _)| at <= now).collect();
                model.retain(|&(at, _)| at > now);
                assert_eq!(due, expected);
            }
        }
        assert_eq!(wheel.len(), model.len());
        let earliest = model.first().map(|&(at, _)| Tick(at.max(now)));
        let next = wheel.next_deadline();
        assert_eq!(next.is_some(), earliest.is_some());
        assert!(next <= earliest);
    }
});
