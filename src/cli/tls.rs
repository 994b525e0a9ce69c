//! The options of TLS, towards clients and towards backends; part of the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::tls::{ClientCertificates, MinVersion, Tls};

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[runner]")]
pub struct TlsArgs {
    /// Folder of certificates for HTTPS; see the README there. Files that are replaced are taken
    /// over within a second or so, without a restart.
    #[arg(long, env = "LINCHPIN_CERTS", default_value = "certs", value_name = "DIR")]
    pub certs: PathBuf,

    /// Lowest version of TLS that clients may speak. Older ones are refused in the handshake.
    #[arg(
        long,
        env = "LINCHPIN_TLS_MIN_VERSION",
        value_enum,
        default_value_t = Version::Tls12,
        value_name = "VERSION"
    )]
    pub tls_min_version: Version,

    /// Whether clients are asked for a certificate. `optional`: who shows none is served all the
    /// same, who shows one that does not do is not. `required`: who shows none is refused in the
    /// handshake. Needs tls_client_ca.
    #[arg(
        long,
        env = "LINCHPIN_TLS_CLIENT_AUTH",
        value_enum,
        default_value_t = ClientAuth::None,
        value_name = "WHO"
    )]
    pub tls_client_auth: ClientAuth,

    /// File of PEM with the authorities whose client certificates are accepted. Read again when it
    /// is replaced; sessions that began under other authorities are not resumed.
    #[arg(long, env = "LINCHPIN_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,

    /// Tell backends which certificate a client has shown, in the header Client-Cert (RFC 9440).
    /// What clients send of that name is removed then.
    #[arg(long, env = "LINCHPIN_TLS_CLIENT_CERT_HEADER")]
    pub tls_client_cert_header: bool,

    /// File of PEM with authorities whose certificates are accepted of backends, beside those of
    /// the system.
    #[arg(long, env = "LINCHPIN_BACKEND_CA", value_name = "FILE", help_heading = "[proxy]")]
    pub backend_ca: Option<PathBuf>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Version {
    /// TLS 1.2.
    #[value(name = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[value(name = "1.3")]
    Tls13,
}

/// Who must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientAuth {
    /// Nobody is asked.
    None,
    /// Who has one.
    Optional,
    /// Everybody.
    Required,
}

impl TlsArgs {
    /// The same, as meant.
    #[must_use]
    pub fn tls(&self) -> Tls {
        Tls {
            certs: self.certs.clone(),
            min_version: match self.tls_min_version {
                Version::Tls12 => MinVersion::Tls12,
                Version::Tls13 => MinVersion::Tls13,
            },
            client_certificates: match self.tls_client_auth {
                ClientAuth::None => ClientCertificates::Unasked,
                ClientAuth::Optional => ClientCertificates::Optional,
                ClientAuth::Required => ClientCertificates::Required,
            },
            client_ca: self.tls_client_ca.clone(),
            client_cert_header: self.tls_client_cert_header,
            backend_ca: self.backend_ca.clone(),
        }
    }
}
