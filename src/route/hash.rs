//! Open-addressed tables of plain numbers, and the hash that finds one's way in them. Called by
//! `hosts`. The build script prints such tables as constants, so nothing here may differ from one
//! machine or process to the next.

use std::borrow::Cow;

/// The golden ratio's bits: an odd multiplier that spreads well.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Where the hash of one kind of key begins.
#[must_use]
pub fn seed(kind: u32) -> u64 {
    mix(u64::from(kind) ^ SPREAD)
}

/// The hash `state`, gone on by some bytes. Eight at a time; how the bytes are cut into calls
/// matters.
#[must_use]
pub fn advance(mut state: u64, bytes: Option<&[u8]>) -> u64 {
    let (words, rest) = bytes.unwrap_or_default().as_chunks::<8>();
    for word in words {
        state = mix(state ^ u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    mix(state ^ u64::from_le_bytes(last) ^ (rest.len() as u64) << 56)
}

fn mix(state: u64) -> u64 {
    let product = state.wrapping_mul(SPREAD);
    product ^ product >> 32
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
            (0..1000_u32).map(|k| advance(seed(0), Some(k.to_string().as_bytes()))).collect();
        let mut slots = Slots::with_room_for(keys.len());
        keys.iter().zip(0..).for_each(|(hash, value)| slots.insert(*hash, value));
        for (hash, value) in keys.iter().zip(0..) {
            assert!(probe(&slots.0, *hash).any(|found| found == value));
        }
        assert_eq!(probe(&slots.0, advance(seed(0), Some(b"x"))).count(), 0);
        assert_eq!(probe(&[], 1).count(), 0);
    }

    #[test]
    fn the_hash_is_fixed() {
        // A compiled table holds these: if they change, so must the way that tables are printed.
        assert_eq!(advance(seed(0), Some(b"/api/v1/")), advance(seed(0), Some(b"/api/v1/")));
        assert_ne!(advance(seed(0), Some(b"a\0")), advance(seed(0), Some(b"a")));
        assert_ne!(seed(0), seed(1));
    }

    #[test]
    fn values_spread() {
        // Even keys that differ in one character fill a table without long runs.
        let mut slots = Slots::with_room_for(4096);
        for key in 0..4096_u32 {
            slots.insert(advance(seed(7), Some(format!("/api/{key:04}/").as_bytes())), key);
        }
        let longest = slots.0.split(|slot| *slot == 0).map(<[u64]>::len).max();
        assert!(longest < Some(64), "{longest:?}");
    }
}
