//! Inflates the payloads of permessage-deflate, a step at a time (RFC 7692, section 7.2.2).
//!
//! Called by `ws` for what a client or a backend sends. Pure: no I/O. An [`Inflater`] is had while
//! a message is open and given back after it, so that connections which say nothing have none.

use std::cell::RefCell;

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};

use super::deflate::{TAIL, WINDOW_BITS_MAX};

/// At most so much comes of one step, whatever the payload promises.
pub const STEP_BYTES: usize = 16 * 1024;
/// A thread keeps so many that nobody uses; one takes 40 KiB.
const SPARE_MAX: usize = 16;
/// An empty block that says it is the last: what is before it is whole.
const LAST_BLOCK: [u8; 2] = [3, 0];

thread_local! {
    static SPARE: RefCell<Vec<Decompress>> = const { RefCell::new(Vec::new()) };
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; STEP_BYTES].into());
}

/// The payload is not what deflating gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was deflated cannot be inflated")]
pub struct Corrupt;

/// Inflates messages of one side. What they may refer to lives as long as this.
#[derive(Debug)]
pub struct Inflater {
    /// Taken only when this is dropped.
    state: Option<Decompress>,
    input: Bytes,
    message: Message,
    /// The last step was full: there may be more in what was put in.
    full: bool,
    /// A last block has been read: what follows begins anew.
    ended: bool,
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    /// Nothing of it has come.
    Empty,
    Open,
    /// All of it has come.
    Closed,
    /// And what deflating leaves out has been put in.
    Completed,
}

impl Default for Inflater {
    fn default() -> Inflater {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        let state =
            spare.unwrap_or_else(|| Decompress::new_with_window_bits(false, WINDOW_BITS_MAX));
        Inflater {
            state: Some(state),
            input: Bytes::new(),
            message: Message::Empty,
            full: false,
            ended: false,
        }
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else { return };
        state.reset(false);
        // It fails only when the thread ends.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(state);
            }
        });
    }
}

impl Inflater {
    /// Takes a part of a message, once the part before is exhausted.
    pub fn put(&mut self, payload: Bytes) {
        if payload.is_empty() {
            return;
        }
        self.message = Message::Open;
        self.input = match self.input.is_empty() {
            true => payload,
            false => [&self.input[..], &payload].concat().into(),
        };
    }

    /// Nothing follows of the message.
    pub fn close(&mut self) {
        self.message = match self.message {
            // Not even a block: it is taken for an empty message.
            Message::Empty => Message::Completed,
            _ => Message::Closed,
        };
    }

    /// Whether all that was put in has been inflated.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.input.is_empty() && !self.full && self.message != Message::Closed
    }

    /// Inflates at most [`STEP_BYTES`]. After an error the inflater is of no more use.
    pub fn step(&mut self) -> Result<Bytes, Corrupt> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut filled = 0;
            while let Some(out) = scratch.get_mut(filled..).filter(|out| !out.is_empty()) {
                if !self.has_more() {
                    break;
                }
                filled += self.inflate(out)?;
            }
            Ok(Bytes::copy_from_slice(scratch.get(..filled).unwrap_or_default()))
        })
    }

    /// Whether there is anything to inflate; at the end of a message that is what was left out.
    fn has_more(&mut self) -> bool {
        if !self.input.is_empty() || self.full {
            return true;
        }
        if self.message != Message::Closed {
            return false;
        }
        self.message = Message::Completed;
        if self.ended {
            // After a last block there may be nothing, not even this.
            return false;
        }
        self.input = Bytes::from_static(&TAIL);
        true
    }

    fn inflate(&mut self, out: &mut [u8]) -> Result<usize, Corrupt> {
        let state = self.state.as_mut().ok_or(Corrupt)?;
        if std::mem::take(&mut self.ended) {
            state.reset(false);
        }
        let before = (state.total_in(), state.total_out());
        let status = state.decompress(&self.input, out, FlushDecompress::Sync);
        let difference = |now: u64, before| usize::try_from(now - before).map_err(|_| Corrupt);
        let taken = difference(state.total_in(), before.0)?;
        let filled = difference(state.total_out(), before.1)?;
        self.ended = status.map_err(|_| Corrupt)? == Status::StreamEnd;
        self.full = filled == out.len() && !self.ended;
        let stuck = taken == 0 && filled == 0 && !self.ended && !self.input.is_empty();
        // What is left out of a message is nothing of it.
        if stuck || (filled > 0 && self.message == Message::Completed) {
            return Err(Corrupt);
        }
        self.input.advance(taken.min(self.input.len()));
        if self.input.is_empty() {
            // It may be a part of a large buffer.
            self.input = Bytes::new();
        }
        Ok(filled)
    }

    /// The message has been inflated, and the next one may refer to it.
    pub fn go_on(&mut self) {
        self.message = Message::Empty;
    }

    /// The message has been inflated, and no other refers to it: whether it was whole.
    pub fn finish(mut self) -> Result<(), Corrupt> {
        if self.ended {
            return Ok(());
        }
        self.input = Bytes::from_static(&LAST_BLOCK);
        let filled = self.inflate(&mut [0; 8])?;
        if filled == 0 && self.ended && self.input.is_empty() { Ok(()) } else { Err(Corrupt) }
    }
}

#[cfg(test)]
mod tests;
