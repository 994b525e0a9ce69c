//! Idle connections of one shard, by destination; and the keeper, who sees to all connections that
//! nothing happens on.
//!
//! A connection comes here when an exchange over it has ended cleanly (`body`), and leaves when it
//! is taken, when the backend closes it, or when it has been idle too long: longer than the backend
//! says it waits, or was seen to. The keeper is one task and one timer a shard, while there are
//! connections: using a connection never touches a timer.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use hashbrown::HashMap;

use super::connect::{Destination, To};
use super::connection::{Connection, Link};
use super::error::{Error, Kind};
use super::gate::Occupancy;
use super::health::Health;
use super::journal::{Deed, Journal};
use crate::clock::{self, Tick};
use crate::limits::{BACKEND_IDLE_SHARE, BACKEND_LEARNT_IDLE_MS_MIN, BACKEND_LEARNT_MS};
use crate::stats::Stats;

/// While there are connections they are looked after so often: one that a backend has closed, or
/// that has been idle too long, holds its descriptor no longer than this.
const LOOK_MS: u64 = 250;

/// What the pool is held to. Times in milliseconds.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// How long a connection may be idle.
    pub idle_ms: u64,
    /// The same for one that a request which cannot be made twice goes over.
    pub unsafe_idle_ms: u64,
    /// How long it may be silent within a body.
    pub progress_ms: u64,
    /// How long it may be silent until a head is whole.
    pub head_ms: u64,
    /// How many idle ones are kept for one destination.
    pub connections_max: usize,
    /// How many for all of them.
    pub all_max: usize,
}

struct Idle {
    connection: Box<Connection>,
    since: Tick,
    until: Tick,
}

/// Idle connections of one destination, the one that was used last at the end.
#[derive(Default)]
struct Shelf {
    list: Vec<Idle>,
    /// For how long its backend keeps idle connections, as far as that was seen.
    learnt: Option<Learnt>,
}

#[derive(Clone, Copy)]
struct Learnt {
    /// What connections are kept for.
    idle_ms: u64,
    /// The same for requests that cannot be made twice: as seen, however short.
    unsafe_ms: u64,
    at: Tick,
}

impl Shelf {
    /// A backend has closed a connection that had been idle for at least so long.
    fn learn(&mut self, idle_ms: u64, now: Tick) {
        let unsafe_ms = share(idle_ms).min(self.unsafe_ms());
        let idle_ms = share(idle_ms).max(BACKEND_LEARNT_IDLE_MS_MIN).min(self.idle_ms());
        self.learnt = Some(Learnt { idle_ms, unsafe_ms, at: now });
    }

    fn idle_ms(&self) -> u64 {
        self.learnt.map_or(u64::MAX, |learnt| learnt.idle_ms)
    }

    fn unsafe_ms(&self) -> u64 {
        self.learnt.map_or(u64::MAX, |learnt| learnt.unsafe_ms)
    }

    fn forget(&mut self, now: Tick) {
        self.learnt = self.learnt.filter(|learnt| now.ms_since(learnt.at) < BACKEND_LEARNT_MS);
    }
}

/// What is used of the time for which a backend keeps a connection: the rest is for the way there.
fn share(idle_ms: u64) -> u64 {
    idle_ms.saturating_mul(BACKEND_IDLE_SHARE) / 100
}

/// The idle connections. Dropping it closes them.
pub struct Pool {
    idle: RefCell<HashMap<Rc<Destination>, Shelf, ahash::RandomState>>,
    count: Cell<usize>,
    /// All connections, those in use too.
    links: RefCell<Vec<Weak<Link>>>,
    kept: Cell<bool>,
    /// When the keeper looked last.
    looked: Cell<Tick>,
    bounds: Bounds,
    health: Rc<Health>,
    journal: Rc<Journal>,
}

impl Pool {
    /// An empty pool with its bounds.
    #[must_use]
    pub fn new(bounds: Bounds, health: Rc<Health>, journal: Rc<Journal>) -> Pool {
        Pool {
            idle: RefCell::default(),
            count: Cell::new(0),
            links: RefCell::default(),
            kept: Cell::new(false),
            looked: Cell::default(),
            bounds,
            health,
            journal,
        }
    }

    /// A connection that is ready for a request: the one that was used last. For a request that
    /// cannot be made twice (`once`) it must have been used lately and be open beyond doubt. What
    /// it takes up is left where there is none.
    #[must_use]
    pub fn take(
        &self,
        to: &To<'_>,
        once: bool,
        occupancy: &mut Option<Occupancy>,
    ) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        let shelf = idle.get_mut(to)?;
        let now = clock::now();
        while let Some(Idle { since, until, .. }) = shelf.list.last() {
            let (since, until) = (*since, *until);
            let unsafe_ms = self.bounds.unsafe_idle_ms.min(shelf.unsafe_ms());
            if once && now.ms_since(since) >= unsafe_ms {
                return None;
            }
            let Idle { mut connection, .. } = shelf.list.pop()?;
            self.count.set(self.count.get().saturating_sub(1));
            if now >= until {
                continue;
            }
            if connection.is_stale() || (once && connection.is_closed_now()) {
                self.closed_under_us(shelf, since, now);
                continue;
            }
            connection.begin(now, occupancy.take()?, self.patience_ms());
            return Some(connection);
        }
        None
    }

    /// How long a connection may be silent while a head is awaited.
    #[must_use]
    pub fn patience_ms(&self) -> u64 {
        self.bounds.head_ms
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        self.journal.stats()
    }

    /// A head has come over a connection: from now on it has the time of bodies.
    pub fn answered(&self, connection: &Connection) {
        let link = connection.link();
        link.patience_ms.set(self.bounds.progress_ms);
        self.health.answered(&link.destination);
    }

    /// No head has come over a connection.
    pub fn failed(&self, connection: &Connection, error: &Error) {
        self.journal.count(error);
        self.health.failed(&connection.link().destination, error, clock::now());
    }

    /// A body that comes over a connection is not whole. If its head has gone on (`begun`) nobody
    /// else tells of it.
    pub fn broke_off(&self, connection: &Connection, error: &Error, begun: bool) {
        self.journal.count(error);
        if begun && error.kind != Kind::Upload {
            let destination = &connection.link().destination;
            self.journal.tell_of_body(destination, error, Deed::BrokenOff);
        }
    }

    fn closed_under_us(&self, shelf: &mut Shelf, since: Tick, now: Tick) {
        self.journal.stats().backend_idle_closed.inc();
        // It was open when it was looked at last: for so long, then, the backend does wait.
        shelf.learn(self.looked.get().ms_since(since), now);
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
        let shelf = match idle.get_mut(destination) {
            Some(shelf) => shelf,
            None => idle.entry(Rc::clone(destination)).or_default(),
        };
        let room = self.count.get() < self.bounds.all_max;
        if room && shelf.list.len() < self.bounds.connections_max {
            let since = connection.link().progress.get();
            let said_ms = match connection.idle_ms {
                u64::MAX => u64::MAX,
                said_ms => share(said_ms),
            };
            let until = since.plus_ms(self.bounds.idle_ms.min(said_ms).min(shelf.idle_ms()));
            if since < until {
                shelf.list.push(Idle { connection, since, until });
                self.count.set(self.count.get().saturating_add(1));
            }
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
        let Bounds { progress_ms, head_ms, .. } = self.bounds;
        let mut next = now.plus_ms(progress_ms.min(head_ms).min(LOOK_MS));
        self.idle.borrow_mut().retain(|_, shelf| {
            let mut list = std::mem::take(&mut shelf.list);
            list.retain_mut(|idle| {
                if now >= idle.until {
                    return false;
                }
                next = next.min(idle.until);
                let closed = idle.connection.is_stale();
                if closed {
                    self.closed_under_us(shelf, idle.since, now);
                }
                !closed
            });
            shelf.list = list;
            shelf.forget(now);
            !shelf.list.is_empty() || shelf.learnt.is_some()
        });
        self.looked.set(now);
        self.count.set(self.idle.borrow().values().map(|shelf| shelf.list.len()).sum());
        let mut links = self.links.borrow_mut();
        links.retain(|link| {
            let Some(link) = link.upgrade() else { return false };
            let until = link.progress.get().plus_ms(link.patience_ms.get());
            if link.is_awaited() && now >= until {
                link.time_out();
            } else if link.is_awaited() {
                next = next.min(until);
            }
            true
        });
        (!links.is_empty()).then_some(next.max(now.plus_ms(1)))
    }

    /// How many connections are idle, all destinations together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.get()
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
