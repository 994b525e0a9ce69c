//! A held WebSocket: keep-alive, delayed message, backend timer.
//!
//! Used by `Session`; knows no backend.

use bytes::Bytes;

use super::keep_alive::Pacer;
use crate::clock::Tick;

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
