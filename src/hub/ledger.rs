//! What a shard keeps beyond its sessions so that nothing is lost: the order of items, who is to
//! catch up, which channels have just been subscribed, when links are polled, what was given up.
//!
//! Kept by `seats`, whose sessions it is about; it sends nothing.

use std::collections::VecDeque;
use std::rc::Rc;

use hashbrown::HashMap;

use super::sequence::Sequencer;
use super::slab::SessionId;
use crate::clock::Tick;
use crate::grip::channel::ChannelName;
use crate::limits::{COMPRESSION_BYTES_MIN, FIRST_SUBSCRIPTION_MS, POLL_MS_MIN};
use crate::session::http::Next;

/// What became of items, beyond deliveries. For the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Deliveries that were made from the ring of a channel.
    pub from_ring: u64,
    /// Sessions that lacked something which only their backend knows.
    pub missed: u64,
    /// Items that a session lost because too many waited for it while its backend was asked.
    pub dropped_queue: u64,
    /// Variables that were not set, because their session had too many.
    pub variables_refused: u64,
    /// Items that a filter kept from a session.
    pub filtered: u64,
    /// Messages that were deflated, each once.
    pub deflated: u64,
    /// What they had been before, in bytes.
    pub deflated_bytes_before: u64,
    /// What they became, in bytes.
    pub deflated_bytes_after: u64,
}

/// See the module.
pub struct Ledger {
    /// The order of items.
    pub sequencer: Sequencer,
    /// Sessions that are to be sent what they lack.
    pub line: VecDeque<SessionId>,
    /// Sessions that have ended and were to be told of.
    pub ended: VecDeque<SessionId>,
    /// What became of items.
    pub tally: Tally,
    /// Messages of fewer bytes are not deflated.
    pub deflate_bytes_min: usize,
    /// The moment that was last heard of: for what happens without one.
    pub now: Tick,
    /// Channels that were subscribed to for the first time, each with when that is followed up.
    firsts: VecDeque<(Tick, ChannelName)>,
    follows_up: bool,
    polls: HashMap<(Rc<str>, u64), (Tick, usize), ahash::RandomState>,
}

impl Ledger {
    /// An empty one.
    #[must_use]
    pub fn new(sequencer: Sequencer, follows_up: bool) -> Ledger {
        Ledger {
            sequencer,
            line: VecDeque::new(),
            ended: VecDeque::new(),
            tally: Tally::default(),
            deflate_bytes_min: COMPRESSION_BYTES_MIN,
            now: Tick(0),
            firsts: VecDeque::new(),
            follows_up,
            polls: HashMap::default(),
        }
    }

    /// A channel has a subscriber that had none (specification, GRIP 5.6).
    pub fn note_first(&mut self, name: &ChannelName) {
        if self.follows_up {
            self.firsts.push_back((self.now.plus_ms(FIRST_SUBSCRIPTION_MS), name.clone()));
        }
    }

    /// A subscription follows ids from now on, or does not any more.
    pub fn track(&mut self, name: &ChannelName, tracked: bool) {
        if tracked {
            self.sequencer.joined(name, true, false);
        } else {
            self.sequencer.left(name, true, false, false, self.now);
        }
    }

    /// The next channel whose first subscription is to be followed up by now.
    pub fn take_first(&mut self, now: Tick) -> Option<ChannelName> {
        self.firsts.pop_front_if(|(at, _)| *at <= now).map(|(_, name)| name)
    }

    /// When something of this is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        let first = self.firsts.front().map(|(at, _)| *at);
        match (first, self.sequencer.next_deadline()) {
            (Some(first), Some(other)) => Some(first.min(other)),
            (first, other) => first.or(other),
        }
    }

    /// A session with a next link joins those that are polled together; when that is.
    pub fn join_poll(&mut self, next: &Next) -> Tick {
        let key = (Rc::clone(&next.group), next.timeout_ms);
        let due = self.now.plus_ms(next.timeout_ms.max(POLL_MS_MIN));
        let (at, members) = self.polls.entry(key).or_insert((due, 0));
        *members += 1;
        if *at <= self.now {
            *at = due;
        }
        *at
    }

    /// The next moment at which a session is polled that was due now.
    pub fn next_poll(&mut self, next: &Next) -> Tick {
        let due = self.now.plus_ms(next.timeout_ms.max(POLL_MS_MIN));
        let key = (Rc::clone(&next.group), next.timeout_ms);
        let Some((at, _)) = self.polls.get_mut(&key) else { return due };
        if *at <= self.now {
            *at = due;
        }
        *at
    }

    /// A session with a next link leaves.
    pub fn leave_poll(&mut self, next: &Next) {
        let key = (Rc::clone(&next.group), next.timeout_ms);
        if let Some((_, members)) = self.polls.get_mut(&key) {
            *members -= 1;
            if *members == 0 {
                self.polls.remove(&key);
            }
        }
    }

    /// Whether nothing is kept for links.
    #[must_use]
    pub fn has_polls(&self) -> bool {
        !self.polls.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sequence::Settings;
    use super::*;

    #[test]
    fn a_group_is_polled_together() {
        let mut ledger = Ledger::new(Sequencer::new(Settings::default()), true);
        let next = Next { timeout_ms: 1000, group: "/a".into() };
        assert_eq!(ledger.join_poll(&next), Tick(1000));
        ledger.now = Tick(600);
        assert_eq!(ledger.join_poll(&next), Tick(1000));
        ledger.now = Tick(1000);
        assert_eq!((ledger.next_poll(&next), ledger.next_poll(&next)), (Tick(2000), Tick(2000)));
        let other = Next { timeout_ms: 0, group: "/a".into() };
        assert_eq!(ledger.join_poll(&other), Tick(1100));
        ledger.leave_poll(&next);
        ledger.leave_poll(&next);
        ledger.leave_poll(&other);
        assert!(!ledger.has_polls());
    }

    #[test]
    fn a_first_subscription_is_followed_up_once() {
        let mut ledger = Ledger::new(Sequencer::new(Settings::default()), true);
        ledger.note_first(&ChannelName::new("c"));
        assert_eq!(ledger.next_deadline(), Some(Tick(1000)));
        assert_eq!(ledger.take_first(Tick(999)), None);
        assert_eq!(ledger.take_first(Tick(1000)), Some(ChannelName::new("c")));
        assert_eq!(ledger.take_first(Tick(1000)), None);
        let mut silent = Ledger::new(Sequencer::new(Settings::default()), false);
        silent.note_first(&ChannelName::new("c"));
        assert_eq!(silent.next_deadline(), None);
    }
}
