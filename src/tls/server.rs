//! The side that clients see: one listener's configuration, kept up to date with its files.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig, SupportedProtocolVersion};

use super::authorities::Authorities;
use super::certificates::Certificates;
use super::resumption::Sessions;

/// The files are looked at again at most this often, in milliseconds: looking blocks the shard for
/// some microseconds.
const LOOK_AGAIN_MS: u64 = 1000;

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

    /// With what has changed in the files; `None` if nothing has.
    fn refresh(&self) -> Option<Edge> {
        let mut fresh = self.clone();
        let certificates = self.certificates.refresh();
        let authorities = self.authorities.as_ref().and_then(|authorities| authorities.refresh());
        if certificates.is_none() && authorities.is_none() {
            return None;
        }
        if let Some((certificates, problems)) = certificates {
            for problem in problems {
                tracing::warn!(%problem, "certificate not taken over, the one before stays");
            }
            fresh.certificates = Arc::new(certificates);
        }
        if let Some((authorities, problem)) = authorities {
            match problem {
                Some(problem) => {
                    tracing::warn!(%problem, "authorities of clients not taken over");
                }
                None => tracing::info!("authorities of clients read again"),
            }
            fresh.authorities = Some(Arc::new(authorities));
        }
        Some(fresh)
    }
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
    edge: RefCell<Edge>,
    config: RefCell<Arc<ServerConfig>>,
    looked_ms: Cell<u64>,
}

impl ServerTls {
    /// TLS for the listener on `port` (which chooses `default_<port>`), ALPN `http/1.1`. Fails only
    /// if the build lacks the cryptography.
    pub fn new(edge: Edge, port: u16) -> Result<ServerTls, Error> {
        let config = RefCell::new(Arc::new(edge.config(port)?));
        Ok(ServerTls { port, edge: RefCell::new(edge), config, looked_ms: Cell::new(0) })
    }

    /// The configuration for the next handshake. `now_ms` is the present moment in milliseconds; a
    /// file that was replaced is taken over within a second.
    #[must_use]
    pub fn config(&self, now_ms: u64) -> Arc<ServerConfig> {
        if now_ms.saturating_sub(self.looked_ms.get()) >= LOOK_AGAIN_MS {
            self.looked_ms.set(now_ms);
            self.look();
        }
        Arc::clone(&self.config.borrow())
    }

    fn look(&self) {
        let Some(fresh) = self.edge.borrow().refresh() else { return };
        match fresh.config(self.port) {
            Ok(config) => {
                self.config.replace(Arc::new(config));
                self.edge.replace(fresh);
            }
            Err(error) => tracing::warn!(%error, "TLS stays as it was"),
        }
    }
}
