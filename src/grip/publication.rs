//! What a publisher sends: one item, written as JSON for the control API or as a TNetString for
//! ZeroMQ (specification, GRIP 12).
//!
//! Called by the `publish` command. The counterpart of `item`, which reads it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::wire::tnet::{self, Value};

/// One item to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// The channel, with the route's prefix. May be empty.
    pub channel: String,
    /// The item's id; absent or empty, it is not written.
    pub id: Option<String>,
    /// The id of the item before it; absent or empty, it is not written.
    pub prev_id: Option<String>,
    /// What filters may look at (`sender` among others).
    pub meta: BTreeMap<String, String>,
    /// Bypass the ordering by ids.
    pub no_seq: bool,
    /// What to deliver.
    pub payload: Payload,
}

/// What a [`Publication`] delivers, or asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// Content for all three transports.
    Content {
        /// The status code of the response.
        code: u16,
        /// The header fields of the response, in order.
        headers: Vec<(String, String)>,
        /// The response's body and the stream's content.
        http: Bytes,
        /// The WebSocket message: text when it is UTF-8, else binary.
        message: Bytes,
    },
    /// Changes to the bodies of held responses; nothing for streams and WebSockets.
    Patch {
        /// The status code of the response.
        code: u16,
        /// The header fields of the response, in order.
        headers: Vec<(String, String)>,
        /// The operations of the patch.
        operations: Vec<serde_json::Value>,
    },
    /// Clients are to ask their backends again.
    Hint,
    /// Streams and WebSockets are closed.
    Close,
}

/// How bytes that are not text are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Tnet,
}

impl Publication {
    /// The body for the control API: `{"items":[...]}`, compact, members ordered by name.
    #[must_use]
    pub fn to_json_bytes(&self) -> Vec<u8> {
        let items = Value::List(vec![self.item(Form::Json)]);
        let mut out = Vec::new();
        write_json(&dict([("items", items)]), &mut out);
        out
    }

    /// The bare item for a ZeroMQ PUSH socket.
    #[must_use]
    pub fn to_tnet_bytes(&self) -> Vec<u8> {
        let mut out = BytesMut::new();
        tnet::encode(&self.item(Form::Tnet), &mut out);
        out.into()
    }

    fn item(&self, form: Form) -> Value {
        let mut members = vec![
            ("channel", Value::text(&self.channel)),
            ("formats", dict(self.payload.formats(form))),
        ];
        let text =
            |text: &Option<String>| text.as_deref().filter(|t| !t.is_empty()).map(Value::text);
        members.extend(text(&self.id).map(|id| ("id", id)));
        if !self.meta.is_empty() {
            let meta = self.meta.iter().map(|(name, value)| (name.as_str(), Value::text(value)));
            members.push(("meta", dict(meta)));
        }
        if self.no_seq {
            members.push(("no-seq", Value::Bool(true)));
        }
        members.extend(text(&self.prev_id).map(|id| ("prev-id", id)));
        dict(members)
    }
}

impl Payload {
    fn formats(&self, form: Form) -> Vec<(&'static str, Value)> {
        let action = |name: &str| dict([("action", Value::text(name))]);
        match self {
            Payload::Content { code, headers, http, message } => {
                let body = content(form, Place::Body, http);
                let response = dict(std::iter::once(body).chain(head(*code, headers)));
                vec![
                    ("http-response", response),
                    ("http-stream", dict([content(form, Place::Stream, http)])),
                    ("ws-message", dict([content(form, Place::Message, message)])),
                ]
            }
            Payload::Patch { code, headers, operations } => {
                let operations = Value::List(operations.iter().map(tree).collect());
                let patch = std::iter::once(("body-patch", operations));
                vec![("http-response", dict(patch.chain(head(*code, headers))))]
            }
            Payload::Hint => vec![
                ("http-response", action("hint")),
                ("http-stream", action("hint")),
                ("ws-message", action("hint")),
            ],
            Payload::Close => {
                vec![("http-stream", action("close")), ("ws-message", action("close"))]
            }
        }
    }
}

/// The members `code` and, when there are any, `headers`.
fn head(code: u16, headers: &[(String, String)]) -> Vec<(&'static str, Value)> {
    let mut members = vec![("code", Value::Int(code.into()))];
    if !headers.is_empty() {
        let pair = |(name, value): &(String, String)| {
            Value::List(vec![Value::text(name), Value::text(value)])
        };
        members.push(("headers", Value::List(headers.iter().map(pair).collect())));
    }
    members
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Body,
    Stream,
    Message,
}

/// A content member. JSON says bytes that are not UTF-8 in base64; a TNetString says them as they
/// are, and only a WebSocket message has a name of its own for them, which makes it binary.
fn content(form: Form, place: Place, bytes: &Bytes) -> (&'static str, Value) {
    let binary = std::str::from_utf8(bytes).is_err();
    let name = match (place, binary && (form == Form::Json || place == Place::Message)) {
        (Place::Body, false) => "body",
        (Place::Body, true) => "body-bin",
        (_, false) => "content",
        (_, true) => "content-bin",
    };
    if binary && form == Form::Json {
        return (name, Value::text(&crate::wire::text::base64_encode(bytes)));
    }
    (name, Value::Bytes(bytes.clone()))
}

fn dict<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let key = |name: &str| Bytes::copy_from_slice(name.as_bytes());
    Value::Dict(members.into_iter().map(|(name, value)| (key(name), value)).collect())
}

/// A JSON tree as the other one.
fn tree(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => number.as_f64().map_or(Value::Null, Value::Float),
        },
        serde_json::Value::String(text) => Value::text(text),
        serde_json::Value::Array(list) => Value::List(list.iter().map(tree).collect()),
        serde_json::Value::Object(members) => {
            dict(members.iter().map(|(name, value)| (name.as_str(), tree(value))))
        }
    }
}

/// Writes compact JSON with the members of objects ordered by name.
fn write_json(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Int(int) => out.extend_from_slice(itoa::Buffer::new().format(*int).as_bytes()),
        Value::Float(float) => {
            out.extend_from_slice(serde_json::Value::from(*float).to_string().as_bytes());
        }
        Value::Bytes(text) => write_json_text(text, out),
        Value::List(list) => {
            out.push(b'[');
            for (at, element) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_json(element, out);
            }
            out.push(b']');
        }
        Value::Dict(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            out.push(b'{');
            for (at, (name, element)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_json_text(name, out);
                out.push(b':');
                write_json(element, out);
            }
            out.push(b'}');
        }
    }
}

fn write_json_text(text: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(text).into_owned();
    out.extend_from_slice(serde_json::Value::String(text).to_string().as_bytes());
}
