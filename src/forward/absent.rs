//! How many clients are gone whose backends are still to be told so (specification, WebSockets
//! 5.11).
//!
//! A storm of clients that leave is one of requests; past the bound the backends of further ones
//! are told nothing. Used by `sockets` and `accept`.

use std::cell::Cell;
use std::rc::Rc;

use super::shared::Shared;

/// Counts them.
#[derive(Debug, Default)]
pub struct Absent {
    count: Rc<Cell<usize>>,
}

/// One of them, while it lives.
#[derive(Debug)]
pub struct Farewell(Rc<Cell<usize>>);

impl Absent {
    /// One more, unless there are as many as there may be; that is counted.
    #[must_use]
    pub fn admit(&self, shared: &Shared) -> Option<Farewell> {
        let farewell = self.one_of(shared.settings.disconnects_max);
        if farewell.is_none() {
            shared.stats.disconnects_dropped.inc();
        }
        farewell
    }

    /// How many there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.count.get()
    }

    fn one_of(&self, max: usize) -> Option<Farewell> {
        if self.count.get() >= max {
            return None;
        }
        self.count.set(self.count.get() + 1);
        Some(Farewell(Rc::clone(&self.count)))
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_at_once() {
        let absent = Absent::default();
        let (first, second) = (absent.one_of(2), absent.one_of(2));
        assert!(first.is_some() && second.is_some() && absent.one_of(2).is_none());
        drop(first);
        assert!(absent.one_of(2).is_some());
    }
}
