//! Unix sockets that clients connect to (specification, routing 9.3): written
//! `[unix:]PATH[?mode=OCTAL&user=USER&group=GROUP]`, bound, and removed again.
//!
//! Read by `config`, bound by `server`. There is one socket for all shards: the file names one.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket as RawSocket, Type};

/// Where the system's users and groups are.
const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// Where to listen, and who may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The file.
    pub path: PathBuf,
    /// Its permissions; by default what the umask leaves.
    pub mode: Option<u32>,
    /// Its owner, a name or a number.
    pub user: Option<String>,
    /// Its group, a name or a number.
    pub group: Option<String>,
}

/// What is written is no Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocalError {
    /// There is no path.
    #[error("expected a path")]
    Path,
    /// The permissions are not.
    #[error("invalid mode '{0}': expected an octal number up to 777")]
    Mode(String),
    /// There is no such parameter, or it has no value.
    #[error("'{0}' is not mode=OCTAL, user=USER or group=GROUP")]
    Parameter(String),
}

/// Why a Unix socket cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// There is something else.
    #[error("there is a file of this name, and it is not a socket")]
    NotASocket,
    /// There is a socket, and somebody accepts connections on it.
    #[error("another process is listening on it")]
    InUse,
    /// The user or the group is not known to the system.
    #[error("there is no {0} '{1}'")]
    Unknown(&'static str, String),
    /// The system's words.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
}

impl Local {
    /// Reads what is written.
    ///
    /// # Errors
    /// See [`LocalError`].
    pub fn read(text: &str) -> Result<Local, LocalError> {
        let text = text.strip_prefix("unix:").unwrap_or(text);
        let (path, parameters) = text.split_once('?').unwrap_or((text, ""));
        if path.is_empty() {
            return Err(LocalError::Path);
        }
        let mut local = Local { path: path.into(), mode: None, user: None, group: None };
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("mode", value)) => local.mode = Some(mode(value)?),
                Some(("user", value)) if !value.is_empty() => local.user = Some(value.into()),
                Some(("group", value)) if !value.is_empty() => local.group = Some(value.into()),
                _ => return Err(LocalError::Parameter(parameter.to_owned())),
            }
        }
        Ok(local)
    }

    /// Whether the names are known and there is no file of another kind in the way; for who does
    /// not bind it.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn check(&self) -> Result<(), BindError> {
        self.owner()?;
        match fs::symlink_metadata(&self.path) {
            Ok(found) if !found.file_type().is_socket() => Err(BindError::NotASocket),
            _ => Ok(()),
        }
    }

    /// The numbers of its user and its group.
    fn owner(&self) -> Result<(Option<u32>, Option<u32>), BindError> {
        let user = self.user.as_deref().map(|name| id("user", USERS, name)).transpose()?;
        let group = self.group.as_deref().map(|name| id("group", GROUPS, name)).transpose()?;
        Ok((user, group))
    }

    /// Binds it. A socket that nobody accepts on any more is replaced. Nobody can connect before
    /// the permissions are as they are to be. Blocks shortly.
    ///
    /// # Errors
    /// See [`BindError`]. The file is as it was then, or gone.
    pub fn bind(&self, backlog: u32) -> Result<(UnixListener, SocketFile), BindError> {
        let (user, group) = self.owner()?;
        make_way(&self.path)?;
        let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None);
        let socket = socket.map_err(|error| BindError::System("socket", error))?;
        SockAddr::unix(&self.path)
            .and_then(|address| socket.bind(&address))
            .map_err(|error| BindError::System("bind", error))?;
        let file = SocketFile::of(&self.path).map_err(|error| BindError::System("stat", error))?;
        if user.is_some() || group.is_some() {
            chown(&self.path, user, group).map_err(|error| BindError::System("chown", error))?;
        }
        if let Some(mode) = self.mode {
            fs::set_permissions(&self.path, Permissions::from_mode(mode))
                .map_err(|error| BindError::System("chmod", error))?;
        }
        // Until now whoever connected was refused.
        socket
            .set_nonblocking(true)
            .and_then(|()| socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX)))
            .map_err(|error| BindError::System("listen", error))?;
        Ok((socket.into(), file))
    }
}

fn mode(value: &str) -> Result<u32, LocalError> {
    let octal = value.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let parsed = u32::from_str_radix(value, 8).ok().filter(|mode| octal && *mode <= 0o777);
    parsed.ok_or_else(|| LocalError::Mode(value.to_owned()))
}

/// The number of a user or a group.
fn id(what: &'static str, file: &str, name: &str) -> Result<u32, BindError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let text = fs::read_to_string(file).map_err(|error| BindError::System(what, error))?;
    id_in(&text, name).ok_or_else(|| BindError::Unknown(what, name.to_owned()))
}

/// In both files a line begins with the name, something, and the number.
fn id_in(text: &str, name: &str) -> Option<u32> {
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

/// Removes a socket that a process left behind, and nothing else.
fn make_way(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BindError::System("stat", error)),
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::NotASocket),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => return Err(BindError::InUse),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) => return Err(BindError::System("connect", error)),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BindError::System("remove", error))
        }
        _ => Ok(()),
    }
}

/// Which file it is: an inode may be used again.
type Identity = (u64, u64, i64, i64);

/// The file of a bound socket: removed with this, unless it is another one by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // If it cannot be removed, the next start does it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The times are those of its creation: nobody writes into it.
fn identity(path: &Path) -> io::Result<Identity> {
    let found = fs::symlink_metadata(path)?;
    if !found.file_type().is_socket() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok((found.dev(), found.ino(), found.mtime(), found.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(path: &str) -> Local {
        Local { path: path.into(), mode: None, user: None, group: None }
    }

    #[test]
    fn how_they_are_written() {
        assert_eq!(Local::read("/run/a.sock"), Ok(local("/run/a.sock")));
        assert_eq!(Local::read("unix:a/b?"), Ok(local("a/b")));
        let all = Local::read("unix:/a?mode=660&user=www-data&group=33").unwrap();
        let expected = Local {
            mode: Some(0o660),
            user: Some("www-data".to_owned()),
            group: Some("33".to_owned()),
            ..local("/a")
        };
        assert_eq!(all, expected);
    }

    #[test]
    fn what_is_none() {
        for (text, expected) in [
            ("", "expected a path"),
            ("unix:?mode=1", "expected a path"),
            ("/a?mode=888", "invalid mode '888': expected an octal number up to 777"),
            ("/a?mode=1000", "invalid mode '1000': expected an octal number up to 777"),
            ("/a?mode=+7", "invalid mode '+7': expected an octal number up to 777"),
            ("/a?mode=", "invalid mode '': expected an octal number up to 777"),
            ("/a?user=", "'user=' is not mode=OCTAL, user=USER or group=GROUP"),
            ("/a?owner=x", "'owner=x' is not mode=OCTAL, user=USER or group=GROUP"),
        ] {
            assert_eq!(Local::read(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn the_system_knows_numbers() {
        let text = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/:\nbroken\nhalf:x:\n";
        assert_eq!(id_in(text, "www"), Some(33));
        assert_eq!(id_in(text, "root"), Some(0));
        for name in ["ww", "broken", "half", ""] {
            assert_eq!(id_in(text, name), None, "{name}");
        }
        assert_eq!(id("user", USERS, "4711").unwrap(), 4711);
        assert_eq!(id("user", USERS, "root").unwrap(), 0);
        let unknown = id("group", GROUPS, "no such group").unwrap_err();
        assert_eq!(unknown.to_string(), "there is no group 'no such group'");
    }

    #[test]
    fn only_a_socket_that_nobody_has_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let written = format!("{}?mode=620", path.display());
        let local = Local::read(&written).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(matches!(local.bind(1), Err(BindError::NotASocket)));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
        let (listener, file) = local.bind(1).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o620);
        assert!(matches!(local.bind(1), Err(BindError::InUse)));
        assert!(path.exists(), "it is the first one's");
        // As after a crash.
        drop(listener);
        std::mem::forget(file);
        let (_again, file) = local.bind(1).unwrap();
        drop(file);
        assert!(!path.exists());
        let (_again, file) = local.bind(1).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        drop(file);
        assert!(path.exists(), "it is another file by now");
    }

    #[test]
    fn a_socket_that_cannot_be_given_away_is_not_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let written = format!("{}?user=nobody-of-this-name", path.display());
        let error = Local::read(&written).unwrap().bind(1).unwrap_err();
        assert!(matches!(error, BindError::Unknown("user", _)), "{error}");
        assert!(!path.exists());
        let long = Local::read(&format!("/tmp/{}", "x".repeat(200))).unwrap();
        assert!(matches!(long.bind(1), Err(BindError::System("bind", _))));
    }
}
