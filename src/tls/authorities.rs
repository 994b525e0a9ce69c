//! Who may vouch for clients: the authorities whose client certificates are accepted, from a file
//! of PEM that is read again when it is newer. Used by `server`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha1::{Digest, Sha1};

use super::problem::{Problem, read_certificates};
use super::resumption::Terms;
use super::stamp::Stamp;

/// The authorities. Immutable: a newer state of the file is another value.
#[derive(Clone, Debug)]
pub struct Authorities {
    file: PathBuf,
    /// Who shows no certificate is refused.
    required: bool,
    stamp: Option<Stamp>,
    /// Checks what clients show.
    pub verifier: Arc<dyn ClientCertVerifier>,
    /// What sessions that were begun under these are marked with.
    pub terms: Terms,
}

impl Authorities {
    /// Reads the file. Blocks.
    ///
    /// # Errors
    /// When it is not there, or has nothing that can vouch.
    pub fn load(file: &Path, required: bool) -> Result<Authorities, Problem> {
        let stamp = Stamp::of(file);
        let (verifier, terms) = read(file, required)?;
        Ok(Authorities { file: file.to_owned(), required, stamp, verifier, terms })
    }

    /// The present state, if the file was written since. One that cannot be used changes nothing
    /// but that it is told. Blocks shortly.
    #[must_use]
    pub fn refresh(&self) -> Option<(Authorities, Option<Problem>)> {
        let stamp = Stamp::of(&self.file);
        if stamp == self.stamp {
            return None;
        }
        Some(match read(&self.file, self.required) {
            Ok((verifier, terms)) => (Authorities { stamp, verifier, terms, ..self.clone() }, None),
            Err(problem) => (Authorities { stamp, ..self.clone() }, Some(problem)),
        })
    }
}

fn read(file: &Path, required: bool) -> Result<(Arc<dyn ClientCertVerifier>, Terms), Problem> {
    let unusable = |detail: String| Problem::Content {
        file: file.to_owned(),
        expected: "the certificates of authorities",
        detail,
    };
    let mut roots = RootCertStore::empty();
    let mut digest = Sha1::new();
    digest.update([u8::from(required)]);
    for certificate in read_certificates(file)? {
        digest.update(certificate.len().to_be_bytes());
        digest.update(&certificate);
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    let verifier = builder.build().map_err(|error| unusable(error.to_string()))?;
    Ok((verifier, digest.finalize().into()))
}
