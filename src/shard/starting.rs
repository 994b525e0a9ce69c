//! Clients between accept and their first whole request head: how many there may be, and for how
//! long.
//!
//! Each costs a task, buffers, with TLS a handshake, and has asked for nothing yet: who only
//! connects must not be able to keep others out. At the bound accepting pauses, and the oldest goes
//! as soon as it had time enough (`HANDSHAKE_GRACE_MS`). To drop it at once, as servers do
//! that give up their oldest idle connection, would in a storm throw away handshakes that are all
//! but done; only to pause would let silent clients shut the door for the whole time-out.
//!
//! Filled by `accept`; a client leaves with its [`Start`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::clock::{self, Tick};
use crate::limits::HANDSHAKE_GRACE_MS;
use crate::stats::Stats;

struct Entry {
    since: Tick,
    task: AbortHandle,
}

/// The starting clients of one shard.
pub struct Starting {
    /// By the order in which they came.
    entries: RefCell<BTreeMap<u64, Entry>>,
    next: Cell<u64>,
    changed: Notify,
    /// There are more than there should be.
    crowded: Notify,
    clients_max: usize,
    timeout_ms: u64,
    stats: Rc<Stats>,
}

/// A client has not sent its first request head as long as this lives.
pub struct Start {
    place: u64,
    starting: Rc<Starting>,
}

impl Drop for Start {
    fn drop(&mut self) {
        self.starting.remove(self.place);
    }
}

impl Starting {
    /// None yet; at most `clients_max` at once, each for at most `timeout_ms`.
    #[must_use]
    pub fn new(clients_max: usize, timeout_ms: u64, stats: Rc<Stats>) -> Rc<Starting> {
        Rc::new(Starting {
            entries: RefCell::default(),
            next: Cell::new(0),
            changed: Notify::new(),
            crowded: Notify::new(),
            clients_max: clients_max.max(1),
            timeout_ms,
            stats,
        })
    }

    /// Takes a client in, whose task `spawn` starts: the task gets the [`Start`], and ends early
    /// when the client's time is up.
    pub fn begin(self: &Rc<Self>, now: Tick, spawn: impl FnOnce(Start) -> AbortHandle) {
        let place = self.next.replace(self.next.get() + 1);
        let task = spawn(Start { place, starting: self.clone() });
        let count = {
            let mut entries = self.entries.borrow_mut();
            entries.insert(place, Entry { since: now, task });
            entries.len()
        };
        if count == 1 {
            self.changed.notify_waiters();
        }
        if count == self.clients_max + 1 {
            self.crowded.notify_waiters();
        }
    }

    fn remove(&self, place: u64) {
        let (removed, was_full) = {
            let mut entries = self.entries.borrow_mut();
            let was_full = entries.len() >= self.clients_max;
            (entries.remove(&place), was_full)
        };
        if removed.is_some() && was_full {
            self.changed.notify_waiters();
        }
    }

    /// Since when the oldest waits.
    fn oldest(&self) -> Option<Tick> {
        self.entries.borrow().first_key_value().map(|(_, entry)| entry.since)
    }

    /// Ends the oldest if it came at `since` or earlier.
    fn end_oldest(&self, since: Tick) -> bool {
        let mut entries = self.entries.borrow_mut();
        let Some(oldest) = entries.first_entry().filter(|oldest| oldest.get().since <= since)
        else {
            return false;
        };
        // Its `Start` finds itself removed when the task ends.
        let entry = oldest.remove();
        drop(entries);
        entry.task.abort();
        self.changed.notify_waiters();
        true
    }

    /// Waits until another client may come in; an old one may have to go for it.
    pub async fn room(&self) {
        while self.entries.borrow().len() >= self.clients_max {
            let Some(oldest) = self.oldest() else { return };
            let ripe = oldest.plus_ms(HANDSHAKE_GRACE_MS);
            if ripe <= clock::now() {
                if self.end_oldest(oldest) {
                    self.stats.handshakes_dropped.inc();
                }
                continue;
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = clock::sleep_until(ripe) => {}
            }
        }
    }

    /// Ends those whose time is up, for ever: one timer for all of them. Clients that another shard
    /// has accepted come whether there is room or not: those past the bound make the oldest go as
    /// above.
    pub async fn watch(&self) {
        loop {
            let Some(oldest) = self.oldest() else {
                self.changed.notified().await;
                continue;
            };
            let crowded = self.entries.borrow().len() > self.clients_max;
            let allowed_ms = if crowded { HANDSHAKE_GRACE_MS } else { self.timeout_ms };
            let due = oldest.plus_ms(allowed_ms.min(self.timeout_ms));
            tokio::select! {
                () = self.crowded.notified() => continue,
                () = clock::sleep_until(due) => {}
            }
            if crowded && self.end_oldest(oldest) {
                self.stats.handshakes_dropped.inc();
                continue;
            }
            let Some(long_ago) = clock::now().0.checked_sub(self.timeout_ms) else { continue };
            while self.end_oldest(Tick(long_ago)) {
                self.stats.handshakes_timed_out.inc();
                tracing::debug!("a client did not finish its handshake and first request in time");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    /// A client that never sends anything.
    fn silent(starting: &Rc<Starting>, now: Tick) -> tokio::task::JoinHandle<()> {
        let mut handle = None;
        starting.begin(now, |start| {
            let task = tokio::task::spawn_local(async move {
                let _start = start;
                pending::<()>().await;
            });
            let abort = task.abort_handle();
            handle = Some(task);
            abort
        });
        handle.unwrap()
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn a_ripe_client_makes_room() {
        run(async {
            let starting = Starting::new(2, 60_000, Rc::default());
            let first = silent(&starting, Tick(0));
            starting.room().await;
            let second = silent(&starting, clock::now());
            clock::sleep_until(Tick(HANDSHAKE_GRACE_MS)).await;
            starting.room().await;
            assert!(first.await.unwrap_err().is_cancelled());
            assert!(!second.is_finished());
            assert_eq!(starting.stats.handshakes_dropped.get(), 1);
        });
    }

    #[test]
    fn one_that_is_through_makes_room_at_once() {
        run(async {
            let starting = Starting::new(1, 60_000, Rc::default());
            let only = silent(&starting, clock::now().plus_ms(3_600_000));
            only.abort();
            starting.room().await;
            assert_eq!(starting.stats.handshakes_dropped.get(), 0);
            assert!(starting.entries.borrow().is_empty());
        });
    }

    /// As many come from other shards as may.
    #[test]
    fn who_came_past_the_bound_makes_the_oldest_go() {
        run(async {
            let starting = Starting::new(2, 60_000, Rc::default());
            let watching = starting.clone();
            tokio::task::spawn_local(async move { watching.watch().await });
            let mut clients = vec![silent(&starting, clock::now())];
            tokio::task::yield_now().await;
            clients.extend((0..4).map(|_| silent(&starting, clock::now())));
            for client in clients.drain(..3) {
                assert!(client.await.unwrap_err().is_cancelled());
            }
            tokio::task::yield_now().await;
            assert!(clients.iter().all(|client| !client.is_finished()), "there is room for two");
            assert_eq!(starting.stats.handshakes_dropped.get(), 3);
            assert_eq!(starting.stats.handshakes_timed_out.get(), 0);
        });
    }

    #[test]
    fn all_whose_time_is_up_end() {
        run(async {
            let starting = Starting::new(10, 1, Rc::default());
            let watching = starting.clone();
            tokio::task::spawn_local(async move { watching.watch().await });
            tokio::task::yield_now().await;
            let clients = [silent(&starting, clock::now()), silent(&starting, clock::now())];
            for client in clients {
                assert!(client.await.unwrap_err().is_cancelled());
            }
            assert_eq!(starting.stats.handshakes_timed_out.get(), 2);
        });
    }
}
