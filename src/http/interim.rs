//! Interim answers (1xx) on their way to a client, which hyper does not write: they go onto the
//! connection between two of its messages (RFC 9110, 15.2).
//!
//! A service puts one here through its [`Handoff`](super::park::Handoff) while it has not answered:
//! then hyper has nothing to write before the answer but its own `100 Continue`, and it flushes the
//! stream each time it has polled the service. The stream (`edge`) writes what waits here before
//! hyper's next bytes. While some of hyper's own are under way nothing is taken in, so what waits
//! never stands within a message, nor before one that it should have followed. They are advisory:
//! what finds no room is left out.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

use crate::limits::{INTERIM_RELAYED_MAX, INTERIM_WAITING_BYTES_MAX};

/// A connection's interim answers.
#[derive(Default)]
pub(super) struct Interims {
    waiting: RefCell<BytesMut>,
    /// Some of what hyper has begun to write has not been taken.
    midway: Cell<bool>,
    /// Of the present request.
    relayed: Cell<usize>,
}

impl Interims {
    /// A request begins.
    pub(super) fn begin(&self) {
        self.relayed.set(0);
    }

    /// hyper writes (`true`), or all that it had to write has been taken (`false`).
    pub(super) fn set_midway(&self, midway: bool) {
        self.midway.set(midway);
    }

    /// Whether some of one has not been taken yet.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// Takes one in, a whole head; whether there was room.
    pub(super) fn add(&self, head: &[u8]) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        let bytes = waiting.len().saturating_add(head.len());
        let (relayed, midway) = (self.relayed.get(), self.midway.get());
        if midway || relayed >= INTERIM_RELAYED_MAX || bytes > INTERIM_WAITING_BYTES_MAX {
            return false;
        }
        self.relayed.set(relayed.saturating_add(1));
        waiting.extend_from_slice(head);
        true
    }

    /// Writes what waits.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<io::Result<()>> {
        let mut waiting = self.waiting.borrow_mut();
        while !waiting.is_empty() {
            match ready!(Pin::new(&mut *stream).poll_write(cx, &waiting))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => {
                    let taken = written.min(waiting.len());
                    waiting.advance(taken);
                }
            }
        }
        // Mostly none follows.
        *waiting = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// Takes so many bytes, then no more for now.
    struct Narrow {
        room: usize,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let length = bytes.len().min(self.room);
            if length == 0 {
                return Poll::Pending;
            }
            self.room -= length;
            self.taken.extend_from_slice(&bytes[..length]);
            Poll::Ready(Ok(length))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_is_not_taken_waits() {
        let mut cx = Context::from_waker(Waker::noop());
        let (interims, mut stream) = (Interims::default(), Narrow { room: 3, taken: Vec::new() });
        assert!(interims.poll_write(&mut cx, &mut stream).is_ready());
        assert!(interims.add(b"one") && interims.add(b"two"));
        assert!(interims.poll_write(&mut cx, &mut stream).is_pending());
        assert!(interims.is_waiting());
        stream.room = 100;
        assert!(interims.poll_write(&mut cx, &mut stream).is_ready());
        assert!(!interims.is_waiting());
        assert_eq!(stream.taken, b"onetwo");
    }

    #[test]
    fn none_stands_within_what_hyper_writes() {
        let interims = Interims::default();
        interims.set_midway(true);
        assert!(!interims.add(b"x"));
        interims.set_midway(false);
        assert!(interims.add(b"x"));
    }

    #[test]
    fn at_the_bounds() {
        let interims = Interims::default();
        let head = vec![b'x'; INTERIM_WAITING_BYTES_MAX];
        assert!(!interims.add(&[head.as_slice(), b"x"].concat()));
        assert!(interims.add(&head));
        assert!(!interims.add(b"x"));
        let interims = Interims::default();
        for _ in 0..INTERIM_RELAYED_MAX {
            assert!(interims.add(b"x"));
        }
        assert!(!interims.add(b"x"));
        interims.begin();
        assert!(interims.add(b"x"));
    }
}
