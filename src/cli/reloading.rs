//! The options of reloading; part of the command line.

use clap::Args;

use crate::limits;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[proxy]")]
pub struct ReloadingArgs {
    /// How long after a change of the routes file it is read again, in milliseconds. Further
    /// changes in this time are read along; a file that is still being written to then is waited
    /// for, but for no more than as long again. SIGHUP has it read at once. 0 reads at once.
    #[arg(
        long,
        env = "LINCHPIN_RELOAD_DELAY",
        default_value_t = limits::RELOAD_DELAY_MS,
        value_name = "MS"
    )]
    pub reload_delay: u64,
}
