//! `Grip-*` response headers into an Instruction (specification, GRIP 1.2 to 1.5).
//!
//! Called by `proxy` with every response of a backend that may carry instructions. The document
//! form is in `document`; both end in one Instruction here.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use super::channel::Channel;
use super::document;
use super::fields;
use super::instruction::{Field, Hold, Instruction, KeepAlive, KeepAliveMode, Link, Response};
use super::json::Fault;
use crate::limits;
use crate::wire::names::Spelling;
use crate::wire::params::{self, Parameters, Value};

const CHANNEL: HeaderName = HeaderName::from_static("grip-channel");
const SET_META: HeaderName = HeaderName::from_static("grip-set-meta");
const EXPOSE_HEADERS: HeaderName = HeaderName::from_static("grip-expose-headers");
const HOLD: HeaderName = HeaderName::from_static("grip-hold");
const TIMEOUT: HeaderName = HeaderName::from_static("grip-timeout");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("grip-keep-alive");
const STATUS: HeaderName = HeaderName::from_static("grip-status");
const LINK: HeaderName = HeaderName::from_static("grip-link");

/// Why an instruction cannot be carried out. The text is normative.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InstructError {
    /// The message, as the specification words it; shown to the client in debug mode.
    pub message: String,
    /// The header or member at fault, for the log.
    pub field: &'static str,
}

impl From<Fault> for InstructError {
    fn from(fault: Fault) -> InstructError {
        InstructError { message: fault.message, field: fault.field }
    }
}

/// Whether a backend response carries an instruction at all: its content type up to `;` is exactly
/// `application/grip-instruct`, or any header name starts with `Grip-`.
#[must_use]
pub fn is_instruction(headers: &HeaderMap) -> bool {
    is_document(headers) || headers.keys().any(|name| fields::is_grip(name.as_str()))
}

fn is_document(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(http::header::CONTENT_TYPE) else { return false };
    value.as_bytes().split(|b| *b == b';').next() == Some(b"application/grip-instruct")
}

/// Reads the instruction of a response: its `Grip-*` headers and, with content type
/// `application/grip-instruct`, its body as a document.
pub fn instruction(
    code: u16,
    reason: Option<&[u8]>,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Instruction, InstructError> {
    spelled(code, reason, (headers, None), body)
}

/// The same of headers whose names were not written as usual: the client sees them as they were.
pub fn spelled(
    code: u16,
    reason: Option<&[u8]>,
    (headers, spelling): (&HeaderMap, Option<&Spelling>),
    body: Bytes,
) -> Result<Instruction, InstructError> {
    let mut instruction = from_headers(code, reason, headers, body)?;
    if is_document(headers) {
        document::apply(code, &mut instruction)?;
    } else {
        let held = instruction.hold.is_some() || instruction.next.is_some();
        instruction.response.headers =
            relayed((headers, spelling), &instruction.expose_headers, held);
    }
    instruction.channels = last_of_equal(instruction.channels, |channel| &channel.name);
    instruction.meta = last_of_equal(instruction.meta, |(name, _)| name);
    Ok(instruction)
}

/// Everything that headers say; the response's own headers are still missing.
fn from_headers(
    code: u16,
    reason: Option<&[u8]>,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Instruction, Fault> {
    let hold = hold(headers)?;
    let channels = elements(headers, &CHANNEL)
        .filter_map(params::parameters)
        .map(|element| channel(&element))
        .collect::<Result<_, _>>()?;
    let timeout_s = timeout(headers)?;
    let keep_alive = keep_alive(headers)?;
    let meta = elements(headers, &SET_META).filter_map(meta).collect();
    let (code, reason) = match status(headers)? {
        Some(status) => status,
        None => (code, reason.map_or_else(|| standard_reason(code), Bytes::copy_from_slice)),
    };
    let (next, gone) = links(headers)?;
    let expose_headers = elements(headers, &EXPOSE_HEADERS)
        .filter(|name| !name.is_empty())
        .map(|name| text(&name.to_ascii_lowercase()))
        .collect();
    let response = Response { code, reason, headers: Vec::new(), body };
    Ok(Instruction {
        hold,
        channels,
        timeout_s,
        keep_alive,
        meta,
        expose_headers,
        next,
        gone,
        response,
    })
}

/// The elements of all occurrences of a list header.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).into_iter().flat_map(|value| params::elements(value.as_bytes()))
}

/// Text out of a header, which is UTF-8 in practice; what is not becomes replacement characters.
fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

fn standard_reason(code: u16) -> Bytes {
    Bytes::from_static(crate::wire::http1::reason(code).as_bytes())
}

fn hold(headers: &HeaderMap) -> Result<Option<Hold>, Fault> {
    match headers.get(HOLD).map(http::HeaderValue::as_bytes) {
        None => Ok(None),
        Some(b"response") => Ok(Some(Hold::Response)),
        Some(b"stream") => Ok(Some(Hold::Stream)),
        Some(_) => {
            let message = "Grip-Hold must be set to either 'response' or 'stream'";
            Err(Fault::new("Grip-Hold", message))
        }
    }
}

fn channel(element: &Parameters<'_>) -> Result<Channel, Fault> {
    let name = text(element.first);
    // Present and empty counts, but only without quotes.
    let prev_id = match element.value("prev-id") {
        Some(Value::Plain(id)) => Some(text(id)),
        Some(Value::Quoted(id)) if !id.is_empty() => Some(text(id)),
        _ => None,
    };
    // Unlike all other parameter names this one is compared with its case.
    let filters: Vec<_> = element
        .list
        .iter()
        .filter(|p| p.name == b"filter" && p.value != Value::Absent)
        .map(|p| text(p.value.bytes()))
        .collect();
    if filters.len() > limits::FILTERS_PER_SUBSCRIPTION_MAX {
        return Err(Fault::new("Grip-Channel", format!("too many filters for channel '{name}'")));
    }
    // Without a value, or any value but `false`: our own, see docs/recovery.md.
    let last_event_id =
        element.value("last-event-id").is_some_and(|value| value.bytes() != b"false");
    Ok(Channel { name, prev_id, last_event_id, filters })
}

fn timeout(headers: &HeaderMap) -> Result<u32, Fault> {
    let Some(value) = headers.get(TIMEOUT) else {
        return Ok(limits::HOLD_TIMEOUT_S_DEFAULT);
    };
    let seconds = params::integer(value.as_bytes())
        .ok_or_else(|| Fault::new("Grip-Timeout", "failed to parse Grip-Timeout"))?;
    let seconds = u32::try_from(seconds)
        .map_err(|_| Fault::new("Grip-Timeout", "Grip-Timeout has invalid value"))?;
    Ok(seconds.max(limits::HOLD_TIMEOUT_S_MIN))
}

fn keep_alive(headers: &HeaderMap) -> Result<Option<KeepAlive>, Fault> {
    let fault = |message: String| Fault::new("Grip-Keep-Alive", message);
    // Not a list: a comma is data. An unfinished quote makes the header as good as absent.
    let Some(value) = headers.get(KEEP_ALIVE).map(http::HeaderValue::as_bytes) else {
        return Ok(None);
    };
    let Some(element) = params::parameters(value).filter(|_| !value.is_empty()) else {
        return Ok(None);
    };
    if element.first.is_empty() {
        return Err(fault("Grip-Keep-Alive cannot be empty".into()));
    }
    let parameter = |name| element.value(name).map_or(&b""[..], Value::bytes);
    let mode = match parameter("mode") {
        b"" | b"idle" => KeepAliveMode::Idle,
        b"interval" => KeepAliveMode::Interval,
        other => {
            return Err(fault(format!("no such Grip-Keep-Alive mode '{}'", text(other))));
        }
    };
    let timeout_s = match element.value("timeout") {
        None => limits::KEEP_ALIVE_S_DEFAULT,
        Some(value) => {
            let seconds = params::integer(value.bytes())
                .ok_or_else(|| fault("failed to parse Grip-Keep-Alive timeout value".into()))?;
            u32::try_from(seconds)
                .map_err(|_| fault("Grip-Keep-Alive timeout has invalid value".into()))?
        }
    };
    let data = match parameter("format") {
        b"" | b"raw" => element.first.to_vec(),
        b"cstring" => crate::wire::text::unescape(element.first)
            .map_err(|_| fault("failed to parse Grip-Keep-Alive cstring format".into()))?,
        b"base64" => crate::wire::text::base64_decode(element.first),
        other => {
            return Err(fault(format!("no such Grip-Keep-Alive format '{}'", text(other))));
        }
    };
    Ok(Some(KeepAlive { data: data.into(), mode, timeout_s: timeout_s.max(1) }))
}

fn meta(element: &[u8]) -> Option<(Box<str>, Option<Box<str>>)> {
    let variable = params::named(element)?.into_iter().next()?;
    // Empty counts as set, but only without quotes.
    let value = match &variable.value {
        Value::Absent | Value::Quoted(_) if variable.value.bytes().is_empty() => None,
        value => Some(text(value.bytes())),
    };
    Some((text(variable.name), value))
}

fn status(headers: &HeaderMap) -> Result<Option<(u16, Bytes)>, Fault> {
    let value = headers.get(STATUS).map(http::HeaderValue::as_bytes).unwrap_or_default();
    if value.is_empty() {
        return Ok(None);
    }
    let (code, reason) = match memchr::memchr(b' ', value) {
        Some(at) => (value.get(..at), value.get(at + 1..).unwrap_or_default()),
        None => (Some(value), &b""[..]),
    };
    let code = code.and_then(params::integer).and_then(|code| u16::try_from(code).ok());
    let Some(code @ 0..=999) = code else {
        return Err(Fault::new("Grip-Status", "Grip-Status contains invalid status code"));
    };
    let reason =
        if reason.is_empty() { standard_reason(code) } else { Bytes::copy_from_slice(reason) };
    Ok(Some((code, reason)))
}

/// The links `next` and `gone`.
fn links(headers: &HeaderMap) -> Result<(Option<Link>, Option<Link>), Fault> {
    let (mut next, mut gone) = (None, None);
    for element in elements(headers, &LINK).filter_map(params::parameters) {
        match element.value("rel").map(Value::bytes) {
            Some(b"next") => {
                let uri = link_uri(element.first)?;
                next = Some(Link { uri, timeout_s: link_timeout(&element)? });
            }
            Some(b"gone") => gone = Some(Link { uri: link_uri(element.first)?, timeout_s: 0 }),
            _ => {}
        }
    }
    Ok((next, gone))
}

fn link_uri(item: &[u8]) -> Result<Box<str>, Fault> {
    let fault = |message| Fault::new("Grip-Link", message);
    let uri = item
        .strip_prefix(b"<")
        .and_then(|rest| rest.strip_suffix(b">"))
        .filter(|uri| !uri.is_empty())
        .ok_or_else(|| fault("failed to parse Grip-Link value"))?;
    let invalid = || fault("Grip-Link contains invalid link");
    let uri = std::str::from_utf8(uri).map_err(|_| invalid())?;
    // Any base will do: only whether the reference is one at all is asked here.
    let base = url::Url::parse("http://localhost/").map_err(|_| invalid())?;
    base.join(uri).map_err(|_| invalid())?;
    Ok(uri.into())
}

fn link_timeout(element: &Parameters<'_>) -> Result<u32, Fault> {
    let Some(value) = element.value("timeout") else {
        return Ok(limits::NEXT_LINK_TIMEOUT_S_DEFAULT);
    };
    let seconds = params::integer(value.bytes())
        .ok_or_else(|| Fault::new("Grip-Link", "failed to parse Grip-Link timeout value"))?;
    u32::try_from(seconds)
        .map_err(|_| Fault::new("Grip-Link", "Grip-Link timeout has invalid value"))
}

/// The fields of the response that the client is to see.
///
/// `Content-Encoding` is dropped from what is held, because published content that is not encoded
/// joins it; a response that is relayed whole keeps it, or nobody could read it.
fn relayed(
    (headers, spelling): (&HeaderMap, Option<&Spelling>),
    expose: &[Box<str>],
    held: bool,
) -> Vec<Field> {
    let wanted = |name: &str| {
        let kept = !fields::is_hop_by_hop(name) || (name == "content-encoding" && !held);
        let exposed = expose.is_empty() || expose.iter().any(|e| **e == *name);
        kept && exposed && !fields::is_grip(name)
    };
    fields::written(headers, spelling, wanted)
        .map(|(name, value)| Field { name, value: Bytes::copy_from_slice(value.as_bytes()) })
        .collect()
}

/// Of elements with equal names the last, in the place of the first.
fn last_of_equal<T>(list: Vec<T>, name: fn(&T) -> &str) -> Vec<T> {
    if list.len() < 2 {
        return list;
    }
    let mut places: HashMap<Box<str>, usize, ahash::RandomState> = HashMap::default();
    let mut kept: Vec<T> = Vec::with_capacity(list.len());
    for element in list {
        let place = places.get(name(&element)).and_then(|place| kept.get_mut(*place));
        match place {
            Some(earlier) => *earlier = element,
            None => {
                places.insert(name(&element).into(), kept.len());
                kept.push(element);
            }
        }
    }
    kept
}
