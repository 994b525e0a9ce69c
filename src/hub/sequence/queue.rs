//! Values at places, in an order of their own: the last put in, or refreshed, comes last.
//!
//! A slab with a list through it, so that whatever is oldest is found at once and anything leaves
//! from the middle at no cost. Used by `shelf` for the age of entries and by `known` for the use of
//! channels; knows neither.

/// No place.
pub const NOWHERE: u32 = u32::MAX;

/// So many free places are kept for what comes next.
const KEPT: usize = 16;

struct Node<T> {
    before: u32,
    /// The next in the order; of a free node the next free one.
    after: u32,
    value: Option<T>,
}

/// The values.
pub struct Queue<T> {
    nodes: Vec<Node<T>>,
    free: u32,
    first: u32,
    last: u32,
    len: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { nodes: Vec::new(), free: NOWHERE, first: NOWHERE, last: NOWHERE, len: 0 }
    }
}

impl<T> Queue<T> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Puts a value in, as the last. Where it is from now on.
    pub fn push(&mut self, value: T) -> u32 {
        self.len += 1;
        let at = if let Some(node) = self.nodes.get_mut(self.free as usize) {
            let at = self.free;
            self.free = node.after;
            node.value = Some(value);
            at
        } else {
            // Each value takes more than a byte of bounded memory.
            let at = self.nodes.len() as u32;
            self.nodes.push(Node { before: NOWHERE, after: NOWHERE, value: Some(value) });
            at
        };
        self.link_last(at);
        at
    }

    /// Takes a value out.
    pub fn remove(&mut self, at: u32) -> Option<T> {
        let value = self.nodes.get_mut(at as usize)?.value.take()?;
        self.unlink(at);
        self.len -= 1;
        if self.len == 0 && self.nodes.len() > KEPT {
            // A quiet shard keeps no memory for what it once had.
            *self = Queue::default();
        } else if let Some(node) = self.nodes.get_mut(at as usize) {
            node.after = self.free;
            self.free = at;
        }
        Some(value)
    }

    /// Makes a value the last.
    pub fn refresh(&mut self, at: u32) {
        if self.last != at && self.get(at).is_some() {
            self.unlink(at);
            self.link_last(at);
        }
    }

    /// Where the first is.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        (self.first != NOWHERE).then_some(self.first)
    }

    /// A value.
    #[must_use]
    pub fn get(&self, at: u32) -> Option<&T> {
        self.nodes.get(at as usize)?.value.as_ref()
    }

    /// A value.
    #[must_use]
    pub fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.nodes.get_mut(at as usize)?.value.as_mut()
    }

    /// The places of all values, in no order.
    pub fn places(&self) -> impl Iterator<Item = u32> + use<T> {
        let taken = self.nodes.iter().enumerate().filter(|(_, node)| node.value.is_some());
        taken.map(|(at, _)| at as u32).collect::<Vec<_>>().into_iter()
    }

    fn link_last(&mut self, at: u32) {
        let last = std::mem::replace(&mut self.last, at);
        if let Some(node) = self.nodes.get_mut(at as usize) {
            (node.before, node.after) = (last, NOWHERE);
        }
        match self.nodes.get_mut(last as usize) {
            Some(node) => node.after = at,
            None => self.first = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Some(&Node { before, after, .. }) = self.nodes.get(at as usize) else { return };
        match self.nodes.get_mut(before as usize) {
            Some(node) => node.after = after,
            None => self.first = after,
        }
        match self.nodes.get_mut(after as usize) {
            Some(node) => node.before = before,
            None => self.last = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(mut queue: Queue<u8>) -> Vec<u8> {
        std::iter::from_fn(|| queue.first().and_then(|at| queue.remove(at))).collect()
    }

    #[test]
    fn values_leave_from_anywhere_and_come_last_again() {
        let mut queue = Queue::default();
        let at: Vec<u32> = (0..5).map(|n| queue.push(n)).collect();
        assert_eq!(queue.remove(at[2]), Some(2));
        assert_eq!((queue.remove(at[2]), queue.len()), (None, 4));
        queue.refresh(at[0]);
        queue.refresh(at[4]);
        queue.refresh(at[2]);
        assert_eq!(queue.push(9), at[2]);
        assert_eq!((queue.get(at[1]), queue.get(77)), (Some(&1), None));
        assert_eq!(drain(queue), [1, 3, 0, 4, 9]);
    }

    #[test]
    fn an_empty_one_keeps_no_memory() {
        let mut queue = Queue::default();
        let at: Vec<u32> = (0..1000).map(|n| queue.push(n)).collect();
        for at in at {
            queue.remove(at);
        }
        assert_eq!((queue.first(), queue.len(), queue.nodes.capacity()), (None, 0, 0));
    }
}
