//! A published item, and lists of them, from JSON (specification, GRIP 4).
//!
//! Called by every input that publishers use. One bad item refuses the whole list.

#[cfg(test)]
mod tests;

use super::channel::ChannelName;
use super::format::{Action, MessageContent, ResponseContent, StreamContent};
use super::format_json;
use super::json::{self, Fault, Member, Object, Value};

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

impl ItemsError {
    fn invalid(fault: Fault, index: Option<usize>) -> ItemsError {
        ItemsError::Invalid { message: fault.message, index, field: fault.field }
    }
}

/// Reads `{"items": [...]}`.
pub fn parse_items(body: &[u8]) -> Result<Vec<Item>, ItemsError> {
    json::read(body, |value| match value {
        Value::Object(object) => items(object),
        Value::Array(_) => Err(ItemsError::NotAnObject),
        _ => Err(ItemsError::NotJson),
    })
    .map_err(|json::NotJson| ItemsError::NotJson)?
}

/// For so many items of a list room is made before they are read.
const ITEMS_EXPECTED_MAX: usize = 64;

fn items(object: Object<'_>) -> Result<Vec<Item>, ItemsError> {
    let list = match object.member("items") {
        Some(Value::Array(list)) => list,
        Some(_) => {
            return Err(ItemsError::invalid(Fault::wrong_type("object", "items"), None));
        }
        None => {
            let fault = Fault::new("items", "object does not contain 'items'");
            return Err(ItemsError::invalid(fault, None));
        }
    };
    // An item is large: it is moved as little as possible, but what is no item takes no room.
    let mut items = Vec::with_capacity(list.size_hint().0.min(ITEMS_EXPECTED_MAX));
    for (at, value) in list.enumerate() {
        match item(value) {
            Ok(item) => items.push(item),
            Err(fault) => return Err(ItemsError::invalid(fault, Some(at))),
        }
    }
    Ok(items)
}

/// Reads one item. The order of the checks is that of existing servers.
fn item(value: Value<'_>) -> Result<Item, Fault> {
    const OWNER: &str = "publish item object";
    let Value::Object(object) = value else {
        return Err(Fault::new("items", "publish item object is not an object"));
    };
    let [channel, id, prev_id, formats, meta, size, no_seq] =
        object.members(["channel", "id", "prev-id", "formats", "meta", "size", "no-seq"]);
    let channel = channel
        .text(OWNER)?
        .ok_or_else(|| Fault::new("channel", "publish item object does not contain 'channel'"))?;
    let id = id.text(OWNER)?.map(Box::from);
    let prev_id = prev_id.text(OWNER)?.map(Box::from);
    let [http_response, http_stream, ws_message] = formats_of(object, formats, OWNER)?;
    let http_response = format_json::http_response(http_response)?;
    let http_stream = format_json::http_stream(http_stream)?;
    let ws_message = format_json::ws_message(ws_message)?;
    let meta = meta.text_map(OWNER)?;
    let size = size.unsigned(OWNER)?;
    let no_seq = match no_seq.value {
        None => false,
        Some(Value::Bool(flag)) => flag,
        Some(_) => return Err(no_seq.wrong_type(OWNER)),
    };
    Ok(Item {
        channel: ChannelName::new(channel),
        id,
        prev_id,
        http_response,
        http_stream,
        ws_message,
        meta: meta.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        size,
        no_seq,
    })
}

/// The formats, out of the member `formats`, or out of the item itself as publishers once wrote
/// them.
fn formats_of<'a>(
    item: Object<'a>,
    formats: Member<'a>,
    owner: &str,
) -> Result<[Member<'a>; 3], Fault> {
    const NAMES: [&str; 3] = ["http-response", "http-stream", "ws-message"];
    let none = || Fault::new("formats", "no formats specified");
    match formats.value {
        Some(Value::Object(formats)) if formats.is_empty() => Err(none()),
        Some(Value::Object(formats)) => Ok(formats.members(NAMES)),
        Some(_) => Err(formats.wrong_type(owner)),
        None => {
            let found = item.members(NAMES);
            let any = found.iter().any(|format| format.value.is_some());
            if any { Ok(found) } else { Err(none()) }
        }
    }
}
