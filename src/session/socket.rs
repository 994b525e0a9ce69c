//! A held WebSocket: keep-alive, delayed message, detachment.

use crate::grip::control::SocketKeepAlive;
use crate::grip::message::Message;

/// A WebSocket in the hub, whatever its backend.
#[derive(Clone, Debug, Default)]
pub struct SocketHold {
    /// What is sent when nothing else is.
    pub keep_alive: Option<SocketKeepAlive>,
    /// A message that is due later.
    pub delayed: Option<Message>,
    /// A CLOSE has been sent: nothing more is delivered.
    pub closing: bool,
}
