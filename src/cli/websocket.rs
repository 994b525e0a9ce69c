//! The options of what a WebSocket may do; part of the command line.

use clap::Args;

use crate::config::websocket::Bounds;
use crate::limits;

/// See the module.
#[derive(Args, Clone, Debug)]
pub struct WebSocketArgs {
    /// Largest WebSocket message of a client, in bytes; 0 is no bound: messages are relayed while
    /// they come. Over HTTP a message also has to fit into the queue to the backend.
    #[arg(
        long,
        env = "LINCHPIN_WEBSOCKET_MESSAGE_BYTES",
        default_value_t = limits::WEBSOCKET_MESSAGE_BYTES_MAX,
        value_name = "BYTES"
    )]
    pub websocket_message_bytes: u64,

    /// A WebSocket on which nothing is heard or said for so many seconds is closed.
    #[arg(
        long,
        env = "LINCHPIN_WEBSOCKET_IDLE_TIMEOUT",
        default_value_t = limits::WEBSOCKET_IDLE_S,
        value_name = "SECONDS"
    )]
    pub websocket_idle_timeout: u64,
}

impl WebSocketArgs {
    /// As it is meant.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        Bounds {
            message_bytes_max: self.websocket_message_bytes,
            idle_ms: self.websocket_idle_timeout.saturating_mul(1000),
        }
    }
}
