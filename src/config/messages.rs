//! How published items are ordered, remembered and held back: what of it each shard is told, and
//! what the publisher. Made by the command line.

use crate::hub::registry;
use crate::publish::{publisher, seen};

/// All that concerns published items, for the whole process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages {
    /// How long ids are remembered; 0 remembers none.
    pub id_cache_ttl_ms: u64,
    /// How long an item waits for the one before it.
    pub message_wait_ms: u64,
    /// Items that each channel keeps; 0 keeps none.
    pub ring_items_max: usize,
    /// Bytes of these.
    pub ring_bytes_max: usize,
    /// How long they are kept.
    pub ring_age_ms: u64,
    /// Bytes of these in all channels.
    pub ring_total_bytes_max: usize,
    /// How long a channel is remembered after its last long-poll.
    pub linger_ms: u64,
    /// Whether backends are asked again after the first subscription of a channel.
    pub update_on_first_subscription: bool,
    /// Deliveries a second.
    pub rate: Option<u32>,
    /// Deliveries that may wait.
    pub hwm: Option<usize>,
    /// Bytes of a message that count as one delivery; 0 counts each message as one.
    pub block_bytes: usize,
}

impl Messages {
    /// `settings` of one of so many shards, with these. What is for the process is shared out;
    /// rounded up, because a shard without any part would stand still.
    #[must_use]
    pub fn for_shard(&self, workers: usize, settings: registry::Settings) -> registry::Settings {
        let workers = workers.max(1);
        let workers_u32 = u32::try_from(workers).unwrap_or(u32::MAX);
        registry::Settings {
            message_wait_ms: self.message_wait_ms,
            ring_items_max: self.ring_items_max,
            ring_bytes_max: self.ring_bytes_max,
            ring_age_ms: self.ring_age_ms,
            ring_total_bytes_max: self.ring_total_bytes_max.div_ceil(workers),
            linger_ms: self.linger_ms,
            update_on_first_subscription: self.update_on_first_subscription,
            message_rate: self.rate.map(|rate| rate.div_ceil(workers_u32)),
            message_hwm: self.hwm.map(|hwm| hwm.div_ceil(workers)),
            message_block_bytes: self.block_bytes,
            ..settings
        }
    }

    /// What the publisher is told.
    #[must_use]
    pub fn for_publisher(&self) -> publisher::Settings {
        let seen = seen::Settings { ttl_ms: self.id_cache_ttl_ms, ..Default::default() };
        publisher::Settings { seen, ..Default::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_the_process_is_shared_out() {
        let messages = Messages {
            id_cache_ttl_ms: 1,
            message_wait_ms: 2,
            ring_items_max: 3,
            ring_bytes_max: 4,
            ring_age_ms: 5,
            ring_total_bytes_max: 1001,
            linger_ms: 6,
            update_on_first_subscription: false,
            rate: Some(10),
            hwm: Some(2),
            block_bytes: 7,
        };
        let shard = messages.for_shard(4, registry::Settings::default());
        assert_eq!((shard.message_wait_ms, shard.linger_ms), (2, 6));
        assert_eq!((shard.ring_items_max, shard.ring_bytes_max, shard.ring_age_ms), (3, 4, 5));
        assert!(!shard.update_on_first_subscription);
        assert_eq!(shard.ring_total_bytes_max, 251);
        assert_eq!((shard.message_rate, shard.message_hwm), (Some(3), Some(1)));
        assert_eq!(shard.message_block_bytes, 7);
        assert_eq!(messages.for_publisher().seen.ttl_ms, 1);
        let one = messages.for_shard(0, registry::Settings::default());
        assert_eq!((one.message_rate, one.ring_total_bytes_max), (Some(10), 1001));
    }
}
