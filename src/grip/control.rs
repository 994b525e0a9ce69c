//! Control messages that a WebSocket backend sends: `c:` and a JSON object (specification,
//! WebSocket
//! 3.3 to 3.8).
//!
//! Called by `proxy` with each text message of a backend that speaks GRIP.

#[cfg(test)]
mod tests;

use super::channel::Channel;
use super::format_json;
use super::instruction::KeepAliveMode;
use super::json::{self, Fault, Object, Value};
use super::message::{Message, MessageKind};
use crate::limits;

/// One control message.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// Subscribe the connection to a channel, or replace what is said of that subscription. It may
    /// name more than [`limits::FILTERS_PER_SUBSCRIPTION_MAX`] filters: then the connection is to
    /// be closed with 1011 (and, in debug mode, the reason `too many filters for channel
    /// '<name>'`).
    Subscribe(Channel),
    /// Leave a channel.
    Unsubscribe(Box<str>),
    /// Separate the backend from the client.
    Detach,
    /// Set the keep-alive, or turn it off.
    KeepAlive(Option<SocketKeepAlive>),
    /// Set a variable of the subscription; without a value it is removed.
    SetMeta(Box<str>, Option<Box<str>>),
    /// Send a message after so many seconds.
    SendDelayed(Message, u32),
    /// Send the delayed message now.
    FlushDelayed,
    /// Name the session for the external state service; no effect without one.
    Session(Option<Box<str>>),
}

/// Keep-alive of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketKeepAlive {
    /// What is sent, as one frame.
    pub message: Message,
    /// When its time starts again.
    pub mode: KeepAliveMode,
    /// Its period in seconds, at least 1.
    pub timeout_s: u32,
}

/// Why a control message is ignored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ControlError(pub String);

impl From<Fault> for ControlError {
    fn from(fault: Fault) -> ControlError {
        ControlError(fault.message)
    }
}

/// Parses what follows `c:`.
pub fn parse(text: &[u8]) -> Result<Control, ControlError> {
    json::read(text, |value| match value {
        Value::Object(object) => control(object).map_err(ControlError::from),
        _ => Err(ControlError("control message is not an object".into())),
    })
    .map_err(|error| ControlError(error.to_string()))?
}

fn control(object: Object<'_>) -> Result<Control, Fault> {
    let kind = object.text("control message", "type")?.unwrap_or_default();
    match kind {
        "subscribe" => {
            let name = required(object, kind, "channel")?;
            let prev_id = object.text(kind, "prev-id")?.map(Box::from);
            let filters = filters(object)?;
            Ok(Control::Subscribe(Channel { name, prev_id, last_event_id: false, filters }))
        }
        "unsubscribe" => Ok(Control::Unsubscribe(required(object, kind, "channel")?)),
        "detach" => Ok(Control::Detach),
        "keep-alive" => keep_alive(object).map(Control::KeepAlive),
        "send-delayed" => {
            let ((message_kind, content), seconds) =
                message(object, kind, limits::SEND_DELAYED_S_DEFAULT)?;
            // Without content an empty message is sent, after the default time.
            let message = Message { kind: message_kind, content: content.unwrap_or_default() };
            Ok(Control::SendDelayed(message, seconds))
        }
        "flush-delayed" => Ok(Control::FlushDelayed),
        "session" => {
            let id = object.text(kind, "id")?.filter(|id| !id.is_empty());
            Ok(Control::Session(id.map(Box::from)))
        }
        "set-meta" => {
            let name = required(object, kind, "name")?;
            Ok(Control::SetMeta(name, object.text(kind, "value")?.map(Box::from)))
        }
        unknown => Err(Fault::new("type", format!("no such control message '{unknown}'"))),
    }
}

/// A string that must be there and not be empty.
fn required(object: Object<'_>, owner: &str, member: &'static str) -> Result<Box<str>, Fault> {
    match object.text(owner, member)? {
        Some(text) if !text.is_empty() => Ok(text.into()),
        Some(_) => Err(Fault::invalid_value(owner, member)),
        None => Err(Fault::new(member, format!("{owner} does not contain '{member}'"))),
    }
}

fn filters(object: Object<'_>) -> Result<Vec<Box<str>>, Fault> {
    let wrong_type = || Fault::wrong_type("subscribe", "filters");
    let name = |value| match value {
        Value::Text(name) => Ok(Box::from(name)),
        _ => Err(wrong_type()),
    };
    match object.member("filters") {
        None => Ok(Vec::new()),
        Some(Value::Array(names)) => names.map(name).collect(),
        Some(_) => Err(wrong_type()),
    }
}

fn keep_alive(object: Object<'_>) -> Result<Option<SocketKeepAlive>, Fault> {
    let ((kind, content), timeout_s) = message(object, "keep-alive", limits::KEEP_ALIVE_S_DEFAULT)?;
    // Whatever is not `interval` is `idle`.
    let mode = match object.member("mode") {
        Some(Value::Text("interval")) => KeepAliveMode::Interval,
        _ => KeepAliveMode::Idle,
    };
    Ok(content.map(|content| SocketKeepAlive {
        message: Message { kind, content },
        mode,
        timeout_s,
    }))
}

/// Kind and content of a message and its time in seconds, which is read only when there is content;
/// 0 means `default_s`. The kind is text unless `message-type` says otherwise, also for
/// `content-bin`.
fn message(
    object: Object<'_>,
    owner: &str,
    default_s: u32,
) -> Result<((MessageKind, Option<bytes::Bytes>), u32), Fault> {
    let kind = match object.text(owner, "message-type")? {
        None => MessageKind::Text,
        Some(name) => format_json::message_kind(name)
            .ok_or_else(|| Fault::invalid_value(owner, "message-type"))?,
    };
    let [content_bin, plain] = object.members(["content-bin", "content"]);
    let Some((content, _)) = format_json::content(content_bin, plain, owner)? else {
        return Ok(((kind, None), default_s));
    };
    let seconds = match object.unsigned(owner, "timeout")? {
        None | Some(0) => default_s,
        Some(seconds) => seconds,
    };
    Ok(((kind, Some(content)), seconds))
}
