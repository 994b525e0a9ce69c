//! How many deliveries a second a shard makes, where that is limited (`message_rate`;
//! specification, GRIP 5.8). What cannot go yet waits where it is, and publishers with it: nothing
//! is dropped.
//!
//! Used by `registry`. It knows no deliveries, only what they cost.

use crate::clock::Tick;

/// Rates from here on are released in turns of [`TURN_MS`]; lower ones one by one.
const TURNS_FROM: u32 = 40;
const TURN_MS: u64 = 25;

/// See the module.
pub struct Limiter {
    rate: u32,
    /// What may still be spent in this turn; below zero it is paid back first.
    left: i64,
    /// When the next turn begins.
    turn: Tick,
}

impl Limiter {
    /// A limit of so many deliveries a second.
    #[must_use]
    pub fn new(rate: u32) -> Limiter {
        Limiter { rate: rate.max(1), left: 0, turn: Tick(0) }
    }

    fn per_turn(&self) -> (u64, i64) {
        match self.rate >= TURNS_FROM {
            true => (TURN_MS, i64::from(self.rate.div_ceil((1000 / TURN_MS) as u32))),
            false => (1000 / u64::from(self.rate), 1),
        }
    }

    /// How many deliveries may be made now.
    pub fn allowance(&mut self, now: Tick) -> usize {
        let (ms, units) = self.per_turn();
        if now >= self.turn {
            // What was not used is lost; what was spent ahead is owed, turn by turn.
            let turns = 1 + now.ms_since(self.turn) / ms;
            let turns = i64::try_from(turns).unwrap_or(i64::MAX);
            self.left = self.left.min(0).saturating_add(units.saturating_mul(turns)).min(units);
            self.turn = now.plus_ms(ms);
        }
        usize::try_from(self.left).unwrap_or(0)
    }

    /// So much was spent.
    pub fn spend(&mut self, cost: u64) {
        self.left = self.left.saturating_sub(i64::try_from(cost).unwrap_or(i64::MAX));
    }

    /// When more may be delivered; `None` when it may be now.
    #[must_use]
    pub fn next_turn(&self) -> Option<Tick> {
        (self.left <= 0).then_some(self.turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(rate: u32, cost: u64, ms: u64) -> u64 {
        let mut limiter = Limiter::new(rate);
        let mut sum = 0;
        for at in 0..ms {
            while limiter.allowance(Tick(at)) > 0 {
                limiter.spend(cost);
                sum += 1;
            }
            assert!(limiter.next_turn().is_some_and(|turn| turn > Tick(at)));
        }
        sum
    }

    #[test]
    fn rates_are_kept() {
        assert_eq!(released(2500, 1, 1000), 2520); // 63 every 25 ms
        assert_eq!(released(40, 1, 1000), 40);
        assert_eq!(released(10, 1, 1000), 10);
        assert_eq!(released(1, 1, 3000), 3);
    }

    #[test]
    fn what_costs_more_is_paid_back() {
        assert_eq!(released(1000, 25, 1000), 40);
        assert_eq!(released(1000, 250, 1000), 4);
    }

    #[test]
    fn a_pause_saves_nothing_up() {
        let mut limiter = Limiter::new(40);
        assert_eq!(limiter.allowance(Tick(0)), 1);
        limiter.spend(1);
        assert_eq!(limiter.allowance(Tick(60_000)), 1);
        limiter.spend(1);
        assert_eq!(limiter.allowance(Tick(60_000)), 0);
    }
}
