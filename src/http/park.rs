//! When a connection leaves hyper: the service says who takes it over and from when on.
//!
//! The service of a request puts its wish into the connection's [`Handoff`]; `serve` looks at it
//! each time hyper has nothing to do, and takes the connection apart once all that hyper has
//! written is in the kernel's hands.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::state::EdgeState;

/// From when on a connection may be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As soon as earlier answers are flushed: the present request is answered by somebody else,
    /// its service never ends (long-polling).
    Unanswered,
    /// When head and first part of the body are flushed and the body has said [`Handoff::idle`].
    Idle,
}

/// Asked while the connection waits to be taken over: gone means that nobody wants it any more.
type Gone = Box<dyn FnMut(&mut Context<'_>) -> Poll<()>>;

struct Wish<W> {
    who: W,
    when: When,
    gone: Option<Gone>,
    /// What the client is sent before `who` has it.
    head: Bytes,
}

/// One connection's wish, shared between its service and `serve`.
pub struct Handoff<W> {
    wish: Rc<RefCell<Option<Wish<W>>>>,
    state: Rc<EdgeState>,
}

impl<W> Clone for Handoff<W> {
    fn clone(&self) -> Handoff<W> {
        Handoff { wish: self.wish.clone(), state: self.state.clone() }
    }
}

impl<W> Default for Handoff<W> {
    fn default() -> Handoff<W> {
        Handoff { wish: Rc::default(), state: Rc::new(EdgeState::new()) }
    }
}

impl<W> Handoff<W> {
    /// The connection goes to `who`. `gone` is polled meanwhile; when it is ready the connection is
    /// handed over at once, flushed or not, so that `who` can drop it.
    pub fn wish(
        &self,
        who: W,
        when: When,
        gone: impl FnMut(&mut Context<'_>) -> Poll<()> + 'static,
    ) {
        self.state.idle.set(false);
        let (gone, head) = (Some(Box::new(gone) as Gone), Bytes::new());
        *self.wish.borrow_mut() = Some(Wish { who, when, gone, head });
    }

    /// The connection goes to `who` as soon as `head`, a whole 101, has been written. The present
    /// request's service never ends. hyper does not write it: to who asked with `Connection: close`
    /// it would say so as well, and to HTTP/1.0 it would not switch.
    pub fn upgrade(&self, who: W, head: Bytes) {
        let when = When::Unanswered;
        *self.wish.borrow_mut() = Some(Wish { who, when, gone: None, head });
    }

    /// The body has nothing to give for now, and what it gives later comes from elsewhere.
    pub fn idle(&self) {
        self.state.idle.set(true);
    }

    /// The connection ends with the present answer, although not all of its request has come; the
    /// answer's head says so. hyper would wait for the rest.
    pub fn close(&self) {
        self.state.closing.set(true);
    }

    /// Writes an interim answer, this whole head, before the answer to the present request, which
    /// its service has not given yet; whether there is room for it. It leaves as soon as the
    /// service waits.
    #[must_use]
    pub fn interim(&self, head: &[u8]) -> bool {
        self.state.interims.add(head)
    }

    /// What is known of the connection.
    pub(super) fn state(&self) -> &Rc<EdgeState> {
        &self.state
    }

    /// Whether the connection ends with the present answer.
    pub(super) fn is_closing(&self) -> bool {
        self.state.closing.get()
    }

    /// Whether the connection is to be taken apart now.
    pub(super) fn is_due(&self, flushed: bool, cx: &mut Context<'_>) -> bool {
        let mut wish = self.wish.borrow_mut();
        let Some(wish) = wish.as_mut() else { return false };
        let due = match wish.when {
            When::Unanswered => flushed,
            When::Idle => flushed && self.state.idle.get(),
        };
        due || wish.gone.as_mut().is_some_and(|gone| gone(cx).is_ready())
    }

    /// Who takes the connection over, and what is written before.
    pub(super) fn take(&self) -> Option<(W, Bytes)> {
        self.wish.borrow_mut().take().map(|wish| (wish.who, wish.head))
    }
}
