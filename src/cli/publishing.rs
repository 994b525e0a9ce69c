//! The options that bound what publishers may have waiting; part of the command line.

use clap::Args;

use crate::limits;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[handler]")]
pub struct PublishingArgs {
    /// Published items that may wait in one worker for their deliveries; past it publishers wait.
    #[arg(
        long,
        env = "LINCHPIN_WAITING_ITEMS",
        default_value_t = limits::WAITING_ITEMS_MAX,
        value_name = "N"
    )]
    pub waiting_items: usize,

    /// Bytes that these may keep; past it publishers wait.
    #[arg(
        long,
        env = "LINCHPIN_WAITING_BYTES",
        default_value_t = limits::WAITING_BYTES_MAX,
        value_name = "BYTES"
    )]
    pub waiting_bytes: usize,
}
