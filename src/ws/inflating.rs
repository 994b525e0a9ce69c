//! A deflated message while it is read: payloads of its frames in, pieces of the message out.
//!
//! Part of `reader`, which knows frames; this knows none.

use bytes::{Bytes, BytesMut};

use crate::wire::inflate::{Corrupt, Inflater};

/// See the module.
#[derive(Debug)]
pub struct Inflating {
    inflater: Inflater,
    /// The beginning, as long as it is too short to be given.
    held: BytesMut,
    begun: bool,
    closed: bool,
}

/// A part of the message.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// It begins here.
    pub first: bool,
    /// It ends here.
    pub last: bool,
    /// Inflated bytes, as many as one step gives.
    pub bytes: Bytes,
}

impl Inflating {
    /// A message that may refer to what `inflater` has read before.
    #[must_use]
    pub fn new(inflater: Inflater) -> Inflating {
        Inflating { inflater, held: BytesMut::new(), begun: false, closed: false }
    }

    /// Takes payload; with `last`, nothing of the message follows it. `next` must have given all of
    /// what was taken before.
    pub fn put(&mut self, payload: Bytes, last: bool) {
        self.inflater.put(payload);
        if last {
            self.inflater.close();
            self.closed = true;
        }
    }

    /// The next part; `None` when more payload is needed. The first has at least `hold_back` bytes,
    /// unless the message is shorter: where its frames end means nothing (RFC 7692, 6.1).
    pub fn next(&mut self, hold_back: usize) -> Result<Option<Part>, Corrupt> {
        while !self.inflater.is_exhausted() {
            let bytes = self.inflater.step()?;
            let last = self.closed && self.inflater.is_exhausted();
            let is_short = !self.begun && self.held.len() + bytes.len() < hold_back;
            if last || !(is_short || bytes.is_empty()) {
                return Ok(Some(self.part(bytes, last)));
            }
            self.held.extend_from_slice(&bytes);
        }
        // Only of a message without any payload it is not known before that it ends.
        Ok(self.closed.then(|| self.part(Bytes::new(), true)))
    }

    fn part(&mut self, bytes: Bytes, last: bool) -> Part {
        let first = !std::mem::replace(&mut self.begun, true);
        let bytes = match self.held.is_empty() {
            true => bytes,
            false => {
                self.held.extend_from_slice(&bytes);
                std::mem::take(&mut self.held).freeze()
            }
        };
        Part { first, last, bytes }
    }

    /// The message's last part has been given, and the next one may refer to it.
    #[must_use]
    pub fn into_context(mut self) -> Inflater {
        self.inflater.go_on();
        self.inflater
    }

    /// The message's last part has been given, and nothing refers to it: whether it was whole.
    pub fn finish(self) -> Result<(), Corrupt> {
        self.inflater.finish()
    }
}
