//! What belongs to the ring of one channel: its chains, how much it may keep, and where a reader of
//! it stands.
//!
//! The entries themselves are on the `shelf`, which is what works on all this.

use smallvec::SmallVec;

use super::entry::Entry;
use super::queue::NOWHERE;
use crate::clock::Tick;

/// Chains of one channel; past it the oldest goes. Whoever stands in one of so many has missed
/// something anyway.
pub const CHAINS_MAX: usize = 16;

/// What one channel may keep.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Items.
    pub items: usize,
    /// Bytes of these.
    pub bytes: usize,
    /// Of what came since then nobody knows the order, but for what the ids say.
    pub unsettled_since: Tick,
}

/// Entries in a row, each the successor of the one before it.
#[derive(Clone, Copy)]
pub struct Chain {
    /// The place of the first.
    pub first: u32,
    /// The place of the last.
    pub last: u32,
}

/// The entries of one channel.
pub struct Ring {
    /// The oldest first.
    pub chains: SmallVec<[Chain; 1]>,
    /// How many items there are.
    pub items: usize,
    /// Their bytes.
    pub bytes: usize,
    /// An item without an id was released after all that was here, and nothing since: its place.
    pub interruption: u32,
    /// The end of a chain had to go so soon that what is left may be older.
    pub torn: bool,
}

impl Default for Ring {
    fn default() -> Ring {
        Ring { chains: SmallVec::new(), items: 0, bytes: 0, interruption: NOWHERE, torn: false }
    }
}

impl Ring {
    /// Whether there is nothing, not even a sign that there was something.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.interruption == NOWHERE
    }
}

/// Where a reader stands: at the entry that it was given last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) at: u32,
    pub(super) number: u64,
}

/// Where a reader stands.
#[derive(Debug)]
pub enum Position<'a> {
    /// It has all that was released.
    Newest,
    /// This comes next for it. The place is the hint for what comes after that.
    Next(&'a Entry, Place),
    /// Nothing is known that it could be compared with.
    Unknown,
    /// It has missed something that is not here.
    Missed,
}

/// What follows an id in a ring.
pub enum Found<'a> {
    /// This entry.
    Next(&'a Entry, Place),
    /// Nothing: it is the end of a chain.
    End {
        /// Nothing else may come after it.
        only: bool,
    },
    /// It is not here.
    Nowhere,
}

/// How many entries left a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// For want of room.
    pub evicted: u64,
    /// Because they were of no use any more.
    pub cleared: u64,
}
