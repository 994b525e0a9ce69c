//! WebSocket frames (RFC 6455, section 5): heads in both directions, whole server frames.

use bytes::Bytes;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A further fragment of the message that is open.
    Continuation,
    /// A text message, or its first fragment.
    Text,
    /// A binary message, or its first fragment.
    Binary,
    /// The end of the conversation.
    Close,
    /// A question for a pong.
    Ping,
    /// The answer to a ping.
    Pong,
}

/// One whole, unmasked frame with FIN set, as a server sends it.
#[must_use]
pub fn server_frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let _ = (opcode, payload);
    todo!()
}

/// The payload of a CLOSE frame: the code, and the reason cut at a UTF-8 boundary so that both fit
/// 125 bytes.
#[must_use]
pub fn close_payload(code: Option<u16>, reason: &str) -> Bytes {
    let _ = (code, reason);
    todo!()
}
