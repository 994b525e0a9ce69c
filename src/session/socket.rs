//! A held WebSocket: the form of its messages, keep-alive, delayed message, backend timer.
//!
//! Used by `Session`; knows no backend.

use bytes::Bytes;

use super::keep_alive::Pacer;
use crate::clock::Tick;

/// In which form a WebSocket's client gets what is published to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// Frames as they are.
    #[default]
    Plain,
    /// The client has agreed to permessage-deflate (RFC 7692): a published message is one deflated
    /// frame, without context takeover, whose references reach back at most `2^window_bits` bytes.
    /// Frames that are not deflated may come between.
    Deflated {
        /// 9 to 15.
        window_bits: u8,
    },
    /// The client is a SockJS session of this process: a published text or binary message comes as
    /// a TEXT frame with RSV2 set, whose payload is the message as a JSON string
    /// (`wire::sockjs::quote`). All other frames come as they are.
    Quoted,
}

/// What a WebSocket has that needs a timer. One that has nothing of it has no `SocketHold`.
#[derive(Debug, Default)]
pub struct SocketHold {
    /// What is sent when nothing else is.
    pub keep_alive: Option<Pacer>,
    /// A frame that is due later.
    pub delayed: Option<(Bytes, Tick)>,
    /// When its backend side wants to be told.
    pub backend: Option<Tick>,
}

impl SocketHold {
    /// The earliest moment at which something is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Tick> {
        let keep_alive = self.keep_alive.as_ref().map(|pacer| pacer.due);
        let delayed = self.delayed.as_ref().map(|&(_, at)| at);
        [keep_alive, delayed, self.backend].into_iter().flatten().min()
    }

    /// Whether nothing of it is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keep_alive.is_none() && self.delayed.is_none() && self.backend.is_none()
    }
}
