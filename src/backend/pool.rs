//! Idle connections of one shard, by destination; and the keeper, who sees to all connections that
//! nothing happens on.
//!
//! A connection comes here when an exchange over it has ended cleanly (`body`), and leaves when it
//! is taken, when the backend closes it, or when it has been idle too long. The keeper is one task
//! and one timer a shard, while there are connections: using a connection never touches a timer.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use hashbrown::HashMap;

use super::connect::{Destination, To};
use super::connection::{Connection, Link};
use crate::clock::{self, Tick};

/// While there are connections they are looked after so often: one that a backend has closed holds
/// its descriptor no longer than this.
const LOOK_MS: u64 = 1000;

struct Idle {
    connection: Box<Connection>,
    since: Tick,
}

/// The idle connections. Dropping it closes them.
pub struct Pool {
    idle: RefCell<HashMap<Rc<Destination>, Vec<Idle>, ahash::RandomState>>,
    /// All connections, those in use too.
    links: RefCell<Vec<Weak<Link>>>,
    kept: Cell<bool>,
    idle_ms: u64,
    progress_ms: u64,
    /// Most idle connections of one destination.
    connections_max: usize,
}

impl Pool {
    /// An empty pool with its bounds: how long a connection may be idle, how long it may be silent
    /// while it is in use, and how many are kept for one destination.
    #[must_use]
    pub fn new(idle_ms: u64, progress_ms: u64, connections_max: usize) -> Pool {
        Pool {
            idle: RefCell::default(),
            links: RefCell::default(),
            kept: Cell::new(false),
            idle_ms,
            progress_ms,
            connections_max,
        }
    }

    /// A connection that is ready for a request: the one that was used last.
    #[must_use]
    pub fn take(&self, to: &To<'_>) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(to)?;
        let now = clock::now();
        while let Some(Idle { mut connection, since }) = list.pop() {
            if now.ms_since(since) < self.idle_ms && !connection.is_stale() {
                connection.begin(now);
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for later; closes it if there are enough, or if the backend has said
    /// more than it was asked for.
    pub fn put(&self, mut connection: Box<Connection>) {
        if !connection.read.is_empty() {
            return;
        }
        connection.rest();
        let mut idle = self.idle.borrow_mut();
        let destination = &connection.link().destination;
        let list = match idle.get_mut(destination) {
            Some(list) => list,
            None => idle.entry(Rc::clone(destination)).or_default(),
        };
        if list.len() < self.connections_max {
            let since = connection.link().progress.get();
            list.push(Idle { connection, since });
        }
    }

    /// Sees to a new connection from now on. Must be called on a shard.
    pub fn watch(self: &Rc<Pool>, link: &Rc<Link>) {
        self.links.borrow_mut().push(Rc::downgrade(link));
        if !self.kept.replace(true) {
            tokio::task::spawn_local(keep(Rc::downgrade(self)));
        }
    }

    /// Gives up what has been silent or idle for too long, or was closed. When to look again;
    /// `None` when there is nothing to look after.
    fn look(&self, now: Tick) -> Option<Tick> {
        let mut next = now.plus_ms(self.idle_ms.min(self.progress_ms).min(LOOK_MS));
        self.idle.borrow_mut().retain(|_, list| {
            list.retain_mut(|idle| {
                let until = idle.since.plus_ms(self.idle_ms);
                next = next.min(until);
                now < until && !idle.connection.is_stale()
            });
            !list.is_empty()
        });
        let mut links = self.links.borrow_mut();
        links.retain(|link| {
            let Some(link) = link.upgrade() else { return false };
            let until = link.progress.get().plus_ms(self.progress_ms);
            if link.busy.get() && now >= until {
                link.time_out();
            } else if link.busy.get() {
                next = next.min(until);
            }
            true
        });
        (!links.is_empty()).then_some(next.max(now.plus_ms(1)))
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

/// The keeper.
async fn keep(pool: Weak<Pool>) {
    loop {
        let Some(strong) = pool.upgrade() else { return };
        let Some(next) = strong.look(clock::now()) else {
            strong.kept.set(false);
            return;
        };
        drop(strong);
        clock::sleep_until(next).await;
    }
}
