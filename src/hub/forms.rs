//! A WebSocket message as all its subscribers get it: one frame for each form of session, each made
//! when the first session of its form is served, and shared by all further ones.
//!
//! Kept by `waiting`; `broadcast` and `offers` ask for the form of the session that they serve.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use bytes::Bytes;

use super::backlog::Backlog;
use super::ledger::Ledger;
use crate::grip::message::Message;
use crate::limits::DEFLATED_MESSAGE_BYTES_MAX;
use crate::session::frames::{deflated_frame, message_frame, payload, quoted_frame};
use crate::session::socket::Form;
use crate::wire::deflate::WINDOW_BITS_MAX;

/// See the module.
pub struct Frame {
    plain: Bytes,
    /// Nothing where the plain one is better.
    deflated: OnceCell<Option<Bytes>>,
    /// Nothing where the plain one is what is wanted.
    quoted: OnceCell<Option<Bytes>>,
    /// While the message waits: where the bytes of further forms are counted.
    backlog: Cell<Option<Rc<Backlog>>>,
}

impl Frame {
    /// A message; `None` for a ping or pong that is larger than a control frame may be.
    #[must_use]
    pub fn of(message: &Message) -> Option<Frame> {
        Some(Frame {
            plain: message_frame(message)?,
            deflated: OnceCell::new(),
            quoted: OnceCell::new(),
            backlog: Cell::new(None),
        })
    }

    /// As it is.
    #[must_use]
    pub fn plain(&self) -> &Bytes {
        &self.plain
    }

    /// As a session of this form gets it.
    #[inline]
    pub fn in_form(&self, form: Form, ledger: &mut Ledger) -> &Bytes {
        match form {
            Form::Plain => &self.plain,
            Form::Deflated { window_bits } => self.deflated(window_bits, ledger),
            Form::Quoted => self.quoted(),
        }
    }

    /// There is one deflated frame, made for the largest window. A client with a smaller one gets
    /// it if the whole message fits its window, for then no reference can reach too far; otherwise
    /// the plain frame.
    fn deflated(&self, window_bits: u8, ledger: &mut Ledger) -> &Bytes {
        if window_bits < WINDOW_BITS_MAX && payload(&self.plain).len() > 1 << window_bits {
            return &self.plain;
        }
        let made = self.deflated.get_or_init(|| self.deflate(ledger));
        made.as_ref().unwrap_or(&self.plain)
    }

    fn deflate(&self, ledger: &mut Ledger) -> Option<Bytes> {
        let before = payload(&self.plain).len();
        if !(ledger.deflate_bytes_min..=DEFLATED_MESSAGE_BYTES_MAX).contains(&before) {
            return None;
        }
        let deflated = deflated_frame(&self.plain)?;
        ledger.tally.deflated += 1;
        ledger.tally.deflated_bytes_before += before as u64;
        ledger.tally.deflated_bytes_after += payload(&deflated).len() as u64;
        self.grow(deflated.len());
        Some(deflated)
    }

    fn quoted(&self) -> &Bytes {
        let made = self.quoted.get_or_init(|| {
            let quoted = quoted_frame(&self.plain)?;
            self.grow(quoted.len());
            Some(quoted)
        });
        made.as_ref().unwrap_or(&self.plain)
    }

    /// What there is beside the plain form.
    fn further_bytes(&self) -> usize {
        let bytes = |form: &OnceCell<Option<Bytes>>| form.get()?.as_ref().map(Bytes::len);
        bytes(&self.deflated).unwrap_or(0) + bytes(&self.quoted).unwrap_or(0)
    }

    /// It waits for subscribers from now on; what further forms it gets counts as waiting too.
    pub fn begin_waiting(&self, backlog: &Rc<Backlog>) {
        backlog.grow(self.further_bytes());
        self.backlog.set(Some(Rc::clone(backlog)));
    }

    /// It does not wait any more, though somebody may still have it.
    pub fn end_waiting(&self) {
        if let Some(backlog) = self.backlog.take() {
            backlog.shrink(self.further_bytes());
        }
    }

    fn grow(&self, bytes: usize) {
        if let Some(backlog) = self.backlog.take() {
            backlog.grow(bytes);
            self.backlog.set(Some(backlog));
        }
    }
}

#[cfg(test)]
mod tests;
