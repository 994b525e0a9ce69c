//! One end of a relayed WebSocket: its stream and the reader of its frames.
//!
//! Used by `relay`, twice a connection. An idle end keeps no buffer: what is read goes through one
//! that all ends of a thread share.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::session::outbox::Outbox;
use crate::ws::meter::{Limits, Meter};
use crate::ws::reader::{Inflation, Piece, Reader, Sender, Violation};

const READ_BYTES: usize = 32 * 1024;
const PIECES_PER_WRITE: usize = 16;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// See the module.
pub struct End<S> {
    io: S,
    /// Frames that this end sends.
    reader: Reader,
    meter: Meter,
    limits: Limits,
    flushed: bool,
    /// It has sent CLOSE, or what cannot be read: what follows is thrown away.
    closed: bool,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> End<S> {
    /// The end that `sender`'s frames come from, with what has been read from it already.
    pub fn new(io: S, sender: Sender, limits: Limits, read_ahead: Bytes) -> End<S> {
        let mut reader = Reader::new(sender);
        // A copy: it may be the small rest of a large buffer.
        reader.feed(BytesMut::from(&read_ahead[..]));
        let meter = Meter::default();
        End { io, reader, meter, limits, flushed: true, closed: false, ended: false }
    }

    /// The same for a side that may deflate its messages; what bounds them is what they become.
    #[must_use]
    pub fn inflating(self, inflation: Inflation) -> End<S> {
        End { reader: self.reader.inflating(inflation), ..self }
    }

    /// The next piece of what this end has sent; see [`Reader::next`]. What follows a CLOSE or a
    /// violation means nothing: there is no next piece.
    pub fn next(&mut self, hold_back: usize) -> Result<Option<Piece>, Violation> {
        if self.closed {
            return Ok(None);
        }
        let piece = self.reader.next(hold_back).and_then(|piece| {
            piece.as_ref().map_or(Ok(()), |piece| self.meter.count(piece, &self.limits))?;
            Ok(piece)
        });
        if matches!(piece, Ok(Some(Piece::Close(_))) | Err(_)) {
            self.closed = true;
            self.reader = Reader::new(self.reader.sender());
        }
        piece
    }

    /// Reads to the end of the stream, and throws away what comes.
    pub fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.closed = true;
        while !self.ended && ready!(self.poll_read(cx)).is_ok() {}
        Poll::Ready(())
    }

    /// Whether the stream has come to its end: there is nothing more to read.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Writes what waits in `out`. Ready when nothing is left; `moved` is set when something went.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Outbox,
        moved: &mut bool,
    ) -> Poll<io::Result<()>> {
        while !out.is_empty() {
            let written = match out.pieces().next() {
                // Cheaper than a vector of one.
                Some(only) if out.len() == 1 => {
                    ready!(Pin::new(&mut self.io).poll_write(cx, only))?
                }
                _ => {
                    let pieces: SmallVec<[IoSlice<'_>; PIECES_PER_WRITE]> =
                        out.pieces().take(PIECES_PER_WRITE).map(IoSlice::new).collect();
                    ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &pieces))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            out.advance(written);
            self.flushed = false;
            *moved = true;
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once, for the reader. `false` at the end of the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            if !self.closed {
                self.reader.feed(BytesMut::from(buffer.filled()));
            }
            self.ended = buffer.filled().is_empty();
            Poll::Ready(Ok(!self.ended))
        })
    }

    /// Writes what waits in `out` and shuts the stream down for writing.
    pub fn poll_finish(&mut self, cx: &mut Context<'_>, out: &mut Outbox) -> Poll<io::Result<()>> {
        ready!(self.poll_write(cx, out, &mut false))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{Opcode, server_frame};
    use crate::ws::reader::Piece;
    use std::future::poll_fn;

    #[tokio::test]
    async fn frames_go_through_and_nothing_stays() {
        let (one, two) = tokio::io::duplex(7);
        let mut from = End::new(one, Sender::Client, Limits::NONE, Bytes::new());
        let ahead = Bytes::from_static(b"\x81\x01");
        let mut to = End::new(two, Sender::Server, Limits::NONE, ahead);
        let mut out = Outbox::default();
        out.push(Bytes::from_static(b"x"), 100).unwrap();
        out.push(server_frame(Opcode::Text, b"a longer message"), 100).unwrap();
        let send = async {
            poll_fn(|cx| from.poll_finish(cx, &mut out)).await.unwrap();
            assert!(out.is_empty());
        };
        let receive = async {
            let mut text = Vec::new();
            while poll_fn(|cx| to.poll_read(cx)).await.unwrap() {
                while let Ok(Some(Piece::Data { bytes, .. })) = to.next(0) {
                    text.extend_from_slice(&bytes);
                }
            }
            text
        };
        let ((), text) = tokio::join!(send, receive);
        assert_eq!(text, b"xa longer message");
    }

    #[tokio::test]
    async fn what_follows_a_close_means_nothing() {
        let (mut one, two) = tokio::io::duplex(100);
        let ahead = Bytes::from_static(b"\x88\x00\xff\xff");
        let mut end = End::new(two, Sender::Server, Limits::NONE, ahead);
        assert_eq!(end.next(0), Ok(Some(Piece::Close(None))));
        assert_eq!(end.next(0), Ok(None));
        tokio::io::AsyncWriteExt::write_all(&mut one, b"\xff\xff\xff").await.unwrap();
        assert!(poll_fn(|cx| end.poll_read(cx)).await.unwrap() && !end.has_ended());
        assert_eq!(end.next(0), Ok(None));
        drop(one);
        assert!(!poll_fn(|cx| end.poll_read(cx)).await.unwrap() && end.has_ended());
    }

    #[tokio::test]
    async fn what_is_too_much_is_a_violation() {
        let limits = Limits::from(5);
        let bytes = [server_frame(Opcode::Text, b"12345"), server_frame(Opcode::Text, b"123456")];
        let mut end = End::new(tokio::io::empty(), Sender::Server, limits, bytes.concat().into());
        assert!(matches!(end.next(0), Ok(Some(_))));
        assert_eq!(end.next(0), Err(Violation::TooLarge { limit_bytes: 5 }));
    }
}
