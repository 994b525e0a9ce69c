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
use super::json::{Fault, Member, Object, Value};
use super::message::{Message, MessageKind};

/// What `action` says; the content is read for `Send` only.
enum Verb {
    Send,
    Hint,
    Refresh,
    Close,
}

fn verb(action: Member<'_>, owner: &str) -> Result<Verb, Fault> {
    Ok(match action.text(owner)? {
        None | Some("send") => Verb::Send,
        Some("hint") => Verb::Hint,
        Some("refresh") => Verb::Refresh,
        Some("close") => Verb::Close,
        // Existing servers say nothing here, and tests compare what they say.
        Some(_) => return Err(Fault::new("action", "")),
    })
}

/// A format as the object that it must be, when there is one.
fn object<'a>(format: Member<'a>, owner: &str) -> Result<Option<Object<'a>>, Fault> {
    match format.value {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Fault::new(format.name, format!("{owner} is not an object"))),
    }
}

/// The format `http-response`.
pub fn http_response(format: Member<'_>) -> Result<Option<Action<ResponseContent>>, Fault> {
    const OWNER: &str = "'http-response'";
    let Some(object) = object(format, OWNER)? else { return Ok(None) };
    let [action, members @ ..] = object.members([
        "action",
        "code",
        "reason",
        "headers",
        "content-filters",
        "body-bin",
        "body",
        "body-patch",
    ]);
    Ok(Some(match verb(action, OWNER)? {
        Verb::Send => Action::Send(response_content(members, OWNER)?),
        Verb::Hint => Action::Hint,
        Verb::Refresh => Action::Refresh,
        Verb::Close => Action::Close(CloseReason::default()),
    }))
}

fn response_content(members: [Member<'_>; 7], owner: &str) -> Result<ResponseContent, Fault> {
    let [code, reason, headers, filters, body_bin, body, body_patch] = members;
    let code = code.status(owner)?.unwrap_or(200);
    let reason = reason.text(owner)?.filter(|reason| !reason.is_empty());
    let headers = fields::header_list(headers, owner)?.unwrap_or_default();
    let content_filters = content_filters(filters, owner)?;
    let body = match content(body_bin, body, owner)? {
        Some((bytes, _)) => ResponseBody::Whole(bytes),
        None => ResponseBody::Patch(patch(body_patch, owner)?),
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

fn patch(patch: Member<'_>, owner: &str) -> Result<Vec<serde_json::Value>, Fault> {
    match patch.value {
        Some(Value::Array(operations)) => operations
            .map(Value::tree)
            .collect::<Option<_>>()
            .ok_or_else(|| patch.wrong_type(owner)),
        Some(_) => Err(patch.wrong_type(owner)),
        None => {
            let message = format!("{owner} does not contain 'body', 'body-bin', or 'body-patch'");
            Err(Fault::new("body", message))
        }
    }
}

/// The format `http-stream`.
pub fn http_stream(format: Member<'_>) -> Result<Option<Action<StreamContent>>, Fault> {
    const OWNER: &str = "'http-stream'";
    let Some(object) = object(format, OWNER)? else { return Ok(None) };
    let [action, filters, content_bin, plain] =
        object.members(["action", "content-filters", "content-bin", "content"]);
    Ok(Some(match verb(action, OWNER)? {
        Verb::Send => {
            let content_filters = content_filters(filters, OWNER)?;
            let content = content(content_bin, plain, OWNER)?;
            let (content, _) = content.ok_or_else(|| no_content(OWNER))?;
            Action::Send(StreamContent { content, content_filters })
        }
        Verb::Hint => Action::Hint,
        Verb::Refresh => Action::Refresh,
        Verb::Close => Action::Close(CloseReason::default()),
    }))
}

/// The format `ws-message`.
pub fn ws_message(format: Member<'_>) -> Result<Option<Action<MessageContent>>, Fault> {
    const OWNER: &str = "'ws-message'";
    let Some(object) = object(format, OWNER)? else { return Ok(None) };
    let [action, kind, filters, content_bin, content, code, reason] = object.members([
        "action",
        "type",
        "content-filters",
        "content-bin",
        "content",
        "code",
        "reason",
    ]);
    Ok(Some(match verb(action, OWNER)? {
        Verb::Send => Action::Send(message_content([kind, filters, content_bin, content], OWNER)?),
        Verb::Hint => Action::Hint,
        Verb::Refresh => Action::Refresh,
        Verb::Close => Action::Close(close_reason(code, reason, OWNER)?),
    }))
}

fn message_content(members: [Member<'_>; 4], owner: &str) -> Result<MessageContent, Fault> {
    let [kind, filters, content_bin, plain] = members;
    let kind = match kind.text(owner)? {
        None => None,
        Some(name) => Some(message_kind(name).ok_or_else(|| {
            Fault::new("type", format!("{owner} contains 'type' with unknown value"))
        })?),
    };
    let content_filters = content_filters(filters, owner)?;
    let (content, natural_kind) = match content(content_bin, plain, owner)? {
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

fn close_reason(code: Member<'_>, reason: Member<'_>, owner: &str) -> Result<CloseReason, Fault> {
    let code = match code.number(owner)? {
        Some(..0) => return Err(Fault::invalid_value(owner, code.name)),
        // Only 16 bits go on the wire; existing publishers rely on nothing more.
        Some(code) => Some((code & 0xffff) as u16),
        None => None,
    };
    let reason = reason.text(owner)?.unwrap_or_default().into();
    Ok(CloseReason { code, reason })
}

/// The bytes of the base64 member, else those of the plain one, and whether it was the former.
pub fn content(
    base64: Member<'_>,
    plain: Member<'_>,
    owner: &str,
) -> Result<Option<(Bytes, bool)>, Fault> {
    if let Some(text) = base64.text(owner)? {
        return Ok(Some((crate::wire::text::base64_decode(text.as_bytes()).into(), true)));
    }
    let plain = plain.text(owner)?;
    Ok(plain.map(|text| (Bytes::copy_from_slice(text.as_bytes()), false)))
}

fn content_filters(filters: Member<'_>, owner: &str) -> Result<Option<Vec<Box<str>>>, Fault> {
    let name = |value| match value {
        Value::Text(name) => Ok(Box::from(name)),
        _ => {
            let message = "content-filters contains element with wrong type";
            Err(Fault::new("content-filters", message))
        }
    };
    match filters.value {
        None => Ok(None),
        Some(Value::Array(names)) => names.map(name).collect::<Result<_, _>>().map(Some),
        Some(_) => Err(filters.wrong_type(owner)),
    }
}

fn no_content(owner: &str) -> Fault {
    Fault::new("content", format!("{owner} does not contain 'content' or 'content-bin'"))
}
