//! Which WebSockets there are, by the ids that their backends know them by (specification,
//! WebSockets 8.1 and 8.2).
//!
//! Kept only where an operator may ask: `upgrade` enters each connection, the roof takes it out
//! when the hub says that it has ended, and `question` looks it up.

use std::cell::RefCell;

use hashbrown::HashMap;
use uuid::Uuid;

use crate::hub::Hub;
use crate::hub::slab::SessionId;

/// See the module.
#[derive(Debug, Default)]
pub struct Connections {
    known: Option<RefCell<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    sessions: HashMap<Uuid, SessionId, ahash::RandomState>,
    names: HashMap<SessionId, Uuid, ahash::RandomState>,
}

impl Connections {
    /// None yet; `kept` when somebody may ask.
    #[must_use]
    pub fn new(kept: bool) -> Connections {
        Connections { known: kept.then(RefCell::default) }
    }

    /// There is one more.
    pub fn enter(&self, hub: &Hub, name: Uuid, id: SessionId) {
        let Some(known) = &self.known else { return };
        hub.with(|registry| registry.tell_end(id));
        let mut known = known.borrow_mut();
        known.sessions.insert(name, id);
        known.names.insert(id, name);
    }

    /// This session has ended. Others than WebSockets are not known.
    pub fn left(&self, id: SessionId) {
        let Some(known) = &self.known else { return };
        let mut known = known.borrow_mut();
        if let Some(name) = known.names.remove(&id) {
            known.sessions.remove(&name);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.as_ref().map_or(0, |known| known.borrow().names.len())
    }

    /// Whether there is none, or none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The session of the connection with this id.
    #[must_use]
    pub fn find(&self, name: &Uuid) -> Option<SessionId> {
        self.known.as_ref()?.borrow().sessions.get(name).copied()
    }
}
