//! What may be set about TLS, as meant; the command line fills it, `server` loads it.

use std::path::PathBuf;

/// All of it.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The folder of certificates that clients are shown.
    pub certs: PathBuf,
}
