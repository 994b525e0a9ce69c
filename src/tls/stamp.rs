//! What a file's inode says of it: whether the file is still the one that was read. Used by all of
//! this folder that reads files again.
//!
//! The time of writing alone would not do: tools that renew certificates put other files in their
//! place by renaming, or by another link, and keep the times of what they copied.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    place: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of what the path leads to; `None` if that is nothing.
    pub fn of(path: &Path) -> Option<Stamp> {
        let data = fs::metadata(path).ok()?;
        Some(Stamp {
            place: (data.dev(), data.ino()),
            bytes: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_of_the_same_age_and_size_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::write(&one, "a").unwrap();
        fs::write(&two, "b").unwrap();
        let before = Stamp::of(&one);
        let time = fs::metadata(&one).unwrap().modified().unwrap();
        fs::File::options().append(true).open(&two).unwrap().set_modified(time).unwrap();
        assert!(before.is_some() && before == Stamp::of(&one));
        fs::rename(&two, &one).unwrap();
        assert_ne!(Stamp::of(&one), before);
        assert_eq!(Stamp::of(&two), None);
    }
}
