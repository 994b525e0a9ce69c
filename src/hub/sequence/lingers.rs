//! Channels that count as subscribed for a while after their last long-poll (specification, GRIP
//! 2.5).
//!
//! A channel's [`Linger`] says until when; it is looked at when it first would have ended, so that
//! polls that come and go cost nothing here. Used by the roof.

use std::collections::BTreeSet;

use crate::clock::Tick;

/// When a channel stops to count as subscribed.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    until: Tick,
    /// When to look: at that moment, or earlier and then again.
    look: Tick,
}

/// When to look at which channel.
#[derive(Default)]
pub struct Lingers {
    looks: BTreeSet<(Tick, u32)>,
}

impl Lingers {
    /// When to look next, and at which channel.
    #[must_use]
    pub fn first(&self) -> Option<(Tick, u32)> {
        self.looks.first().copied()
    }

    /// A channel lingers until this moment, which is never earlier than it was.
    pub fn begin(&mut self, linger: &mut Option<Linger>, channel: u32, until: Tick) {
        let look = linger.map_or(until, |linger| linger.look);
        *linger = Some(Linger { until, look });
        self.looks.insert((look, channel));
    }

    /// A channel lingers no more.
    pub fn stop(&mut self, linger: &mut Option<Linger>, channel: u32) {
        if let Some(Linger { look, .. }) = linger.take() {
            self.looks.remove(&(look, channel));
        }
    }

    /// Looks at the first channel, whose moment has come. Whether it lingers no more.
    pub fn look(&mut self, linger: &mut Option<Linger>, channel: u32, now: Tick) -> bool {
        self.looks.pop_first();
        match linger {
            Some(Linger { until, look }) if *until > now => {
                *look = *until;
                self.looks.insert((*look, channel));
                false
            }
            _ => {
                *linger = None;
                true
            }
        }
    }

    /// How many channels linger.
    #[must_use]
    pub fn len(&self) -> usize {
        self.looks.len()
    }

    /// Whether this channel will be looked at. For tests and fuzzing.
    #[must_use]
    pub fn knows(&self, linger: Linger, channel: u32) -> bool {
        linger.look <= linger.until && self.looks.contains(&(linger.look, channel))
    }
}
