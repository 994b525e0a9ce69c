//! A folder of certificates by domain name (specification, routing 9.2).
//!
//! `<name>.crt` (PEM, leaf first) with `<name>.key` (PEM). `_` stands for any one first label;
//! `default_<port>` and `default` serve where no name does. Loaded at start by `server`, and read
//! again when files are newer; knows nothing of handshakes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::HashMap;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Longest certificate name, in bytes (the longest domain name).
const NAME_BYTES_MAX: usize = 253;

/// Something in the folder that cannot be used.
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
    /// A file cannot be read, or is not PEM of what it should hold.
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

/// When both files of a pair were last written.
type Stamp = (Option<SystemTime>, Option<SystemTime>);

#[derive(Clone, Debug)]
struct Entry {
    stamp: Stamp,
    /// `None`: it did not work when it was last read.
    key: Option<Arc<CertifiedKey>>,
}

/// The certificates of a folder. Immutable: a newer state of the folder is another value.
#[derive(Clone, Debug)]
pub struct Certificates {
    folder: PathBuf,
    entries: HashMap<String, Entry>,
}

impl Certificates {
    /// Reads the whole folder. What cannot be used is told, all of it, and left out. Blocks.
    #[must_use]
    pub fn load(folder: &Path) -> (Certificates, Vec<Problem>) {
        let mut all = Certificates { folder: folder.to_owned(), entries: HashMap::new() };
        let mut problems = Vec::new();
        for name in all.names(&mut problems) {
            all.read(&name, &mut problems);
        }
        (all, problems)
    }

    /// The folder's present state, if a file of it was written since this one was read. A pair that
    /// is gone or does not work any more keeps the certificate that was read before. Blocks
    /// shortly.
    #[must_use]
    pub fn refresh(&self) -> Option<(Certificates, Vec<Problem>)> {
        let mut fresh = self.clone();
        let mut problems = Vec::new();
        let mut changed = false;
        // What is wrong with the folder or with names was told at the start.
        for name in self.names(&mut Vec::new()) {
            changed |= fresh.read(&name, &mut problems);
        }
        changed.then_some((fresh, problems))
    }

    /// Reads the pair of that name, unless its files are as they were. Says whether it did.
    fn read(&mut self, name: &str, problems: &mut Vec<Problem>) -> bool {
        let (crt, key) = (self.file(name, "crt"), self.file(name, "key"));
        let stamp = (written(&crt), written(&key));
        let lower = name.to_ascii_lowercase();
        let known = self.entries.get(&lower);
        if known.is_some_and(|entry| entry.stamp == stamp) {
            return false;
        }
        let before = known.and_then(|entry| entry.key.clone());
        let key = match pair(&crt, &key) {
            Ok(key) => Some(Arc::new(key)),
            Err(problem) => {
                problems.push(problem);
                before
            }
        };
        self.entries.insert(lower, Entry { stamp, key });
        true
    }

    /// The certificate for a client that names `sni` on the listener of `port`.
    #[must_use]
    pub fn find(&self, sni: Option<&str>, port: u16) -> Option<Arc<CertifiedKey>> {
        if let Some(sni) = sni {
            let sni = sni.to_ascii_lowercase();
            let wildcard = sni.split_once('.').map(|(_, rest)| format!("_.{rest}"));
            let named = self.entry(&sni).or_else(|| self.entry(&wildcard?));
            if named.is_some() {
                return named;
            }
        }
        self.entry(&format!("default_{port}")).or_else(|| self.entry("default"))
    }

    /// How many certificates can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.values().filter(|entry| entry.key.is_some()).count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn entry(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.entries.get(name)?.key.clone()
    }

    fn file(&self, name: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{name}.{extension}"))
    }

    /// The names that have a `.crt` or a `.key`, sorted. Other files are nobody's business.
    fn names(&self, problems: &mut Vec<Problem>) -> Vec<String> {
        let mut names = Vec::new();
        let listing = match fs::read_dir(&self.folder) {
            Ok(listing) => listing,
            Err(error) => {
                problems.push(Problem::Folder { folder: self.folder.clone(), error });
                return names;
            }
        };
        for file in listing.filter_map(Result::ok).map(|entry| entry.path()) {
            if !file.extension().is_some_and(|e| e == "crt" || e == "key") {
                continue;
            }
            match file.file_stem().and_then(|stem| stem.to_str()).filter(|name| is_safe(name)) {
                Some(name) => names.push(name.to_owned()),
                None => problems.push(Problem::Name { file }),
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn is_safe(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX && !name.contains(|c: char| c.is_control() || c == '/')
}

fn written(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|meta| meta.modified()).ok()
}

fn pair(crt: &Path, key: &Path) -> Result<CertifiedKey, Problem> {
    let missing = |file: &Path| !file.exists();
    if missing(key) {
        return Err(Problem::MissingKey { file: crt.to_owned(), expected: key.to_owned() });
    }
    if missing(crt) {
        return Err(Problem::MissingCertificate { file: key.to_owned(), expected: crt.to_owned() });
    }
    let content = |file: &Path, expected, detail: String| Problem::Content {
        file: file.to_owned(),
        expected,
        detail,
    };
    let chain = CertificateDer::pem_file_iter(crt)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| content(crt, "a certificate chain", error.to_string()))?;
    if chain.is_empty() {
        return Err(content(
            crt,
            "a certificate chain",
            "there is no certificate in it".to_owned(),
        ));
    }
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| content(key, "a private key", error.to_string()))?;
    CertifiedKey::from_der(chain, secret, &rustls::crypto::ring::default_provider())
        .map_err(|error| Problem::Pair { file: crt.to_owned(), key: key.to_owned(), error })
}
