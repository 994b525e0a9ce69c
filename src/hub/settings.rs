//! What a shard's registry is told at start. Filled in by `config` and handed through the shard.

use super::sequence;
use crate::limits;

/// What the registry is told at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Channels that one connection may be subscribed to.
    pub subscriptions_max: usize,
    /// Subscribers that one call of `Registry::deliver` sends to.
    pub slice: usize,
    /// Items that may wait to be delivered; past it publishers are kept waiting.
    pub waiting_items_max: usize,
    /// Bytes that these may keep.
    pub waiting_bytes_max: usize,
    /// Makes the random parts of keep-alive periods repeatable.
    pub seed: Option<u64>,
    /// How long an item waits for the one before it, in milliseconds.
    pub message_wait_ms: u64,
    /// Items that each channel keeps of those delivered lately, for clients that come back; 0 for
    /// none.
    pub ring_items_max: usize,
    /// Bytes that these may have.
    pub ring_bytes_max: usize,
    /// How long they are kept, in milliseconds.
    pub ring_age_ms: u64,
    /// Bytes that they may have in all channels of the shard together.
    pub ring_total_bytes_max: usize,
    /// How long a channel is remembered after its last long-poll, in milliseconds.
    pub linger_ms: u64,
    /// Whether the backend is asked again a second after the first subscription of a channel.
    pub update_on_first_subscription: bool,
    /// Deliveries a second; `None` for no limit.
    pub message_rate: Option<u32>,
    /// Deliveries that may wait for that rate; past it publishers are kept waiting.
    pub message_hwm: Option<usize>,
    /// Bytes of a message that count as one delivery; 0 counts each message as one.
    pub message_block_bytes: usize,
    /// A published WebSocket message of fewer bytes is not deflated.
    pub deflate_bytes_min: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            subscriptions_max: limits::SUBSCRIPTIONS_PER_CONNECTION_MAX,
            slice: limits::SLICE_DELIVERIES_MAX,
            waiting_items_max: limits::WAITING_ITEMS_MAX,
            waiting_bytes_max: limits::WAITING_BYTES_MAX,
            seed: None,
            message_wait_ms: limits::MESSAGE_WAIT_MS,
            ring_items_max: limits::RING_ITEMS_MAX,
            ring_bytes_max: limits::RING_BYTES_MAX,
            ring_age_ms: limits::RING_AGE_MS,
            ring_total_bytes_max: limits::RING_TOTAL_BYTES_MAX,
            linger_ms: limits::SUBSCRIPTION_LINGER_MS,
            update_on_first_subscription: true,
            message_rate: None,
            message_hwm: None,
            message_block_bytes: 0,
            deflate_bytes_min: limits::COMPRESSION_BYTES_MIN,
        }
    }
}

impl Settings {
    /// What of it the sequencer is told.
    #[must_use]
    pub fn sequencer(&self) -> sequence::Settings {
        sequence::Settings {
            message_wait_ms: self.message_wait_ms,
            pending_max: limits::PENDING_ITEMS_MAX,
            pending_total_bytes_max: limits::PENDING_BYTES_MAX,
            ring_items_max: self.ring_items_max,
            ring_bytes_max: self.ring_bytes_max,
            ring_age_ms: self.ring_age_ms,
            ring_total_bytes_max: self.ring_total_bytes_max,
            channels_max: limits::LAST_IDS_MAX,
            linger_ms: self.linger_ms,
        }
    }
}
