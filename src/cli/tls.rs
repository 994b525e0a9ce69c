//! The options of TLS, towards clients and towards backends; part of the command line.

use std::path::PathBuf;

use clap::Args;

use crate::config::tls::Tls;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[runner]")]
pub struct TlsArgs {
    /// Folder of certificates for HTTPS; see the README there.
    #[arg(long, env = "LINCHPIN_CERTS", default_value = "certs", value_name = "DIR")]
    pub certs: PathBuf,
}

impl TlsArgs {
    /// The same, as meant.
    #[must_use]
    pub fn tls(&self) -> Tls {
        Tls { certs: self.certs.clone() }
    }
}
