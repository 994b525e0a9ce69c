//! Where clients connect, as meant; the command line fills it, `server` binds it.

use std::net::SocketAddr;

/// All of it.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Where plain HTTP is served.
    pub http: SocketAddr,
    /// Where HTTPS is served.
    pub https: Option<SocketAddr>,
    /// Connections that may wait in the kernel, for each thread and port.
    pub backlog: u32,
}
