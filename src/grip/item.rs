//! A published item, and lists of them, from JSON (specification, GRIP 4).
//!
//! Called by every input that publishers use. One bad item refuses the whole list.

#[cfg(test)]
mod tests;

use super::channel::ChannelName;
use super::format::{Action, MessageContent, ResponseContent, StreamContent};
use super::format_json;
use super::json::{self, Fault, Object, Value};

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

/// Reads `{"items": [...]}`. `body` is consumed in place.
pub fn parse_items(body: &mut [u8]) -> Result<Vec<Item>, ItemsError> {
    json::read(body, |value| match value {
        Value::Object(object) => items(object),
        Value::Array(_) => Err(ItemsError::NotAnObject),
        _ => Err(ItemsError::NotJson),
    })
    .map_err(|json::NotJson| ItemsError::NotJson)?
}

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
    list.enumerate()
        .map(|(at, value)| item(value).map_err(|fault| ItemsError::invalid(fault, Some(at))))
        .collect()
}

fn item(value: Value<'_>) -> Result<Item, Fault> {
    const OWNER: &str = "publish item object";
    let Value::Object(object) = value else {
        return Err(Fault::new("items", "publish item object is not an object"));
    };
    let channel = object
        .text(OWNER, "channel")?
        .ok_or_else(|| Fault::new("channel", "publish item object does not contain 'channel'"))?;
    let id = object.text(OWNER, "id")?.map(Box::from);
    let prev_id = object.text(OWNER, "prev-id")?.map(Box::from);
    let formats = formats(object, OWNER)?;
    let http_response = format_json::http_response(formats)?;
    let http_stream = format_json::http_stream(formats)?;
    let ws_message = format_json::ws_message(formats)?;
    let meta = object.text_map(OWNER, "meta")?;
    let size = object.unsigned(OWNER, "size")?;
    let no_seq = match object.member("no-seq") {
        None => false,
        Some(Value::Bool(flag)) => flag,
        Some(_) => return Err(Fault::wrong_type(OWNER, "no-seq")),
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

/// Where the formats are: in `formats`, or in the item itself as publishers once wrote them.
fn formats<'a>(item: Object<'a>, owner: &str) -> Result<Object<'a>, Fault> {
    let none = || Fault::new("formats", "no formats specified");
    match item.member("formats") {
        Some(Value::Object(formats)) if formats.is_empty() => Err(none()),
        Some(Value::Object(formats)) => Ok(formats),
        Some(_) => Err(Fault::wrong_type(owner, "formats")),
        None => {
            let legacy = ["http-response", "http-stream", "ws-message"];
            let any = legacy.iter().any(|name| item.member(name).is_some());
            if any { Ok(item) } else { Err(none()) }
        }
    }
}
