//! The options that say how the program is run, so they stand in no configuration file; part of the
//! command line.

use std::path::PathBuf;

use clap::Args;

/// Ports of an instance are so far from those of the one before it (specification, routing 7.1).
const PORTS_OF_INSTANCE: u16 = 10;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "On the command line and in the environment only")]
pub struct InvocationArgs {
    /// Configuration file, as pushpin.conf. What is typed stands before what is in the environment,
    /// and that before what is in the file.
    #[arg(short = 'c', long, env = "LINCHPIN_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Number of this instance, for several on one machine: ports of `tcp://` addresses in the
    /// configuration file and that of the control API are higher by ten times N, whatever
    /// port_offset says, and ipc_prefix is `pN-`. Ports for clients stay.
    #[arg(
        long,
        env = "LINCHPIN_ID",
        value_name = "N",
        value_parser = id,
        allow_negative_numbers = true
    )]
    pub id: Option<u16>,

    /// The only place where clients are served, over plain HTTP, instead of all that the
    /// configuration file names; may be repeated. Port 0 picks a free one.
    #[arg(long, env = "LINCHPIN_PORT", value_delimiter = ',', value_name = "[ADDR:]PORT")]
    pub port: Vec<String>,

    /// The same as --log-level=3, whatever else says so.
    #[arg(long, env = "LINCHPIN_VERBOSE")]
    pub verbose: bool,

    /// Write the log of all parts to one place, and to no files in logdir.
    #[arg(short, long, env = "LINCHPIN_MERGE_OUTPUT")]
    pub merge_output: bool,

    /// File that the log is appended to instead of the terminal.
    #[arg(long, env = "LINCHPIN_LOGFILE", value_name = "FILE")]
    pub logfile: Option<PathBuf>,
}

impl InvocationArgs {
    /// What Pushpin says of a `--port` without a port; here 0 is a free one otherwise.
    #[must_use]
    pub fn wrong_port(&self) -> Option<&'static str> {
        let none = |text: &String| {
            let port = text.rsplit(':').next().unwrap_or_default();
            port.parse::<u16>().unwrap_or(0) == 0
        };
        let wrong = self.port.iter().any(none);
        wrong.then_some("port must be greater than or equal to 1")
    }
}

/// What the number of an instance makes of `ipc_prefix` and `port_offset`.
#[must_use]
pub fn instance(id: u16) -> (String, i32) {
    (format!("p{id}-"), i32::from(id) * i32::from(PORTS_OF_INSTANCE))
}

fn id(text: &str) -> Result<u16, String> {
    let number: i64 = text.parse().map_err(|_| "expected a whole number".to_owned())?;
    if number < 0 {
        return Err("id must be greater than or equal to 0".to_owned());
    }
    let max = u16::MAX / PORTS_OF_INSTANCE;
    let id = u16::try_from(number).ok().filter(|id| *id <= max);
    id.ok_or_else(|| format!("id must be less than or equal to {max}"))
}
