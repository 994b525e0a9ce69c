//! Parked connections on which nothing has moved for long.
//!
//! Each slot has one coarse stamp: the beat in which bytes last went either way. So a connection
//! needs no timer for it: the shard counts the beats (`shard/idle.rs`), and looks through some of
//! the slots in each.

use super::lot::{Lot, Slot};
use crate::hub::slab::SessionId;

impl Lot {
    /// From now on what moves moves in this beat.
    pub fn set_beat(&mut self, beat: u32) {
        self.beat = beat;
    }

    /// Looks through one of `parts` parts of the lot, the one after that of the last call: the
    /// connections on which nothing has moved for `beats` beats.
    pub fn silent(&mut self, parts: usize, beats: u32) -> Vec<SessionId> {
        let count = self.slots.len().div_ceil(parts.max(1));
        let begin = if self.looked_at < self.slots.len() { self.looked_at } else { 0 };
        self.looked_at = begin.saturating_add(count);
        let slots = self.slots.iter().enumerate().skip(begin).take(count);
        let silent = |slot: &Slot| {
            slot.open && slot.parked.is_some() && self.beat.saturating_sub(slot.active) >= beats
        };
        let ids = slots.filter(|(_, slot)| silent(slot)).map(|(index, slot)| SessionId {
            // An index came from a `u32`.
            index: u32::try_from(index).unwrap_or(u32::MAX),
            generation: slot.generation,
        });
        ids.collect()
    }
}
