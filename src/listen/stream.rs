//! One client connection: a socket, TLS over one, or nothing but memory (a client that is a part of
//! this process).
//!
//! Read and written by whoever serves it, through tokio's traits or piece by piece.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::pipe::Pipe;
use super::socket::Socket;

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

impl Stream {
    /// The client's address; `None` where there is none. See [`Socket::client`].
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
