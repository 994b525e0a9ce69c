//! A connection inside the process: two ends, each a stream of bytes, with no socket under it.
//!
//! For clients of the proxy that are parts of it: one end is a [`Stream`](super::stream::Stream),
//! the other talks. Pieces go through as they are (`send`, `poll_recv`); whoever reads and writes
//! through tokio's traits pays for a copy. Both ends belong to one thread. It knows nothing of what
//! is said.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a piece counts beside its bytes, so that many small ones are bounded too.
const PIECE_BYTES: usize = 32;

/// One end.
#[derive(Debug)]
pub struct Pipe {
    /// From this end to the other.
    out: Rc<RefCell<Way>>,
    /// From the other end to this.
    back: Rc<RefCell<Way>>,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    limit_bytes: usize,
    /// Nothing more will be written.
    ended: bool,
    /// Nobody reads any more.
    deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The two ends of a new connection. In each direction about so many bytes may wait to be read.
#[must_use]
pub fn pair(limit_bytes: usize) -> (Pipe, Pipe) {
    let way = || Rc::new(RefCell::new(Way { limit_bytes, ..Way::default() }));
    let (one, two) = (way(), way());
    (Pipe { out: Rc::clone(&one), back: Rc::clone(&two) }, Pipe { out: two, back: one })
}

fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if !slot.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
        *slot = Some(cx.waker().clone());
    }
}

fn wake(slot: &mut Option<Waker>) {
    if let Some(waker) = slot.take() {
        waker.wake();
    }
}

impl Way {
    fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.bytes += piece.len() + PIECE_BYTES;
        self.pieces.push_back(piece);
        wake(&mut self.reader);
    }

    fn pop(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.took(piece.len() + PIECE_BYTES);
        if self.pieces.is_empty() {
            // An idle connection keeps no memory.
            self.pieces = VecDeque::new();
        }
        Some(piece)
    }

    fn took(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.bytes < self.limit_bytes {
            wake(&mut self.writer);
        }
    }

    /// How many bytes may be written now.
    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        if self.deaf || self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.bytes < self.limit_bytes {
            return Poll::Ready(Ok(self.limit_bytes - self.bytes));
        }
        register(&mut self.writer, cx);
        Poll::Pending
    }
}

impl Pipe {
    /// The next piece that the other end wrote; `None` at the end.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut back = self.back.borrow_mut();
        match back.pop() {
            Some(piece) => Poll::Ready(Some(piece)),
            None if back.ended => Poll::Ready(None),
            None => {
                register(&mut back.reader, cx);
                Poll::Pending
            }
        }
    }

    /// Waits until a piece may be sent.
    ///
    /// # Errors
    /// When the other end is gone.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.out.borrow_mut().poll_room(cx).map_ok(drop)
    }

    /// Sends a piece as it is, whatever its length; the next one waits for room. It goes nowhere
    /// when the other end is gone.
    pub fn send(&mut self, piece: Bytes) {
        let mut out = self.out.borrow_mut();
        if !out.deaf && !out.ended {
            out.push(piece);
        }
    }

    /// Ready when the other end is gone, whether or not all that it wrote has been read.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut out = self.out.borrow_mut();
        if out.deaf {
            return Poll::Ready(());
        }
        register(&mut out.writer, cx);
        Poll::Pending
    }

    fn end(&mut self) {
        let mut out = self.out.borrow_mut();
        out.ended = true;
        wake(&mut out.reader);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.end();
        let mut back = self.back.borrow_mut();
        back.deaf = true;
        back.pieces.clear();
        wake(&mut back.writer);
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut back = self.get_mut().back.borrow_mut();
        let mut read = false;
        while buf.remaining() > 0
            && let Some(front) = back.pieces.front_mut()
        {
            let part = front.len().min(buf.remaining());
            buf.put_slice(front.get(..part).unwrap_or_default());
            front.advance(part);
            let over = front.is_empty();
            read = true;
            if over {
                back.pop();
            }
            back.took(part);
        }
        if read || back.ended {
            return Poll::Ready(Ok(()));
        }
        register(&mut back.reader, cx);
        Poll::Pending
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut out = self.get_mut().out.borrow_mut();
        let room = std::task::ready!(out.poll_room(cx))?;
        let all: usize = bufs.iter().map(|buf| buf.len()).sum();
        let mut piece = BytesMut::with_capacity(all.min(room));
        for buf in bufs {
            let part = buf.len().min(room - piece.len());
            piece.extend_from_slice(buf.get(..part).unwrap_or_default());
        }
        let taken = piece.len();
        out.push(piece.freeze());
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().end();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn pieces_go_through_as_they_are() {
        let (mut one, mut two) = pair(100);
        let piece = Bytes::from(vec![b'x'; 60]);
        assert!(one.poll_room(&mut cx()).is_ready());
        one.send(piece.clone());
        assert!(one.poll_room(&mut cx()).is_ready());
        one.send(piece.clone());
        assert!(one.poll_room(&mut cx()).is_pending(), "60 + 60 are over 100");
        let Poll::Ready(Some(got)) = two.poll_recv(&mut cx()) else { panic!() };
        assert_eq!(got.as_ptr(), piece.as_ptr());
        assert!(one.poll_room(&mut cx()).is_ready());
        assert!(two.poll_recv(&mut cx()).is_ready());
        assert!(two.poll_recv(&mut cx()).is_pending());
        assert!(two.poll_gone(&mut cx()).is_pending());
        drop(one);
        assert!(two.poll_gone(&mut cx()).is_ready());
        assert_eq!(two.poll_recv(&mut cx()), Poll::Ready(None));
        assert!(two.poll_room(&mut cx()).map_err(drop) == Poll::Ready(Err(())));
    }

    #[test]
    fn many_small_pieces_are_bounded_too() {
        let (mut one, _two) = pair(10_000);
        let mut sent = 0;
        while one.poll_room(&mut cx()).is_ready() {
            one.send(Bytes::from_static(b"x"));
            sent += 1;
        }
        assert!(sent <= 10_000 / PIECE_BYTES + 1, "{sent}");
    }

    #[tokio::test]
    async fn what_was_written_before_the_end_is_read() {
        let (mut one, mut two) = pair(4);
        let write = async {
            one.write_all(b"hello, world").await.unwrap();
            one.shutdown().await.unwrap();
            assert!(one.write_all(b"!").await.is_err());
            let mut back = Vec::new();
            one.read_to_end(&mut back).await.unwrap();
            back
        };
        let read = async {
            let mut text = Vec::new();
            two.read_to_end(&mut text).await.unwrap();
            two.write_all(b"back").await.unwrap();
            drop(two);
            text
        };
        let (back, text) = tokio::join!(write, read);
        assert_eq!((&back[..], &text[..]), (&b"back"[..], &b"hello, world"[..]));
    }

    proptest! {
        /// Whatever way it is written and read, the same bytes come out in the same order, and the
        /// books are even in the end.
        #[test]
        fn bytes_keep_their_order(
            steps: Vec<(u8, Vec<u8>)>,
        ) {
            let (mut one, mut two) = pair(64);
            let (mut written, mut read) = (Vec::new(), Vec::new());
            for (how, bytes) in steps {
                match how % 4 {
                    0 if one.poll_room(&mut cx()).is_ready() => {
                        written.extend_from_slice(&bytes);
                        one.send(bytes.into());
                    }
                    1 => {
                        let taken = Pin::new(&mut one).poll_write(&mut cx(), &bytes);
                        if let Poll::Ready(Ok(taken)) = taken {
                            written.extend_from_slice(&bytes[..taken]);
                        }
                    }
                    2 => if let Poll::Ready(Some(piece)) = two.poll_recv(&mut cx()) {
                        read.extend_from_slice(&piece);
                    },
                    _ => {
                        let mut buffer = [0; 7];
                        let mut buffer = ReadBuf::new(&mut buffer);
                        let _ = Pin::new(&mut two).poll_read(&mut cx(), &mut buffer);
                        read.extend_from_slice(buffer.filled());
                    }
                }
            }
            while let Poll::Ready(Some(piece)) = two.poll_recv(&mut cx()) {
                read.extend_from_slice(&piece);
            }
            prop_assert_eq!(written, read);
            prop_assert_eq!(one.out.borrow().bytes, 0);
        }
    }
}
