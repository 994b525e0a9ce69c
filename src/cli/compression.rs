//! The options of compression on WebSockets; part of the command line.

use clap::Args;

use crate::config::websocket::Compression;
use crate::limits;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[runner]")]
pub struct CompressionArgs {
    /// Negotiate permessage-deflate with WebSocket clients and backends.
    #[arg(long, env = "LINCHPIN_ALLOW_COMPRESSION")]
    pub allow_compression: bool,

    /// Messages with fewer bytes are sent uncompressed.
    #[arg(
        long,
        env = "LINCHPIN_COMPRESSION_MIN_BYTES",
        default_value_t = limits::COMPRESSION_BYTES_MIN,
        value_name = "BYTES"
    )]
    pub compression_min_bytes: usize,
}

impl CompressionArgs {
    /// As it is meant.
    #[must_use]
    pub fn compression(&self) -> Compression {
        Compression { allowed: self.allow_compression, bytes_min: self.compression_min_bytes }
    }
}
