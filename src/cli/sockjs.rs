//! The options of SockJS; part of the command line.

use clap::Args;

use crate::config::websocket::SockJs;
use crate::limits;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[proxy]")]
pub struct SockJsArgs {
    /// Where SockJS iframe pages load the client library from.
    #[arg(
        long,
        env = "LINCHPIN_SOCKJS_URL",
        default_value = limits::SOCKJS_URL,
        value_name = "URL"
    )]
    pub sockjs_url: String,

    /// A SockJS client gets a heartbeat so often.
    #[arg(
        long,
        env = "LINCHPIN_SOCKJS_HEARTBEAT",
        default_value_t = limits::SOCKJS_HEARTBEAT_MS,
        value_parser = clap::value_parser!(u64).range(1..),
        value_name = "MS"
    )]
    pub sockjs_heartbeat: u64,

    /// A SockJS session that nobody fetches from for so long is over.
    #[arg(
        long,
        env = "LINCHPIN_SOCKJS_DISCONNECT_DELAY",
        default_value_t = limits::SOCKJS_DISCONNECT_MS,
        value_name = "MS"
    )]
    pub sockjs_disconnect_delay: u64,

    /// Bytes of messages that may wait for one SockJS client; a session for which more waits is
    /// over. Also the largest message that a backend may send it.
    #[arg(
        long,
        env = "LINCHPIN_SOCKJS_QUEUE_BYTES",
        default_value_t = limits::SOCKJS_QUEUE_BYTES_MAX,
        value_name = "BYTES"
    )]
    pub sockjs_queue_bytes: usize,

    /// SockJS sessions of the HTTP transports at once; further ones are refused.
    #[arg(
        long,
        env = "LINCHPIN_SOCKJS_SESSIONS_MAX",
        default_value_t = limits::SOCKJS_SESSIONS_MAX,
        value_name = "N"
    )]
    pub sockjs_sessions_max: usize,
}

impl SockJsArgs {
    /// As it is meant; the sessions are those of all threads.
    #[must_use]
    pub fn sockjs(&self) -> SockJs {
        SockJs {
            url: self.sockjs_url.clone(),
            heartbeat_ms: self.sockjs_heartbeat,
            disconnect_ms: self.sockjs_disconnect_delay,
            queue_bytes_max: self.sockjs_queue_bytes,
            sessions_max: self.sockjs_sessions_max,
        }
    }
}
