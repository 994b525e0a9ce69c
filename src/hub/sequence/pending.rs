//! Items that came out of order and wait for the one before them (specification, GRIP 5.2).
//!
//! [`Pending`] is the list of one channel, in the order of arrival; [`Waits`] knows which channel
//! has the item that has waited longest, and how many bytes wait in all. Used by the roof.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::Why;
use crate::clock::Tick;
use crate::grip::item::Item;

/// When an item has waited long enough, and its number among those that ever waited.
type Due = (Tick, u64);

struct Waiting {
    item: Arc<Item>,
    due: Due,
    bytes: usize,
}

/// What waits in one channel.
#[derive(Default)]
pub struct Pending {
    items: Vec<Waiting>,
    /// What [`Waits`] has for this channel.
    armed: Option<Due>,
}

impl Pending {
    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Items and their bytes, after a look at all.
    ///
    /// # Panics
    /// When they are not in the order in which they came.
    #[must_use]
    pub fn verify(&self) -> (usize, usize) {
        assert!(self.items.is_sorted_by_key(|waiting| waiting.due));
        assert_eq!(self.armed, self.items.first().map(|waiting| waiting.due));
        (self.items.len(), self.items.iter().map(|waiting| waiting.bytes).sum())
    }
}

/// What waits in all channels.
#[derive(Default)]
pub struct Waits {
    /// The channels by their items that have waited longest.
    channels: BTreeMap<Due, u32>,
    items: usize,
    bytes: usize,
    numbers: u64,
}

impl Waits {
    /// How many items wait, and their bytes.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        (self.items, self.bytes)
    }

    /// When the first of all has waited long enough, and its channel.
    #[must_use]
    pub fn first(&self) -> Option<(Tick, u32)> {
        self.channels.first_key_value().map(|(&(due, _), &channel)| (due, channel))
    }

    /// Holds an item back until `due`.
    ///
    /// # Errors
    /// When there is no room for it, or another one waits for the same item.
    pub fn hold_back(
        &mut self,
        pending: &mut Pending,
        channel: u32,
        item: &Arc<Item>,
        due: Tick,
        (items_max, bytes_max): (usize, usize),
    ) -> Result<(), Why> {
        if pending.items.iter().any(|waiting| waiting.item.prev_id == item.prev_id) {
            return Err(Why::DuplicatePrev);
        }
        if pending.items.len() >= items_max {
            return Err(Why::PendingFull);
        }
        let bytes = item.memory_bytes();
        if self.bytes.saturating_add(bytes) > bytes_max {
            return Err(Why::PendingBytes);
        }
        self.items += 1;
        self.bytes += bytes;
        self.numbers += 1;
        let due = (due, self.numbers);
        pending.items.push(Waiting { item: Arc::clone(item), due, bytes });
        self.arm(pending, channel);
        Ok(())
    }

    /// Takes out the item that waits for `id`.
    pub fn take_after(
        &mut self,
        pending: &mut Pending,
        channel: u32,
        id: &str,
    ) -> Option<Arc<Item>> {
        let waits = |waiting: &Waiting| waiting.item.prev_id.as_deref() == Some(id);
        let at = pending.items.iter().position(waits)?;
        Some(self.take(pending, channel, at))
    }

    /// Takes out the item that has waited longest.
    pub fn take_first(&mut self, pending: &mut Pending, channel: u32) -> Option<Arc<Item>> {
        (!pending.is_empty()).then(|| self.take(pending, channel, 0))
    }

    /// Lets all go. How many there were.
    pub fn discard(&mut self, pending: &mut Pending, channel: u32) -> u64 {
        let mut discarded = 0;
        while self.take_first(pending, channel).is_some() {
            discarded += 1;
        }
        discarded
    }

    fn take(&mut self, pending: &mut Pending, channel: u32, at: usize) -> Arc<Item> {
        let Waiting { item, bytes, .. } = pending.items.remove(at);
        self.items -= 1;
        self.bytes -= bytes;
        if pending.is_empty() {
            pending.items = Vec::new();
        }
        self.arm(pending, channel);
        item
    }

    fn arm(&mut self, pending: &mut Pending, channel: u32) {
        let first = pending.items.first().map(|waiting| waiting.due);
        if first == pending.armed {
            return;
        }
        if let Some(armed) = pending.armed.take() {
            self.channels.remove(&armed);
        }
        if let Some(first) = first {
            self.channels.insert(first, channel);
            pending.armed = Some(first);
        }
    }
}
