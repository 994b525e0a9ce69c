//! The options of the log; part of the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::invocation::{self, InvocationArgs};
use crate::config::logging::Logs;

/// The level of `--verbose`.
const VERBOSE: &str = "debug";

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[runner]")]
pub struct LogArgs {
    /// error, warn, info, debug or trace (or 0 to 4, as Pushpin counts), and behind it levels of
    /// parts: `info,proxy:debug`. Parts are connmgr, proxy, handler and runner. RUST_LOG refines
    /// it.
    #[arg(
        long,
        visible_alias = "loglevel",
        env = "LINCHPIN_LOG_LEVEL",
        default_value = "info",
        value_delimiter = ',',
        value_name = "LEVEL",
        allow_hyphen_values = true
    )]
    pub log_level: Vec<String>,

    /// Folder with the log of each part in a file of its own: connmgr.log, pushpin-proxy.log,
    /// pushpin-handler.log (with --id they begin with `pN-`); it is made if it is not there. What
    /// the process says of itself stays on standard error. Without it all goes there. SIGHUP has
    /// files opened anew, so that they can be rotated.
    #[arg(long, env = "LINCHPIN_LOGDIR", value_name = "DIR")]
    pub logdir: Option<PathBuf>,

    /// How log lines look.
    #[arg(long, env = "LINCHPIN_LOG_FORMAT", default_value = "human", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

impl LogArgs {
    /// The same, as meant.
    #[must_use]
    pub fn logs(&self, invocation: &InvocationArgs) -> Logs {
        let folder = self.logdir.clone().filter(|folder| !folder.as_os_str().is_empty());
        Logs {
            level: if invocation.verbose { VERBOSE.to_owned() } else { self.log_level.join(",") },
            json: self.log_format == LogFormat::Json,
            file: invocation.logfile.clone(),
            folder: folder.filter(|_| !invocation.merge_output),
            prefix: invocation.id.map(|id| invocation::instance(id).0).unwrap_or_default(),
        }
    }
}
