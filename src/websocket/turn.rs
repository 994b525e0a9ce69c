//! One turn of a WebSocket-over-HTTP conversation: a request, its answer, and what the client gets
//! of it (specification, WebSockets 5.5 to 5.8).
//!
//! Values only; what they mean is `conversation`'s affair.

use bytes::Bytes;

use crate::grip::events::Event;

/// A CLOSE: its code and reason, if it has any.
pub type Close = Option<(u16, Bytes)>;

/// A request to the backend. A retry sends the same body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The events.
    pub body: Bytes,
    /// Bytes of content that the backend has had before (`Content-Bytes-Replayed`).
    pub replayed_bytes: usize,
}

/// A valid answer of the backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its events.
    pub events: Vec<Event>,
    /// `Keep-Alive-Interval`, if there: in seconds, or off.
    pub interval_s: Option<Option<u32>>,
    /// `Content-Bytes-Accepted`, if there.
    pub accepted_bytes: Option<u64>,
}

/// What the client is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Messages, pings and pongs, through the rules of GRIP.
    pub deliver: Vec<Event>,
    /// And then.
    pub then: Then,
}

/// What becomes of the client after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// It goes on.
    Continue,
    /// It gets this CLOSE.
    Close(Close),
    /// It is dropped without one.
    Drop,
}

impl Reply {
    /// It hears nothing of this answer.
    #[must_use]
    pub fn nothing() -> Reply {
        Reply { deliver: Vec::new(), then: Then::Continue }
    }

    /// It is dropped after these.
    #[must_use]
    pub fn drop_client(deliver: Vec<Event>) -> Reply {
        Reply { deliver, then: Then::Drop }
    }
}

/// How the events of an answer end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With the last of them.
    None,
    /// With a CLOSE.
    Close(Close),
    /// DISCONNECT, or an OPEN where none may be.
    Broken,
}

/// What comes before a CLOSE, DISCONNECT or OPEN; what follows means nothing.
#[must_use]
pub fn divide(events: Vec<Event>) -> (Vec<Event>, End) {
    let mut events = events;
    let is_end = |event: &Event| matches!(event, Event::Close(_) | Event::Disconnect | Event::Open);
    let Some(place) = events.iter().position(is_end) else { return (events, End::None) };
    let end = match events.drain(place..).next() {
        Some(Event::Close(close)) => End::Close(close),
        _ => End::Broken,
    };
    (events, end)
}
