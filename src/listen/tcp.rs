//! TCP sockets that clients connect to: bound, one for each shard.
//!
//! Every shard has a socket of its own on the same address (`SO_REUSEPORT`): the kernel spreads
//! connections, and no shard waits for another. Called by `server` before any thread starts, so
//! that an address that is taken is a start-up error.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket as RawSocket, Type};

/// Binds `count` sockets to one address; port 0 picks one port for all of them. In each queue
/// `backlog` connections may wait until they are accepted; the system may allow fewer
/// (`net.core.somaxconn`).
///
/// # Errors
/// When the address cannot be bound.
pub fn bind(
    address: SocketAddr,
    count: usize,
    backlog: u32,
) -> io::Result<Vec<std::net::TcpListener>> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    // Sockets that share a port share it with any process of this user, so a second linchpin would
    // silently take half of the first one's clients. One bind without sharing finds that out.
    if address.port() != 0 {
        drop(bind_one(address, None)?);
    }
    let mut bound = Vec::with_capacity(count);
    let mut address = address;
    for _ in 0..count.max(1) {
        let listener = bind_one(address, Some(backlog))?;
        address = listener.local_addr()?;
        bound.push(listener);
    }
    Ok(bound)
}

/// Whether an address is one of this machine; no port is taken.
///
/// # Errors
/// The system's.
pub fn is_own(address: IpAddr) -> io::Result<()> {
    bind_one(SocketAddr::new(address, 0), None).map(drop)
}

/// With a backlog it listens, and shares its port. An IPv6 address is for IPv6 only, the wildcard
/// too.
fn bind_one(address: SocketAddr, backlog: Option<i32>) -> io::Result<std::net::TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(backlog.is_some())?;
    socket.set_nonblocking(true)?;
    // Small writes leave at once: the whole point of a realtime proxy. What is accepted inherits
    // it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    if let Some(backlog) = backlog {
        socket.listen(backlog)?;
    }
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sockets_of_an_address_share_its_port() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 3, 16).unwrap();
        let ports: Vec<u16> = bound.iter().map(|l| l.local_addr().unwrap().port()).collect();
        assert_ne!(ports[0], 0);
        assert!(ports.iter().all(|port| *port == ports[0]));
    }

    #[test]
    fn an_address_in_use_is_an_error() {
        let first = bind("127.0.0.1:0".parse().unwrap(), 2, 16).unwrap();
        let again = bind(first[0].local_addr().unwrap(), 2, 16);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_foreign_address_is_an_error() {
        assert!(bind("192.0.2.1:0".parse().unwrap(), 1, 16).is_err());
    }

    #[test]
    fn both_wildcards_have_the_same_port() {
        let v4 = bind("0.0.0.0:0".parse().unwrap(), 1, 16).unwrap();
        let port = v4[0].local_addr().unwrap().port();
        bind(format!("[::]:{port}").parse().unwrap(), 1, 16).unwrap();
    }
}
