//! What a session has beside its subscriptions when its backend may be asked about it: its next
//! link, whether it is being asked, what waits meanwhile. Kept by `seats`; plain sessions have
//! none.

use std::collections::VecDeque;

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
    /// Items of channels without ids that wait until the session is at leisure.
    pub queue: VecDeque<(ChannelIndex, Load)>,
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
