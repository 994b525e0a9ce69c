//! One socket of a client, whatever it runs over: TCP, a Unix socket, either behind a proxy that
//! says who the client is.
//!
//! While it is served it is registered with its shard's runtime and read and written through
//! tokio's traits. To be parked, or to go to another shard, it is detached: the same descriptor
//! without the runtime's registration (some 200 bytes less), written to directly; when it serves
//! again it is attached again.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A bare socket: registered with the runtime, or detached from it while it is parked.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// Behind a proxy that said who the client is.
    Behind(Box<Behind<Socket>>),
    /// Not registered with the runtime: parked.
    Detached(Bare),
    /// Between the two, or lost in between: no descriptor.
    Gone,
}

/// A socket that no runtime watches. Non-blocking.
#[derive(Debug)]
pub enum Bare {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixStream),
    /// Behind a proxy that said who the client is.
    Behind(Box<Behind<Bare>>),
}

/// A socket whose peer is a proxy. Only such connections pay for it.
#[derive(Debug)]
pub struct Behind<S> {
    /// The connection with the proxy.
    pub socket: S,
    /// The proxy's client; `None` when it has no address.
    pub client: Option<SocketAddr>,
    /// The client's first bytes, which came together with the proxy's: read before all others. They
    /// are few, so TLS takes them with its first read; see [`Socket::take_ahead`] for the rest.
    pub ahead: Bytes,
}

impl Bare {
    /// Writes what the socket takes at once.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing; otherwise the connection is over.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Bare::Tcp(s) => (&mut &*s).write(bytes),
            Bare::Unix(s) => (&mut &*s).write(bytes),
            Bare::Behind(s) => s.socket.write(bytes),
        }
    }

    /// Writes what the socket takes at once of several pieces.
    ///
    /// # Errors
    /// As [`Bare::write`].
    pub fn write_vectored(&self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Bare::Tcp(s) => (&mut &*s).write_vectored(pieces),
            Bare::Unix(s) => (&mut &*s).write_vectored(pieces),
            Bare::Behind(s) => s.socket.write_vectored(pieces),
        }
    }

    /// Reads what is there; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; otherwise the connection is over.
    pub fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Bare::Tcp(s) => (&mut &*s).read(into),
            Bare::Unix(s) => (&mut &*s).read(into),
            Bare::Behind(s) => s.socket.read(into),
        }
    }

    /// The client's address; none over a Unix socket, or when the client is gone. Behind a proxy it
    /// is what the proxy said.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Bare::Tcp(s) => s.peer_addr().ok(),
            Bare::Unix(_) => None,
            Bare::Behind(s) => s.client,
        }
    }

    /// Shuts the sending side down, so that the peer sees the end after the last byte.
    pub fn shutdown_write(&self) {
        // Best effort: a peer that is gone already has seen its end.
        let _ = match self {
            Bare::Tcp(s) => s.shutdown(std::net::Shutdown::Write),
            Bare::Unix(s) => s.shutdown(std::net::Shutdown::Write),
            Bare::Behind(s) => return s.socket.shutdown_write(),
        };
    }
}

impl AsFd for Bare {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Bare::Tcp(s) => s.as_fd(),
            Bare::Unix(s) => s.as_fd(),
            Bare::Behind(s) => s.socket.as_fd(),
        }
    }
}

/// For rustls, which reads and writes records through std's traits.
impl Read for &Bare {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Bare::read(self, into)
    }
}

impl Write for &Bare {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Bare::write(self, bytes)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        Bare::write_vectored(self, pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// Takes the socket away from the runtime, in place.
    ///
    /// # Errors
    /// When the runtime does not let go of it; the socket is lost then.
    pub fn detach(&mut self) -> io::Result<()> {
        *self = match std::mem::replace(self, Socket::Gone) {
            Socket::Tcp(s) => Socket::Detached(Bare::Tcp(s.into_std()?)),
            Socket::Unix(s) => Socket::Detached(Bare::Unix(s.into_std()?)),
            Socket::Behind(behind) => {
                let Behind { mut socket, client, ahead } = *behind;
                socket.detach()?;
                let Socket::Detached(socket) = socket else { return Err(detached()) };
                Socket::Detached(Bare::Behind(Box::new(Behind { socket, client, ahead })))
            }
            already @ (Socket::Detached(_) | Socket::Gone) => already,
        };
        Ok(())
    }

    /// Registers a detached socket with the runtime that this is called in, in place.
    ///
    /// # Errors
    /// When the runtime does not take it; the socket is lost then.
    pub fn attach(&mut self) -> io::Result<()> {
        *self = match std::mem::replace(self, Socket::Gone) {
            Socket::Detached(Bare::Tcp(s)) => Socket::Tcp(TcpStream::from_std(s)?),
            Socket::Detached(Bare::Unix(s)) => Socket::Unix(UnixStream::from_std(s)?),
            Socket::Detached(Bare::Behind(behind)) => {
                let Behind { socket, client, ahead } = *behind;
                let mut socket = Socket::Detached(socket);
                socket.attach()?;
                Socket::Behind(Box::new(Behind { socket, client, ahead }))
            }
            already => already,
        };
        Ok(())
    }

    /// The client's address: that of the TCP peer, or what a proxy in front said; `None` for Unix
    /// sockets and peers that have gone.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(s) => s.peer_addr().ok(),
            Socket::Behind(s) => s.client,
            Socket::Detached(bare) => bare.peer(),
            Socket::Unix(_) | Socket::Gone => None,
        }
    }

    /// The first byte that will be read, once there is one; `None` when it is over before, or when
    /// the kind of socket has no way to look.
    pub async fn first_byte(&self) -> Option<u8> {
        let tcp = match self {
            Socket::Tcp(tcp) => tcp,
            Socket::Behind(behind) => match (behind.ahead.first(), &behind.socket) {
                (Some(first), _) => return Some(*first),
                (None, Socket::Tcp(tcp)) => tcp,
                _ => return None,
            },
            Socket::Unix(_) | Socket::Detached(_) | Socket::Gone => return None,
        };
        let mut first = [0];
        matches!(tcp.peek(&mut first).await, Ok(1)).then_some(first[0])
    }

    /// The client's first bytes, for whoever reads them before it reads the socket.
    pub fn take_ahead(&mut self) -> Bytes {
        match self {
            Socket::Behind(behind) => std::mem::take(&mut behind.ahead),
            _ => Bytes::new(),
        }
    }

    /// The IP address of [`Socket::client`].
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        self.client().map(|address| address.ip().to_canonical())
    }
}

impl Behind<Socket> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buf);
        }
        let part = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead.split_to(part));
        if self.ahead.is_empty() {
            // What it was a part of may go.
            self.ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

fn detached() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the socket is parked")
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Socket::Unix(s) => Pin::new(s).poll_read(cx, buf),
            Socket::Behind(s) => s.poll_read(cx, buf),
            Socket::Detached(_) | Socket::Gone => Poll::Ready(Err(detached())),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Socket::Unix(s) => Pin::new(s).poll_write(cx, buf),
            Socket::Behind(s) => Pin::new(&mut s.socket).poll_write(cx, buf),
            Socket::Detached(_) | Socket::Gone => Poll::Ready(Err(detached())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Socket::Unix(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Socket::Behind(s) => Pin::new(&mut s.socket).poll_write_vectored(cx, bufs),
            Socket::Detached(_) | Socket::Gone => Poll::Ready(Err(detached())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Socket::Unix(s) => Pin::new(s).poll_shutdown(cx),
            Socket::Behind(s) => Pin::new(&mut s.socket).poll_shutdown(cx),
            Socket::Detached(_) | Socket::Gone => Poll::Ready(Err(detached())),
        }
    }
}
