//! The rings: what each channel keeps of the items released lately, for readers that are behind.
//!
//! The entries of all channels are in one [`Queue`], the oldest first, so that what goes by age or
//! for want of room is at its front. Through the entries of a channel run its chains: a chain is a
//! row of items of which each names the one before it, in whatever order they came. Usually there
//! is one; each hole makes another, until it is closed. Used by the roof, which knows the channels.

use std::rc::Rc;

use super::entry::Entry;
use super::queue::{NOWHERE, Queue};
use super::ring::{CHAINS_MAX, Chain, Found, Left, Place, Ring, Room};
use crate::clock::Tick;

/// An entry on the shelf.
struct Kept {
    /// `None` stands for an item without an id.
    entry: Option<Entry>,
    /// The channel's place in the table of channels.
    channel: u32,
    bytes: u32,
    /// The neighbours in its chain.
    before: u32,
    after: u32,
    /// Counts what was ever kept.
    number: u64,
    at: Tick,
    /// Tells most ids from each other without looking at them.
    mark: u64,
}

impl Kept {
    fn id(&self) -> Option<&Rc<str>> {
        self.entry.as_ref()?.id.as_ref()
    }
}

/// The entries of all channels.
#[derive(Default)]
pub struct Shelf {
    kept: Queue<Kept>,
    bytes: usize,
    numbers: u64,
}

impl Shelf {
    /// How many entries there are, and the bytes of their items.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }

    /// The oldest entry: its channel, its place and since when it is here.
    #[must_use]
    pub fn oldest(&self) -> Option<(u32, u32, Tick)> {
        let at = self.kept.first()?;
        self.kept.get(at).map(|kept| (kept.channel, at, kept.at))
    }

    /// The id that ended the newest chain of a ring.
    #[must_use]
    pub fn newest_id(&self, ring: &Ring) -> Option<&Rc<str>> {
        self.kept.get(ring.chains.last()?.last)?.id()
    }

    /// Keeps an entry that has an id. How many others had to go for it.
    pub fn keep(
        &mut self,
        ring: &mut Ring,
        channel: u32,
        entry: &Entry,
        now: Tick,
        room: Room,
    ) -> Left {
        let mut left = Left::default();
        self.take_interruption(ring);
        if entry.prev.is_none() {
            // It comes after all there was, and nobody can tell whether right after it.
            left.cleared += self.clear(ring);
        }
        let at = self.shelve(ring, channel, Some(entry.clone()), now);
        self.link(ring, at, entry);
        while ring.items > room.items || ring.bytes > room.bytes {
            left.evicted += self.drop_oldest(ring, room.unsettled_since);
        }
        if ring.chains.len() > CHAINS_MAX {
            left.evicted += self.drop_chain(ring, 0, room.unsettled_since);
        }
        left
    }

    /// An item without an id was released: nobody who stands in the ring has all. How many entries
    /// are useless by that.
    pub fn interrupt(&mut self, ring: &mut Ring, channel: u32, now: Tick) -> u64 {
        if ring.interruption != NOWHERE {
            return 0;
        }
        let cleared = self.clear(ring);
        ring.interruption = self.shelve(ring, channel, None, now);
        cleared
    }

    /// Empties a ring. How many entries there were.
    pub fn clear(&mut self, ring: &mut Ring) -> u64 {
        self.take_interruption(ring);
        let mut cleared = 0;
        while !ring.chains.is_empty() {
            cleared += self.drop_chain(ring, 0, Tick(u64::MAX));
        }
        ring.torn = false;
        cleared
    }

    /// Takes an entry out, and what comes before it in its chain. How many these were.
    pub fn drop_upto(&mut self, ring: &mut Ring, at: u32, unsettled_since: Tick) -> u64 {
        if ring.interruption == at {
            self.take_interruption(ring);
            return 0;
        }
        let mut first = at;
        while let Some(before) = self.kept.get(first).map(|kept| kept.before)
            && before != NOWHERE
        {
            first = before;
        }
        let chain = ring.chains.iter().position(|chain| chain.first == first);
        let Some(chain) = chain else { return 0 };
        let mut dropped = 0;
        while self.kept.get(at).is_some() {
            dropped += self.drop_first(ring, chain, unsettled_since);
        }
        dropped
    }

    /// What follows an id. With the right hint it costs nothing to find.
    #[must_use]
    pub fn find(&self, ring: &Ring, prev: &str, hint: Option<Place>) -> Found<'_> {
        let hinted = hint.filter(|hint| {
            self.kept.get(hint.at).is_some_and(|kept| {
                kept.number == hint.number && kept.id().is_some_and(|id| &**id == prev)
            })
        });
        if let Some(at) = hinted.map(|hint| hint.at).or_else(|| self.place_of(ring, prev)) {
            let after = self.kept.get(at).map_or(NOWHERE, |kept| kept.after);
            return self
                .next(after)
                .unwrap_or(Found::End { only: ring.chains.len() == 1 && !ring.torn });
        }
        let starts = ring.chains.iter().map(|chain| chain.first);
        let mut starts = starts.filter(|&at| self.prev_is(at, prev));
        starts.next().and_then(|at| self.next(at)).unwrap_or(Found::Nowhere)
    }

    fn next(&self, at: u32) -> Option<Found<'_>> {
        let kept = self.kept.get(at)?;
        let place = Place { at, number: kept.number };
        kept.entry.as_ref().map(|entry| Found::Next(entry, place))
    }

    /// The newest entry with an id.
    fn place_of(&self, ring: &Ring, id: &str) -> Option<u32> {
        let mark = mark(id);
        for chain in ring.chains.iter().rev() {
            let mut at = chain.last;
            while let Some(kept) = self.kept.get(at) {
                if kept.mark == mark && kept.id().is_some_and(|known| &**known == id) {
                    return Some(at);
                }
                at = kept.before;
            }
        }
        None
    }

    fn prev_is(&self, at: u32, prev: &str) -> bool {
        let entry = self.kept.get(at).and_then(|kept| kept.entry.as_ref());
        entry.is_some_and(|entry| entry.prev.as_deref() == Some(prev))
    }

    fn shelve(&mut self, ring: &mut Ring, channel: u32, entry: Option<Entry>, now: Tick) -> u32 {
        let item_bytes = entry.as_ref().map_or(0, |entry| entry.item.memory_bytes());
        let bytes = u32::try_from(item_bytes).unwrap_or(u32::MAX);
        let id = entry.as_ref().and_then(|entry| entry.id.as_deref());
        let mark = id.map_or(0, mark);
        if entry.is_some() {
            ring.items += 1;
            ring.bytes += bytes as usize;
            self.bytes += bytes as usize;
        }
        self.numbers += 1;
        let (before, after, number) = (NOWHERE, NOWHERE, self.numbers);
        self.kept.push(Kept { entry, channel, bytes, before, after, number, at: now, mark })
    }

    /// Gives an entry its place in the chains: after the one that it names, and before those that
    /// name it.
    fn link(&mut self, ring: &mut Ring, at: u32, entry: &Entry) {
        let Some(id) = &entry.id else { return };
        let ends_with = |chain: &Chain| {
            let last = self.kept.get(chain.last).and_then(Kept::id);
            match (last, &entry.prev) {
                (Some(last), Some(prev)) => Rc::ptr_eq(last, prev) || last == prev,
                _ => false,
            }
        };
        let onto = ring.chains.iter().rposition(ends_with);
        let onto = onto.unwrap_or_else(|| {
            ring.chains.push(Chain { first: at, last: NOWHERE });
            ring.chains.len() - 1
        });
        if ring.chains.len() == 1 {
            return self.join(ring, onto, at, at);
        }
        let starts = |(nth, chain): (usize, &Chain)| nth != onto && self.prev_is(chain.first, id);
        let follower = ring.chains.iter().enumerate().position(starts);
        self.join(ring, onto, at, at);
        if let Some(nth) = follower {
            let Chain { first, last } = ring.chains[nth];
            self.join(ring, onto, first, last);
            ring.chains.remove(nth);
        }
    }

    /// Puts a row of entries behind a chain.
    fn join(&mut self, ring: &mut Ring, chain: usize, first: u32, last: u32) {
        let Some(chain) = ring.chains.get_mut(chain) else { return };
        let end = std::mem::replace(&mut chain.last, last);
        if let Some(kept) = self.kept.get_mut(end) {
            kept.after = first;
        }
        if let Some(kept) = self.kept.get_mut(first) {
            kept.before = end;
        }
    }

    /// Of the first entries of the chains the one that is here for the longest goes.
    fn drop_oldest(&mut self, ring: &mut Ring, unsettled_since: Tick) -> u64 {
        let number = |chain: &Chain| self.kept.get(chain.first).map(|kept| kept.number);
        let oldest = ring.chains.iter().enumerate().min_by_key(|(_, chain)| number(chain));
        let Some((oldest, _)) = oldest else {
            // Unreachable: what is counted is in a chain. It ends the loop of the caller.
            (ring.items, ring.bytes) = (0, 0);
            return 0;
        };
        self.drop_first(ring, oldest, unsettled_since)
    }

    fn drop_chain(&mut self, ring: &mut Ring, chain: usize, unsettled_since: Tick) -> u64 {
        let Some(&Chain { last, .. }) = ring.chains.get(chain) else { return 0 };
        let mut dropped = 0;
        while self.kept.get(last).is_some() {
            dropped += self.drop_first(ring, chain, unsettled_since);
        }
        dropped
    }

    fn drop_first(&mut self, ring: &mut Ring, nth: usize, unsettled_since: Tick) -> u64 {
        let Some(chain) = ring.chains.get_mut(nth) else { return 0 };
        let Some(kept) = self.kept.remove(chain.first) else { return 0 };
        ring.items -= 1;
        ring.bytes -= kept.bytes as usize;
        self.bytes -= kept.bytes as usize;
        chain.first = kept.after;
        match self.kept.get_mut(kept.after) {
            Some(next) => next.before = NOWHERE,
            None => {
                ring.chains.remove(nth);
                ring.torn |= kept.at >= unsettled_since;
                ring.torn &= !ring.chains.is_empty();
            }
        }
        1
    }

    /// Entries of a ring, after a look at all: for tests and fuzzing.
    ///
    /// # Panics
    /// When a chain is broken, or something was counted wrong.
    #[must_use]
    pub fn verify(&self, ring: &Ring, channel: u32) -> usize {
        let (mut items, mut bytes) = (0, 0);
        for chain in &ring.chains {
            let (mut at, mut before) = (chain.first, NOWHERE);
            let mut expected: Option<&Rc<str>> = None;
            while let Some(kept) = self.kept.get(at) {
                assert_eq!((kept.before, kept.channel), (before, channel));
                let entry = kept.entry.as_ref().expect("a chain is made of items");
                assert!(expected.is_none() || expected == entry.prev.as_ref());
                assert!(entry.kept && kept.mark == mark(entry.id.as_deref().unwrap_or("")));
                (items, bytes) = (items + 1, bytes + kept.bytes as usize);
                expected = entry.id.as_ref();
                (at, before) = (kept.after, at);
            }
            assert_eq!((at, before), (NOWHERE, chain.last));
        }
        assert_eq!((ring.items, ring.bytes), (items, bytes));
        let interrupted = ring.interruption != NOWHERE;
        assert!(!interrupted || items == 0 && self.kept.get(ring.interruption).is_some());
        items + usize::from(interrupted)
    }

    fn take_interruption(&mut self, ring: &mut Ring) {
        let at = std::mem::replace(&mut ring.interruption, NOWHERE);
        self.kept.remove(at);
    }
}

/// A number that tells most ids of a channel from each other: they differ at their ends.
fn mark(id: &str) -> u64 {
    let bytes = id.as_bytes();
    let tail = match bytes.last_chunk::<8>() {
        Some(tail) => u64::from_le_bytes(*tail),
        None => bytes.iter().fold(0, |mark, &byte| mark << 8 | u64::from(byte)),
    };
    tail ^ (bytes.len() as u64) << 56
}
