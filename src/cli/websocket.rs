//! The options of what a WebSocket may do; part of the command line.

use clap::Args;

use crate::config::websocket::Bounds;
use crate::limits;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[proxy]")]
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

    /// Largest WebSocket frame of a client, in bytes; 0 is no bound.
    #[arg(
        long,
        env = "LINCHPIN_WEBSOCKET_FRAME_BYTES",
        default_value_t = limits::WEBSOCKET_FRAME_BYTES_MAX,
        value_name = "BYTES"
    )]
    pub websocket_frame_bytes: u64,

    /// Frames of one WebSocket message, of a client or of a WebSocket backend; 0 is no bound.
    #[arg(
        long,
        env = "LINCHPIN_WEBSOCKET_FRAGMENTS",
        default_value_t = limits::WEBSOCKET_FRAGMENTS_MAX,
        value_name = "N"
    )]
    pub websocket_fragments: u64,

    /// Bytes of frames that are taken from a client whose WebSocket handshake no backend has
    /// answered yet; with more the client waits.
    #[arg(
        long,
        env = "LINCHPIN_WEBSOCKET_EARLY_BYTES",
        default_value_t = limits::WEBSOCKET_EARLY_BYTES_MAX,
        value_name = "BYTES"
    )]
    pub websocket_early_bytes: usize,

    /// A WebSocket handshake that no backend has accepted or rejected within so many seconds is
    /// answered 502; 0 is no bound.
    #[arg(
        long,
        env = "LINCHPIN_WEBSOCKET_OPEN_TIMEOUT",
        default_value_t = limits::WEBSOCKET_OPEN_S,
        value_name = "SECONDS"
    )]
    pub websocket_open_timeout: u64,

    /// A WebSocket on which nothing is heard or said for so many seconds is closed; 0 is no bound.
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
            frame_bytes_max: self.websocket_frame_bytes,
            fragments_max: self.websocket_fragments,
            early_bytes_max: self.websocket_early_bytes,
            open_ms: self.websocket_open_timeout.saturating_mul(1000),
            idle_ms: self.websocket_idle_timeout.saturating_mul(1000),
        }
    }
}
