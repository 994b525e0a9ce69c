//! A file with the id of the process, for scripts and for whoever supervises it.
//!
//! What counts is the lock, not the number: a file that a dead process left behind is unlocked,
//! whoever has its number by now, so it prevents no start; and of two processes that are given the
//! same file the second one does not start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The lock is tried so often when the file is removed at that moment.
const TRIES: usize = 16;
/// Bytes of another process's file that are looked at.
const PID_BYTES_MAX: u64 = 32;

/// Why there is no such file.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// Somebody who is alive has it.
    #[error("process {0} is running with it")]
    Running(String),
    /// The system's words.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// See the module. Removed when dropped, unless it is another one by then.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Takes the file for this process, and writes its id. Blocks shortly.
    ///
    /// # Errors
    /// See [`PidFileError`].
    pub fn take(path: &Path) -> Result<PidFile, PidFileError> {
        for _ in 0..TRIES {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o644);
            let mut file = options.open(path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
                    return Err(PidFileError::Running(written(&file)));
                }
                Err(error) => return Err(io::Error::from(error).into()),
            }
            // Whoever had it until now may have removed it after it was opened here.
            if is_at(&file, path) {
                let text = format!("{}\n", std::process::id());
                file.set_len(0)?;
                file.write_all(text.as_bytes())?;
                return Ok(PidFile { path: path.to_owned(), file });
            }
        }
        Err(io::Error::other("it is removed again and again").into())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if is_at(&self.file, &self.path) {
            // If it stays, nobody is hindered by it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the file of that name is this one.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(own), Ok(found)) => (own.dev(), own.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}

/// What another process has written.
fn written(file: &File) -> String {
    let mut text = String::new();
    let read = file.take(PID_BYTES_MAX).read_to_string(&mut text);
    let number = text.trim();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if read.is_ok() && is_number { number.to_owned() } else { "(unknown)".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_living_process_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        // Left behind; the number is somebody else's by now.
        fs::write(&path, "1\nand more").unwrap();
        let first = PidFile::take(&path).unwrap();
        let own = std::process::id().to_string();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{own}\n"));
        match PidFile::take(&path) {
            Err(PidFileError::Running(number)) => assert_eq!(number, own),
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_its_own_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let first = PidFile::take(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = PidFile::take(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        let nowhere = PidFile::take(&folder.path().join("no/pid"));
        assert!(matches!(nowhere, Err(PidFileError::System(..))), "{nowhere:?}");
    }
}
