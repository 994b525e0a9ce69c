//! The options that other options' values refer to; part of the command line.

use std::path::PathBuf;

use clap::Args;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[global]")]
pub struct GlobalArgs {
    /// A second configuration file, for what the first one does not say. Its path is relative to
    /// the first one. One that is called internal.conf is not read: it is about the parts of
    /// Pushpin.
    #[arg(long, env = "LINCHPIN_INCLUDE", value_name = "FILE")]
    pub include: Option<PathBuf>,

    /// Folder for what is there while the program runs; `{rundir}` in values.
    #[arg(long, env = "LINCHPIN_RUNDIR", default_value = "run", value_name = "DIR")]
    pub rundir: PathBuf,

    /// What names of sockets begin with; `{ipc_prefix}` in values.
    #[arg(long, env = "LINCHPIN_IPC_PREFIX", default_value = "pushpin-", value_name = "TEXT")]
    pub ipc_prefix: String,

    /// What `{libdir}` in values is; nothing is read from there.
    #[arg(long, env = "LINCHPIN_LIBDIR", default_value = "/usr/lib/pushpin", value_name = "DIR")]
    pub libdir: PathBuf,

    /// Added to the port of the control API and to each port of a `tcp://` address, as far as they
    /// are those of the configuration file or the default ones; ports for clients stay. May be
    /// negative.
    #[arg(
        long,
        env = "LINCHPIN_PORT_OFFSET",
        default_value_t = 0,
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(-65535..=65535),
        allow_negative_numbers = true
    )]
    pub port_offset: i32,

    /// Do not start when a route has a mistake or the configuration file has a key that nobody
    /// knows (exit code 2), instead of passing it over.
    #[arg(long, env = "LINCHPIN_STRICT")]
    pub strict: bool,
}
