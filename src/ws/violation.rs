//! How a peer breaks the protocol, and the code with which it is told so.
//!
//! Found by `reader`, `meter` and `messages`.

use crate::wire::frame;
use crate::wire::inflate::Corrupt;

/// How a peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The head of a frame has no meaning.
    #[error(transparent)]
    Head(#[from] frame::HeadError),
    /// A reserved bit is set although no extension was negotiated that gives it a meaning.
    #[error("a reserved bit is set")]
    ReservedBit,
    /// A client's frame must be masked.
    #[error("a client's frame is not masked")]
    NotMasked,
    /// A server's frame must not be masked.
    #[error("a server's frame is masked")]
    Masked,
    /// A continuation, and no message is open.
    #[error("a continuation without a message")]
    StrayContinuation,
    /// A new message before the last one ended.
    #[error("a message begins within a message")]
    NestedMessage,
    /// Control frames have one frame.
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// Control frames are short.
    #[error("a control frame of {0} bytes")]
    LongControl(u64),
    /// A CLOSE has a code, which is two bytes, or nothing.
    #[error("a CLOSE of one byte")]
    CloseLength,
    /// A text message is text. Only where messages are collected: who relays leaves it to the
    /// backend.
    #[error("a text message is not UTF-8")]
    NotUtf8,
    /// The reason of a CLOSE is text.
    #[error("the reason of a CLOSE is not UTF-8")]
    CloseReason,
    /// What was deflated is corrupt.
    #[error(transparent)]
    Deflated(#[from] Corrupt),
    /// A message over the limit of whoever collects messages.
    #[error("a message of more than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// A frame over the limit.
    #[error("a frame of more than {limit_bytes} bytes")]
    LongFrame {
        /// The limit.
        limit_bytes: u64,
    },
    /// A message in more frames than the limit.
    #[error("a message in more than {limit} frames")]
    Fragments {
        /// The limit.
        limit: u64,
    },
}

impl Violation {
    /// The code with which the peer's connection is closed (RFC 6455, 7.4.1).
    #[must_use]
    pub fn close_code(&self) -> u16 {
        match self {
            Violation::CloseReason | Violation::NotUtf8 | Violation::Deflated(_) => 1007,
            Violation::TooLarge { .. } | Violation::LongFrame { .. } => 1009,
            Violation::Fragments { .. } => 1008,
            _ => 1002,
        }
    }

    /// Whether only a bound was passed, and no rule of the protocol.
    #[must_use]
    pub fn is_excess(&self) -> bool {
        use Violation::{Fragments, LongFrame, TooLarge};
        matches!(self, TooLarge { .. } | LongFrame { .. } | Fragments { .. })
    }
}
