//! How many clients the process may have at once (`client_maxconn`; specification, routing 9.4).
//!
//! The only number that shards share: the kernel spreads connections as it likes, so a bound for
//! each shard would keep clients waiting at one while another has room. A place is taken before a
//! connection is accepted and given back when it has left, with an addition each; only who finds no
//! place waits, and only then is anybody woken.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::Notify;

/// See the module.
#[derive(Debug)]
pub struct Capacity {
    free: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
}

impl Capacity {
    /// Room for so many clients.
    #[must_use]
    pub fn new(clients_max: usize) -> Arc<Capacity> {
        Arc::new(Capacity {
            free: AtomicUsize::new(clients_max),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        })
    }

    /// Takes a place, if one is free. It must be given back.
    #[must_use]
    pub fn take(&self) -> bool {
        self.free.fetch_update(SeqCst, SeqCst, |free| free.checked_sub(1)).is_ok()
    }

    /// Gives back places that were taken.
    pub fn give(&self, places: usize) {
        if places == 0 {
            return;
        }
        self.free.fetch_add(places, SeqCst);
        // Whoever waits has said so before it looked for a free place the last time.
        for _ in 0..places.min(self.waiting.load(SeqCst)) {
            self.freed.notify_one();
        }
    }

    /// Waits until a place may be free. Who waits longest is told first; who has no use for the
    /// place gives it back, and so wakes the next.
    pub async fn room(&self) {
        let _waiting = Waiting::new(self);
        let mut freed = pin!(self.freed.notified());
        loop {
            // Told from now on: of two who have looked but do not wait yet, each has its own call.
            freed.as_mut().enable();
            if self.free.load(SeqCst) > 0 {
                return;
            }
            freed.as_mut().await;
            freed.set(self.freed.notified());
        }
    }
}

struct Waiting<'a>(&'a Capacity);

impl Waiting<'_> {
    fn new(capacity: &Capacity) -> Waiting<'_> {
        capacity.waiting.fetch_add(1, SeqCst);
        Waiting(capacity)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}

/// A place on its way to another shard; given back when it gets lost.
#[derive(Debug)]
pub struct Place(Option<Arc<Capacity>>);

impl Place {
    /// For a place that was taken.
    #[must_use]
    pub fn of(capacity: &Arc<Capacity>) -> Place {
        Place(Some(capacity.clone()))
    }

    /// It has arrived: whoever calls this gives it back.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(capacity) = &self.0 {
            capacity.give(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_there_are() {
        let capacity = Capacity::new(2);
        assert!(capacity.take() && capacity.take());
        assert!(!capacity.take());
        drop(Place::of(&capacity));
        assert!(capacity.take());
        Place::of(&capacity).keep();
        assert!(!capacity.take());
    }

    #[tokio::test]
    async fn who_waits_is_told_and_passes_it_on() {
        let capacity = Capacity::new(1);
        assert!(capacity.take());
        let order = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let tasks = tokio::task::LocalSet::new();
        for name in 0..3 {
            let (capacity, order) = (capacity.clone(), order.clone());
            tasks.spawn_local(async move {
                capacity.room().await;
                order.borrow_mut().push(name);
                // As a door does at which nobody stands.
                assert!(capacity.take());
                capacity.give(1);
            });
        }
        tasks.run_until(tokio::task::yield_now()).await;
        assert!(order.borrow().is_empty());
        capacity.give(1);
        tasks.await;
        assert_eq!(*order.borrow(), [0, 1, 2]);
    }

    #[test]
    fn threads_never_have_more_than_there_are_and_nobody_sleeps_on() {
        const THREADS: usize = 4;
        let capacity = Capacity::new(2);
        let inside = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (capacity, inside) = (capacity.clone(), inside.clone());
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build();
                    runtime.unwrap().block_on(async {
                        for _ in 0..2_000 {
                            while !capacity.take() {
                                capacity.room().await;
                            }
                            assert!(inside.fetch_add(1, SeqCst) < 2);
                            tokio::task::yield_now().await;
                            inside.fetch_sub(1, SeqCst);
                            capacity.give(1);
                        }
                    });
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(capacity.free.load(SeqCst), 2);
        assert_eq!(capacity.waiting.load(SeqCst), 0);
    }
}
