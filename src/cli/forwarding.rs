//! The options of what is told to backends of clients, and of pages of other origins; part of the
//! command line.

use clap::Args;

use crate::config::forwarding::Forwarding;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[proxy]")]
pub struct ForwardingArgs {
    /// Serve pages of other origins on every route, by CORS and JSON-P; a route does it with `aco`.
    #[arg(long, env = "LINCHPIN_AUTO_CROSS_ORIGIN")]
    pub auto_cross_origin: bool,
}

impl ForwardingArgs {
    /// The same, as meant.
    #[must_use]
    pub fn forwarding(&self) -> Forwarding {
        Forwarding { cross_origin: self.auto_cross_origin }
    }
}
