//! Tells the service manager how the process is doing (sd_notify(3)): a datagram to the socket that
//! `NOTIFY_SOCKET` names, if there is one.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

/// The way to the service manager.
#[derive(Debug)]
pub struct Supervisor {
    to: Option<OsString>,
}

impl Supervisor {
    /// As the environment has it.
    #[must_use]
    pub fn from_env() -> Supervisor {
        Supervisor { to: std::env::var_os("NOTIFY_SOCKET").filter(|to| !to.is_empty()) }
    }

    /// It listens, and serves whoever comes; after a reload, with what is new.
    pub fn ready(&self) {
        self.say("READY=1\n");
    }

    /// It reads anew what it has been told; [`Supervisor::ready`] says when that is done. The time
    /// tells managers that asked for it (`Type=notify-reload`) that it is this one.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\n"));
    }

    /// It is on its way out.
    pub fn stopping(&self) {
        self.say("STOPPING=1\n");
    }

    /// The service goes on without its manager: a failure is only logged.
    fn say(&self, text: &str) {
        if let Err(error) = self.send(text) {
            tracing::debug!(%error, "cannot tell the service manager");
        }
    }

    fn send(&self, text: &str) -> io::Result<()> {
        let Some(to) = &self.to else { return Ok(()) };
        let address = match to.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(to)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold the process up.
        socket.set_nonblocking(true)?;
        socket.send_to_addr(text.as_bytes(), &address).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_file_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("linchpin-notify-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        for (manager, to) in [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&abstract_name).unwrap(), format!("@{name}").into()),
        ] {
            let supervisor = Supervisor { to: Some(to) };
            let heard = || {
                let mut text = [0; 64];
                let length = manager.recv(&mut text).unwrap();
                String::from_utf8(text[..length].to_vec()).unwrap()
            };
            supervisor.ready();
            supervisor.reloading();
            supervisor.stopping();
            assert_eq!(heard(), "READY=1\n");
            let reloading = heard();
            let moment = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            assert!(moment.trim_end().parse::<u64>().unwrap() > 0);
            assert_eq!(heard(), "STOPPING=1\n");
        }
    }

    #[test]
    fn nobody_needs_to_listen() {
        Supervisor { to: Some("/nobody/here".into()) }.ready();
        Supervisor { to: None }.ready();
    }
}
