//! Ports that stay a test's own while nobody listens on them. A port that was free a moment ago may
//! be anybody's a moment later: of another test, or of any process that connects somewhere.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
};

/// A socket that is bound and never listens: who connects to its address is refused, and nobody
/// else is given its port.
pub struct Reserved {
    pub address: SocketAddr,
    _socket: OwnedFd,
}

impl Reserved {
    pub fn new() -> Reserved {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
        let socket = socket.expect("a socket");
        // Who says the same may listen there.
        sockopt::set_socket_reuseaddr(&socket, true).expect("a socket");
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = getsockname(&socket).expect("a bound socket");
        Reserved { address: address.try_into().expect("an address of IPv4"), _socket: socket }
    }

    /// Listens on the port, until the listener is dropped.
    pub fn listen(&self) -> TcpListener {
        let listener = TcpListener::bind(self.address).expect("the port is ours");
        // The standard library's backlog is too short for a crowd.
        rustix::net::listen(&listener, 4096).expect("a longer backlog");
        listener
    }
}

/// A port on which nothing listens, as long as the tests run.
pub fn refusing() -> SocketAddr {
    let reserved = Reserved::new();
    let address = reserved.address;
    std::mem::forget(reserved);
    address
}
