//! Which addresses of names led nowhere lately: while a name has others, these are tried last (RFC
//! 8305, 4 lets what was learnt count).
//!
//! One shard's; used by `race`. Of a name with one address nothing is remembered, nor looked up.

use std::cell::RefCell;
use std::net::SocketAddr;

use hashbrown::HashMap;

use crate::clock::Tick;
use crate::limits::{ADDRESSES_AVOIDED_MAX, BACKEND_ADDRESS_AVOIDED_MS};

/// The addresses to be avoided, and since when.
#[derive(Default)]
pub struct Detours {
    since: RefCell<HashMap<SocketAddr, Tick, ahash::RandomState>>,
}

impl Detours {
    /// Puts what led nowhere lately behind the others; among equals the order stays. The first one
    /// is about to be tried: if its time is over, everybody else waits for what comes of that.
    pub fn put_last(&self, addresses: &mut [SocketAddr], now: Tick) {
        let mut since = self.since.borrow_mut();
        if since.is_empty() {
            return;
        }
        let is_avoided = |since: &Tick| now.ms_since(*since) < BACKEND_ADDRESS_AVOIDED_MS;
        addresses.sort_by_cached_key(|address| since.get(address).is_some_and(is_avoided));
        let first = addresses.first().and_then(|first| since.get_mut(first));
        if let Some(since) = first.filter(|since| !is_avoided(since)) {
            *since = now;
        }
    }

    /// A connection was made to `answered`, and these were tried in vain before.
    pub fn learn(&self, passed_over: &[SocketAddr], answered: SocketAddr, now: Tick) {
        let mut since = self.since.borrow_mut();
        if passed_over.is_empty() && since.is_empty() {
            return;
        }
        since.remove(&answered);
        for address in passed_over {
            if since.len() >= ADDRESSES_AVOIDED_MAX {
                since.retain(|_, since| now.ms_since(*since) < BACKEND_ADDRESS_AVOIDED_MS);
            }
            // What there is no room for costs its connections a moment, as it would anyway.
            if since.len() < ADDRESSES_AVOIDED_MAX {
                since.insert(*address, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn order(detours: &Detours, ports: &[u16], now: u64) -> Vec<u16> {
        let mut all: Vec<_> = ports.iter().map(|port| at(*port)).collect();
        detours.put_last(&mut all, Tick(now));
        all.iter().map(SocketAddr::port).collect()
    }

    #[test]
    fn what_led_nowhere_comes_last_for_a_while() {
        let detours = Detours::default();
        assert_eq!(order(&detours, &[1, 2, 3], 0), [1, 2, 3]);
        detours.learn(&[at(1)], at(2), Tick(5));
        assert_eq!(order(&detours, &[1, 2, 3], 5), [2, 3, 1]);
        assert_eq!(order(&detours, &[3, 1, 2], 5), [3, 2, 1], "the others go by turns as before");
        let over = 5 + BACKEND_ADDRESS_AVOIDED_MS;
        assert_eq!(order(&detours, &[1, 2], over - 1), [2, 1]);
        assert_eq!(order(&detours, &[1, 2], over), [1, 2], "one finds out");
        assert_eq!(order(&detours, &[1, 2], over), [2, 1], "the others wait for that");
    }

    #[test]
    fn what_answers_is_as_before() {
        let detours = Detours::default();
        detours.learn(&[at(1)], at(2), Tick(0));
        detours.learn(&[at(2)], at(1), Tick(1));
        assert_eq!(order(&detours, &[2, 1], 1), [1, 2]);
        detours.learn(&[at(1)], at(2), Tick(2));
        detours.learn(&[], at(1), Tick(3));
        assert_eq!(order(&detours, &[1, 2], 3), [1, 2]);
    }

    #[test]
    fn addresses_do_not_fill_the_memory() {
        let detours = Detours::default();
        let many: Vec<_> = (1..=3 * ADDRESSES_AVOIDED_MAX).map(|n| at(n as u16)).collect();
        detours.learn(&many, at(0), Tick(0));
        assert_eq!(detours.since.borrow().len(), ADDRESSES_AVOIDED_MAX);
        assert_eq!(order(&detours, &[1, 2], 0), [1, 2]);
        let later = BACKEND_ADDRESS_AVOIDED_MS;
        detours.learn(&[many[0]], at(0), Tick(later));
        assert_eq!(detours.since.borrow().len(), 1, "what is over makes room");
        assert_eq!(order(&detours, &[1, 2], later), [2, 1]);
    }
}
