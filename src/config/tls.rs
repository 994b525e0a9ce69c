//! What may be set about TLS, as meant, and loaded: the command line fills it, `server` asks for
//! both sides before anything starts.

use std::path::PathBuf;
use std::sync::Arc;

use super::problem::{Findings, Problem};
use crate::tls::authorities::Authorities;
use crate::tls::client::{self, ClientTls};
pub use crate::tls::server::MinVersion;
use crate::tls::{Certificates, Edge};

/// All of it.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The folder of certificates that clients are shown.
    pub certs: PathBuf,
    /// The lowest version that clients may speak.
    pub min_version: MinVersion,
    /// Whether clients are asked for certificates.
    pub client_certificates: ClientCertificates,
    /// The file of the authorities that vouch for clients.
    pub client_ca: Option<PathBuf>,
    /// Backends are told which certificate a client has shown.
    pub client_cert_header: bool,
    /// The file of further authorities that vouch for backends.
    pub backend_ca: Option<PathBuf>,
}

/// Whether clients are asked for certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// No.
    Unasked,
    /// Who shows none is served too.
    Optional,
    /// Who shows none is refused.
    Required,
}

impl Tls {
    /// The side that clients see. Pairs that cannot be used are told and left out; a folder without
    /// any that can prevents the start. Blocks.
    pub fn edge(&self, found: &mut Findings) -> Option<Edge> {
        let (certificates, mistakes) = Certificates::load(&self.certs);
        if certificates.is_empty() {
            let folder = self.certs.display();
            found.wrong("--certs", format!("no usable certificate in {folder}"));
            mistakes.iter().for_each(|mistake| found.wrong("--certs", mistake.to_string()));
        } else {
            for mistake in &mistakes {
                found.doubt("--certs", format!("certificate left out: {mistake}"));
            }
        }
        let authorities = self.authorities(&mut found.problems);
        let sessions =
            Edge::new(certificates).map_err(|error| found.wrong("TLS", error.to_string()));
        let edge = sessions.ok().filter(|edge| !edge.certificates.is_empty())?;
        Some(Edge { authorities: authorities?, min_version: self.min_version, ..edge })
    }

    /// Who vouches for clients; `None` after a problem.
    fn authorities(&self, problems: &mut Vec<Problem>) -> Option<Option<Arc<Authorities>>> {
        let required = self.client_certificates == ClientCertificates::Required;
        let wrong = match (self.client_certificates, &self.client_ca) {
            (ClientCertificates::Unasked, None) => return Some(None),
            (ClientCertificates::Unasked, Some(_)) => Problem::of(
                "--tls-client-ca",
                "clients are not asked for certificates: --tls-client-auth says so",
            ),
            (_, None) => Problem::of("--tls-client-auth", "there is no --tls-client-ca"),
            (_, Some(file)) => match Authorities::load(file, required) {
                Ok(authorities) => return Some(Some(Arc::new(authorities))),
                Err(problem) => Problem::of("--tls-client-ca", problem.to_string()),
            },
        };
        problems.push(wrong);
        None
    }

    /// The side that backends see. Blocks.
    pub fn towards_backends(&self, found: &mut Findings) -> Option<ClientTls> {
        let more = match self.backend_ca.as_deref().map(client::further_roots) {
            None => Vec::new(),
            Some(Ok(more)) => more,
            Some(Err(problem)) => {
                found.wrong("--backend-ca", problem.to_string());
                return None;
            }
        };
        match ClientTls::from_system(more) {
            Ok((tls, notes)) => {
                for note in notes {
                    found.doubt("root certificates", note.to_string());
                }
                Some(tls)
            }
            Err(error) => {
                found.wrong("TLS towards backends", error.to_string());
                None
            }
        }
    }
}
