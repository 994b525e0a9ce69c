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
    /// What was put in is the end of a frame; of its last one, if `closed`.
    frame_end: bool,
    closed: bool,
}

/// A part of the message.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// The message begins here.
    pub first: bool,
    /// The frame that it came in ends here.
    pub frame_end: bool,
    /// The message ends here.
    pub last: bool,
    /// Inflated bytes, as many as one step gives.
    pub bytes: Bytes,
}

impl Inflating {
    /// A message that may refer to what `inflater` has read before.
    #[must_use]
    pub fn new(inflater: Inflater) -> Inflating {
        let held = BytesMut::new();
        Inflating { inflater, held, begun: false, frame_end: false, closed: false }
    }

    /// Takes payload, which is the end of a frame or not, and the `last` of the message or not.
    /// `next` must have given all of what was taken before.
    pub fn put(&mut self, payload: Bytes, frame_end: bool, last: bool) {
        self.inflater.put(payload);
        self.frame_end = frame_end;
        if last {
            self.inflater.close();
            self.closed = true;
        }
    }

    /// The next part; `None` when more payload is needed. The first has at least `hold_back` bytes,
    /// unless the message is shorter: where its frames end means nothing (RFC 7692, 6.1).
    pub fn next(&mut self, hold_back: usize) -> Result<Option<Part>, Corrupt> {
        loop {
            let bytes = match self.inflater.is_exhausted() {
                true => Bytes::new(),
                false => self.inflater.step()?,
            };
            let exhausted = self.inflater.is_exhausted();
            let frame_end = exhausted && self.frame_end;
            let last = frame_end && self.closed;
            let enough = self.begun || self.held.len() + bytes.len() >= hold_back;
            let news = frame_end || !bytes.is_empty();
            self.frame_end &= !frame_end;
            if last || (enough && news) {
                return Ok(Some(self.part(bytes, frame_end, last)));
            }
            self.held.extend_from_slice(&bytes);
            if exhausted {
                return Ok(None);
            }
        }
    }

    fn part(&mut self, bytes: Bytes, frame_end: bool, last: bool) -> Part {
        let first = !std::mem::replace(&mut self.begun, true);
        let bytes = match self.held.is_empty() {
            true => bytes,
            false => {
                self.held.extend_from_slice(&bytes);
                std::mem::take(&mut self.held).freeze()
            }
        };
        Part { first, frame_end, last, bytes }
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
