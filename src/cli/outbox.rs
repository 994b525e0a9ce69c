//! The options of what waits for one client, and of clients that do not read; part of the command
//! line.

use clap::{Args, ValueEnum};

use crate::limits;
use crate::route::condition::Slow;

/// What becomes of clients that do not read as fast as they are published to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SlowConsumer {
    /// They are closed.
    Close,
    /// The oldest messages that wait for them are dropped.
    DropOldest,
    /// All messages that wait for them are dropped but the newest.
    Conflate,
}

/// See the module.
#[derive(Args, Clone, Debug)]
pub struct OutboxArgs {
    /// Bytes that may wait for one client that does not read.
    #[arg(
        long,
        env = "LINCHPIN_OUTBOX_BYTES",
        default_value_t = limits::OUTBOX_BYTES_MAX,
        value_name = "BYTES"
    )]
    pub outbox_bytes: usize,

    /// Messages that may wait for one client that does not read.
    #[arg(
        long,
        env = "LINCHPIN_OUTBOX_MESSAGES",
        default_value_t = limits::OUTBOX_MESSAGES_MAX,
        value_name = "N"
    )]
    pub outbox_messages: usize,

    /// What is done with a client for which that is not enough; a route may say otherwise.
    #[arg(long, env = "LINCHPIN_SLOW_CONSUMER", default_value = "close", value_name = "WHAT")]
    pub slow_consumer: SlowConsumer,
}

impl OutboxArgs {
    /// What is done with clients that do not read.
    #[must_use]
    pub fn slow(&self) -> Slow {
        match self.slow_consumer {
            SlowConsumer::Close => Slow::Close,
            SlowConsumer::DropOldest => Slow::DropOldest,
            SlowConsumer::Conflate => Slow::Conflate,
        }
    }
}
