//! A WebSocket message: its kind and its bytes.

use bytes::Bytes;

/// What kind of message (or control frame) it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// A text message. Its bytes are relayed as they are, valid UTF-8 or not.
    Text,
    /// A binary message.
    Binary,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
}

/// One whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its kind.
    pub kind: MessageKind,
    /// Its payload.
    pub content: Bytes,
}
