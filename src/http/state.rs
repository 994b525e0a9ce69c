//! What is known of a connection while hyper has its stream: shared between the stream, the
//! requests in flight and `serve`.

use std::cell::{Cell, RefCell};
use std::task::Poll;

use bytes::{Bytes, BytesMut};

use super::interim::Interims;
use crate::clock::{self, Tick};
use crate::wire::http1::{self, Version};
use crate::wire::names::Spelling;

/// What `serve` knows of the stream while hyper has it.
#[derive(Default)]
pub struct EdgeState {
    flushed: Cell<bool>,
    requests: Cell<u32>,
    /// Requests that have begun, and the spellings of those that are to begin, by their number.
    begun: Cell<u64>,
    spellings: RefCell<Vec<(u64, Spelling)>>,
    idle_since: Cell<Tick>,
    written: Cell<bool>,
    doubt: RefCell<Option<Doubt>>,
    /// Since when the client has taken nothing of what is to be written.
    stuck_since: Cell<Option<Tick>>,
    /// The body has nothing to give for now.
    pub(super) idle: Cell<bool>,
    /// The connection ends with the present answer.
    pub(super) closing: Cell<bool>,
    /// What is said before an answer.
    pub(super) interims: Interims,
}

/// What is wrong with what came last.
pub(super) struct Doubt {
    /// The status to answer with.
    pub(super) status: u16,
    /// What the client is told.
    pub(super) text: String,
    /// The request that it belongs to is under way, and will never be whole.
    pub(super) in_body: bool,
}

impl EdgeState {
    pub(super) fn new() -> EdgeState {
        EdgeState {
            flushed: Cell::new(true),
            idle_since: Cell::new(clock::now()),
            ..EdgeState::default()
        }
    }

    /// Whether the kernel has taken all that is to be written.
    pub(super) fn is_flushed(&self) -> bool {
        self.flushed.get() && !self.interims.is_waiting()
    }

    /// Notes whether the client has taken something that was written.
    pub(super) fn note_write<T>(&self, written: &Poll<T>) {
        let since = self.stuck_since.get();
        if written.is_ready() != since.is_none() {
            self.stuck_since.set(written.is_pending().then(clock::now));
        }
    }

    /// Since when the client has taken nothing, if something is to be written.
    pub(super) fn stuck_since(&self) -> Option<Tick> {
        self.stuck_since.get()
    }

    /// Whether what came last must not be served.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubt.borrow().is_some()
    }

    /// Whether the connection is to be refused now: what came last must not be served, and either
    /// no request before it is in flight any more, or it is itself the one in flight.
    pub(super) fn is_to_be_refused(&self) -> bool {
        let doubt = self.doubt.borrow();
        doubt.as_ref().is_some_and(|doubt| self.is_at_rest() || doubt.in_body)
    }

    /// Whether no request is in flight, and all that was said has left.
    pub(super) fn is_at_rest(&self) -> bool {
        self.requests.get() == 0 && self.is_flushed()
    }

    /// Whether an answer to the request in flight has begun, or the request whose body is in doubt
    /// has had its answer: then there is nothing to say any more.
    pub(super) fn is_answered(&self) -> bool {
        if self.requests.get() > 0 {
            // Nor may anything be said within an interim answer.
            return self.written.get() || self.interims.is_waiting();
        }
        self.doubt.borrow().as_ref().is_some_and(|doubt| doubt.in_body)
    }

    /// What came is not to be served: answer so.
    pub(super) fn set_violation(&self, doubt: Doubt) {
        *self.doubt.borrow_mut() = Some(doubt);
    }

    /// hyper writes.
    pub(super) fn set_writing(&self) {
        self.flushed.set(false);
        self.written.set(true);
        self.interims.set_midway(true);
    }

    /// All has left (`true`), or something that is not hyper's has not (`false`).
    pub(super) fn set_flushed(&self, flushed: bool) {
        self.flushed.set(flushed);
    }

    /// A request begins; how its header names are spelled, if not as usual.
    pub(super) fn begin(&self) -> Option<Spelling> {
        self.requests.set(self.requests.get() + 1);
        self.written.set(false);
        self.interims.begin();
        let number = self.begun.get();
        self.begun.set(number + 1);
        let mut spellings = self.spellings.borrow_mut();
        let place = spellings.iter().position(|(of, _)| *of == number)?;
        Some(spellings.remove(place).1)
    }

    /// Heads have passed that are spelled so, by their number on this connection.
    pub(super) fn set_spellings(&self, spelled: &mut Vec<(u64, Spelling)>) {
        self.spellings.borrow_mut().append(spelled);
    }

    /// A request is over.
    pub(super) fn end(&self) {
        self.requests.set(self.requests.get().saturating_sub(1));
        self.idle_since.set(clock::now());
    }

    /// Since when no request is in flight; `None` while one is.
    pub(super) fn idle_since(&self) -> Option<Tick> {
        (self.requests.get() == 0).then(|| self.idle_since.get())
    }

    /// The answer to what must not be served.
    pub(super) fn violation_answer(&self) -> Bytes {
        let doubt = self.doubt.borrow();
        let (status, text) = match doubt.as_ref() {
            Some(doubt) => (doubt.status, doubt.text.as_str()),
            None => (400, "Failed to parse request."),
        };
        let fields: [(&[u8], &[u8]); 1] = [(b"Content-Type", b"text/plain")];
        let mut out = BytesMut::new();
        let answer = http1::Answer {
            version: Version::Http11,
            code: status,
            reason: http1::reason(status).as_bytes(),
            head_only: false,
            persistent: false,
        };
        answer.write(&mut out, fields.into_iter(), format!("{text}\n").as_bytes());
        out.freeze()
    }
}
