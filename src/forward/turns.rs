//! Whose turn it is at the routes that balance, and what each of their targets bears.
//!
//! Used by `choice`. One shard's: workers take turns by themselves.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hashbrown::HashMap;

use crate::backend::gate::{Gauge, Load};
use crate::limits::BALANCED_ROUTES_MAX;
use crate::route::Route;

/// See the module.
#[derive(Default)]
pub struct Turns {
    /// By the route's place in memory: what is found there may be of an older table.
    routes: RefCell<HashMap<usize, Rc<Balanced>, ahash::RandomState>>,
}

/// One route that balances.
pub struct Balanced {
    next: Cell<usize>,
    loads: Box<[Gauge]>,
}

impl Turns {
    /// The routes have changed.
    pub fn forget(&self) {
        self.routes.borrow_mut().clear();
    }

    /// What is known of a route.
    #[must_use]
    pub fn of(&self, route: &Route) -> Rc<Balanced> {
        let (place, count) = (std::ptr::from_ref(route) as usize, route.targets.len());
        let mut routes = self.routes.borrow_mut();
        if let Some(known) = routes.get(&place).filter(|known| known.loads.len() == count) {
            return Rc::clone(known);
        }
        if routes.len() >= BALANCED_ROUTES_MAX {
            routes.clear();
        }
        // Workers do not know of each other: they do not all begin with the same.
        let next = Cell::new(fastrand::usize(..count.max(1)));
        let loads = (0..count).map(|_| Gauge::default()).collect();
        let balanced = Rc::new(Balanced { next, loads });
        routes.insert(place, Rc::clone(&balanced));
        balanced
    }
}

impl Balanced {
    /// The target whose turn it is; the next one has the next.
    #[must_use]
    pub fn turn(&self) -> usize {
        let turn = self.next.get();
        self.next.set((turn + 1) % self.loads.len().max(1));
        turn
    }

    /// How many requests are under way at a target.
    #[must_use]
    pub fn load(&self, index: usize) -> u32 {
        self.loads.get(index).map_or(0, |gauge| gauge.get())
    }

    /// One more at this target.
    #[must_use]
    pub fn bear(&self, index: usize) -> Option<Load> {
        self.loads.get(index).map(Load::on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::tests::route;

    #[test]
    fn turns_go_round_and_loads_are_each_targets_own() {
        let turns = Turns::default();
        let route = route("*,balance=round-robin a:1 b:2 c:3");
        let balanced = turns.of(&route);
        let first = balanced.turn();
        let more: Vec<_> = (0..4).map(|_| turns.of(&route).turn()).collect();
        assert_eq!(more, [1, 2, 3, 4].map(|n| (first + n) % 3));
        let load = balanced.bear(1);
        assert_eq!([0, 1, 2, 3].map(|index| turns.of(&route).load(index)), [0, 1, 0, 0]);
        drop(load);
        assert_eq!(balanced.load(1), 0);
        turns.forget();
        assert!(!Rc::ptr_eq(&balanced, &turns.of(&route)));
    }
}
