//! What is wrong with files of certificates and keys, each problem with its file. Made by all of
//! this folder, shown by `server` and `config`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// What encrypted keys have in them.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// Something that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The folder itself.
    #[error("{}: cannot read the folder: {error}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// A file's name cannot be a domain name.
    #[error("{}: not a usable certificate name (at most 253 bytes, no control characters)", .file.display())]
    Name {
        /// The file.
        file: PathBuf,
    },
    /// A certificate without its key.
    #[error("{}: there is no private key {} beside it", .file.display(), .expected.display())]
    MissingKey {
        /// The certificate.
        file: PathBuf,
        /// The key that should be there.
        expected: PathBuf,
    },
    /// A key without its certificate.
    #[error("{}: there is no certificate {} beside it", .file.display(), .expected.display())]
    MissingCertificate {
        /// The key.
        file: PathBuf,
        /// The certificate that should be there.
        expected: PathBuf,
    },
    /// A file cannot be read.
    #[error("failed to open {}: {error}", .file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// A file is not PEM of what it should hold.
    #[error("{}: expected PEM with {expected}: {detail}", .file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// A key that needs a pass phrase.
    #[error(
        "{}: the key is encrypted, and there is nobody to ask for its pass phrase \
         (openssl pkey -in FILE -out FILE makes one that is not)", .file.display()
    )]
    Encrypted {
        /// The file.
        file: PathBuf,
    },
    /// A key of a kind, or a size, that is not spoken here.
    #[error(
        "{}: a key of this kind cannot be used (those of RSA with 2048 to 4096 bits, of ECDSA \
         with P-256 or P-384, and Ed25519 can)", .file.display()
    )]
    Kind {
        /// The file.
        file: PathBuf,
    },
    /// The certificate is there, but it is not the first.
    #[error(
        "{}: certificate {place} is that of the key {}: it has to come first, then its chain",
        .file.display(), .key.display()
    )]
    Order {
        /// The file.
        file: PathBuf,
        /// The key.
        key: PathBuf,
        /// Which one it is, from 1.
        place: usize,
    },
    /// Certificate and key do not belong together, or cannot be used for TLS.
    #[error("{}: does not work with its key {}: {error}", .file.display(), .key.display())]
    Pair {
        /// The certificate.
        file: PathBuf,
        /// The key.
        key: PathBuf,
        /// rustls's words.
        error: rustls::Error,
    },
}

impl Problem {
    /// The file (or folder) that it is about.
    #[must_use]
    pub fn file(&self) -> &Path {
        match self {
            Problem::Folder { folder, .. } => folder,
            Problem::Name { file }
            | Problem::MissingKey { file, .. }
            | Problem::MissingCertificate { file, .. }
            | Problem::Open { file, .. }
            | Problem::Content { file, .. }
            | Problem::Encrypted { file }
            | Problem::Kind { file }
            | Problem::Order { file, .. }
            | Problem::Pair { file, .. } => file,
        }
    }
}

/// The certificates of a file, at least one.
pub(super) fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let expected = "certificates";
    let pem = std::fs::read(file).map_err(|error| open(file, error))?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| content(file, expected, &error))?;
    if chain.is_empty() {
        let der = pem.starts_with(&[0x30, 0x82]);
        let detail = if der { "it looks like DER" } else { "there is no certificate in it" };
        let detail = detail.to_owned();
        return Err(Problem::Content { file: file.to_owned(), expected, detail });
    }
    Ok(chain)
}

/// The first private key of a file.
pub(super) fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, Problem> {
    let pem = std::fs::read(file).map_err(|error| open(file, error))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        if pem.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED) {
            return Problem::Encrypted { file: file.to_owned() };
        }
        content(file, "a private key", &error)
    })
}

/// The chain of a file and the key of another (or the same), which must belong together.
pub(super) fn read_pair(file: &Path, key_file: &Path) -> Result<CertifiedKey, Problem> {
    let (chain, secret) = (read_certificates(file)?, read_key(key_file)?);
    let provider = rustls::crypto::ring::default_provider();
    let key = provider.key_provider.load_private_key(secret);
    let key = key.map_err(|_| Problem::Kind { file: key_file.to_owned() })?;
    let pair = CertifiedKey::new(chain, key);
    let error = match pair.keys_match() {
        // That nobody can tell is no error.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => return Ok(pair),
        Err(error) => error,
    };
    let fits = |one: &CertificateDer<'static>| {
        CertifiedKey::new(vec![one.clone()], Arc::clone(&pair.key)).keys_match().is_ok()
    };
    let (file, key) = (file.to_owned(), key_file.to_owned());
    Err(match pair.cert.iter().position(fits) {
        Some(place) => Problem::Order { file, key, place: place + 1 },
        None => Problem::Pair { file, key, error },
    })
}

fn open(file: &Path, error: io::Error) -> Problem {
    Problem::Open { file: file.to_owned(), error }
}

fn content(file: &Path, expected: &'static str, error: &PemError) -> Problem {
    let detail = match error {
        PemError::NoItemsFound => "there is none in it".to_owned(),
        PemError::MissingSectionEnd { end_marker } => {
            format!("'{}' is missing", String::from_utf8_lossy(end_marker).trim_end())
        }
        PemError::IllegalSectionStart { line } => {
            format!("'{}' begins nothing", String::from_utf8_lossy(line).trim_end())
        }
        error => error.to_string(),
    };
    Problem::Content { file: file.to_owned(), expected, detail }
}
