//! Control messages that a WebSocket backend sends (`c:` and a JSON object).

use bytes::Bytes;

use super::channel::Channel;
use super::instruction::KeepAliveMode;
use super::message::Message;

/// One control message.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// Subscribe the connection to a channel, or replace the filters of that subscription.
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

/// Parses what follows `c:`.
pub fn parse(text: &[u8]) -> Result<Control, ControlError> {
    let _ = Bytes::new();
    let _ = text;
    todo!()
}
