//! One listening socket in a shard's runtime: who comes in, and why nobody can.
//!
//! Polled by the shard's doors, which decide who comes in and when.

use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll, ready};

use tokio::net::{TcpListener, UnixListener};

use super::socket::Socket;

/// A socket that listens, and is in no runtime yet.
#[derive(Debug)]
pub enum Bound {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Local(std::os::unix::net::UnixListener),
}

/// A connection that has come in.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub socket: Socket,
    /// Who is at its other end; nobody knows it of a Unix socket.
    pub peer: Option<IpAddr>,
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

/// A listening socket of one shard.
pub struct Listener {
    inner: Inner,
}

enum Inner {
    Tcp(TcpListener),
    Local(UnixListener),
}

impl Listener {
    /// Takes a bound socket into the runtime that this is called in.
    ///
    /// # Errors
    /// When the runtime does not take it.
    pub fn new(bound: Bound) -> io::Result<Listener> {
        let inner = match bound {
            Bound::Tcp(socket) => Inner::Tcp(TcpListener::from_std(socket)?),
            Bound::Local(socket) => Inner::Local(UnixListener::from_std(socket)?),
        };
        Ok(Listener { inner })
    }

    /// The next connection. At once, if one waits.
    ///
    /// # Errors
    /// When there is one that cannot be accepted now. The next call tries again at once: the
    /// caller must pause.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Accepted, AcceptError>> {
        loop {
            match ready!(self.poll_one(cx)) {
                Ok(accepted) => return Poll::Ready(Ok(accepted)),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) if is_out_of_descriptors(&error) => {
                    return Poll::Ready(Err(AcceptError::NoDescriptors(error)));
                }
                Err(error) => return Poll::Ready(Err(AcceptError::Other(error))),
            }
        }
    }

    fn poll_one(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        Poll::Ready(match &self.inner {
            Inner::Tcp(listener) => ready!(listener.poll_accept(cx)).map(|(stream, peer)| {
                let peer = peer.ip().to_canonical();
                Accepted { socket: Socket::Tcp(stream), peer: Some(peer) }
            }),
            Inner::Local(listener) => ready!(listener.poll_accept(cx))
                .map(|(stream, _)| Accepted { socket: Socket::Unix(stream), peer: None }),
        })
    }

    /// See [`Listener::poll_accept`].
    ///
    /// # Errors
    /// As there.
    pub async fn accept(&self) -> Result<Accepted, AcceptError> {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
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
    use super::super::tcp::bind;
    use super::*;

    #[tokio::test]
    async fn what_is_accepted_does_not_delay() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 1, 16).unwrap().remove(0);
        let address = bound.local_addr().unwrap();
        let listener = Listener::new(Bound::Tcp(bound)).unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        let accepted = listener.accept().await.unwrap();
        let Socket::Tcp(stream) = &accepted.socket else { panic!("{accepted:?}") };
        assert!(stream.nodelay().unwrap());
        assert_eq!(accepted.peer, Some(client.local_addr().unwrap().ip()));
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
