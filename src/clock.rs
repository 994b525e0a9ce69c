//! The only reader of the clock and the only sleeper.
//!
//! Everything above asks here for the time, as a [`Tick`]: milliseconds since the process started.
//! The pure parts (`wheel`, `session`, `hub`) never call this module's functions: they are handed a
//! `Tick`, so that tests move time by hand.

pub mod alarm;
#[cfg(test)]
pub mod by_hand;

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment, in milliseconds since the process started. Never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// The moment `ms` milliseconds after this one.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Tick {
        Tick(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; 0 when `earlier` is later.
    #[must_use]
    pub fn ms_since(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[allow(clippy::disallowed_methods)] // this module is the door that the lint points to
fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// The present moment.
#[must_use]
#[allow(clippy::disallowed_methods)]
pub fn now() -> Tick {
    #[cfg(test)]
    if let Some(now) = by_hand::now() {
        return Tick(now);
    }
    let elapsed = Instant::now().saturating_duration_since(start());
    Tick(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// Seconds since the Unix epoch, as a JWT's `exp` counts them.
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Waits until `at`.
pub async fn sleep_until(at: Tick) {
    #[cfg(test)]
    if by_hand::now().is_some() {
        return by_hand::sleep_until(at.0).await;
    }
    let at = start() + Duration::from_millis(at.0);
    tokio::time::sleep_until(tokio::time::Instant::from_std(at)).await;
}

/// Waits for `ms` milliseconds.
#[allow(clippy::disallowed_methods)]
pub async fn sleep_ms(ms: u64) {
    #[cfg(test)]
    if let Some(now) = by_hand::now() {
        return by_hand::sleep_until(now + ms).await;
    }
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_saturate() {
        assert_eq!(Tick(u64::MAX).plus_ms(5), Tick(u64::MAX));
        assert_eq!(Tick(3).ms_since(Tick(5)), 0);
        assert_eq!(Tick(8).ms_since(Tick(5)), 3);
    }

    #[test]
    fn now_does_not_go_back() {
        let a = now();
        assert!(now() >= a);
    }
}
