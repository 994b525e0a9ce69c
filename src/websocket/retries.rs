//! Whether and when a request of WebSocket-over-HTTP is made again (specification, WebSockets
//! 5.10).
//!
//! Used by `courier`, and by `opening` to tell a backend that its client is gone. Pure.

use crate::backend::error::{Error, Kind, Stage};
use crate::limits;

/// The longest random part of a delay, in milliseconds.
pub const RANDOM_MS_MAX: u64 = 999;

/// The attempts at one request.
#[derive(Debug, Default)]
pub struct Retries {
    made: u32,
}

impl Retries {
    /// After how many milliseconds the request is made again: 1, 2, 4, ... seconds and this random
    /// part. `None` when it is not.
    pub fn next_ms(&mut self, error: &Error, random_ms: u64) -> Option<u64> {
        if !may_retry(error) || self.made == limits::EVENTS_RETRIES_MAX {
            return None;
        }
        let delay_ms = (1000 << self.made) + random_ms;
        self.made += 1;
        Some(delay_ms)
    }
}

/// Only if the backend cannot have seen all of the request, or closed an idle connection under us.
fn may_retry(error: &Error) -> bool {
    match error.stage {
        Stage::Resolve | Stage::Connect | Stage::Tls | Stage::Send => true,
        Stage::Head => error.reused && error.kind == Kind::Closed,
        Stage::Policy | Stage::Body => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(stage: Stage, kind: Kind, reused: bool) -> Error {
        Error { reused, ..Error::new(stage, kind, "") }
    }

    #[test]
    fn only_what_the_backend_cannot_have_seen_is_said_again() {
        assert!(may_retry(&error(Stage::Resolve, Kind::NotFound, false)));
        assert!(may_retry(&error(Stage::Connect, Kind::Refused, false)));
        assert!(may_retry(&error(Stage::Connect, Kind::TimedOut, false)));
        assert!(may_retry(&error(Stage::Tls, Kind::Certificate, false)));
        assert!(may_retry(&error(Stage::Send, Kind::Closed, false)));
        assert!(may_retry(&error(Stage::Send, Kind::TimedOut, false)));
        assert!(may_retry(&error(Stage::Head, Kind::Closed, true)));
        assert!(!may_retry(&error(Stage::Head, Kind::Closed, false)));
        assert!(!may_retry(&error(Stage::Head, Kind::TimedOut, true)));
        assert!(!may_retry(&error(Stage::Body, Kind::Closed, true)));
        assert!(!may_retry(&error(Stage::Policy, Kind::Forbidden, false)));
    }

    #[test]
    fn five_times_each_after_twice_as_long() {
        let refused = error(Stage::Connect, Kind::Refused, false);
        let mut retries = Retries::default();
        let delays: Vec<_> = (0..7).map(|n| retries.next_ms(&refused, n)).collect();
        let expected = [1000, 2001, 4002, 8003, 16_004].map(Some);
        assert_eq!(delays, [&expected[..], &[None, None]].concat());
        let lost = error(Stage::Head, Kind::Closed, false);
        assert_eq!(Retries::default().next_ms(&lost, 0), None);
    }
}
