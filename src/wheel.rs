//! A hierarchical timer wheel over [`Tick`]s: inserting and cancelling cost the same however many
//! timers run.
//!
//! Eleven levels of 64 slots, six bits of the deadline each, so every `Tick` has its slot and none
//! is clamped. A timer moves down a level when its slot comes up, at most ten times in its life.
//! The wheel is pure data: no task, no clock. `hub` owns one a shard; it knows nothing of what its
//! keys mean.

use std::num::NonZeroU32;

use crate::clock::Tick;

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 11;
const NONE: u32 = u32::MAX;

/// A running timer. Stale handles are told by their generation, so they do no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    index: u32,
    generation: NonZeroU32,
}

struct Node<K> {
    at: Tick,
    key: Option<K>,
    generation: NonZeroU32,
    previous: u32,
    /// The next of its slot; of a free node the next free one.
    next: u32,
    level: u8,
    slot: u8,
}

#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List { first: NONE, last: NONE };

/// The wheel. `K` is what is handed back when a timer is due.
pub struct Wheel<K> {
    nodes: Vec<Node<K>>,
    free: u32,
    len: usize,
    /// Everything before this has been handed out.
    elapsed: u64,
    occupied: [u64; LEVELS],
    slots: Box<[[List; SLOTS]; LEVELS]>,
}

impl<K> Default for Wheel<K> {
    fn default() -> Wheel<K> {
        Wheel::new()
    }
}

impl<K> Wheel<K> {
    /// A wheel without timers.
    #[must_use]
    pub fn new() -> Wheel<K> {
        Wheel {
            nodes: Vec::new(),
            free: NONE,
            len: 0,
            elapsed: 0,
            occupied: [0; LEVELS],
            slots: Box::new([[EMPTY; SLOTS]; LEVELS]),
        }
    }

    /// How many timers run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Starts a timer. One that lies in the past is due at the next [`Wheel::advance`].
    pub fn insert(&mut self, at: Tick, key: K) -> Timer {
        let node = Node {
            at,
            key: Some(key),
            generation: NonZeroU32::MIN,
            previous: NONE,
            next: NONE,
            level: 0,
            slot: 0,
        };
        let index = self.place(node);
        self.link(index);
        self.len += 1;
        Timer { index, generation: self.nodes[index as usize].generation }
    }

    /// Stops a timer and returns its key; `None` when it has been due or stopped already.
    pub fn cancel(&mut self, timer: Timer) -> Option<K> {
        self.running(timer)?;
        self.unlink(timer.index);
        self.release(timer.index)
    }

    /// When a timer is due; `None` when it no longer runs.
    #[must_use]
    pub fn deadline(&self, timer: Timer) -> Option<Tick> {
        self.running(timer).map(|node| node.at)
    }

    /// A moment at which [`Wheel::advance`] has something to do: never after the earliest deadline,
    /// exact within 64 ms of it, and before it where timers are far off and first move down a
    /// level.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        self.first_slot().map(|(_, _, start)| Tick(start))
    }

    /// Hands out the keys of all timers that are due at `now`, the earliest first.
    pub fn advance(&mut self, now: Tick, mut due: impl FnMut(K)) {
        while let Some((level, slot, start)) = self.first_slot() {
            if start > now.0 {
                break;
            }
            self.elapsed = self.elapsed.max(start);
            let list = std::mem::replace(&mut self.slots[level][slot], EMPTY);
            self.occupied[level] &= !(1 << slot);
            let mut index = list.first;
            while index != NONE {
                let next = self.nodes[index as usize].next;
                if level == 0 {
                    if let Some(key) = self.release(index) {
                        due(key);
                    }
                } else {
                    self.link(index);
                }
                index = next;
            }
        }
        self.elapsed = self.elapsed.max(now.0);
    }

    fn running(&self, timer: Timer) -> Option<&Node<K>> {
        self.nodes
            .get(timer.index as usize)
            .filter(|node| node.generation == timer.generation && node.key.is_some())
    }

    /// The first slot that holds timers: its level, its number, and when it begins.
    ///
    /// A timer of level L shares all bits above that level with `elapsed` and is later, so the
    /// lowest level that is occupied has the earliest timers, and no slot number has wrapped.
    fn first_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|&bits| bits != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = SLOT_BITS * level as u32;
        let above = u64::MAX.checked_shl(shift + SLOT_BITS).unwrap_or(0);
        Some((level, slot as usize, self.elapsed & above | u64::from(slot) << shift))
    }

    fn place(&mut self, mut node: Node<K>) -> u32 {
        if self.free == NONE {
            let index = u32::try_from(self.nodes.len()).unwrap_or(NONE);
            assert!(index != NONE, "fewer than 2^32 timers");
            self.nodes.push(node);
            return index;
        }
        let index = self.free;
        let vacant = &mut self.nodes[index as usize];
        self.free = vacant.next;
        node.generation = vacant.generation;
        *vacant = node;
        index
    }

    fn release(&mut self, index: u32) -> Option<K> {
        let free = self.free;
        let node = &mut self.nodes[index as usize];
        node.generation = node.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        node.next = free;
        self.free = index;
        self.len -= 1;
        node.key.take()
    }

    /// Puts a node at the end of the slot that its deadline has, seen from `elapsed`.
    fn link(&mut self, index: u32) {
        let at = self.nodes[index as usize].at.0.max(self.elapsed);
        let differing = (at ^ self.elapsed) | (SLOTS as u64 - 1);
        let level = (63 - differing.leading_zeros()) / SLOT_BITS;
        let slot = (at >> (level * SLOT_BITS)) as usize % SLOTS;
        let level = level as usize;

        let list = &mut self.slots[level][slot];
        let last = std::mem::replace(&mut list.last, index);
        if last == NONE {
            list.first = index;
        } else {
            self.nodes[last as usize].next = index;
        }
        let node = &mut self.nodes[index as usize];
        node.previous = last;
        node.next = NONE;
        node.level = level as u8;
        node.slot = slot as u8;
        self.occupied[level] |= 1 << slot;
    }

    fn unlink(&mut self, index: u32) {
        let node = &self.nodes[index as usize];
        let (previous, next) = (node.previous, node.next);
        let (level, slot) = (node.level as usize, node.slot as usize);
        let list = &mut self.slots[level][slot];
        if previous == NONE {
            list.first = next;
        } else {
            self.nodes[previous as usize].next = next;
        }
        if next == NONE {
            list.last = previous;
        } else {
            self.nodes[next as usize].previous = previous;
        }
        if list.first == NONE {
            self.occupied[level] &= !(1 << slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn due(wheel: &mut Wheel<u32>, now: u64) -> Vec<u32> {
        let mut keys = Vec::new();
        wheel.advance(Tick(now), |key| keys.push(key));
        keys
    }

    #[test]
    fn timers_are_due_in_order_and_not_before_their_time() {
        let mut wheel = Wheel::new();
        for at in [70_000, 5, 64, 63, 4096, 300_000] {
            wheel.insert(Tick(at), u32::try_from(at).unwrap());
        }
        assert_eq!(due(&mut wheel, 62), [5]);
        assert_eq!(wheel.next_deadline(), Some(Tick(63)));
        assert_eq!(due(&mut wheel, 4095), [63, 64]);
        assert_eq!(due(&mut wheel, 299_999), [4096, 70_000]);
        assert_eq!(due(&mut wheel, 300_000), [300_000]);
        assert!(wheel.is_empty() && wheel.next_deadline().is_none());
    }

    #[test]
    fn the_past_is_due_at_once() {
        let mut wheel = Wheel::new();
        assert!(due(&mut wheel, 1000).is_empty());
        wheel.insert(Tick(1000), 1);
        wheel.insert(Tick(3), 2);
        assert!(wheel.next_deadline().is_some_and(|at| at <= Tick(1000)));
        assert_eq!(due(&mut wheel, 1000), [1, 2]);
    }

    #[test]
    fn a_cancelled_timer_is_not_due_and_its_handle_is_stale() {
        let mut wheel = Wheel::new();
        let one = wheel.insert(Tick(10), 1);
        let two = wheel.insert(Tick(10), 2);
        assert_eq!(wheel.deadline(one), Some(Tick(10)));
        assert_eq!(wheel.cancel(one), Some(1));
        assert_eq!(wheel.cancel(one), None);
        let three = wheel.insert(Tick(20), 3);
        assert_eq!((wheel.deadline(one), wheel.cancel(one)), (None, None));
        assert_eq!(due(&mut wheel, 50), [2, 3]);
        assert_eq!((wheel.cancel(two), wheel.cancel(three)), (None, None));
    }

    #[test]
    fn the_end_of_time_has_a_slot() {
        let mut wheel = Wheel::new();
        wheel.insert(Tick(u64::MAX), 1);
        assert!(due(&mut wheel, u64::MAX - 1).is_empty());
        assert_eq!(due(&mut wheel, u64::MAX), [1]);
    }

    #[test]
    fn a_timer_is_small() {
        assert!(size_of::<Node<u64>>() <= 40);
        assert_eq!(size_of::<Option<Timer>>(), 8);
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_map(
            ops in prop::collection::vec(
                (0_u8..4, 0_u64..600_000, any::<prop::sample::Index>()),
                1..200,
            )
        ) {
            let mut wheel = Wheel::new();
            let mut model = BTreeMap::new();
            let mut timers = Vec::new();
            let mut now = 0;
            for (number, (op, value, pick)) in ops.into_iter().enumerate() {
                match op {
                    0 | 1 => {
                        timers.push((wheel.insert(Tick(value), number), value, number));
                        model.insert((value, number), ());
                    }
                    2 if !timers.is_empty() => {
                        let (timer, at, number) = timers[pick.index(timers.len())];
                        let known = model.remove(&(at, number)).map(|()| number);
                        prop_assert_eq!(wheel.cancel(timer), known);
                    }
                    _ => {
                        now += value / 8;
                        let mut fired = Vec::new();
                        wheel.advance(Tick(now), |number| fired.push(number));
                        fired.sort_unstable();
                        let later = model.split_off(&(now + 1, 0));
                        let mut expected: Vec<_> =
                            model.keys().map(|&(_, number)| number).collect();
                        expected.sort_unstable();
                        model = later;
                        prop_assert_eq!(fired, expected);
                    }
                }
                prop_assert_eq!(wheel.len(), model.len());
                let earliest = model.keys().next().map(|&(at, _)| at.max(now));
                match (wheel.next_deadline(), earliest) {
                    (None, None) => {}
                    (Some(next), Some(earliest)) => prop_assert!(next.0 <= earliest),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
    }
}
