//! Which items have been seen lately: the memory of (channel, id) for `id_cache_ttl` seconds from
//! first sight (specification, GRIP 5.1, 5.2).
//!
//! Asked by `publisher` at the moment at which nothing can refuse an item any more, so what is
//! refused is never remembered and its publisher may try again. Pure: the present moment is handed
//! in. It knows no item, only names.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::clock::Tick;
use crate::grip::channel::ChannelName;

/// How long is remembered, and how much.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long an id is remembered, in milliseconds; 0 remembers none.
    pub ttl_ms: u64,
    /// Ids that are remembered at once.
    pub entries_max: usize,
    /// Bytes that these may keep.
    pub bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            ttl_ms: crate::limits::ID_CACHE_TTL_S_DEFAULT * 1000,
            entries_max: crate::limits::ID_CACHE_ENTRIES_MAX,
            bytes_max: crate::limits::ID_CACHE_BYTES_MAX,
        }
    }
}

/// What became of an id that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It is new, and remembered. So many older ones were forgotten before their time for it.
    First {
        /// How many; not 0 means that the bounds are too small for what is published.
        forgotten: usize,
    },
    /// It is a duplicate.
    Again,
}

/// The memory. All entries live equally long, so the oldest is always the first to go.
#[derive(Debug)]
pub struct Seen {
    settings: Settings,
    hasher: ahash::RandomState,
    /// In the order of first sight.
    entries: VecDeque<Entry>,
    /// The number of the first of `entries`; they are numbered without a gap.
    first: u64,
    /// The numbers of all entries, by hash.
    numbers: HashTable<u64>,
    bytes: usize,
}

/// One id of one channel.
#[derive(Debug)]
struct Entry {
    hash: u64,
    expires: Tick,
    /// How much of `names` is the channel's.
    channel_bytes: usize,
    /// The channel's name, then the id.
    names: Box<str>,
}

/// What an entry takes beside its names: itself, its number, and the slack of what they are in.
const ENTRY_BYTES: usize = 2 * (size_of::<Entry>() + size_of::<u64>());

impl Entry {
    fn is(&self, channel: &str, id: &str) -> bool {
        self.channel_bytes == channel.len()
            && self.names.strip_prefix(channel).is_some_and(|rest| rest == id)
    }

    fn memory_bytes(&self) -> usize {
        ENTRY_BYTES + self.names.len()
    }
}

impl Seen {
    /// An empty memory.
    #[must_use]
    pub fn new(settings: Settings) -> Seen {
        Seen {
            settings,
            hasher: ahash::RandomState::new(),
            entries: VecDeque::new(),
            first: 0,
            numbers: HashTable::new(),
            bytes: 0,
        }
    }

    /// Whether anything is remembered at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.settings.ttl_ms > 0
    }

    /// Shows an id: whether it is new, and if so it is remembered from now on. The empty id is an
    /// id like any other.
    pub fn show(&mut self, channel: &ChannelName, id: &str, now: Tick) -> Sight {
        if !self.is_on() {
            return Sight::First { forgotten: 0 };
        }
        while self.entries.front().is_some_and(|entry| entry.expires <= now) {
            self.forget_oldest();
        }
        let hash = self.hasher.hash_one((channel.hash_value(), id));
        let (entries, first) = (&self.entries, self.first);
        let found = self.numbers.find(hash, |number| {
            numbered(entries, first, *number).is_some_and(|entry| entry.is(channel.as_str(), id))
        });
        if found.is_some() {
            return Sight::Again;
        }
        let entry = Entry {
            hash,
            expires: now.plus_ms(self.settings.ttl_ms),
            channel_bytes: channel.as_str().len(),
            names: [channel.as_str(), id].concat().into(),
        };
        let mut forgotten = 0;
        while self.is_full_for(&entry) && self.forget_oldest() {
            forgotten += 1;
        }
        self.remember(entry);
        Sight::First { forgotten }
    }

    fn is_full_for(&self, entry: &Entry) -> bool {
        self.entries.len() >= self.settings.entries_max
            || self.bytes.saturating_add(entry.memory_bytes()) > self.settings.bytes_max
    }

    /// An entry that is larger than all the bounds is kept alone.
    fn remember(&mut self, entry: Entry) {
        let number = self.first.wrapping_add(self.entries.len() as u64);
        self.bytes = self.bytes.saturating_add(entry.memory_bytes());
        let hash = entry.hash;
        self.entries.push_back(entry);
        let (entries, first) = (&self.entries, self.first);
        self.numbers.insert_unique(hash, number, |number| {
            numbered(entries, first, *number).map_or(0, |entry| entry.hash)
        });
    }

    /// Whether there was one.
    fn forget_oldest(&mut self) -> bool {
        let Some(entry) = self.entries.pop_front() else { return false };
        let number = self.first;
        if let Ok(found) = self.numbers.find_entry(entry.hash, |other| *other == number) {
            found.remove();
        }
        self.first = number.wrapping_add(1);
        self.bytes = self.bytes.saturating_sub(entry.memory_bytes());
        true
    }
}

fn numbered(entries: &VecDeque<Entry>, first: u64, number: u64) -> Option<&Entry> {
    entries.get(usize::try_from(number.wrapping_sub(first)).ok()?)
}

#[cfg(test)]
mod tests;
