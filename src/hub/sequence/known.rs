//! The channels that something is known of, by name and by their last use.
//!
//! Used by the roof, which alone says what a channel is forgotten with.

use std::rc::Rc;

use hashbrown::HashTable;

use super::lingers::Linger;
use super::pending::Pending;
use super::queue::Queue;
use super::ring::Ring;
use crate::grip::channel::ChannelName;

/// What is known of one channel.
pub struct Sequence {
    /// Its name.
    pub name: ChannelName,
    /// The id of the item released last, while the channel is subscribed.
    pub last_id: Option<Rc<str>>,
    /// Items that wait for the one before them.
    pub pending: Pending,
    /// Items released lately.
    pub ring: Ring,
    /// Subscriptions that know what they have.
    pub tracked: u32,
    /// Whether there is a subscription, as far as was told.
    pub subscribed: bool,
    /// Set after a subscription that lingers.
    pub linger: Option<Linger>,
    /// The backend knows better than the ring what was last.
    pub forgotten: bool,
}

impl Sequence {
    fn new(name: ChannelName, subscribed: bool) -> Sequence {
        Sequence {
            name,
            last_id: None,
            pending: Pending::default(),
            ring: Ring::default(),
            tracked: 0,
            subscribed,
            linger: None,
            forgotten: false,
        }
    }

    /// Whether it would be the same if it were not here.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.last_id.is_none()
            && self.tracked == 0
            && self.linger.is_none()
            && self.pending.is_empty()
            && self.ring.is_empty()
    }
}

/// The channels, each at its place.
#[derive(Default)]
pub struct Known {
    by_name: HashTable<u32>,
    sequences: Queue<Sequence>,
}

impl Known {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sequences.len()
    }

    /// Where a channel is.
    #[must_use]
    pub fn find(&self, name: &ChannelName) -> Option<u32> {
        if self.by_name.is_empty() {
            return None;
        }
        let is_it = |&at: &u32| self.get(at).is_some_and(|sequence| sequence.name == *name);
        self.by_name.find(name.hash_value(), is_it).copied()
    }

    /// A channel.
    #[must_use]
    pub fn get(&self, at: u32) -> Option<&Sequence> {
        self.sequences.get(at)
    }

    /// A channel.
    #[must_use]
    pub fn get_mut(&mut self, at: u32) -> Option<&mut Sequence> {
        self.sequences.get_mut(at)
    }

    /// Takes in a channel that is not here yet. Where it is from now on.
    pub fn insert(&mut self, name: &ChannelName, subscribed: bool) -> u32 {
        let at = self.sequences.push(Sequence::new(name.clone(), subscribed));
        let sequences = &self.sequences;
        self.by_name.insert_unique(name.hash_value(), at, |&at| {
            sequences.get(at).map_or(0, |sequence| sequence.name.hash_value())
        });
        at
    }

    /// Takes a channel out.
    pub fn remove(&mut self, at: u32) {
        let Some(sequence) = self.sequences.remove(at) else { return };
        let hash = sequence.name.hash_value();
        if let Ok(entry) = self.by_name.find_entry(hash, |&known| known == at) {
            entry.remove();
        }
        if self.by_name.is_empty() {
            self.by_name = HashTable::new();
        }
    }

    /// Notes that a channel is used now.
    pub fn used(&mut self, at: u32) {
        self.sequences.refresh(at);
    }

    /// The channel that was used longest ago.
    #[must_use]
    pub fn oldest(&self) -> Option<u32> {
        self.sequences.first()
    }

    /// The places of all, in no order.
    pub fn places(&self) -> impl Iterator<Item = u32> + use<> {
        self.sequences.places()
    }
}
