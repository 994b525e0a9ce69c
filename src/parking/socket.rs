//! One parked connection: writes shared bytes in place, reads what came.
//!
//! Nothing here waits: what cannot be done now is `WouldBlock`, and the lot asks again when the
//! readiness set says so. TLS works on the same socket; its session stays with it.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use tokio_rustls::server::TlsStream;

use crate::listen::socket::{Bare, Socket};
use crate::listen::stream::Stream;
use crate::session::outbox::Outbox;

/// Pieces given to one vectored write. The system would take 1,024; more than this and the list of
/// them costs more stack than calls it saves.
pub const PIECES_AT_ONCE: usize = 64;

/// A connection that no runtime watches.
pub enum Parked {
    /// Without TLS.
    Plain(Bare),
    /// With TLS; the socket inside is detached.
    Tls(Box<TlsStream<Socket>>),
}

fn not_detached() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the socket is not detached")
}

/// The bare socket and the session of a detached TLS connection.
fn tls_parts(
    tls: &mut TlsStream<Socket>,
) -> io::Result<(&Bare, &mut rustls::server::ServerConnection)> {
    match tls.get_mut() {
        (Socket::Detached(bare), session) => Ok((bare, session)),
        _ => Err(not_detached()),
    }
}

impl Parked {
    /// Takes a connection away from the runtime.
    ///
    /// # Errors
    /// When the runtime does not let go; the connection is lost.
    pub fn new(mut stream: Stream) -> io::Result<Parked> {
        stream.socket_mut().ok_or_else(not_detached)?.detach()?;
        match stream {
            Stream::Plain(Socket::Detached(bare)) => Ok(Parked::Plain(bare)),
            Stream::Plain(_) | Stream::Inside(_) => Err(not_detached()),
            Stream::Tls(tls) => Ok(Parked::Tls(tls)),
        }
    }

    /// Gives the connection back to the runtime that this is called in.
    ///
    /// # Errors
    /// When the runtime does not take it; the connection is lost.
    pub fn into_stream(self) -> io::Result<Stream> {
        let mut stream = match self {
            Parked::Plain(bare) => Stream::Plain(Socket::Detached(bare)),
            Parked::Tls(tls) => Stream::Tls(tls),
        };
        stream.socket_mut().ok_or_else(not_detached)?.attach()?;
        Ok(stream)
    }

    /// Writes what the socket takes now of one piece; see [`Parked::write_vectored`].
    ///
    /// # Errors
    /// `WouldBlock` when nothing was taken; otherwise the connection is over.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Parked::Plain(bare) => bare.write(bytes),
            Parked::Tls(_) => self.write_vectored(&[IoSlice::new(bytes)]),
        }
    }

    /// Writes what the socket takes now of the first pieces of a list, in one call. How many bytes
    /// it took.
    ///
    /// # Errors
    /// `WouldBlock` when nothing was taken; otherwise the connection is over.
    pub fn write_some<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PIECES_AT_ONCE];
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        self.write_vectored(&slices[..count])
    }

    /// With TLS a record that the socket takes only in part is kept by its session, and nothing
    /// more is taken until it has left.
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Parked::Plain(bare) => bare.write_vectored(pieces),
            Parked::Tls(tls) => {
                let (bare, session) = tls_parts(tls)?;
                push_records(bare, session)?;
                let taken = session.writer().write_vectored(pieces)?;
                match push_records(bare, session) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                    _ => Ok(taken),
                }
            }
        }
    }

    /// Writes what waits in `outbox` until it is empty or the socket takes no more. Whether all has
    /// left, the session's own records included.
    ///
    /// # Errors
    /// When the connection is over.
    pub fn flush(&mut self, outbox: &mut Outbox) -> io::Result<bool> {
        loop {
            if outbox.is_empty() {
                return self.flush_records();
            }
            let taken = self.write_some(outbox.pieces());
            match taken {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => outbox.advance(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn flush_records(&mut self) -> io::Result<bool> {
        let Parked::Tls(tls) = self else { return Ok(true) };
        let (bare, session) = tls_parts(tls)?;
        match push_records(bare, session) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The client's address, if it has one that is known.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Parked::Plain(bare) => bare.peer(),
            Parked::Tls(tls) => match tls.get_ref().0 {
                Socket::Detached(bare) => bare.peer(),
                _ => None,
            },
        }
    }

    /// Whether TLS records wait to leave.
    pub fn has_records(&mut self) -> bool {
        match self {
            Parked::Plain(_) => false,
            Parked::Tls(tls) => tls.get_ref().1.wants_write(),
        }
    }

    /// Reads what is there; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; otherwise the connection is over.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Parked::Plain(bare) => bare.read(into),
            Parked::Tls(tls) => {
                let (bare, session) = tls_parts(tls)?;
                loop {
                    match session.reader().read(into) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        other => return other,
                    }
                    let mut socket = bare;
                    if session.read_tls(&mut socket)? == 0 {
                        return Ok(0);
                    }
                    session.process_new_packets().map_err(io::Error::other)?;
                    // A key update asks for an answer; it leaves with whatever is written next.
                    let _ = push_records(bare, session);
                }
            }
        }
    }

    /// Says goodbye as the transport does: `close_notify` for TLS, then the end of the stream.
    pub fn end(&mut self) {
        match self {
            Parked::Plain(bare) => bare.shutdown_write(),
            Parked::Tls(tls) => {
                if let Ok((bare, session)) = tls_parts(tls) {
                    session.send_close_notify();
                    // A client that does not read has no use for it.
                    let _ = push_records(bare, session);
                    bare.shutdown_write();
                }
            }
        }
    }
}

/// Writes the session's records until none is left.
fn push_records(bare: &Bare, session: &mut rustls::server::ServerConnection) -> io::Result<()> {
    let mut socket = bare;
    while session.wants_write() {
        if session.write_tls(&mut socket)? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

/// For the readiness set.
pub struct Watched<'a>(BorrowedFd<'a>);

impl AsFd for Watched<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0
    }
}

impl Parked {
    /// The descriptor, for the readiness set.
    ///
    /// # Errors
    /// When there is none: the connection was lost.
    pub fn watched(&self) -> io::Result<Watched<'_>> {
        match self {
            Parked::Plain(bare) => Ok(Watched(bare.as_fd())),
            Parked::Tls(tls) => match tls.get_ref().0 {
                Socket::Detached(bare) => Ok(Watched(bare.as_fd())),
                _ => Err(not_detached()),
            },
        }
    }
}
