//! Open-addressed tables of plain numbers, and the hash that finds one's way in them. Called by
//! `hosts`. The build script prints such tables as constants, so nothing here may differ from one
//! machine or process to the next.

use std::borrow::Cow;

/// The golden ratio's bits: an odd multiplier that spreads well.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
/// So many words back the state of a hash is kept.
const KEPT: usize = 16;

/// Where the hash of one kind of key begins.
#[must_use]
pub fn seed(kind: u32) -> u64 {
    mix(u64::from(kind) ^ SPREAD)
}

/// The hash of some bytes.
#[must_use]
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    let state = words.iter().fold(seed, |state, word| mix(state ^ u64::from_le_bytes(*word)));
    end(state, last_word(bytes), bytes.len())
}

fn mix(state: u64) -> u64 {
    let product = state.wrapping_mul(SPREAD);
    product ^ product >> 32
}

/// The hash of `length` bytes: the state after their whole words, gone on by the bytes that are
/// left, which are the low ones of `word`.
fn end(state: u64, word: u64, length: usize) -> u64 {
    let left = length as u64 % 8;
    mix(state ^ (word & !(u64::MAX << (left * 8))) ^ left << 56)
}

/// The bytes after the last whole word.
fn last_word(bytes: &[u8]) -> u64 {
    let left = bytes.len() % 8;
    match bytes.last_chunk::<8>() {
        Some(_) if left == 0 => 0,
        Some(last) => u64::from_le_bytes(*last) >> ((8 - left) * 8),
        None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The hashes of the beginnings of some bytes, at little more than the cost of one: up to a length,
/// all have the whole words before it in common.
#[derive(Debug)]
pub struct Beginnings<'a> {
    seed: u64,
    words: &'a [[u8; 8]],
    last_word: u64,
    /// The states before the words from `first` on, each at its place modulo `KEPT`.
    states: [u64; KEPT],
    first: usize,
}

impl<'a> Beginnings<'a> {
    /// Of these bytes.
    #[must_use]
    pub fn new(seed: u64, bytes: &'a [u8]) -> Beginnings<'a> {
        let (words, _) = bytes.as_chunks::<8>();
        let (last_word, states) = (last_word(bytes), [0; KEPT]);
        Beginnings { seed, words, last_word, states, first: usize::MAX }
    }

    /// The hash of the first `length` bytes. Each length must be below the one asked for before, or
    /// the hash may be another.
    #[must_use]
    pub fn hash(&mut self, length: usize) -> u64 {
        let at = length / 8;
        if at < self.first {
            self.fill(at);
        }
        let word = self.words.get(at).map_or(self.last_word, |word| u64::from_le_bytes(*word));
        end(self.states[at % KEPT], word, length)
    }

    fn fill(&mut self, last: usize) {
        let mut state = self.seed;
        self.states[0] = state;
        for (at, word) in (1..=last).zip(self.words) {
            state = mix(state ^ u64::from_le_bytes(*word));
            self.states[at % KEPT] = state;
        }
        self.first = (last + 1).saturating_sub(KEPT);
    }
}

/// A table while it is filled. A slot holds the hash's upper half above the value plus one; 0 is
/// free. At most half of the slots are in use.
#[derive(Debug)]
pub struct Slots(Vec<u64>);

impl Slots {
    /// An empty table for so many values.
    #[must_use]
    pub fn with_room_for(values: usize) -> Slots {
        Slots(if values == 0 { Vec::new() } else { vec![0; (values * 2).next_power_of_two()] })
    }

    /// Adds a value, which must be below `u32::MAX`.
    pub fn insert(&mut self, hash: u64, value: u32) {
        let slot = hash >> 32 << 32 | u64::from(value.saturating_add(1));
        let free = places(self.0.len(), hash).find(|at| self.0.get(*at) == Some(&0));
        if let Some(place) = free.and_then(|at| self.0.get_mut(at)) {
            *place = slot;
        }
    }
}

impl From<Slots> for Cow<'static, [u64]> {
    fn from(slots: Slots) -> Self {
        slots.0.into()
    }
}

/// The values that were added with this hash, and, rarely, others.
pub fn probe(slots: &[u64], hash: u64) -> impl Iterator<Item = u32> + '_ {
    places(slots.len(), hash)
        .map_while(|at| slots.get(at).filter(|slot| **slot != 0))
        .filter(move |slot| **slot >> 32 == hash >> 32)
        .map(|slot| (*slot as u32).wrapping_sub(1))
}

/// Every place of a table of `length` (a power of two), from where the hash points on.
fn places(length: usize, hash: u64) -> impl Iterator<Item = usize> {
    let mask = length.wrapping_sub(1);
    (0..length).map(move |step| (hash as usize).wrapping_add(step) & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_went_in_is_found() {
        let keys: Vec<u64> =
            (0..1000_u32).map(|k| hash(seed(0), k.to_string().as_bytes())).collect();
        let mut slots = Slots::with_room_for(keys.len());
        keys.iter().zip(0..).for_each(|(hash, value)| slots.insert(*hash, value));
        for (hash, value) in keys.iter().zip(0..) {
            assert!(probe(&slots.0, *hash).any(|found| found == value));
        }
        assert_eq!(probe(&slots.0, hash(seed(0), b"x")).count(), 0);
        assert_eq!(probe(&[], 1).count(), 0);
    }

    #[test]
    fn the_hash_is_fixed() {
        // A compiled table holds these.
        assert_eq!(hash(seed(0), b"/api/v1/"), 0x34DB_718F_A538_4F92);
        assert_ne!(hash(seed(0), b"a\0"), hash(seed(0), b"a"));
        assert_ne!(seed(0), seed(1));
    }

    #[test]
    fn a_beginning_hashes_as_if_it_were_alone() {
        let bytes: Vec<u8> = (0..=255).cycle().skip(3).take(600).collect();
        for all in [0, 1, 7, 8, 9, 64, 65, 600] {
            let bytes = &bytes[..all];
            let mut beginnings = Beginnings::new(seed(1), bytes);
            for length in (0..=all).rev() {
                assert_eq!(beginnings.hash(length), hash(seed(1), &bytes[..length]), "{length}");
            }
            let mut beginnings = Beginnings::new(seed(1), bytes);
            assert_eq!(beginnings.hash(all / 3), hash(seed(1), &bytes[..all / 3]));
        }
    }

    #[test]
    fn values_spread() {
        // Even keys that differ in one character fill a table without long runs.
        let mut slots = Slots::with_room_for(4096);
        for key in 0..4096_u32 {
            slots.insert(hash(seed(7), format!("/api/{key:04}/").as_bytes()), key);
        }
        let longest = slots.0.split(|slot| *slot == 0).map(<[u64]>::len).max();
        assert!(longest < Some(64), "{longest:?}");
    }
}
