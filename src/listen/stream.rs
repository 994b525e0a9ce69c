//! One client connection, whatever it runs over: TCP, a Unix socket, TLS over either, or nothing
//! but memory (a client that is a part of this process).
//!
//! While it is served it is registered with its shard's runtime and read and written through
//! tokio's traits. To be parked it is detached: the same descriptor without the runtime's
//! registration (some 200 bytes less), written to directly; when it serves again it is attached
//! again.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::pipe::Pipe;

/// A bare socket: registered with the runtime, or detached from it while it is parked.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
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
}

/// A client connection.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(Socket),
    /// With TLS.
    Tls(Box<TlsStream<Socket>>),
    /// From a client within this process. It has no descriptor: it cannot be parked.
    Inside(Pipe),
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
        }
    }

    /// The client's address; none over a Unix socket, or when the client is gone.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Bare::Tcp(s) => s.peer_addr().ok(),
            Bare::Unix(_) => None,
        }
    }

    /// Shuts the sending side down, so that the peer sees the end after the last byte.
    pub fn shutdown_write(&self) {
        // Best effort: a peer that is gone already has seen its end.
        let _ = match self {
            Bare::Tcp(s) => s.shutdown(std::net::Shutdown::Write),
            Bare::Unix(s) => s.shutdown(std::net::Shutdown::Write),
        };
    }
}

impl AsFd for Bare {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Bare::Tcp(s) => s.as_fd(),
            Bare::Unix(s) => s.as_fd(),
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
            already => already,
        };
        Ok(())
    }

    /// The address of the TCP peer; `None` for Unix sockets and peers that have gone.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        let address = match self {
            Socket::Tcp(s) => s.peer_addr().ok(),
            Socket::Detached(Bare::Tcp(s)) => s.peer_addr().ok(),
            Socket::Unix(_) | Socket::Detached(Bare::Unix(_)) | Socket::Gone => None,
        };
        address.map(|address| address.ip().to_canonical())
    }
}

impl Stream {
    /// The address of the TCP peer; `None` where there is none.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        match self {
            Stream::Plain(socket) => socket.peer(),
            Stream::Tls(tls) => tls.get_ref().0.peer(),
            Stream::Inside(_) => None,
        }
    }

    /// The socket under it, if there is one; see [`Socket::detach`] and [`Socket::attach`].
    pub fn socket_mut(&mut self) -> Option<&mut Socket> {
        match self {
            Stream::Plain(socket) => Some(socket),
            Stream::Tls(tls) => Some(tls.get_mut().0),
            Stream::Inside(_) => None,
        }
    }

    /// Whether the client's bytes are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// Whether it has a socket, and so can be parked.
    #[must_use]
    pub fn has_socket(&self) -> bool {
        !matches!(self, Stream::Inside(_))
    }

    /// Writes a piece; ready when nothing of it is left. Within the process it is not copied.
    ///
    /// # Errors
    /// When the connection is over.
    pub fn poll_give(&mut self, cx: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<()>> {
        while !piece.is_empty() {
            if let Stream::Inside(pipe) = self {
                ready!(pipe.poll_room(cx))?;
                pipe.send(std::mem::take(piece));
                break;
            }
            let taken = ready!(Pin::new(&mut *self).poll_write(cx, piece))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            piece.advance(taken);
        }
        Pin::new(self).poll_flush(cx)
    }

    /// Reads what is there, with the help of a buffer; nothing is the end. Within the process it is
    /// not copied.
    ///
    /// # Errors
    /// When the connection is over.
    pub fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<io::Result<Bytes>> {
        if let Stream::Inside(pipe) = self {
            return pipe.poll_recv(cx).map(|piece| Ok(piece.unwrap_or_default()));
        }
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(self).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
    }

    /// Ready when it is known that the client is gone although nothing is read.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Stream::Inside(pipe) => pipe.poll_gone(cx),
            Stream::Plain(_) | Stream::Tls(_) => Poll::Pending,
        }
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
            Socket::Detached(_) | Socket::Gone => Poll::Ready(Err(detached())),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Tls(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Inside(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Tls(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Inside(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Stream::Tls(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Stream::Inside(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_flush(cx),
            Stream::Tls(s) => Pin::new(s).poll_flush(cx),
            Stream::Inside(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Tls(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Inside(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
