//! Sockets that clients connect to: bind, accept, back off.
//!
//! Every shard has a socket of its own on the same address (`SO_REUSEPORT`): the kernel spreads
//! connections, and no shard waits for another. Bound by `server` before any thread starts, so that
//! an address that is taken is a start-up error; accepted from by `shard`.

pub mod stream;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::net::TcpListener;

use crate::clock;
use crate::stats::Stats;
use stream::Socket;

/// Connections that may wait in the kernel until they are accepted.
const BACKLOG: i32 = 1024;
/// First and longest pause after an accept that failed, in milliseconds.
const BACK_OFF_MS: (u64, u64) = (5, 1000);

/// Binds `count` sockets to one address; port 0 picks one port for all of them.
///
/// # Errors
/// When the address cannot be bound.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
    // Sockets that share a port share it with any process of this user, so a second linchpin would
    // silently take half of the first one's clients. One bind without sharing finds that out.
    if address.port() != 0 {
        drop(bind_one(address, false)?);
    }
    let mut bound = Vec::with_capacity(count);
    let mut address = address;
    for _ in 0..count.max(1) {
        let listener = bind_one(address, true)?;
        address = listener.local_addr()?;
        bound.push(listener);
    }
    Ok(bound)
}

fn bind_one(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

/// One shard's socket of one address.
pub struct Listener {
    inner: TcpListener,
    stats: Rc<Stats>,
}

impl Listener {
    /// Takes a bound socket into the runtime that this is called in.
    ///
    /// # Errors
    /// When the runtime does not take it.
    pub fn new(bound: std::net::TcpListener, stats: Rc<Stats>) -> io::Result<Listener> {
        Ok(Listener { inner: TcpListener::from_std(bound)?, stats })
    }

    /// The next connection. A failure of accept (no descriptors left, for example) is counted and
    /// waited out: connections stay in the backlog meanwhile.
    pub async fn accept(&self) -> Socket {
        let mut pause_ms = BACK_OFF_MS.0;
        loop {
            match self.inner.accept().await {
                Ok((stream, _)) => {
                    // Small writes leave at once: the whole point of a realtime proxy.
                    let _ = stream.set_nodelay(true);
                    self.stats.connections_accepted.inc();
                    return Socket::Tcp(stream);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    self.stats.accept_failures.inc();
                    tracing::warn!(%error, pause_ms, "cannot accept connections, pausing");
                    clock::sleep_ms(pause_ms).await;
                    pause_ms = (pause_ms * 2).min(BACK_OFF_MS.1);
                }
            }
        }
    }
}

/// The connection went away before it was accepted: no reason to pause.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sockets_of_an_address_share_its_port() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let ports: Vec<u16> = bound.iter().map(|l| l.local_addr().unwrap().port()).collect();
        assert_ne!(ports[0], 0);
        assert!(ports.iter().all(|port| *port == ports[0]));
    }

    #[test]
    fn an_address_in_use_is_an_error() {
        let first = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let again = bind(first[0].local_addr().unwrap(), 2);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_foreign_address_is_an_error() {
        assert!(bind("192.0.2.1:0".parse().unwrap(), 1).is_err());
    }
}
