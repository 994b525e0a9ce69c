//! `application/websocket-events`, both ways (specification, WoH 5.2).

use bytes::{Bytes, BytesMut};

/// One event of a WebSocket-over-HTTP body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection opens (or is accepted).
    Open,
    /// A text message.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// A close, with its code and reason (raw bytes) if it has any.
    Close(Option<(u16, Bytes)>),
    /// The other side is gone, or does not know the connection.
    Disconnect,
}

/// Why a body is not a list of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// A type line without CRLF.
    #[error("event at byte {0}: type line does not end in CRLF")]
    UnfinishedLine(usize),
    /// A length that is not hexadecimal.
    #[error("event at byte {0}: content length is not a hexadecimal number")]
    BadLength(usize),
    /// Content that runs past the body.
    #[error("event at byte {0}: content runs past the end of the body")]
    ContentPastEnd(usize),
    /// Content that CRLF does not follow.
    #[error("event at byte {0}: content is not followed by CRLF")]
    MissingTerminator(usize),
}

/// Appends one event.
pub fn encode(event: &Event, out: &mut BytesMut) {
    let _ = (event, out);
    todo!()
}

/// Reads a whole body. Unknown events are skipped; contents share the body's memory.
pub fn decode(body: &Bytes) -> Result<Vec<Event>, EventsError> {
    let _ = body;
    todo!()
}
