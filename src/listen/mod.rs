//! Sockets that clients connect to: bind, accept, say why not.
//!
//! Every shard has a socket of its own on the same address (`SO_REUSEPORT`): the kernel spreads
//! connections, and no shard waits for another. Bound by `server` before any thread starts, so that
//! an address that is taken is a start-up error; accepted from by `shard`, which decides who comes
//! in and when.

pub mod pipe;
pub mod refusal;
pub mod reserve;
pub mod stream;

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::net::TcpListener;

use stream::Socket;

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

/// With a backlog it listens, and shares its port.
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

/// A connection that has come in.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub socket: Socket,
    /// Who is at its other end.
    pub peer: IpAddr,
}

/// Why nobody could be accepted. The connections stay in the queue.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The process, or the whole system, has no descriptor left.
    #[error("no descriptors are left: {0}")]
    NoDescriptors(io::Error),
    /// Something else that may pass (no memory for sockets).
    #[error(transparent)]
    Other(io::Error),
}

/// One shard's socket of one address.
pub struct Listener {
    inner: TcpListener,
}

impl Listener {
    /// Takes a bound socket into the runtime that this is called in.
    ///
    /// # Errors
    /// When the runtime does not take it.
    pub fn new(bound: std::net::TcpListener) -> io::Result<Listener> {
        Ok(Listener { inner: TcpListener::from_std(bound)? })
    }

    /// The next connection. At once, if one waits.
    ///
    /// # Errors
    /// When there is one that cannot be accepted now. The next call tries again at once: the
    /// caller must pause.
    pub async fn accept(&self) -> Result<Accepted, AcceptError> {
        loop {
            match self.inner.accept().await {
                Ok((stream, peer)) => {
                    let peer = peer.ip().to_canonical();
                    return Ok(Accepted { socket: Socket::Tcp(stream), peer });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) if is_out_of_descriptors(&error) => {
                    return Err(AcceptError::NoDescriptors(error));
                }
                Err(error) => return Err(AcceptError::Other(error)),
            }
        }
    }
}

/// The connection went away before it was accepted, or its network did (accept(2) passes such
/// errors on): no reason to pause.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
    )
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    // ENFILE and EMFILE, which std does not name; the numbers are the same on every Linux.
    matches!(error.raw_os_error(), Some(23 | 24))
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

    #[tokio::test]
    async fn what_is_accepted_does_not_delay() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 1, 16).unwrap().remove(0);
        let address = bound.local_addr().unwrap();
        let listener = Listener::new(bound).unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        let accepted = listener.accept().await.unwrap();
        let Socket::Tcp(stream) = &accepted.socket else { panic!("{accepted:?}") };
        assert!(stream.nodelay().unwrap());
        assert_eq!(accepted.peer, client.local_addr().unwrap().ip());
    }

    #[test]
    fn which_errors_are_whose() {
        let errno = io::Error::from_raw_os_error;
        assert!(is_out_of_descriptors(&errno(24)) && is_out_of_descriptors(&errno(23)));
        for (number, passes) in [(103, true), (104, true), (4, true), (105, false), (12, false)] {
            assert_eq!(is_of_one_connection(&errno(number)), passes, "{number}");
            assert!(!is_out_of_descriptors(&errno(number)));
        }
    }
}
