//! Bytes that a client's socket has not taken yet: bounded, in order, shared where they were
//! shared; and what becomes of them when the client does not read.
//!
//! Used by `parking` for every session: while a connection is still served by hyper or by a task
//! the outbox is what that side reads from (with a waker); once parked it holds only a remainder.

use std::task::{Poll, Waker};

use bytes::Bytes;

use super::queue::Queue;

/// The queue of one client.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Queue,
    bytes: usize,
    waker: Option<Waker>,
}

/// What becomes of a client that does not read as fast as it is published to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slow {
    /// It is closed.
    #[default]
    Close,
    /// The oldest messages that wait for it are dropped, as many as it takes.
    DropOldest,
    /// All messages that wait for it are dropped but the newest, until it has read all.
    Conflate,
}

/// How much may wait for one client, and what is done past that.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of all kinds.
    pub bytes: usize,
    /// Pieces that may wait for one more message to be taken.
    pub messages: usize,
    /// What is done with messages past it.
    pub slow: Slow,
}

/// Whether a piece may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It has to arrive: a head, a CLOSE, what a backend says.
    Kept,
    /// It was published, and is a message by itself: a client that does not read may do without.
    Message,
}

/// What it took to queue a piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// So many messages were dropped for it.
    pub dropped: usize,
    /// They are the first since the client last had read all.
    pub became_slow: bool,
}

/// The client has not read enough: the bytes were not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client does not read: its queue is full")]
pub struct Full;

impl Outbox {
    /// Queues `bytes` that have to arrive, unless that would bring the queue over `limit_bytes`. A
    /// queue that is empty takes anything: one payload larger than the limit must still be
    /// deliverable.
    pub fn push(&mut self, bytes: Bytes, limit_bytes: usize) -> Result<(), Full> {
        let bounds = Bounds { bytes: limit_bytes, messages: usize::MAX, slow: Slow::Close };
        self.put(bytes, Kind::Kept, &bounds).map(drop)
    }

    /// Queues a piece within the bounds. Messages that may be dropped give way to it, so that such
    /// a client may have one message more than the bounds say if nothing else is left to drop.
    pub fn put(&mut self, piece: Bytes, kind: Kind, bounds: &Bounds) -> Result<Queued, Full> {
        if piece.is_empty() {
            return Ok(Queued::default());
        }
        let dropped = match (kind, bounds.slow) {
            (Kind::Message, Slow::Conflate) => self.conflate(piece.len(), bounds),
            _ => self.make_room(piece.len(), kind, bounds)?,
        };
        self.bytes += piece.len();
        let mut queued = Queued { dropped, became_slow: false };
        match (kind, bounds.slow) {
            (Kind::Kept, _) | (_, Slow::Close) => self.queue.push(piece),
            (Kind::Message, _) => self.queue.push_message(piece),
        }
        if dropped > 0 {
            queued.became_slow = self.queue.set_slow();
        }
        self.wake();
        Ok(queued)
    }

    /// Whether a piece of so many bytes is one too many.
    fn is_full(&self, bytes: usize, kind: Kind, bounds: &Bounds) -> bool {
        let too_many = kind == Kind::Message && self.queue.pieces().len() >= bounds.messages;
        self.bytes > 0 && (too_many || self.bytes.saturating_add(bytes) > bounds.bytes)
    }

    /// Drops the oldest messages until there is room; how many.
    fn make_room(&mut self, bytes: usize, kind: Kind, bounds: &Bounds) -> Result<usize, Full> {
        let mut dropped = 0;
        while self.is_full(bytes, kind, bounds) {
            match self.queue.drop_oldest() {
                Some(oldest) => self.bytes -= oldest,
                None if kind == Kind::Message && bounds.slow != Slow::Close => break,
                None => return Err(Full),
            }
            dropped += 1;
        }
        Ok(dropped)
    }

    /// Drops all messages if there is no room, or was none since the client last had read all.
    fn conflate(&mut self, bytes: usize, bounds: &Bounds) -> usize {
        if !self.queue.is_slow() && !self.is_full(bytes, Kind::Message, bounds) {
            return 0;
        }
        let (dropped, bytes) = self.queue.drop_all();
        self.bytes -= bytes;
        dropped
    }

    /// How many bytes wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many pieces wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.pieces().len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.pieces().is_empty()
    }

    /// The pieces that wait, first to last, for one vectored write.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.queue.pieces().iter().map(|piece| &piece[..])
    }

    /// Takes `n` bytes, which have been written, off the front. More than waits empties the queue.
    pub fn advance(&mut self, mut n: usize) {
        while n > 0 {
            let Some(front) = self.queue.pieces().front() else { return };
            let part = n.min(front.len());
            n -= part;
            self.bytes -= part;
            if part == front.len() {
                self.queue.pop();
            } else {
                self.queue.advance(part);
            }
        }
        // An idle connection keeps no memory for what it once had to queue.
        self.queue.shrink();
    }

    /// The next piece, for a reader that is a task or a body; pending while nothing waits.
    pub fn poll_pop(&mut self, waker: &Waker) -> Poll<Bytes> {
        match self.queue.pop() {
            Some(piece) => {
                self.bytes -= piece.len();
                Poll::Ready(piece)
            }
            None => {
                self.register(waker);
                Poll::Pending
            }
        }
    }

    /// Wakes `waker` when the next piece is queued.
    pub fn register(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }

    /// Wakes the reader, so that it looks at what else has changed.
    pub fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;
