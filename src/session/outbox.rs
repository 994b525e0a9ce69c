//! Bytes that a client's socket has not taken yet: bounded, in order, shared where they were
//! shared.
//!
//! Used by `parking` for every session: while a connection is still served by hyper or by a task
//! the outbox is what that side reads from (with a waker); once parked it holds only a remainder.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use bytes::{Buf, Bytes};

/// The queue of one client.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Bytes>,
    bytes: usize,
    waker: Option<Waker>,
}

/// The client has not read enough: the bytes were not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client does not read: its queue is full")]
pub struct Full;

impl Outbox {
    /// Queues `bytes`, unless that would bring the queue over `limit_bytes`. A queue that is empty
    /// takes anything: one payload larger than the limit must still be deliverable.
    pub fn push(&mut self, bytes: Bytes, limit_bytes: usize) -> Result<(), Full> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.bytes > 0 && self.bytes.saturating_add(bytes.len()) > limit_bytes {
            return Err(Full);
        }
        self.bytes += bytes.len();
        self.queue.push_back(bytes);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    /// How many bytes wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The pieces that wait, first to last, for one vectored write.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.queue.iter().map(|piece| &piece[..])
    }

    /// Takes `n` bytes, which have been written, off the front. More than waits empties the queue.
    pub fn advance(&mut self, mut n: usize) {
        while n > 0 {
            let Some(front) = self.queue.front_mut() else { return };
            let part = n.min(front.len());
            n -= part;
            self.bytes -= part;
            if part == front.len() {
                self.queue.pop_front();
            } else {
                front.advance(part);
            }
        }
        if self.queue.is_empty() {
            // An idle connection keeps no memory for what it once had to queue.
            self.queue = VecDeque::new();
        }
    }

    /// The next piece, for a reader that is a task or a body; pending while nothing waits.
    pub fn poll_pop(&mut self, waker: &Waker) -> Poll<Bytes> {
        match self.queue.pop_front() {
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
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_keeps_what_it_has() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"12345"), 8).unwrap();
        assert_eq!(outbox.push(Bytes::from_static(b"6789"), 8), Err(Full));
        outbox.push(Bytes::from_static(b"678"), 8).unwrap();
        assert_eq!(outbox.bytes(), 8);
        assert_eq!(outbox.pieces().collect::<Vec<_>>(), [&b"12345"[..], b"678"]);
    }

    #[test]
    fn an_empty_queue_takes_one_payload_of_any_size() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from(vec![0; 100]), 8).unwrap();
        assert_eq!(outbox.push(Bytes::from_static(b"x"), 8), Err(Full));
    }

    #[test]
    fn advancing_splits_pieces() {
        let mut outbox = Outbox::default();
        for piece in [&b"abc"[..], b"def"] {
            outbox.push(Bytes::copy_from_slice(piece), 100).unwrap();
        }
        outbox.advance(4);
        assert_eq!(outbox.pieces().collect::<Vec<_>>(), [&b"ef"[..]]);
        assert_eq!(outbox.bytes(), 2);
        outbox.advance(9);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_reader_is_woken() {
        let mut outbox = Outbox::default();
        let waker = Waker::noop();
        assert!(outbox.poll_pop(waker).is_pending());
        outbox.push(Bytes::from_static(b"x"), 8).unwrap();
        assert_eq!(outbox.poll_pop(waker), Poll::Ready(Bytes::from_static(b"x")));
    }
}
