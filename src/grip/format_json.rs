//! The formats of an item out of JSON: `http-response`, `http-stream`, `ws-message` (specification,
//! GRIP 4.2 and 4.3).
//!
//! Called by `item`. Checks run in the order of existing servers, because the first failure is what
//! a publisher is told.

use bytes::Bytes;

use super::fields;
use super::format::{
    Action, CloseReason, MessageContent, ResponseBody, ResponseContent, StreamContent,
};
use super::json::{Fault, Object, Value};
use super::message::{Message, MessageKind};

/// What `action` says; the content is read for `Send` only.
enum Verb {
    Send,
    Hint,
    Refresh,
    Close,
}

fn verb(object: Object<'_>, owner: &str) -> Result<Verb, Fault> {
    Ok(match object.text(owner, "action")? {
        None | Some("send") => Verb::Send,
        Some("hint") => Verb::Hint,
        Some("refresh") => Verb::Refresh,
        Some("close") => Verb::Close,
        // Existing servers say nothing here, and tests compare what they say.
        Some(_) => return Err(Fault::new("action", "")),
    })
}

/// The format of this name, when there is one and it is an object.
fn format<'a>(
    formats: Object<'a>,
    name: &'static str,
    owner: &str,
) -> Result<Option<Object<'a>>, Fault> {
    match formats.member(name) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Fault::new(name, format!("{owner} is not an object"))),
    }
}

/// The format `http-response`.
pub fn http_response(formats: Object<'_>) -> Result<Option<Action<ResponseContent>>, Fault> {
    const OWNER: &str = "'http-response'";
    let Some(object) = format(formats, "http-response", OWNER)? else { return Ok(None) };
    Ok(Some(match verb(object, OWNER)? {
        Verb::Send => Action::Send(response_content(object, OWNER)?),
        Verb::Hint => Action::Hint,
        Verb::Refresh => Action::Refresh,
        Verb::Close => Action::Close(CloseReason::default()),
    }))
}

fn response_content(object: Object<'_>, owner: &str) -> Result<ResponseContent, Fault> {
    let code = object.status(owner)?.unwrap_or(200);
    let reason = object.text(owner, "reason")?.filter(|reason| !reason.is_empty());
    let headers = fields::header_list(object, owner)?.unwrap_or_default();
    let content_filters = content_filters(object, owner)?;
    let body = match content(object, owner, "body-bin", "body")? {
        Some((bytes, _)) => ResponseBody::Whole(bytes),
        None => ResponseBody::Patch(patch(object, owner)?),
    };
    Ok(ResponseContent {
        code,
        reason: reason.map(fields::one_line_text),
        headers: headers
            .into_iter()
            .filter(|(name, _)| fields::is_token(name))
            .map(|(name, value)| (name.into(), fields::one_line_text(value)))
            .collect(),
        body,
        content_filters,
    })
}

fn patch(object: Object<'_>, owner: &str) -> Result<Vec<serde_json::Value>, Fault> {
    match object.member("body-patch") {
        Some(Value::Array(operations)) => operations
            .map(Value::tree)
            .collect::<Option<_>>()
            .ok_or_else(|| Fault::wrong_type(owner, "body-patch")),
        Some(_) => Err(Fault::wrong_type(owner, "body-patch")),
        None => {
            let message = format!("{owner} does not contain 'body', 'body-bin', or 'body-patch'");
            Err(Fault::new("body", message))
        }
    }
}

/// The format `http-stream`.
pub fn http_stream(formats: Object<'_>) -> Result<Option<Action<StreamContent>>, Fault> {
    const OWNER: &str = "'http-stream'";
    let Some(object) = format(formats, "http-stream", OWNER)? else { return Ok(None) };
    Ok(Some(match verb(object, OWNER)? {
        Verb::Send => {
            let content_filters = content_filters(object, OWNER)?;
            let content = content(object, OWNER, "content-bin", "content")?;
            let (content, _) = content.ok_or_else(|| no_content(OWNER))?;
            Action::Send(StreamContent { content, content_filters })
        }
        Verb::Hint => Action::Hint,
        Verb::Refresh => Action::Refresh,
        Verb::Close => Action::Close(CloseReason::default()),
    }))
}

/// The format `ws-message`.
pub fn ws_message(formats: Object<'_>) -> Result<Option<Action<MessageContent>>, Fault> {
    const OWNER: &str = "'ws-message'";
    let Some(object) = format(formats, "ws-message", OWNER)? else { return Ok(None) };
    Ok(Some(match verb(object, OWNER)? {
        Verb::Send => Action::Send(message_content(object, OWNER)?),
        Verb::Hint => Action::Hint,
        Verb::Refresh => Action::Refresh,
        Verb::Close => Action::Close(close_reason(object, OWNER)?),
    }))
}

fn message_content(object: Object<'_>, owner: &str) -> Result<MessageContent, Fault> {
    let kind = match object.text(owner, "type")? {
        None => None,
        Some(name) => Some(message_kind(name).ok_or_else(|| {
            Fault::new("type", format!("{owner} contains 'type' with unknown value"))
        })?),
    };
    let content_filters = content_filters(object, owner)?;
    let (content, natural_kind) = match content(object, owner, "content-bin", "content")? {
        Some((content, true)) => (content, MessageKind::Binary),
        Some((content, false)) => (content, MessageKind::Text),
        None if matches!(kind, Some(MessageKind::Ping | MessageKind::Pong)) => {
            (Bytes::new(), MessageKind::Ping)
        }
        None => return Err(no_content(owner)),
    };
    let message = Message { kind: kind.unwrap_or(natural_kind), content };
    Ok(MessageContent { message, content_filters })
}

/// The kind of message that a type's name says.
pub fn message_kind(name: &str) -> Option<MessageKind> {
    Some(match name {
        "text" => MessageKind::Text,
        "binary" => MessageKind::Binary,
        "ping" => MessageKind::Ping,
        "pong" => MessageKind::Pong,
        _ => return None,
    })
}

fn close_reason(object: Object<'_>, owner: &str) -> Result<CloseReason, Fault> {
    let code = match object.number(owner, "code")? {
        Some(..0) => return Err(Fault::invalid_value(owner, "code")),
        // Only 16 bits go on the wire; existing publishers rely on nothing more.
        Some(code) => Some((code & 0xffff) as u16),
        None => None,
    };
    let reason = object.text(owner, "reason")?.unwrap_or_default().into();
    Ok(CloseReason { code, reason })
}

/// The bytes of the base64 member, else those of the plain one, and whether it was the former.
pub fn content(
    object: Object<'_>,
    owner: &str,
    base64: &'static str,
    plain: &'static str,
) -> Result<Option<(Bytes, bool)>, Fault> {
    if let Some(text) = object.text(owner, base64)? {
        return Ok(Some((crate::wire::text::base64_decode(text.as_bytes()).into(), true)));
    }
    let plain = object.text(owner, plain)?;
    Ok(plain.map(|text| (Bytes::copy_from_slice(text.as_bytes()), false)))
}

fn content_filters(object: Object<'_>, owner: &str) -> Result<Option<Vec<Box<str>>>, Fault> {
    let name = |value| match value {
        Value::Text(name) => Ok(Box::from(name)),
        _ => {
            let message = "content-filters contains element with wrong type";
            Err(Fault::new("content-filters", message))
        }
    };
    match object.member("content-filters") {
        None => Ok(None),
        Some(Value::Array(names)) => names.map(name).collect::<Result<_, _>>().map(Some),
        Some(_) => Err(Fault::wrong_type(owner, "content-filters")),
    }
}

fn no_content(owner: &str) -> Fault {
    Fault::new("content", format!("{owner} does not contain 'content' or 'content-bin'"))
}
