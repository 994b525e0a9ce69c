//! What is wrong with files of certificates and keys, each problem with its file. Made by all of
//! this folder, shown by `server` and `config`.

use std::io;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

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
        let detail = "there is no certificate in it".to_owned();
        return Err(Problem::Content { file: file.to_owned(), expected, detail });
    }
    Ok(chain)
}

/// The first private key of a file.
pub(super) fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, Problem> {
    let pem = std::fs::read(file).map_err(|error| open(file, error))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| content(file, "a private key", &error))
}

fn open(file: &Path, error: io::Error) -> Problem {
    Problem::Open { file: file.to_owned(), error }
}

fn content(file: &Path, expected: &'static str, error: &PemError) -> Problem {
    Problem::Content { file: file.to_owned(), expected, detail: error.to_string() }
}
