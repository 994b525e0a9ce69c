//! Latencies, counted in buckets that grow with the value, so that a million deliveries cost no
//! memory and one increment each. Used by the ledger; knows nothing of messages.

use std::time::Duration;

/// Buckets for each doubling: a reported value is at most 1/64 (1.6 %) above the true one.
const STEPS: u64 = 64;
/// Enough for 2^40 microseconds.
const BUCKETS: usize = (STEPS * 36) as usize;

/// Counts durations in microseconds.
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    longest: u64,
}

impl Histogram {
    /// An empty one.
    pub fn new() -> Histogram {
        Histogram { buckets: vec![0; BUCKETS], count: 0, longest: 0 }
    }

    /// Counts one duration.
    pub fn record(&mut self, taken: Duration) {
        self.record_many(taken, 1);
    }

    /// Counts the same duration `times` times.
    pub fn record_many(&mut self, taken: Duration, times: u64) {
        if times == 0 {
            return;
        }
        let micros = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket_of(micros).min(BUCKETS - 1);
        self.buckets[bucket] += times;
        self.count += times;
        self.longest = self.longest.max(micros);
    }

    /// The microseconds that the fraction `part` (0 to 1) of all durations did not exceed.
    pub fn quantile(&self, part: f64) -> u64 {
        let rank = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_end(bucket).min(self.longest);
            }
        }
        self.longest
    }

    /// The longest, in microseconds.
    pub fn longest(&self) -> u64 {
        self.longest
    }
}

fn bucket_of(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let doublings = u64::from(micros.ilog2() - STEPS.ilog2());
    ((doublings * STEPS) + (micros >> doublings)) as usize
}

fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let doublings = bucket / STEPS - 1;
    ((bucket % STEPS + STEPS + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket() {
        for micros in (0..5_000_000).step_by(37).chain([63, 64, 127, 128, 129, 1 << 35]) {
            let end = upper_end(bucket_of(micros));
            assert!(end >= micros && end - micros <= micros / STEPS, "{micros} up to {end}");
        }
    }

    #[test]
    fn quantiles_of_a_known_row() {
        let mut row = Histogram::new();
        for micros in 1..=100 {
            row.record(Duration::from_micros(micros));
        }
        assert_eq!((row.quantile(0.5), row.quantile(0.99), row.longest()), (50, 99, 100));
    }
}
