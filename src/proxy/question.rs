//! What the control thread asks of a shard's connections, for operators' commands (specification,
//! WebSockets 8.2).
//!
//! A question comes through the shard's mailbox; the roof has it answered here.

use std::sync::Arc;

use uuid::Uuid;

use crate::clock;
use crate::grip::channel::ChannelName;
use crate::grip::format::Action;
use crate::grip::item::Item;
use crate::hub::registry::Effect;
use crate::websocket::sockets::Sockets;

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
