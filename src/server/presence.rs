//! What shows that the process is there: the files of its Unix sockets, its PID file, and what the
//! service manager knows. Gone when it stops.
//!
//! Made by the roof after everything is bound.

use super::notify::Supervisor;
use super::pid_file::PidFile;
use crate::listen::local::SocketFile;

/// See the module.
#[derive(Debug)]
pub struct Presence {
    /// Removed when it stops listening.
    pub files: Vec<SocketFile>,
    /// Removed when it ends.
    pub pid_file: Option<PidFile>,
    /// The service manager.
    pub supervisor: Supervisor,
}

impl Presence {
    /// Clients can come; after a reload, to what is new.
    pub fn ready(&self) {
        self.supervisor.ready();
    }

    /// It was asked to read its files anew; when that is done it is ready again.
    pub fn reloading(&self) {
        self.supervisor.reloading();
    }

    /// Nobody is let in any more.
    pub fn stopping(&mut self) {
        self.supervisor.stopping();
        self.files.clear();
    }

    /// Nobody is served any more.
    pub fn ended(&mut self) {
        self.pid_file = None;
    }
}
