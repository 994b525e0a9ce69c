//! How far a subscription's client has come in its channel, where that matters: what ids it has,
//! what filters it wants, whether anything happened since its next link was followed.
//!
//! Kept in a subscription by `seats`; `offers` and `catching` act on it.

use std::rc::Rc;

use super::sequence::Place;
use crate::grip::filter::Filters;

/// See the module. Boxed: plain subscriptions have none of it.
#[derive(Debug, Default)]
pub struct Following {
    /// The id of the last item that the client has; `None` while ids do not matter.
    pub prev_id: Option<Rc<str>>,
    /// How that stands to what is delivered now.
    pub stance: Stance,
    /// How many bytes of the channel's name its backend does not know.
    pub prefix_bytes: usize,
    /// Where `prev_id` was found last.
    pub place: Option<Place>,
    /// Nobody has looked yet where it stands.
    pub fresh: bool,
    /// It was made of what the backend has just been asked: an id that is not known here is taken
    /// as the backend's to know.
    pub renewed: bool,
    /// What is kept from the client, or rewritten for it.
    pub filters: Filters,
    /// The client is told of items that were written for other filters.
    pub debug: bool,
    /// Something was published since the next link was followed.
    pub active: bool,
}

/// How a client stands to its channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stance {
    /// The next item must follow on what it has.
    #[default]
    Current,
    /// It is served from the ring; what is published meanwhile it finds there.
    Behind,
    /// Only its backend knows what it lacks, and is or will be asked.
    Missed,
}

impl Following {
    /// Whether the client follows ids.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.prev_id.is_some()
    }
}
