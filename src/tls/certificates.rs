//! A folder of certificates by domain name (specification, routing 9.2).
//!
//! `<name>.crt` (PEM, leaf first) with `<name>.key` (PEM). `_` stands for any one first label;
//! `default_<port>` and `default` serve where no name does. Loaded at start by `server`, and read
//! again when files are newer; knows nothing of handshakes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::HashMap;
use rustls::sign::CertifiedKey;

use super::problem::{Problem, read_certificates, read_key};

/// Longest certificate name, in bytes (the longest domain name).
const NAME_BYTES_MAX: usize = 253;

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
    let (chain, secret) = (read_certificates(crt)?, read_key(key)?);
    CertifiedKey::from_der(chain, secret, &rustls::crypto::ring::default_provider())
        .map_err(|error| Problem::Pair { file: crt.to_owned(), key: key.to_owned(), error })
}
