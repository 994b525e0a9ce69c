//! What a publisher sends to WebSockets, as frames: encoded once, whoever gets them.

use bytes::Bytes;

use crate::grip::format::CloseReason;
use crate::grip::message::{Message, MessageKind};
use crate::limits::CONTROL_FRAME_BYTES_MAX;
use crate::wire::frame::{Opcode, close_payload, server_frame};

/// A message as one frame; `None` for a ping or pong that is larger than a control frame may be.
#[must_use]
pub fn message_frame(message: &Message) -> Option<Bytes> {
    let opcode = match message.kind {
        MessageKind::Text => Opcode::Text,
        MessageKind::Binary => Opcode::Binary,
        MessageKind::Ping => Opcode::Ping,
        MessageKind::Pong => Opcode::Pong,
    };
    let is_control = matches!(message.kind, MessageKind::Ping | MessageKind::Pong);
    if is_control && message.content.len() > CONTROL_FRAME_BYTES_MAX {
        return None;
    }
    Some(server_frame(opcode, &message.content))
}

/// A CLOSE. Without a code it is 1000, and the reason is not sent.
#[must_use]
pub fn close_frame(reason: &CloseReason) -> Bytes {
    let payload = match reason.code {
        Some(code) => close_payload(Some(code), &reason.reason),
        None => close_payload(Some(1000), ""),
    };
    server_frame(Opcode::Close, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: MessageKind, len: usize) -> Message {
        Message { kind, content: Bytes::from(vec![b'x'; len]) }
    }

    #[test]
    fn control_frames_are_small() {
        assert!(message_frame(&message(MessageKind::Ping, 125)).is_some());
        assert!(message_frame(&message(MessageKind::Ping, 126)).is_none());
        assert!(message_frame(&message(MessageKind::Pong, 126)).is_none());
        assert!(message_frame(&message(MessageKind::Text, 126)).is_some());
        assert_eq!(message_frame(&message(MessageKind::Text, 2)).unwrap(), &b"\x81\x02xx"[..]);
    }

    #[test]
    fn a_close_without_code_has_no_reason() {
        let reason = CloseReason { code: None, reason: "why".into() };
        assert_eq!(close_frame(&reason), &b"\x88\x02\x03\xe8"[..]);
        let reason = CloseReason { code: Some(0), reason: "why".into() };
        assert_eq!(close_frame(&reason), &b"\x88\x05\0\0why"[..]);
    }
}
