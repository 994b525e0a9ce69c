//! How much waits in a whole shard: items, and the bytes that they keep. That is how a shard knows
//! when to take no more.
//!
//! Filled by `waiting`, which has the items, and by `forms`, whose frames grow while they wait.

use std::cell::Cell;
use std::rc::Rc;

/// What waits in a whole shard.
#[derive(Default)]
pub struct Backlog {
    items: Cell<usize>,
    bytes: Cell<usize>,
    published: Cell<u64>,
}

impl Backlog {
    /// How many items wait, and how many bytes they keep.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        (self.items.get(), self.bytes.get())
    }

    /// Takes an item in that keeps so many bytes: its number among all that were published to this
    /// shard, and its part of what waits.
    #[must_use]
    pub fn take_in(self: &Rc<Backlog>, bytes: usize) -> (u64, Charge) {
        self.items.set(self.items.get() + 1);
        self.published.set(self.published.get() + 1);
        self.grow(bytes);
        (self.published.get(), Charge { backlog: Rc::clone(self), bytes })
    }

    /// An item keeps so many bytes more. Whoever says so takes them back.
    pub fn grow(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    /// An item does not keep what it had grown by.
    pub fn shrink(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() - bytes);
    }
}

/// An item's part of the backlog.
pub struct Charge {
    backlog: Rc<Backlog>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.backlog.items.set(self.backlog.items.get() - 1);
        self.backlog.shrink(self.bytes);
    }
}
