//! The order of items: ids and prev-ids, items that wait for the one before them, and the ring of
//! those released lately (specification, GRIP 5.1 to 5.4 and 2.5).
//!
//! Called by the registry with every item that arrives, and with the beginning and end of every
//! subscription. Pure: the present moment is passed in, items leave through a closure. It knows no
//! session: what an item does to whom, and what somebody who has missed something is to do, is not
//! its business.
//!
//! A channel is known here only while there is something to know: a last id, an item that waits, a
//! ring, a tracked subscription, or one that lingers.

mod entry;
mod known;
mod lingers;
mod pending;
mod queue;
mod ring;
mod shelf;
mod verify;

use std::rc::Rc;
use std::sync::Arc;

use self::known::Known;
use self::lingers::Lingers;
use self::pending::Waits;
use self::ring::{Found, Room};
use self::shelf::Shelf;
use crate::clock::Tick;
use crate::grip::channel::ChannelName;
use crate::grip::item::Item;

pub use self::entry::{Arrival, Counters, Entry, Load, Settings, Why};
pub use self::ring::{Place, Position};

/// Entries of rings that have become too old go together: so much later at most, in milliseconds.
const AGE_SLACK_MS: u64 = 1000;

/// The channels of one shard, each with its order.
pub struct Sequencer {
    settings: Settings,
    known: Known,
    shelf: Shelf,
    waits: Waits,
    lingers: Lingers,
    counters: Counters,
}

impl Sequencer {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Sequencer {
        Sequencer {
            settings,
            known: Known::default(),
            shelf: Shelf::default(),
            waits: Waits::default(),
            lingers: Lingers::default(),
            counters: Counters::default(),
        }
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What there is now: channels, items that wait and their bytes, entries in rings and the bytes
    /// of their items.
    #[must_use]
    pub fn load(&self) -> Load {
        let (pending, pending_bytes) = self.waits.load();
        let (kept, kept_bytes) = self.shelf.load();
        Load { channels: self.known.len(), pending, pending_bytes, kept, kept_bytes }
    }

    /// Takes an item in, and releases it with all that waited for it, unless it has to wait itself.
    /// `subscribed` says whether there is a subscription; one that lingers is known here.
    pub fn arrive(
        &mut self,
        item: &Arc<Item>,
        subscribed: bool,
        now: Tick,
        release: &mut dyn FnMut(Entry),
    ) -> Arrival {
        let Some(at) = self.place_for(item, subscribed) else {
            release(Entry { item: Arc::clone(item), prev: None, id: None, kept: false });
            return Arrival::Released;
        };
        let Some(sequence) = self.known.get_mut(at) else { return Arrival::Released };
        sequence.subscribed = subscribed;
        let active = subscribed || sequence.linger.is_some();
        if item.no_seq {
            release(Entry { kept: false, ..Entry::new(item, sequence.last_id.as_ref()) });
            return Arrival::Released;
        }
        if active
            && let (Some(last), Some(prev)) = (&sequence.last_id, &item.prev_id)
            && **last != **prev
        {
            return self.hold_back(at, item, now);
        }
        self.release(at, Arc::clone(item), active, now, release);
        Arrival::Released
    }

    /// Releases what has waited long enough, ends what lingered long enough, drops what was kept
    /// long enough.
    pub fn tick(&mut self, now: Tick, release: &mut dyn FnMut(Entry)) {
        while let Some((_, at)) = self.waits.first().filter(|&(due, _)| due <= now) {
            let Some(sequence) = self.known.get_mut(at) else { return };
            let Some(item) = self.waits.take_first(&mut sequence.pending, at) else { return };
            self.counters.released_late += 1;
            self.release(at, item, true, now, release);
        }
        while let Some((_, at)) = self.lingers.first().filter(|&(look, _)| look <= now) {
            let Some(sequence) = self.known.get_mut(at) else { return };
            if self.lingers.look(&mut sequence.linger, at, now) && !sequence.subscribed {
                self.end(at);
            }
            self.prune(at);
        }
        if self.settings.ring_items_max > 0 {
            let age = self.settings.ring_age_ms;
            let is_old = |&(.., at): &(u32, u32, Tick)| at.plus_ms(age) <= now;
            while let Some((channel, at, _)) = self.shelf.oldest().filter(is_old) {
                self.counters.ring_expired += self.drop_upto(channel, at, now);
            }
        }
    }

    /// When `tick` is to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        let pending = self.waits.first().map(|(due, _)| due);
        let linger = self.lingers.first().map(|(look, _)| look);
        let keeps = self.settings.ring_items_max > 0;
        let age = self.settings.ring_age_ms.saturating_add(AGE_SLACK_MS);
        let ring = self.shelf.oldest().filter(|_| keeps).map(|(.., at)| at.plus_ms(age));
        [pending, linger, ring].into_iter().flatten().min()
    }

    /// A subscription began; `first` when there is no other on this channel here. Whether the
    /// channel was neither subscribed nor lingering before.
    pub fn joined(&mut self, name: &ChannelName, tracked: bool, first: bool) -> bool {
        let at = match self.known.find(name) {
            Some(at) => at,
            None if tracked => self.insert(name, true),
            None => return first,
        };
        let Some(sequence) = self.known.get_mut(at) else { return first };
        sequence.subscribed = true;
        sequence.tracked = sequence.tracked.saturating_add(u32::from(tracked));
        first && sequence.linger.is_none()
    }

    /// A subscription ended; `tracked` as it was when it began or was changed, `last` when there is
    /// no other on this channel here, `linger` when the channel is to count as subscribed for a
    /// while (the last of the long-polls).
    pub fn left(&mut self, name: &ChannelName, tracked: bool, last: bool, linger: bool, now: Tick) {
        let linger = linger && self.settings.linger_ms > 0;
        let at = match self.known.find(name) {
            Some(at) => at,
            None if linger => self.insert(name, !last),
            None => return,
        };
        let Some(sequence) = self.known.get_mut(at) else { return };
        sequence.subscribed = !last;
        sequence.tracked = sequence.tracked.saturating_sub(u32::from(tracked));
        if tracked && sequence.tracked == 0 && self.settings.ring_items_max == 0 {
            self.counters.ring_cleared += self.shelf.clear(&mut sequence.ring);
        }
        if linger {
            let until = now.plus_ms(self.settings.linger_ms);
            self.lingers.begin(&mut sequence.linger, at, until);
        } else if last && sequence.linger.is_none() {
            self.end(at);
        }
        self.prune(at);
    }

    /// The id of the item that was released last on a channel that is subscribed or lingers.
    #[must_use]
    pub fn last_id(&self, name: &ChannelName) -> Option<&Rc<str>> {
        self.known.get(self.known.find(name)?)?.last_id.as_ref()
    }

    /// Somebody who knows better is asked what was last on this channel: until the next item, an
    /// id that the ring cannot place is [`Position::Unknown`], and no item is held back.
    pub fn forget(&mut self, name: &ChannelName) {
        if let Some(at) = self.known.find(name) {
            self.forget_at(at);
        }
    }

    /// [`Sequencer::forget`], for all channels.
    pub fn forget_all(&mut self) {
        for at in self.known.places() {
            self.forget_at(at);
        }
    }

    /// Where a reader stands that has everything up to `prev`. With the place that came with the
    /// entry of this id as a hint, no search is needed.
    #[must_use]
    pub fn after(&self, name: &ChannelName, prev: &str, hint: Option<Place>) -> Position<'_> {
        let Some(sequence) = self.known.find(name).and_then(|at| self.known.get(at)) else {
            return Position::Unknown;
        };
        let is_last = sequence.last_id.as_deref() == Some(prev);
        match self.shelf.find(&sequence.ring, prev, hint) {
            Found::Next(entry, place) => Position::Next(entry, place),
            Found::End { only: true } => Position::Newest,
            Found::End { only: false } | Found::Nowhere if is_last => Position::Newest,
            _ if sequence.forgotten => Position::Unknown,
            _ if sequence.last_id.is_none() && sequence.ring.is_empty() => Position::Unknown,
            Found::End { only: false } | Found::Nowhere => Position::Missed,
        }
    }

    /// The place of an item's channel, if anything is known of it or will be.
    fn place_for(&mut self, item: &Item, subscribed: bool) -> Option<u32> {
        let known = self.known.find(&item.channel);
        if known.is_some() {
            return known;
        }
        let is_noted = item.id.is_some() && !item.no_seq;
        let notes = is_noted && (subscribed || self.settings.ring_items_max > 0);
        notes.then(|| self.insert(&item.channel, subscribed))
    }

    fn hold_back(&mut self, at: u32, item: &Arc<Item>, now: Tick) -> Arrival {
        let Some(sequence) = self.known.get_mut(at) else { return Arrival::Released };
        let due = now.plus_ms(self.settings.message_wait_ms);
        let bounds = (self.settings.pending_max, self.settings.pending_total_bytes_max);
        let result = self.waits.hold_back(&mut sequence.pending, at, item, due, bounds);
        self.known.used(at);
        let counters = &mut self.counters;
        let counter = match result {
            Ok(()) => &mut counters.held_back,
            Err(Why::DuplicatePrev) => &mut counters.dropped_duplicate_prev,
            Err(Why::PendingFull) => &mut counters.dropped_pending_full,
            Err(Why::PendingBytes) => &mut counters.dropped_pending_bytes,
        };
        *counter += 1;
        result.map_or_else(Arrival::Dropped, |()| Arrival::Waiting)
    }

    /// Releases an item and, on a channel that is `active`, those that wait for it.
    fn release(
        &mut self,
        at: u32,
        first: Arc<Item>,
        active: bool,
        now: Tick,
        release: &mut dyn FnMut(Entry),
    ) {
        let mut next = Some(first);
        while let Some(item) = next.take() {
            let Some(entry) = self.settle(at, &item, active, now) else { return };
            let id = entry.id.clone().filter(|_| active);
            release(entry);
            if let Some(id) = id
                && let Some(sequence) = self.known.get_mut(at)
                && !sequence.pending.is_empty()
            {
                next = self.waits.take_after(&mut sequence.pending, at, &id);
            }
        }
        self.prune(at);
    }

    /// Notes an item that is being released: it was the last, and it is in the ring.
    fn settle(&mut self, at: u32, item: &Arc<Item>, active: bool, now: Tick) -> Option<Entry> {
        self.known.used(at);
        let unsettled_since = self.unsettled_since(now);
        let sequence = self.known.get_mut(at)?;
        let equal = |id: &&Rc<str>| Some(&***id) == item.prev_id.as_deref();
        let before = sequence.last_id.as_ref().filter(equal);
        let before = before.or_else(|| self.shelf.newest_id(&sequence.ring).filter(equal));
        let mut entry = Entry::new(item, before);
        let is_noted = sequence.last_id.is_some() || !sequence.ring.is_empty();
        if active {
            sequence.last_id.clone_from(&entry.id);
            sequence.ring.torn = false;
        }
        let items = match self.settings.ring_items_max {
            0 if sequence.tracked > 0 => self.settings.pending_max,
            items => items,
        };
        if items == 0 {
            entry.kept = false;
            return Some(entry);
        }
        if !entry.kept {
            if is_noted {
                self.counters.ring_cleared += self.shelf.interrupt(&mut sequence.ring, at, now);
            }
            return Some(entry);
        }
        sequence.forgotten = false;
        let room = Room { items, bytes: self.settings.ring_bytes_max, unsettled_since };
        let left = self.shelf.keep(&mut sequence.ring, at, &entry, now, room);
        self.counters.ring_evicted += left.evicted;
        self.counters.ring_cleared += left.cleared;
        self.make_room(now);
        Some(entry)
    }

    /// Drops the oldest entries of all rings until there is room.
    fn make_room(&mut self, now: Tick) {
        while self.shelf.load().1 > self.settings.ring_total_bytes_max {
            let Some((channel, at, _)) = self.shelf.oldest() else { return };
            self.counters.ring_evicted += self.drop_upto(channel, at, now);
        }
    }

    fn drop_upto(&mut self, channel: u32, at: u32, now: Tick) -> u64 {
        let unsettled_since = self.unsettled_since(now);
        let Some(sequence) = self.known.get_mut(channel) else { return 0 };
        let dropped = self.shelf.drop_upto(&mut sequence.ring, at, unsettled_since);
        self.prune(channel);
        dropped
    }

    /// Items that came since then may not have come in their order.
    fn unsettled_since(&self, now: Tick) -> Tick {
        Tick(now.0.saturating_sub(self.settings.message_wait_ms))
    }

    fn insert(&mut self, name: &ChannelName, subscribed: bool) -> u32 {
        if self.known.len() >= self.settings.channels_max.max(1)
            && let Some(oldest) = self.known.oldest()
        {
            self.counters.channels_evicted += 1;
            self.strip(oldest);
        }
        self.known.insert(name, subscribed)
    }

    /// Forgets all of a channel but how many tracked subscriptions it has.
    fn strip(&mut self, at: u32) {
        let Some(sequence) = self.known.get_mut(at) else { return };
        self.counters.ring_evicted += self.shelf.clear(&mut sequence.ring);
        self.lingers.stop(&mut sequence.linger, at);
        self.end(at);
        self.known.used(at);
        self.prune(at);
    }

    /// Nobody is subscribed to a channel any more.
    fn end(&mut self, at: u32) {
        let Some(sequence) = self.known.get_mut(at) else { return };
        sequence.last_id = None;
        self.counters.discarded += self.waits.discard(&mut sequence.pending, at);
    }

    fn forget_at(&mut self, at: u32) {
        let Some(sequence) = self.known.get_mut(at) else { return };
        sequence.last_id = None;
        sequence.forgotten = true;
        self.prune(at);
    }

    fn prune(&mut self, at: u32) {
        if self.known.get(at).is_some_and(known::Sequence::is_blank) {
            self.known.remove(at);
        }
    }
}

#[cfg(test)]
mod tests;
