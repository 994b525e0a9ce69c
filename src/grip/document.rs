//! `application/grip-instruct` documents (specification, GRIP 1.6).
//!
//! Called by `headers` when it has read the headers of the same response: a document adds to what
//! they say, or overrides it.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::channel::Channel;
use super::fields;
use super::format_json::content;
use super::instruction::{Hold, Instruction, KeepAlive, KeepAliveMode, Response};
use super::json::{self, Fault, Object, Value};
use crate::limits;

/// Applies the document that is the instruction's response body. `code` is the backend's own
/// status.
///
/// The body is used up: what the client sees comes from the document's `response` alone, except
/// that status and reason stay as they are when it says none. A document without hold, link and
/// body is answered with an empty response.
pub fn apply(code: u16, instruction: &mut Instruction) -> Result<(), Fault> {
    if code != 200 {
        let message = "response code for application/grip-instruct content must be 200";
        return Err(Fault::new("status", message));
    }
    let text = std::mem::take(&mut instruction.response.body);
    json::read(&text, |value| match value {
        Value::Object(root) => root_object(root, instruction),
        Value::Array(_) => Err(Fault::new("instruct", "instruct must be an object")),
        _ => Err(not_json()),
    })
    .map_err(|_| not_json())?
}

fn not_json() -> Fault {
    Fault::new("instruct", "failed to parse application/grip-instruct content as JSON")
}

fn root_object(root: Object<'_>, instruction: &mut Instruction) -> Result<(), Fault> {
    match root.member("hold") {
        None => {}
        Some(Value::Object(object)) => hold(object, instruction)?,
        Some(_) => return Err(Fault::wrong_type("instruct", "hold")),
    }
    match root.member("response") {
        None => Ok(()),
        Some(Value::Object(object)) => response(object, &mut instruction.response),
        // Existing servers say nothing here, and tests compare what they say.
        Some(_) => Err(Fault::new("response", "")),
    }
}

fn hold(object: Object<'_>, instruction: &mut Instruction) -> Result<(), Fault> {
    instruction.hold = Some(match object.text("hold", "mode")? {
        None | Some("response") => Hold::Response,
        Some("stream") => Hold::Stream,
        Some(_) => {
            let message = "hold 'mode' must be set to either 'response' or 'stream'";
            return Err(Fault::new("mode", message));
        }
    });
    match object.member("channels") {
        Some(Value::Array(channels)) => {
            for value in channels {
                instruction.channels.push(channel(value)?);
            }
        }
        None => return Err(Fault::new("channels", "hold does not contain 'channels'")),
        Some(_) => return Err(Fault::wrong_type("hold", "channels")),
    }
    if let Some(seconds) = object.unsigned("hold", "timeout")? {
        instruction.timeout_s = seconds.max(limits::HOLD_TIMEOUT_S_MIN);
    }
    match object.member("keep-alive") {
        None => {}
        Some(Value::Object(object)) => {
            instruction.keep_alive = Some(keep_alive(object, instruction.keep_alive.take())?);
        }
        Some(_) => return Err(Fault::wrong_type("hold", "keep-alive")),
    }
    let meta = object.named("meta").text_map("hold")?;
    instruction
        .meta
        .extend(meta.into_iter().map(|(name, value)| (name.into(), Some(value.into()))));
    Ok(())
}

fn channel(value: Value<'_>) -> Result<Channel, Fault> {
    let Value::Object(object) = value else {
        return Err(Fault::new("channels", "channel is not an object"));
    };
    let name = object
        .text("channel", "name")?
        .ok_or_else(|| Fault::new("name", "channel does not contain 'name'"))?;
    let prev_id = object.text("channel", "prev-id")?.map(Box::from);
    let last_event_id = match object.member("last-event-id") {
        None => false,
        Some(Value::Bool(on)) => on,
        Some(_) => return Err(Fault::wrong_type("channel", "last-event-id")),
    };
    let filters = match object.member("filters") {
        None => Vec::new(),
        Some(Value::Array(filters)) => filters.map(filter).collect::<Result<_, _>>()?,
        Some(_) => return Err(Fault::wrong_type("channel", "filters")),
    };
    if filters.len() > limits::FILTERS_PER_SUBSCRIPTION_MAX {
        return Err(Fault::new("filters", format!("too many filters for channel '{name}'")));
    }
    Ok(Channel { name: name.into(), prev_id, last_event_id, filters })
}

fn filter(value: Value<'_>) -> Result<Box<str>, Fault> {
    match value {
        Value::Text(name) => Ok(name.into()),
        _ => Err(Fault::new("filters", "filters contains value with wrong type")),
    }
}

/// A keep-alive; without content it keeps that of `header`. There is no way to say a mode: that of
/// `header` counts, else it is `interval`.
fn keep_alive(object: Object<'_>, header: Option<KeepAlive>) -> Result<KeepAlive, Fault> {
    let [content_bin, plain] = object.members(["content-bin", "content"]);
    let content = content(content_bin, plain, "keep-alive")?;
    let timeout_s =
        object.unsigned("keep-alive", "timeout")?.unwrap_or(limits::KEEP_ALIVE_S_DEFAULT).max(1);
    let (data, mode) = match header {
        Some(KeepAlive { data, mode, .. }) => (data, mode),
        None => (Bytes::new(), KeepAliveMode::Interval),
    };
    let data = content.map_or(data, |(content, _)| content);
    Ok(KeepAlive { data, mode, timeout_s })
}

fn response(object: Object<'_>, response: &mut Response) -> Result<(), Fault> {
    if let Some(code) = object.named("code").status("response")? {
        response.code = code;
        response.reason = Bytes::from_static(crate::wire::http1::reason(code).as_bytes());
    }
    match object.text("response", "reason")? {
        None | Some("") => {}
        Some(reason) => response.reason = fields::one_line(reason),
    }
    let headers = fields::header_list(object.named("headers"), "response")?.unwrap_or_default();
    response.headers = headers
        .into_iter()
        .filter(|(name, _)| !fields::is_hop_by_hop(name))
        .filter_map(|(name, value)| fields::field(name, value))
        .collect();
    let [body_bin, body] = object.members(["body-bin", "body"]);
    let body = content(body_bin, body, "response")?;
    response.body = body.map(|(body, _)| body).unwrap_or_default();
    Ok(())
}
