//! A folder of certificates by domain name (specification, routing 9.2).
//!
//! `<name>.crt` (PEM, leaf first) with `<name>.key` (PEM). `_` stands for any one first label;
//! `default_<port>` and `default` serve where no name does. Loaded at start by `server`, and read
//! again when files are newer; knows nothing of handshakes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashMap;
use rustls::sign::CertifiedKey;

use super::problem::{Problem, read_pair};
use super::stamp::Stamp;
use super::validity::Validity;

/// Longest certificate name, in bytes (the longest domain name).
const NAME_BYTES_MAX: usize = 253;

/// Both files of a pair, as they were when they were read.
type Stamps = (Option<Stamp>, Option<Stamp>);

#[derive(Clone, Debug)]
struct Entry {
    stamps: Stamps,
    /// `None`: it did not work when it was last read.
    key: Option<Arc<CertifiedKey>>,
}

/// What came of a look at a folder in which something had changed.
#[derive(Debug)]
pub struct Refreshed {
    /// Its present state.
    pub certificates: Certificates,
    /// Names whose pair was read, and can be used.
    pub taken: Vec<String>,
    /// What cannot.
    pub problems: Vec<Problem>,
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
            if let Some(Err(problem)) = all.read(&name) {
                problems.push(problem);
            }
        }
        (all, problems)
    }

    /// The folder's present state, if a file of it was written since this one was read. A pair that
    /// is gone or does not work any more keeps the certificate that was read before. Blocks
    /// shortly.
    #[must_use]
    pub fn refresh(&self) -> Option<Refreshed> {
        let (mut taken, mut problems) = (Vec::new(), Vec::new());
        let mut fresh = None;
        // What is wrong with the folder or with names was told at the start.
        for name in self.names(&mut Vec::new()) {
            if self.is_as_it_was(&name) {
                continue;
            }
            let fresh: &mut Certificates = fresh.get_or_insert_with(|| self.clone());
            match fresh.read(&name) {
                Some(Ok(())) => taken.push(name),
                Some(Err(problem)) => problems.push(problem),
                None => {}
            }
        }
        fresh.map(|certificates| Refreshed { certificates, taken, problems })
    }

    /// The files of a pair.
    fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.file(name, "crt"), self.file(name, "key"))
    }

    fn is_as_it_was(&self, name: &str) -> bool {
        let known = self.entries.get(&*name.to_ascii_lowercase());
        known.is_some_and(|entry| entry.stamps == stamps(&self.pair(name)))
    }

    /// Reads the pair of that name, unless its files are as they were.
    fn read(&mut self, name: &str) -> Option<Result<(), Problem>> {
        let files = self.pair(name);
        let stamps = stamps(&files);
        let lower = name.to_ascii_lowercase();
        let known = self.entries.get(&lower);
        if known.is_some_and(|entry| entry.stamps == stamps) {
            return None;
        }
        let before = known.and_then(|entry| entry.key.clone());
        let (key, outcome) = match pair(&files.0, &files.1) {
            Ok(key) => (Some(Arc::new(key)), Ok(())),
            Err(problem) => (before, Err(problem)),
        };
        self.entries.insert(lower, Entry { stamps, key });
        Some(outcome)
    }

    /// When each certificate that is in use is valid; by its file.
    pub fn validities(&self) -> impl Iterator<Item = (PathBuf, Validity)> {
        self.entries.iter().filter_map(|(name, entry)| {
            let leaf = entry.key.as_ref()?.cert.first()?;
            Some((self.file(name, "crt"), Validity::of(leaf)?))
        })
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

fn stamps((crt, key): &(PathBuf, PathBuf)) -> Stamps {
    (Stamp::of(crt), Stamp::of(key))
}

fn pair(crt: &Path, key: &Path) -> Result<CertifiedKey, Problem> {
    let missing = |file: &Path| !file.exists();
    if missing(key) {
        return Err(Problem::MissingKey { file: crt.to_owned(), expected: key.to_owned() });
    }
    if missing(crt) {
        return Err(Problem::MissingCertificate { file: key.to_owned(), expected: crt.to_owned() });
    }
    read_pair(crt, key)
}
