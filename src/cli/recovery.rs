//! The options of asking backends again about what they hold; part of the command line.

use clap::Args;

use crate::limits;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[handler]")]
pub struct RecoveryArgs {
    /// Requests that each worker makes at once to ask backends again: next links, repeated
    /// long-polls. Further ones wait their turn.
    #[arg(
        long,
        env = "LINCHPIN_UPDATES_AT_ONCE",
        default_value_t = limits::UPDATES_AT_ONCE,
        value_name = "N"
    )]
    pub updates_at_once: usize,

    /// How many milliseconds a client has to come back before its backend is told, by the gone
    /// link, that it is gone; 0 tells at once.
    #[arg(
        long,
        env = "LINCHPIN_GONE_DELAY",
        default_value_t = limits::GONE_DELAY_MS_DEFAULT,
        value_name = "MS"
    )]
    pub gone_delay: u64,
}
