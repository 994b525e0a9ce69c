//! Carries the bytes of a WebSocket whose connection cannot be parked, because it has no socket: a
//! task between the stream of a client within this process and who holds its session.
//!
//! It does for one connection what the lot and the shard's loop do for all that are parked: what
//! the client sends goes to `sockets`, what the hub has for it to the stream, and each side waits
//! for the other. Started by whoever is the client. It does not look at what is said.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::sockets::{Flow, Sockets};
use crate::asking::onward::Onward;
use crate::clock;
use crate::hub::Lease;
use crate::hub::fanout::Then;
use crate::limits;
use crate::listen::stream::Stream;

const READ_BYTES: usize = 16 * 1024;
/// Rounds before everybody else of the shard has a turn.
const ROUNDS_AT_ONCE: usize = 64;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// An accepted WebSocket whose connection is still to come; dropped, the client has left.
pub struct Accepted {
    sockets: Rc<Sockets>,
    onward: Option<Onward>,
}

impl Accepted {
    /// What has been accepted.
    #[must_use]
    pub fn new(sockets: Rc<Sockets>, onward: Onward) -> Accepted {
        Accepted { sockets, onward: Some(onward) }
    }

    /// Takes over its connection, which has no socket, until it ends; `early` was read from it
    /// already.
    pub async fn attend(mut self, stream: Stream, early: Bytes) {
        match self.onward.take() {
            Some(Onward::Task(task)) => task(stream, early).await,
            Some(Onward::Park(lease)) => {
                Porter::new(Rc::clone(&self.sockets), lease, stream).run(early).await;
            }
            None => {}
        }
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if let Some(Onward::Park(lease)) = &self.onward {
            self.sockets.gone(lease.id());
        }
    }
}

/// How it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// All that was to be written has been.
    Finished,
    /// The session or the client is gone.
    Now,
}

/// See the module.
struct Porter {
    sockets: Rc<Sockets>,
    lease: Lease,
    stream: Stream,
    /// What is being written.
    piece: Bytes,
    /// Something was taken from the hub since it had nothing left.
    busy: bool,
    /// The client's CLOSE is awaited; the hub has nothing more for it.
    awaiting: bool,
}

impl Porter {
    fn new(sockets: Rc<Sockets>, lease: Lease, stream: Stream) -> Porter {
        lease.hub().set_reading(lease.id(), true);
        let (piece, busy, awaiting) = (Bytes::new(), false, false);
        Porter { sockets, lease, stream, piece, busy, awaiting }
    }

    async fn run(mut self, early: Bytes) {
        let mut over = (!early.is_empty()).then(|| self.received(&early)).flatten();
        if over.is_none() {
            over = Some(poll_fn(|cx| self.poll_carry(cx)).await);
        }
        let id = self.lease.id();
        self.sockets.gone(id);
        if over == Some(Over::Finished) {
            let shutdown = poll_fn(|cx| {
                use tokio::io::AsyncWrite;
                std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
            });
            tokio::select! {
                // Who has gone meanwhile needs no end.
                _ = shutdown => {}
                () = clock::sleep_ms(limits::WEBSOCKET_CLOSE_MS) => {}
            }
        }
    }

    fn poll_carry(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        for _ in 0..ROUNDS_AT_ONCE {
            let mut moved = false;
            if self.lease.hub().poll_closed(self.lease.id(), cx).is_ready() {
                return Poll::Ready(Over::Now);
            }
            if let Some(over) = self.write(cx, &mut moved) {
                return Poll::Ready(over);
            }
            if let Some(over) = self.read(cx, &mut moved) {
                return Poll::Ready(over);
            }
            if !moved {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what the hub has for the client.
    fn write(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Option<Over> {
        loop {
            match self.stream.poll_give(cx, &mut self.piece) {
                Poll::Pending => return None,
                Poll::Ready(Err(_)) => return Some(Over::Now),
                Poll::Ready(Ok(())) if self.awaiting => return None,
                Poll::Ready(Ok(())) => {}
            }
            let id = self.lease.id();
            match self.lease.hub().poll_next(id, cx.waker()) {
                Poll::Ready(Some(piece)) => {
                    self.piece = piece;
                    (self.busy, *moved) = (true, true);
                }
                Poll::Ready(None) => match self.lease.hub().finished(id) {
                    Some(Then::AwaitClose) => self.awaiting = true,
                    Some(Then::Close | Then::Reuse) => return Some(Over::Finished),
                    None => return Some(Over::Now),
                },
                Poll::Pending => {
                    if std::mem::take(&mut self.busy) {
                        self.sockets.drained(id);
                        *moved = true;
                    }
                    return None;
                }
            }
        }
    }

    /// Takes what the client sends, as long as it is wanted.
    fn read(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Option<Over> {
        if !self.lease.hub().wants_reading(self.lease.id()) {
            return self.stream.poll_gone(cx).is_ready().then_some(Over::Now);
        }
        match self.take(cx) {
            Poll::Pending => None,
            Poll::Ready(Ok(bytes)) if !bytes.is_empty() => {
                *moved = true;
                self.received(&bytes)
            }
            Poll::Ready(Ok(_) | Err(_)) => Some(Over::Now),
        }
    }

    fn take(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        SCRATCH.with_borrow_mut(|scratch| self.stream.poll_take(cx, scratch))
    }

    fn received(&mut self, bytes: &[u8]) -> Option<Over> {
        let id = self.lease.id();
        match self.sockets.received(id, bytes) {
            Flow::Read => None,
            Flow::Pause => {
                self.lease.hub().set_reading(id, false);
                None
            }
            Flow::Close => Some(Over::Now),
        }
    }
}

#[cfg(test)]
mod tests;
