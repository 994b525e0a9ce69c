//! The options of where the routes are; part of the command line.

use std::path::PathBuf;

use clap::Args;

use crate::config::settings::RoutesFrom;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[proxy]")]
pub struct RoutesArgs {
    /// Routes file to use instead of the routes compiled in. In the configuration file its path is
    /// relative to that.
    #[arg(long, alias = "routes", env = "LINCHPIN_ROUTESFILE", value_name = "FILE")]
    pub routesfile: Option<PathBuf>,

    /// A route line to use instead of any routes file; may be repeated (separated by newlines in
    /// the environment, by commas between quoted lines in the configuration file).
    #[arg(long, env = "LINCHPIN_ROUTE", value_name = "LINE", value_delimiter = '\n')]
    pub route: Vec<String>,
}

impl RoutesArgs {
    /// Where they are.
    #[must_use]
    pub fn routes(&self) -> RoutesFrom {
        match (&self.routesfile, self.route.is_empty()) {
            (_, false) => RoutesFrom::Lines(self.route.clone()),
            (Some(file), true) => RoutesFrom::File(file.clone()),
            (None, true) => RoutesFrom::Compiled,
        }
    }
}
