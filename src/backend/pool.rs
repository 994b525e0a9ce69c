//! Idle connections of one shard, by destination.
//!
//! A connection comes here when an exchange over it has ended cleanly (`lease`, `drive`), and
//! leaves when it is taken, when the backend closes it, or when it has been idle too long.

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;

use super::connect::Destination;
use super::link::{Link, Sender};
use crate::clock;

struct Idle {
    sender: Sender,
    link: Rc<Link>,
}

/// The idle connections. Dropping it closes them.
pub struct Pool {
    idle: RefCell<HashMap<Rc<Destination>, Vec<Idle>, ahash::RandomState>>,
    /// How long one may be idle, in milliseconds.
    pub idle_ms: u64,
    /// Most idle connections of one destination.
    connections_max: usize,
}

impl Pool {
    /// An empty pool with its bounds.
    #[must_use]
    pub fn new(idle_ms: u64, connections_max: usize) -> Pool {
        Pool { idle: RefCell::new(HashMap::default()), idle_ms, connections_max }
    }

    /// A connection that is ready for a request: the one that was used last.
    #[must_use]
    pub fn take(&self, to: &Destination) -> Option<(Sender, Rc<Link>)> {
        let now = clock::now();
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(to)?;
        let mut found = None;
        while let Some(Idle { sender, link }) = list.pop() {
            let fresh =
                link.idle_since.get().is_some_and(|since| now.ms_since(since) < self.idle_ms);
            if fresh && sender.is_ready() {
                found = Some((sender, link));
                break;
            }
        }
        if list.is_empty() {
            idle.remove(to);
        }
        found
    }

    /// Keeps a connection for later; closes it if there are enough.
    pub fn put(&self, sender: Sender, link: Rc<Link>) {
        let mut idle = self.idle.borrow_mut();
        let list = idle.entry(Rc::clone(&link.destination)).or_default();
        if list.len() < self.connections_max {
            link.idle_since.set(Some(clock::now()));
            list.push(Idle { sender, link });
        }
    }

    /// Removes a connection that has ended.
    pub fn forget(&self, link: &Rc<Link>) {
        let mut idle = self.idle.borrow_mut();
        let Some(list) = idle.get_mut(&*link.destination) else { return };
        list.retain(|entry| !Rc::ptr_eq(&entry.link, link));
        if list.is_empty() {
            idle.remove(&*link.destination);
        }
    }

    /// How many connections are idle, all destinations together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.idle.borrow().values().map(Vec::len).sum()
    }

    /// Whether no connection is idle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
