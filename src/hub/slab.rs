//! The slab of sessions and the ids that it checks.
//!
//! A freed place is used again under the next generation, the last one freed first. Used by
//! `seats`; knows nothing of what it holds.

use std::fmt;

/// A session: its place in the slab and the generation of that place. A stale id is told by its
/// generation, so an id may be kept anywhere without keeping the session alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    /// The place; also the place of its socket in the lot.
    pub index: u32,
    /// Which use of that place.
    pub generation: u32,
}

impl fmt::Display for SessionId {
    /// As the log names a connection.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

const NONE: u32 = u32::MAX;

struct Place<T> {
    generation: u32,
    content: Content<T>,
}

enum Content<T> {
    Occupied(T),
    /// The next place that is free.
    Vacant(u32),
}

/// Values at places, each under an id that is never given twice.
pub struct Slab<T> {
    places: Vec<Place<T>>,
    free: u32,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { places: Vec::new(), free: NONE, len: 0 }
    }
}

impl<T> Slab<T> {
    /// Bytes that one place takes.
    pub const PLACE_BYTES: usize = size_of::<Place<T>>();

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a value in.
    pub fn insert(&mut self, value: T) -> SessionId {
        self.len += 1;
        if let Some(place) = self.places.get_mut(self.free as usize) {
            let index = self.free;
            if let Content::Vacant(next) = place.content {
                self.free = next;
            }
            place.content = Content::Occupied(value);
            return SessionId { index, generation: place.generation };
        }
        let index = u32::try_from(self.places.len()).unwrap_or(NONE);
        assert!(index != NONE, "a process has fewer than 2^32 descriptors");
        self.places.push(Place { generation: 0, content: Content::Occupied(value) });
        SessionId { index, generation: 0 }
    }

    /// Takes a value out; `None` when the id is stale.
    pub fn remove(&mut self, id: SessionId) -> Option<T> {
        self.get(id)?;
        let place = self.places.get_mut(id.index as usize)?;
        let content = std::mem::replace(&mut place.content, Content::Vacant(self.free));
        self.len -= 1;
        // A place whose generations are used up is never used again, so that no id ever returns.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free = id.index;
        }
        match content {
            Content::Occupied(value) => Some(value),
            Content::Vacant(_) => None,
        }
    }

    /// The value of an id; `None` when it is stale.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<&T> {
        match self.places.get(id.index as usize)? {
            Place { generation, content: Content::Occupied(value) }
                if *generation == id.generation =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    /// See [`Slab::get`].
    #[must_use]
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut T> {
        match self.places.get_mut(id.index as usize)? {
            Place { generation, content: Content::Occupied(value) }
                if *generation == id.generation =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    /// All ids, in the order of their places.
    pub fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.places.iter().zip(0..).filter_map(|(place, index)| match place.content {
            Content::Occupied(_) => Some(SessionId { index, generation: place.generation }),
            Content::Vacant(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing() {
        let mut slab = Slab::default();
        let a = slab.insert("a");
        let b = slab.insert("b");
        assert_eq!(slab.remove(a), Some("a"));
        assert_eq!((slab.remove(a), slab.get(a)), (None, None));
        let c = slab.insert("c");
        assert_eq!(c.index, a.index);
        assert_ne!(c, a);
        assert_eq!((slab.get(a), slab.get(b), slab.get(c)), (None, Some(&"b"), Some(&"c")));
        assert_eq!(slab.get_mut(a), None);
        assert_eq!(slab.get_mut(c), Some(&mut "c"));
        assert_eq!(slab.ids().collect::<Vec<_>>(), [c, b]);
        assert_eq!(slab.len(), 2);
    }

    #[test]
    fn a_place_is_given_up_when_its_generations_are_used_up() {
        let mut slab = Slab::default();
        slab.insert(1);
        slab.places[0].generation = u32::MAX;
        let last = SessionId { index: 0, generation: u32::MAX };
        assert_eq!(slab.remove(last), Some(1));
        assert_eq!(slab.insert(2).index, 1);
        assert_eq!(slab.get(last), None);
    }
}
