//! What a session has beside its subscriptions when its backend may be asked about it: its next
//! link, whether it is being asked, what waits meanwhile. Kept by `seats`; plain sessions have
//! none.

use std::collections::VecDeque;

use bytes::Bytes;

use super::channels::ChannelIndex;
use super::waiting::Load;
use crate::clock::Tick;
use crate::session::http::Next;

/// See the module.
#[derive(Default)]
pub struct Upkeep {
    /// A stream's next link, and when it is due.
    pub next: Option<(Next, Tick)>,
    /// Whether its backend is to be asked.
    pub update: Update,
    /// It is to be asked once more when it has answered.
    pub again: bool,
    /// Its end is to be told.
    pub tells_end: bool,
    /// It is in the line of those that catch up.
    pub in_line: bool,
    /// An item waits for what an HTTP filter says.
    pub filtering: Option<Box<Filtering>>,
    /// Items of channels without ids that wait until the session is at leisure.
    pub queue: VecDeque<(ChannelIndex, Load)>,
}

impl Upkeep {
    /// Whether what is published has to wait.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.update == Update::Asking || self.filtering.is_some()
    }
}

/// An item on its way through the filters of a subscription.
pub struct Filtering {
    /// The subscription's channel.
    pub channel: ChannelIndex,
    /// The item.
    pub load: Load,
    /// Which of the filters is being asked.
    pub at: usize,
    /// The content as it is after the filters before.
    pub content: Bytes,
    /// It is not the item's own any more.
    pub changed: bool,
}

/// Whether a backend is asked on behalf of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Update {
    /// No.
    #[default]
    Idle,
    /// It is to be.
    Wanted,
    /// It is being asked: what is published waits.
    Asking,
}
