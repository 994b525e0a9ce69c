//! How long a client may be silent: a connection without a request, or with half a head, is closed;
//! so is one whose client has taken nothing of an answer for long.
//!
//! For `serve`. hyper's own timeout arms a timer for each request; this one rings at most once in
//! each idle period, looks when the last request ended, and is set again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::state::EdgeState;
use crate::clock::alarm::Alarm;
use crate::clock::{self, Tick};

/// One connection's timer.
pub(super) struct Patience {
    idle_ms: u64,
    /// When the alarm rings.
    at: Tick,
    /// The end of the last request that is known of.
    seen: Option<Tick>,
    alarm: Pin<Box<dyn Future<Output = ()>>>,
    stuck: Alarm,
}

impl Patience {
    /// Starts now. Who takes nothing for `stuck_ms` is closed too; 0 is no bound.
    pub(super) fn new(idle_ms: u64, stuck_ms: u64) -> Patience {
        let at = clock::now().plus_ms(idle_ms);
        let alarm = Box::pin(clock::sleep_until(at));
        Patience { idle_ms, at, seen: None, alarm, stuck: Alarm::new(stuck_ms) }
    }

    /// Whether the client has taken nothing for too long of what is written.
    pub(super) fn poll_stuck(&mut self, state: &EdgeState, cx: &mut Context<'_>) -> bool {
        state.stuck_since().is_some_and(|since| self.stuck.rings(since, cx))
    }

    /// Whether the client has been silent for too long. Asked when there is nothing else to do.
    pub(super) fn poll_over(&mut self, state: &EdgeState, cx: &mut Context<'_>) -> bool {
        // What it takes slowly is not silence yet.
        if state.stuck_since().is_some() {
            return false;
        }
        // A request in flight is looked at again when it is over.
        let Some(since) = state.idle_since() else { return false };
        // A request has just ended, and the alarm, set before, has not rung: it need not be asked.
        if self.seen.is_some_and(|seen| seen != since) && since < self.at {
            self.seen = Some(since);
            return false;
        }
        self.seen = Some(since);
        while let Poll::Ready(()) = self.alarm.as_mut().poll(cx) {
            let until = since.plus_ms(self.idle_ms);
            if clock::now() >= until {
                tracing::debug!("a client was silent for too long");
                return true;
            }
            self.at = until;
            self.alarm = Box::pin(clock::sleep_until(until));
        }
        false
    }
}
