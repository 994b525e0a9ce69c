//! What the parts of the sequencer share: its settings, what it hands out, what it counts.

use std::rc::Rc;
use std::sync::Arc;

use crate::grip::item::Item;
use crate::limits;

/// The bounds of the sequencer of one shard.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long an item waits for the one before it, in milliseconds.
    pub message_wait_ms: u64,
    /// Items of one channel that wait for the ones before them.
    pub pending_max: usize,
    /// Bytes of all items that wait so, over all channels.
    pub pending_total_bytes_max: usize,
    /// Items in the ring of one channel; with 0 only channels with tracked subscriptions have one,
    /// of `pending_max` items.
    pub ring_items_max: usize,
    /// Bytes of the items in the ring of one channel.
    pub ring_bytes_max: usize,
    /// How long an item is kept in a ring, in milliseconds; at most a second longer.
    pub ring_age_ms: u64,
    /// Bytes of the items in all rings together.
    pub ring_total_bytes_max: usize,
    /// Channels that something is known of; past it the one used longest ago is forgotten.
    pub channels_max: usize,
    /// How long a channel counts as subscribed after a subscription that lingers, in milliseconds.
    pub linger_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            message_wait_ms: limits::MESSAGE_WAIT_MS,
            pending_max: limits::PENDING_ITEMS_MAX,
            pending_total_bytes_max: limits::PENDING_BYTES_MAX,
            ring_items_max: limits::RING_ITEMS_MAX,
            ring_bytes_max: limits::RING_BYTES_MAX,
            ring_age_ms: limits::RING_AGE_MS,
            ring_total_bytes_max: limits::RING_TOTAL_BYTES_MAX,
            channels_max: limits::LAST_IDS_MAX,
            linger_ms: limits::SUBSCRIPTION_LINGER_MS,
        }
    }
}

/// An item in the order of its channel.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The item.
    pub item: Arc<Item>,
    /// Its `prev-id`: the same `Rc` as the id of the item before it where the two are equal.
    /// Absent, like `id`, where nobody is subscribed and nothing is kept.
    pub prev: Option<Rc<str>>,
    /// Its id.
    pub id: Option<Rc<str>>,
    /// Whether it has its place in the order; false without an id and with `no-seq`, and where
    /// nothing is kept.
    pub kept: bool,
}

impl Entry {
    /// An item with its ids; `before` is its prev-id, if that is known already.
    #[must_use]
    pub fn new(item: &Arc<Item>, before: Option<&Rc<str>>) -> Entry {
        let prev = match (before, &item.prev_id) {
            (Some(before), Some(prev)) if **before == **prev => Some(Rc::clone(before)),
            (_, prev) => prev.as_deref().map(Rc::from),
        };
        let id: Option<Rc<str>> = item.id.as_deref().map(Rc::from);
        Entry { item: Arc::clone(item), prev, kept: id.is_some(), id }
    }
}

/// What came of an item's arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was released, and with it whatever waited for it.
    Released,
    /// It waits for the item before it.
    Waiting,
    /// It is lost; counted.
    Dropped(Why),
}

/// Why an item that came out of order was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Another one with the same prev-id waits already.
    DuplicatePrev,
    /// As many items of the channel wait as may.
    PendingFull,
    /// The items that wait in the shard have as many bytes as they may.
    PendingBytes,
}

/// What has happened so far; each only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Items that came out of order and waited.
    pub held_back: u64,
    /// Of these, released without the one before them because they had waited long enough.
    pub released_late: u64,
    /// Of these, discarded because nobody was subscribed any more, or the channel was forgotten.
    pub discarded: u64,
    /// Dropped: see [`Why::DuplicatePrev`].
    pub dropped_duplicate_prev: u64,
    /// Dropped: see [`Why::PendingFull`].
    pub dropped_pending_full: u64,
    /// Dropped: see [`Why::PendingBytes`].
    pub dropped_pending_bytes: u64,
    /// Items that left a ring because it, or all of them, were full.
    pub ring_evicted: u64,
    /// Items that left a ring because of their age.
    pub ring_expired: u64,
    /// Items that left a ring because one without its place in the order made them useless, or the
    /// ring was not needed any more.
    pub ring_cleared: u64,
    /// Channels forgotten because there were too many.
    pub channels_evicted: u64,
}

/// What a sequencer has at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Channels that something is known of.
    pub channels: usize,
    /// Items that wait for the one before them.
    pub pending: usize,
    /// Their bytes.
    pub pending_bytes: usize,
    /// Entries in rings.
    pub kept: usize,
    /// The bytes of their items.
    pub kept_bytes: usize,
}
