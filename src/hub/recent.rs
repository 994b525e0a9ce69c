//! Values of late that may be shared: sessions that are opened alike hold one copy between them.
//! Used by `registry`. It keeps nothing alive.

use std::rc::{Rc, Weak};

const KEPT: usize = 4;

/// The last few different values.
pub struct Recent<T> {
    values: [Weak<T>; KEPT],
    next: usize,
}

impl<T> Default for Recent<T> {
    fn default() -> Recent<T> {
        Recent { values: std::array::from_fn(|_| Weak::new()), next: 0 }
    }
}

impl<T: PartialEq> Recent<T> {
    /// The value of late that equals `value`, if it still lives.
    #[must_use]
    pub fn find(&self, value: &T) -> Option<Rc<T>> {
        self.values.iter().filter_map(Weak::upgrade).find(|known| **known == *value)
    }

    /// Remembers a value, in place of the oldest.
    pub fn note(&mut self, value: Rc<T>) -> Rc<T> {
        self.values[self.next] = Rc::downgrade(&value);
        self.next = (self.next + 1) % KEPT;
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_while_one_lives() {
        let mut recent = Recent::default();
        let one = recent.note(Rc::new(1));
        assert!(recent.find(&1).is_some_and(|known| Rc::ptr_eq(&known, &one)));
        assert!(recent.find(&2).is_none());
        drop(one);
        assert!(recent.find(&1).is_none());
        let others: Vec<_> = (2..7).map(|n| recent.note(Rc::new(n))).collect();
        assert!(recent.find(&2).is_none() && recent.find(&3).is_some());
        drop(others);
    }
}
