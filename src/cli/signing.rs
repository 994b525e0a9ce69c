//! The options of keys, and of what is told about errors; part of the command line.

use clap::Args;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[proxy]")]
pub struct SigningArgs {
    /// Key that Grip-Sig is signed with: text, base64:..., or file:... (PEM or hex). A relative
    /// path is relative to the configuration file.
    #[arg(long, env = "LINCHPIN_SIG_KEY", value_name = "KEY", hide_env_values = true)]
    pub sig_key: Option<String>,

    /// Issuer named in Grip-Sig (backends of Pushpin may know its name).
    #[arg(long, env = "LINCHPIN_SIG_ISS", default_value = "pushpin", value_name = "NAME")]
    pub sig_iss: String,

    /// Key of GRIP proxies in front that are trusted, in the same forms (PEM of the public key):
    /// who signs with its counterpart holds connections itself.
    #[arg(long, env = "LINCHPIN_UPSTREAM_KEY", value_name = "KEY", hide_env_values = true)]
    pub upstream_key: Option<String>,

    /// Say in error answers what went wrong behind them.
    #[arg(long, env = "LINCHPIN_DEBUG")]
    pub debug: bool,
}
