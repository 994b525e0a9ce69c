//! What an item carries for each transport, and what is to be done there.

use bytes::Bytes;

use super::message::Message;

/// What an item asks of the sessions that it reaches on one transport.
///
/// Every action is accepted for every transport; a combination without meaning does nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<T> {
    /// Deliver this.
    Send(T),
    /// Something changed: ask the backend again.
    Hint,
    /// WebSocket-over-HTTP: make an empty request to the backend now.
    Refresh,
    /// End the connection. Code and reason are for WebSockets only.
    Close(CloseReason),
}

/// With what a WebSocket is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloseReason {
    /// The code; only its low 16 bits go on the wire. Without one it is 1000 and no reason is sent.
    pub code: Option<u16>,
    /// The reason.
    pub reason: Box<str>,
}

/// A whole response (`http-response`).
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseContent {
    /// The status code, 0 to 999.
    pub code: u16,
    /// The reason phrase; the standard one when absent.
    pub reason: Option<Box<str>>,
    /// The header fields, in order, names as given.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// The body.
    pub body: ResponseBody,
    /// The content filters that the content was written for; see [`StreamContent`].
    pub content_filters: Option<Vec<Box<str>>>,
}

/// The body of a published response.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseBody {
    /// These bytes.
    Whole(Bytes),
    /// The held response's body, patched by these operations.
    Patch(Vec<serde_json::Value>),
}

/// Bytes for streams (`http-stream`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamContent {
    /// The bytes; empty content writes nothing.
    pub content: Bytes,
    /// When present, only for subscriptions whose content filters are exactly these.
    pub content_filters: Option<Vec<Box<str>>>,
}

/// A message for WebSockets (`ws-message`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageContent {
    /// The message.
    pub message: Message,
    /// See [`StreamContent`].
    pub content_filters: Option<Vec<Box<str>>>,
}
