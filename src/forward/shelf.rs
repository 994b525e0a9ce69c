//! Things that many holds have alike, kept once: what requests have in common, where links lead.
//!
//! Used by `kept` for texts and by `held` for the rest. Knows nothing of what it keeps.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::hash::Hash;
use std::rc::Rc;

use hashbrown::HashSet;

/// Shared things of one kind. What nobody has any more goes by and by.
pub struct Shelf<T: ?Sized> {
    things: RefCell<HashSet<Rc<T>, ahash::RandomState>>,
    /// How many there may be before those that nobody has any more are looked for.
    sweep_at: Cell<usize>,
}

impl<T: ?Sized> Default for Shelf<T> {
    fn default() -> Shelf<T> {
        Shelf { things: RefCell::default(), sweep_at: Cell::default() }
    }
}

impl<T: ?Sized + Eq + Hash> Shelf<T> {
    /// The thing, shared with whoever has the same.
    pub fn share<V: Borrow<T> + Into<Rc<T>>>(&self, thing: V) -> Rc<T> {
        let mut things = self.things.borrow_mut();
        if let Some(known) = things.get(thing.borrow()) {
            return Rc::clone(known);
        }
        if things.len() >= self.sweep_at.get() {
            things.retain(|thing| Rc::strong_count(thing) > 1);
            // The next sweep is paid for by at least as many new things as it will look at.
            self.sweep_at.set((things.len() * 2).max(16));
        }
        let thing: Rc<T> = thing.into();
        things.insert(Rc::clone(&thing));
        thing
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.things.borrow().len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_things_are_kept_once() {
        let shelf: Shelf<str> = Shelf::default();
        let (a, b) = (shelf.share("a"), shelf.share("a"));
        assert!(Rc::ptr_eq(&a, &b) && !Rc::ptr_eq(&a, &shelf.share("b")));
    }

    #[test]
    fn what_nobody_has_any_more_goes() {
        let shelf: Shelf<u32> = Shelf::default();
        let mut last = None;
        for n in 0..1000 {
            last = Some(shelf.share(n));
        }
        assert!(shelf.len() <= 17);
        assert_eq!(last.as_deref(), Some(&999));
    }
}
