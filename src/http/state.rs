//! What is known of a connection while hyper has its stream: shared between the stream, the requests
//! in flight and `serve`.

use std::cell::{Cell, RefCell};

use bytes::{Bytes, BytesMut};

use crate::wire::http1::{self, Version};

/// What `serve` knows of the stream while hyper has it.
#[derive(Default)]
pub struct EdgeState {
    flushed: Cell<bool>,
    requests: Cell<u32>,
    violation: RefCell<Option<(u16, String)>>,
}

impl EdgeState {
    pub(super) fn new() -> EdgeState {
        EdgeState { flushed: Cell::new(true), ..EdgeState::default() }
    }

    /// Whether the kernel has taken all that hyper has written.
    pub(super) fn is_flushed(&self) -> bool {
        self.flushed.get()
    }

    /// Whether what came last must not be served.
    pub(super) fn is_doubtful(&self) -> bool {
        self.violation.borrow().is_some()
    }

    /// Whether no request is in flight and every answer has left.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.get() == 0 && self.flushed.get()
    }

    /// What came is not to be served: answer so.
    pub(super) fn set_violation(&self, status: u16, text: String) {
        *self.violation.borrow_mut() = Some((status, text));
    }

    /// hyper has written (`false`), or all of it has left (`true`).
    pub(super) fn set_flushed(&self, flushed: bool) {
        self.flushed.set(flushed);
    }

    /// A request begins.
    pub(super) fn begin(&self) {
        self.requests.set(self.requests.get() + 1);
    }

    /// A request is over.
    pub(super) fn end(&self) {
        self.requests.set(self.requests.get().saturating_sub(1));
    }

    /// The answer to what must not be served.
    pub(super) fn violation_answer(&self) -> Bytes {
        let violation = self.violation.borrow();
        let (status, text) = match violation.as_ref() {
            Some((status, text)) => (*status, text.as_str()),
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
