//! Which WebSockets there are, by the ids that their backends know them by (specification,
//! WebSockets 8.1 and 8.2).
//!
//! Kept only where an operator may ask: `upgrade` enters each connection, the roof takes it out
//! when the hub says that it has ended, and answers the control thread's questions.

use std::cell::RefCell;
use std::sync::Arc;

use hashbrown::HashMap;
use uuid::Uuid;

use super::sockets::Sockets;
use crate::clock;
use crate::grip::channel::ChannelName;
use crate::grip::format::Action;
use crate::grip::item::Item;
use crate::hub::Hub;
use crate::hub::registry::Effect;
use crate::hub::slab::SessionId;

/// What an operator's command asks of every shard. The answer is a word for each connection that
/// it names.
#[derive(Clone, Debug)]
pub enum Question {
    /// Ask the backend of this connection anew; whether there is the connection.
    Refresh(Uuid),
    /// Ask the backends of all WebSockets that are subscribed to this channel.
    RefreshChannel(ChannelName),
    /// Whether there are these connections.
    AreLive(Arc<[Uuid]>),
}

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

    fn find(&self, name: &Uuid) -> Option<SessionId> {
        self.known.as_ref()?.borrow().sessions.get(name).copied()
    }
}

/// Answers a question, and does what it asks for.
pub fn answer(sockets: &Sockets, question: &Question) -> Vec<bool> {
    let shared = sockets.shared();
    match question {
        Question::Refresh(name) => {
            let id = shared.connections.find(name);
            if let Some(id) = id {
                sockets.effect(&Effect::Refresh(id));
            }
            vec![id.is_some()]
        }
        Question::RefreshChannel(channel) => {
            let item = Item {
                channel: channel.clone(),
                id: None,
                prev_id: None,
                http_response: None,
                http_stream: None,
                ws_message: Some(Action::Refresh),
                meta: Vec::new(),
                size: None,
                no_seq: true,
            };
            shared.hub.publish(&[Arc::new(item)], clock::now(), None);
            Vec::new()
        }
        Question::AreLive(names) => {
            names.iter().map(|name| shared.connections.find(name).is_some()).collect()
        }
    }
}
