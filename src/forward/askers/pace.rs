//! Requests of HTTP filters take turns: so many a second, the URLs one after another, so that one
//! that is asked much does not keep the others waiting (specification, GRIP 6.4).
//!
//! Pure: whoever holds it says what time it is.

use std::collections::VecDeque;
use std::rc::Rc;

use hashbrown::HashMap;

use crate::clock::Tick;

/// So far what was not used is saved up, in microseconds.
const SAVED_US: u64 = 25_000;

/// What waits for its turn, by URL.
#[derive(Debug)]
pub struct Pace<T> {
    /// None of them is empty.
    queues: HashMap<Rc<str>, VecDeque<T>, ahash::RandomState>,
    /// Whose turn it is, in order.
    order: VecDeque<Rc<str>>,
    waiting: usize,
    waiting_max: usize,
    /// Between two of them, in microseconds.
    interval_us: u64,
    /// Up to here time is used up.
    used_us: u64,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn<T> {
    /// It is this one's turn.
    Of(T),
    /// Nobody's, until then.
    At(Tick),
    /// Nobody waits.
    None,
}

impl<T> Pace<T> {
    /// Nobody waits yet. At most `waiting_max` may; `per_second` have their turn.
    #[must_use]
    pub fn new(per_second: u32, waiting_max: usize) -> Pace<T> {
        Pace {
            queues: HashMap::default(),
            order: VecDeque::new(),
            waiting: 0,
            waiting_max,
            interval_us: 1_000_000_u64.div_ceil(u64::from(per_second.max(1))),
            used_us: 0,
        }
    }

    /// Lets one wait; gives it back when too many wait already.
    ///
    /// # Errors
    /// At the bound.
    pub fn push(&mut self, url: &str, one: T) -> Result<(), T> {
        if self.waiting >= self.waiting_max {
            return Err(one);
        }
        self.waiting += 1;
        if let Some(queue) = self.queues.get_mut(url) {
            queue.push_back(one);
            return Ok(());
        }
        let url: Rc<str> = url.into();
        self.order.push_back(Rc::clone(&url));
        self.queues.insert(url, VecDeque::from([one]));
        Ok(())
    }

    /// Whose turn it is. Who is not `wanted` any more leaves without having had one.
    pub fn next(&mut self, now: Tick, wanted: impl Fn(&T) -> bool) -> Turn<T> {
        let now_us = now.0.saturating_mul(1000);
        let open_us = self.used_us.saturating_sub(SAVED_US);
        loop {
            if self.order.is_empty() {
                return Turn::None;
            }
            if open_us > now_us {
                return Turn::At(Tick(open_us.div_ceil(1000)));
            }
            if let Some(one) = self.pop().filter(&wanted) {
                self.used_us = self.used_us.max(now_us).saturating_add(self.interval_us);
                return Turn::Of(one);
            }
        }
    }

    fn pop(&mut self) -> Option<T> {
        let url = self.order.pop_front()?;
        let queue = self.queues.get_mut(&url)?;
        let one = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&url);
        } else {
            self.order.push_back(url);
        }
        self.waiting = self.waiting.saturating_sub(usize::from(one.is_some()));
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pace: &mut Pace<u32>, ms: u64) -> Vec<u32> {
        let mut had = Vec::new();
        while let Turn::Of(one) = pace.next(Tick(ms), |_| true) {
            had.push(one);
        }
        had
    }

    #[test]
    fn urls_take_turns() {
        let mut pace = Pace::new(1_000_000, 100);
        for (url, one) in [("a", 1), ("a", 2), ("a", 3), ("b", 10), ("c", 20), ("b", 11)] {
            pace.push(url, one).unwrap();
        }
        assert_eq!(all(&mut pace, 1), [1, 10, 20, 2, 11, 3]);
        assert_eq!(pace.next(Tick(1), |_| true), Turn::None);
        assert!(pace.queues.is_empty() && pace.waiting == 0);
    }

    #[test]
    fn so_many_have_their_turn_in_a_second() {
        let mut pace = Pace::new(100, 1000);
        for one in 0..400 {
            pace.push("a", one).unwrap();
        }
        let start = 5_000;
        let mut had = 0;
        for ms in 0..1000 {
            had += all(&mut pace, start + ms).len();
        }
        assert!((100..=103).contains(&had), "{had}");
        // Whoever sleeps as long as it is told misses none.
        let (mut now, mut had) = (Tick(start + 1000), 0);
        while now < Tick(start + 2000) {
            match pace.next(now, |_| true) {
                Turn::Of(_) => had += 1,
                Turn::At(at) => now = at,
                Turn::None => panic!("nobody waits"),
            }
        }
        assert!((98..=102).contains(&had), "{had}");
    }

    #[test]
    fn what_was_not_used_is_not_saved_up_for_long() {
        let mut pace = Pace::new(100, 1000);
        for one in 0..100 {
            pace.push("a", one).unwrap();
        }
        assert_eq!(all(&mut pace, 60_000).len(), 3);
        assert_eq!(all(&mut pace, 60_004).len(), 0);
        assert_eq!(all(&mut pace, 60_005).len(), 1);
    }

    #[test]
    fn who_has_left_takes_no_turn() {
        let mut pace = Pace::new(1, 10);
        for one in 0..5 {
            pace.push("a", one).unwrap();
        }
        assert_eq!(pace.next(Tick(1), |one| *one == 3), Turn::Of(3));
        assert!(matches!(pace.next(Tick(1), |_| true), Turn::At(_)));
        assert_eq!(pace.next(Tick(5_000), |_| false), Turn::None);
    }

    #[test]
    fn too_many_may_not_wait() {
        let mut pace = Pace::new(1, 2);
        assert_eq!(pace.push("a", 1), Ok(()));
        assert_eq!(pace.push("b", 2), Ok(()));
        assert_eq!(pace.push("c", 3), Err(3));
        assert_eq!(pace.next(Tick(1), |_| true), Turn::Of(1));
        assert_eq!(pace.push("c", 3), Ok(()));
    }
}
