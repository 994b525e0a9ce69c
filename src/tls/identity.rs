//! Certificates of our own towards backends (target options `client_cert` and `client_key`): which
//! there are is a matter of routes, so they are read when they are needed, and again when their
//! files are newer.
//!
//! `config` checks them when routes are loaded; `backend` keeps one set a shard.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashMap;
use rustls::ClientConfig;
use rustls::sign::CertifiedKey;

use super::client::ClientTls;
use super::problem::{Problem, read_pair};
use super::stamp::Stamp;

/// Two files: a chain of certificates, and the key of the first one; they may be the same file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// PEM, relative to the working directory.
    pub certificate: Box<str>,
    /// PEM.
    pub key: Box<str>,
}

type Stamps = (Option<Stamp>, Option<Stamp>);

struct Entry {
    stamps: Stamps,
    verifying: Arc<ClientConfig>,
    insecure: Arc<ClientConfig>,
}

/// One shard's TLS towards backends: a configuration for each identity in use, beside those without
/// one. Sessions are never shared between identities.
pub struct Identities {
    tls: ClientTls,
    entries: RefCell<HashMap<Identity, Entry>>,
}

/// Whether the files can be used. Blocks.
///
/// # Errors
/// What is wrong, as the route's line is to be refused for (specification, routing 2.5).
pub fn check(identity: &Identity) -> Result<(), Problem> {
    read(identity).map(|_| ())
}

fn read(identity: &Identity) -> Result<CertifiedKey, Problem> {
    read_pair(Path::new(&*identity.certificate), Path::new(&*identity.key))
}

fn stamps(identity: &Identity) -> Stamps {
    (Stamp::of(Path::new(&*identity.certificate)), Stamp::of(Path::new(&*identity.key)))
}

impl Identities {
    /// None in use yet.
    #[must_use]
    pub fn new(tls: ClientTls) -> Identities {
        Identities { tls, entries: RefCell::default() }
    }

    /// The configuration that shows this identity, or none. May block shortly. Files that do not
    /// work any more leave the identity as it was.
    ///
    /// # Errors
    /// When it cannot be read and never could.
    pub fn config(
        &self,
        identity: Option<&Identity>,
        insecure: bool,
    ) -> Result<Arc<ClientConfig>, Problem> {
        let Some(identity) = identity else {
            let config = if insecure { &self.tls.insecure } else { &self.tls.verifying };
            return Ok(Arc::clone(config));
        };
        let stamps = stamps(identity);
        let mut entries = self.entries.borrow_mut();
        let chosen =
            |entry: &Entry| Arc::clone(if insecure { &entry.insecure } else { &entry.verifying });
        let known = entries.get_mut(identity);
        if let Some(entry) = &known
            && entry.stamps == stamps
        {
            return Ok(chosen(entry));
        }
        match (self.read(identity, stamps), known) {
            (Ok(entry), _) => {
                let config = chosen(&entry);
                entries.insert(identity.clone(), entry);
                Ok(config)
            }
            (Err(problem), Some(entry)) => {
                tracing::warn!(%problem, "client certificate not taken over, the one before stays");
                entry.stamps = stamps;
                Ok(chosen(entry))
            }
            (Err(problem), None) => Err(problem),
        }
    }

    fn read(&self, identity: &Identity, stamps: Stamps) -> Result<Entry, Problem> {
        let failed = |error| Problem::Pair {
            file: (*identity.certificate).into(),
            key: (*identity.key).into(),
            error,
        };
        let (verifying, insecure) = self.tls.showing(read(identity)?).map_err(failed)?;
        Ok(Entry { stamps, verifying, insecure })
    }
}
