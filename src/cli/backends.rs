//! The options of the way to backends; part of the command line.

use clap::Args;

use crate::config::backends::Backends;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[proxy]")]
pub struct BackendsArgs {}

impl BackendsArgs {
    /// The same, as meant.
    #[must_use]
    pub fn backends(&self) -> Backends {
        Backends::default()
    }
}
