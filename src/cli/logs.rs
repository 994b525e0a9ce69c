//! The options of the log; part of the command line.

use clap::{Args, ValueEnum};

use crate::config::logging::Logs;

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
    /// error, warn, info, debug or trace (or 0 to 4, as Pushpin counts). RUST_LOG refines it.
    #[arg(long, env = "LINCHPIN_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub log_level: String,

    /// How log lines look.
    #[arg(long, env = "LINCHPIN_LOG_FORMAT", default_value = "human", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

impl LogArgs {
    /// The same, as meant.
    #[must_use]
    pub fn logs(&self) -> Logs {
        Logs { level: self.log_level.clone(), json: self.log_format == LogFormat::Json }
    }
}
