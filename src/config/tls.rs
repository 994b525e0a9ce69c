//! What may be set about TLS, as meant, and loaded: the command line fills it, `server` asks for
//! both sides before anything starts.

use std::path::PathBuf;
use std::sync::Arc;

use super::problem::Problem;
use crate::clock;
use crate::tls;
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
    /// The side that clients see, and what is wrong with pairs that are left out. A folder without
    /// any that can be used prevents the start. Blocks.
    pub fn edge(&self, problems: &mut Vec<Problem>) -> (Option<Edge>, Vec<tls::Problem>) {
        let (certificates, mut mistakes) = Certificates::load(&self.certs);
        if certificates.is_empty() {
            let folder = self.certs.display();
            problems.push(Problem::of("--certs", format!("no usable certificate in {folder}")));
            let mistakes = mistakes.drain(..);
            problems.extend(mistakes.map(|mistake| Problem::of("--certs", mistake.to_string())));
        }
        let authorities = self.authorities(problems);
        let sessions = Edge::new(certificates)
            .map_err(|error| problems.push(Problem::of("TLS", error.to_string())));
        let edge = sessions.ok().filter(|edge| !edge.certificates.is_empty());
        let edge = edge.and_then(|edge| {
            Some(Edge { authorities: authorities?, min_version: self.min_version, ..edge })
        });
        (edge, mistakes)
    }

    /// Looks at all files: what prevents the start is added to `problems`; what does not, but is
    /// wrong or will be soon, is in words. `serves`: whether clients come with TLS. Blocks.
    pub fn check(&self, serves: bool, problems: &mut Vec<Problem>) -> Vec<String> {
        let mut doubts = Vec::new();
        if serves {
            let (edge, mistakes) = self.edge(problems);
            doubts.extend(mistakes.iter().map(|mistake| format!("left out: {mistake}")));
            let now_s = i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX);
            for (file, validity) in edge.iter().flat_map(|edge| edge.certificates.validities()) {
                let words = validity.words(now_s);
                doubts.extend(words.map(|words| format!("{}: it {words}", file.display())));
            }
            doubts.sort_unstable();
        }
        self.towards_backends(problems);
        doubts
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
    pub fn towards_backends(&self, problems: &mut Vec<Problem>) -> Option<ClientTls> {
        let more = match self.backend_ca.as_deref().map(client::further_roots) {
            None => Vec::new(),
            Some(Ok(more)) => more,
            Some(Err(problem)) => {
                problems.push(Problem::of("--backend-ca", problem.to_string()));
                return None;
            }
        };
        match ClientTls::from_system(more) {
            Ok((tls, notes)) => {
                for note in notes {
                    tracing::warn!("root certificates: {note}");
                }
                Some(tls)
            }
            Err(error) => {
                problems.push(Problem::of("TLS towards backends", error.to_string()));
                None
            }
        }
    }
}
