//! The side that clients see: one listener's configuration, kept up to date with its folder.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificates::Certificates;

/// The folder is looked at again at most this often, in milliseconds: looking blocks the shard for
/// some microseconds.
const LOOK_AGAIN_MS: u64 = 1000;

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
    certificates: RefCell<Arc<Certificates>>,
    config: RefCell<Arc<ServerConfig>>,
    looked_ms: Cell<u64>,
}

impl ServerTls {
    /// TLS for the listener on `port` (which chooses `default_<port>`): versions 1.2 and 1.3, ALPN
    /// `http/1.1`, no client certificates. Fails only if the build lacks the cryptography.
    pub fn new(certificates: Arc<Certificates>, port: u16) -> Result<ServerTls, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let resolver = Resolver { certificates: Arc::clone(&certificates), port };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(ServerTls {
            port,
            certificates: RefCell::new(certificates),
            config: RefCell::new(Arc::new(config)),
            looked_ms: Cell::new(0),
        })
    }

    /// The configuration for the next handshake. `now_ms` is the present moment in milliseconds; a
    /// certificate that was replaced is served within a second.
    #[must_use]
    pub fn config(&self, now_ms: u64) -> Arc<ServerConfig> {
        if now_ms.saturating_sub(self.looked_ms.get()) >= LOOK_AGAIN_MS {
            self.looked_ms.set(now_ms);
            self.look();
        }
        Arc::clone(&self.config.borrow())
    }

    fn look(&self) {
        let Some((fresh, problems)) = self.certificates.borrow().refresh() else { return };
        for problem in problems {
            tracing::warn!(%problem, "certificate not taken over, the one before stays");
        }
        let fresh = Arc::new(fresh);
        // A copy, so that sessions that clients want to resume are kept.
        let mut config = ServerConfig::clone(&self.config.borrow());
        config.cert_resolver =
            Arc::new(Resolver { certificates: Arc::clone(&fresh), port: self.port });
        self.config.replace(Arc::new(config));
        self.certificates.replace(fresh);
    }
}
