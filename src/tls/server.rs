//! The side that clients see: one listener's configuration, and a newer one when its files have
//! changed. Whoever looks at the files has them read here, and hands what came of it to each
//! listener of each shard.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig, SupportedProtocolVersion};

use super::authorities::Authorities;
use super::certificates::{Certificates, Refreshed};
use super::problem::Problem;
use super::resumption::Sessions;

/// The lowest version that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2 and 1.3.
    #[default]
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

/// TLS towards clients as it is set, the same for all threads and listeners.
#[derive(Clone, Debug)]
pub struct Edge {
    /// What clients are shown.
    pub certificates: Arc<Certificates>,
    /// Who vouches for clients; `None`: they are not asked for certificates.
    pub authorities: Option<Arc<Authorities>>,
    /// The lowest version.
    pub min_version: MinVersion,
    /// What clients may resume.
    pub sessions: Sessions,
}

impl Edge {
    /// With these certificates; clients are not asked for theirs.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(certificates: Certificates) -> Result<Edge, Error> {
        Ok(Edge {
            certificates: Arc::new(certificates),
            authorities: None,
            min_version: MinVersion::default(),
            sessions: Sessions::new()?,
        })
    }

    /// The configuration of the listener on `port`.
    fn config(&self, port: u16) -> Result<ServerConfig, Error> {
        let versions: &[&SupportedProtocolVersion] = match self.min_version {
            MinVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            MinVersion::Tls13 => &[&rustls::version::TLS13],
        };
        let resolver = Resolver { certificates: Arc::clone(&self.certificates), port };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
        let builder = match &self.authorities {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                builder.with_client_cert_verifier(Arc::clone(&authorities.verifier))
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let terms = self.authorities.as_ref().map_or([0; 20], |authorities| authorities.terms);
        config.ticketer = self.sessions.tickets(terms);
        config.session_storage = self.sessions.stored(terms);
        Ok(config)
    }

    /// With what has changed in the files; `None` if nothing has. What cannot be used leaves what
    /// was there before, and is told. Blocks shortly.
    #[must_use]
    pub fn refresh(&self) -> Option<(Edge, Vec<News>)> {
        let certificates = self.certificates.refresh();
        let authorities = self.authorities.as_ref().and_then(|authorities| authorities.refresh());
        if certificates.is_none() && authorities.is_none() {
            return None;
        }
        let (mut fresh, mut news) = (self.clone(), Vec::new());
        if let Some(Refreshed { certificates, taken, problems }) = certificates {
            news.extend(taken.into_iter().map(News::Certificate));
            news.extend(problems.into_iter().map(News::NoCertificate));
            fresh.certificates = Arc::new(certificates);
        }
        if let Some((authorities, problem)) = authorities {
            news.push(problem.map_or(News::Authorities, News::NoAuthorities));
            fresh.authorities = Some(Arc::new(authorities));
        }
        Some((fresh, news))
    }
}

/// What has changed in the files.
#[derive(Debug)]
pub enum News {
    /// The pair of this name was taken over.
    Certificate(String),
    /// A pair was not.
    NoCertificate(Problem),
    /// Those who vouch for clients were taken over.
    Authorities,
    /// They were not.
    NoAuthorities(Problem),
}

#[derive(Debug)]
struct Resolver {
    certificates: Arc<Certificates>,
    port: u16,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // None ends the handshake with a fatal alert.
        self.certificates.find(hello.server_name(), self.port)
    }
}

/// One shard's TLS for one listener.
pub struct ServerTls {
    port: u16,
    config: RefCell<Arc<ServerConfig>>,
}

impl ServerTls {
    /// TLS for the listener on `port` (which chooses `default_<port>`), ALPN `http/1.1`. Fails only
    /// if the build lacks the cryptography.
    pub fn new(edge: &Edge, port: u16) -> Result<ServerTls, Error> {
        Ok(ServerTls { port, config: RefCell::new(Arc::new(edge.config(port)?)) })
    }

    /// The configuration for the next handshake.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.borrow())
    }

    /// From the next handshake on it is this.
    pub fn renew(&self, edge: &Edge) {
        match edge.config(self.port) {
            Ok(config) => drop(self.config.replace(Arc::new(config))),
            Err(error) => tracing::warn!(%error, "TLS stays as it was"),
        }
    }
}
