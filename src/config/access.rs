//! Whether files could be written, found out without writing: for `linchpin check`. Called by
//! `check` and `logging`.

use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

/// Whether a file could be written: it may be, or there is none and one may be made.
///
/// # Errors
/// The system's.
pub fn can_write(file: &Path) -> io::Result<()> {
    match access(file, Access::WRITE_OK) {
        Ok(()) if file.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Err(error) if error == rustix::io::Errno::NOENT => {
            let folder = folder_of(file);
            Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
        }
        found => Ok(found?),
    }
}

/// Whether a folder that is not there could be made, with those that it is in.
///
/// # Errors
/// The system's.
pub fn can_make_folder(folder: &Path) -> io::Result<()> {
    let above = folder_of(folder);
    if above.exists() {
        return can_write(folder);
    }
    can_make_folder(above)
}

/// The folder of a file, and for a name alone the working directory.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        assert!(can_write(&at("file")).is_ok() && can_write(&at("new")).is_ok());
        assert!(can_write(Path::new("new-in-the-working-directory")).is_ok());
        assert_eq!(can_write(&at("none/new")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(can_write(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert!(can_write(&at("file/below")).is_err());
        assert!(can_make_folder(&at("a/b/c")).is_ok());
        assert!(can_make_folder(&at("file/b/c")).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
