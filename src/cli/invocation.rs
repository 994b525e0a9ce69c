//! The options that say how the program is run, so they stand in no configuration file; part of the
//! command line.

use std::path::PathBuf;

use clap::Args;

/// Ports of an instance are so far from those of the one before it (specification, routing 7.1).
const PORTS_OF_INSTANCE: u16 = 10;

/// See the module.
#[derive(Args, Clone, Debug)]
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
}

/// What the number of an instance makes of `ipc_prefix` and `port_offset`.
#[must_use]
pub fn instance(id: u16) -> (String, u16) {
    (format!("p{id}-"), id.saturating_mul(PORTS_OF_INSTANCE))
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
