//! The flags of `run` about clients: how many may connect, what they may send, and how much may
//! wait for one that does not read.
//!
//! A part of the command line; its meaning is in `config`.

use clap::{Args, ValueEnum};

use crate::limits;

/// What becomes of clients beyond `--client-maxconn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AtCapacity {
    /// They wait in the kernel's queue until somebody leaves, as with Pushpin.
    Wait,
    /// They are answered 503 at once; with TLS they are closed before the handshake.
    #[value(name = "503")]
    Refuse,
}

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

/// Flags about clients.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[runner]")]
pub struct ClientArgs {
    /// Client connections at once; further ones wait in the kernel.
    #[arg(long, env = "LINCHPIN_CLIENT_MAXCONN", default_value_t = 50_000, value_name = "N")]
    pub client_maxconn: usize,

    /// What becomes of further ones.
    #[arg(long, env = "LINCHPIN_AT_CAPACITY", default_value = "wait", value_name = "WHAT")]
    pub at_capacity: AtCapacity,

    /// Clients at once that have not finished their TLS handshake and sent a whole first request
    /// head. At the bound accepting pauses; the oldest of them goes once it had a second.
    #[arg(
        long,
        env = "LINCHPIN_HANDSHAKES_MAX",
        default_value_t = limits::HANDSHAKES_MAX,
        value_name = "N"
    )]
    pub handshakes_max: usize,

    /// How many milliseconds a client may take from connecting to a whole first request head.
    #[arg(
        long,
        env = "LINCHPIN_HANDSHAKE_TIMEOUT",
        default_value_t = limits::HANDSHAKE_MS_DEFAULT,
        value_name = "MS"
    )]
    pub handshake_timeout: u64,

    /// Largest request head, in bytes; a larger one is answered 431.
    #[arg(
        long,
        env = "LINCHPIN_CLIENT_BUFFER_SIZE",
        default_value_t = limits::REQUEST_HEAD_BYTES_MAX,
        value_name = "BYTES"
    )]
    pub client_buffer_size: usize,

    /// Largest request body, in bytes; a larger one is answered 413. Bodies stream, so by default
    /// there is no limit (0).
    #[arg(
        long,
        env = "LINCHPIN_REQUEST_BODY_BYTES",
        default_value_t = limits::REQUEST_BODY_BYTES_MAX,
        value_name = "BYTES"
    )]
    pub request_body_bytes: u64,

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
