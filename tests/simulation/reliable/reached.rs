//! What the histories of all seeds reached together: a simulation in which nothing goes wrong would
//! prove nothing.

use std::sync::atomic::{AtomicU64, Ordering};

const NAMES: [&str; 11] = [
    "served from rings",
    "positions that only the backend knew",
    "items dropped while a backend was asked",
    "items held back",
    "released late",
    "discarded",
    "dropped out of order",
    "evicted from rings",
    "expired in rings",
    "seen by observers",
    "messages deflated",
];

pub struct Reached([AtomicU64; NAMES.len()]);

pub static REACHED: Reached = Reached([const { AtomicU64::new(0) }; NAMES.len()]);

impl Reached {
    pub fn add(&self, counts: &[u64; NAMES.len()]) {
        for (sum, count) in self.0.iter().zip(counts) {
            sum.fetch_add(*count, Ordering::Relaxed);
        }
    }

    /// Prints the sums, of which none may be nothing.
    pub fn report(&self, histories: &str) {
        let sums = self.0.iter().map(|sum| sum.load(Ordering::Relaxed));
        let sums: Vec<_> = NAMES.into_iter().zip(sums).collect();
        let text = sums.iter().map(|(name, sum)| format!("{name} {sum}"));
        println!("{histories}: {}", text.collect::<Vec<_>>().join(", "));
        assert!(sums.iter().all(|(_, sum)| *sum > 0), "something is never reached");
    }
}
