//! A published item, and lists of them, from JSON.

use super::channel::ChannelName;
use super::format::{Action, MessageContent, ResponseContent, StreamContent};

/// One published item: for whom, and what, for each transport. Immutable once parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The channel, with the route's prefix. May be empty.
    pub channel: ChannelName,
    /// The item's id; empty counts as an id.
    pub id: Option<Box<str>>,
    /// The id of the item before it on its channel.
    pub prev_id: Option<Box<str>>,
    /// For response holds.
    pub http_response: Option<Action<ResponseContent>>,
    /// For stream holds.
    pub http_stream: Option<Action<StreamContent>>,
    /// For WebSockets.
    pub ws_message: Option<Action<MessageContent>>,
    /// What filters may look at.
    pub meta: Vec<(Box<str>, Box<str>)>,
    /// Overrides the content's size where items are counted in blocks.
    pub size: Option<u32>,
    /// Bypasses the ordering by ids.
    pub no_seq: bool,
}

/// Why a published body is refused. The text is normative.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemsError {
    /// Not JSON, or a JSON scalar.
    #[error("Body is not valid JSON.")]
    NotJson,
    /// A top-level array.
    #[error("Invalid format.")]
    NotAnObject,
    /// Everything else; the message may be empty.
    #[error("Invalid format: {message}")]
    Invalid {
        /// The message, as the specification words it.
        message: String,
        /// Which item, counted from 0; `None` for the list itself.
        index: Option<usize>,
        /// The member at fault, for the log.
        field: &'static str,
    },
}

/// Reads `{"items": [...]}`. `body` is consumed in place.
pub fn parse_items(body: &mut [u8]) -> Result<Vec<Item>, ItemsError> {
    let _ = body;
    todo!()
}
