//! The flags of `run` that say how published items are ordered, remembered and held back.
//!
//! A part of the command line; its meaning is in `config`.

use std::num::ParseIntError;
use std::str::FromStr;

use clap::Args;

use crate::config::messages::Messages;
use crate::config::problem::Problem;
use crate::limits;

/// Flags about published items.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[handler]")]
pub struct MessageArgs {
    /// Channels that one connection may be subscribed to.
    #[arg(
        long,
        env = "LINCHPIN_CONNECTION_SUBSCRIPTION_MAX",
        default_value_t = limits::SUBSCRIPTIONS_PER_CONNECTION_MAX,
        value_name = "N"
    )]
    pub connection_subscription_max: usize,

    /// For how many seconds the id of a published item is remembered: the same id on the same
    /// channel is dropped meanwhile. 0 remembers none.
    #[arg(
        long,
        env = "LINCHPIN_ID_CACHE_TTL",
        default_value_t = limits::ID_CACHE_TTL_S_DEFAULT,
        value_name = "S"
    )]
    id_cache_ttl: u64,

    /// How many milliseconds an item waits for the one that its prev-id names.
    #[arg(
        long,
        env = "LINCHPIN_MESSAGE_WAIT",
        default_value_t = limits::MESSAGE_WAIT_MS,
        value_name = "MS"
    )]
    message_wait: u64,

    /// Items that each channel keeps of those published lately, for clients that come back with the
    /// id of their last one: they need no backend then. 0 keeps none.
    #[arg(
        long,
        env = "LINCHPIN_RING_ITEMS",
        default_value_t = limits::RING_ITEMS_MAX,
        value_name = "N"
    )]
    ring_items: usize,

    /// Bytes that these may have, for each channel.
    #[arg(
        long,
        env = "LINCHPIN_RING_BYTES",
        default_value_t = limits::RING_BYTES_MAX,
        value_name = "BYTES"
    )]
    ring_bytes: usize,

    /// For how many seconds they are kept.
    #[arg(
        long,
        env = "LINCHPIN_RING_AGE",
        default_value_t = limits::RING_AGE_MS / 1000,
        value_name = "S"
    )]
    ring_age: u64,

    /// Bytes that they may have in all channels together, shared out among the workers.
    #[arg(
        long,
        env = "LINCHPIN_RING_TOTAL_BYTES",
        default_value_t = limits::RING_TOTAL_BYTES_MAX,
        value_name = "BYTES"
    )]
    ring_total_bytes: usize,

    /// For how many seconds a channel is remembered after its last long-poll.
    #[arg(
        long,
        env = "LINCHPIN_SUBSCRIPTION_LINGER",
        default_value_t = limits::SUBSCRIPTION_LINGER_MS / 1000,
        value_name = "S"
    )]
    subscription_linger: u64,

    /// Ask the backend once more a second after a channel's first subscription, for what was
    /// published meanwhile elsewhere.
    #[arg(
        long,
        env = "LINCHPIN_UPDATE_ON_FIRST_SUBSCRIPTION",
        default_value_t = true,
        action = clap::ArgAction::Set,
        value_name = "true|false"
    )]
    update_on_first_subscription: bool,

    /// Deliveries to clients a second, shared out among the workers; 0 (or
    /// -1, as Pushpin has it) is no limit.
    #[arg(
        long,
        env = "LINCHPIN_MESSAGE_RATE",
        default_value_t = 0,
        value_name = "N",
        value_parser = number_or_none::<u32>,
        allow_negative_numbers = true
    )]
    message_rate: u32,

    /// Deliveries that may wait, shared out among the workers; past it publishers wait. 0 (or -1)
    /// is no limit.
    #[arg(
        long,
        env = "LINCHPIN_MESSAGE_HWM",
        default_value_t = 0,
        value_name = "N",
        value_parser = number_or_none::<usize>,
        allow_negative_numbers = true
    )]
    message_hwm: usize,

    /// So many bytes of a message count as one delivery for these two; 0 (or -1) counts each
    /// message as one.
    #[arg(
        long,
        env = "LINCHPIN_MESSAGE_BLOCK_SIZE",
        default_value_t = 0,
        value_name = "BYTES",
        value_parser = number_or_none::<usize>,
        allow_negative_numbers = true
    )]
    message_block_size: usize,
}

impl MessageArgs {
    /// What is meant.
    #[must_use]
    pub fn messages(&self) -> Messages {
        Messages {
            id_cache_ttl_ms: self.id_cache_ttl.saturating_mul(1000),
            message_wait_ms: self.message_wait,
            ring_items_max: self.ring_items,
            ring_bytes_max: self.ring_bytes,
            ring_age_ms: self.ring_age.saturating_mul(1000),
            ring_total_bytes_max: self.ring_total_bytes,
            linger_ms: self.subscription_linger.saturating_mul(1000),
            update_on_first_subscription: self.update_on_first_subscription,
            rate: (self.message_rate > 0).then_some(self.message_rate),
            hwm: (self.message_hwm > 0).then_some(self.message_hwm),
            block_bytes: self.message_block_size,
        }
    }

    /// The flags of what is set of a ring while there is none.
    pub fn idle(&self, default: &MessageArgs) -> impl Iterator<Item = &'static str> {
        let all = [
            ("--ring-bytes", self.ring_bytes != default.ring_bytes),
            ("--ring-age", self.ring_age != default.ring_age),
            ("--ring-total-bytes", self.ring_total_bytes != default.ring_total_bytes),
        ];
        let none = self.ring_items == 0;
        all.into_iter().filter(move |(_, set)| none && *set).map(|(flag, _)| flag)
    }

    /// What means nothing without more.
    #[must_use]
    pub fn doubt(&self) -> Option<Problem> {
        let alone = self.message_block_size > 0 && self.message_rate == 0 && self.message_hwm == 0;
        let text = "it has no effect without message_rate or message_hwm: nothing else is counted \
                    in blocks";
        alone.then(|| Problem::of("--message-block-size", text))
    }
}

/// A number; -1 is none, which is 0 here.
fn number_or_none<N: FromStr<Err = ParseIntError>>(text: &str) -> Result<N, ParseIntError> {
    if text == "-1" { "0" } else { text }.parse()
}
