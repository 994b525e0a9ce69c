//! What a publisher sends to WebSockets, as frames: encoded once, whoever gets them.

use bytes::{BufMut, Bytes, BytesMut};

use crate::grip::format::CloseReason;
use crate::grip::message::{Message, MessageKind};
use crate::limits::CONTROL_FRAME_BYTES_MAX;
use crate::wire::deflate::{self, WINDOW_BITS_MAX};
use crate::wire::frame::{
    HEAD_BYTES_MAX, Head, Opcode, Parsed, close_payload, head, put_head, server_frame,
};
use crate::wire::sockjs::quote;

/// The reserved bit of a message that is deflated (RFC 7692, 6).
const DEFLATED: u8 = 4;
/// The reserved bit of a message that is a JSON string; it never leaves the process.
const QUOTED: u8 = 2;

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

/// The payload of a whole, unmasked frame.
#[must_use]
pub fn payload(frame: &[u8]) -> &[u8] {
    match head(frame) {
        Ok(Parsed::Head(_, taken)) => frame.get(taken..).unwrap_or_default(),
        _ => &[],
    }
}

/// The message of a plain frame as a deflated one, for the largest window; `None` if it is not one
/// that may be deflated (RFC 7692, 6.1), or does not get shorter.
#[must_use]
pub fn deflated_frame(plain: &[u8]) -> Option<Bytes> {
    let opcode = data_opcode(plain)?;
    let frame = |deflated: &[u8]| reserved_frame(opcode, DEFLATED, deflated);
    deflate::shorter(WINDOW_BITS_MAX, payload(plain), frame)
}

/// The message of a plain frame as one that has it as a JSON string, see `Form::Quoted`; `None` if
/// it is a control frame.
#[must_use]
pub fn quoted_frame(plain: &[u8]) -> Option<Bytes> {
    data_opcode(plain)?;
    Some(reserved_frame(Opcode::Text, QUOTED, &quote(payload(plain))))
}

fn data_opcode(frame: &[u8]) -> Option<Opcode> {
    match head(frame) {
        Ok(Parsed::Head(head, _)) if !head.opcode.is_control() => Some(head.opcode),
        _ => None,
    }
}

fn reserved_frame(opcode: Opcode, reserved: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD_BYTES_MAX + payload.len());
    let payload_bytes = payload.len() as u64;
    put_head(&Head { fin: true, reserved, opcode, mask: None, payload_bytes }, &mut out);
    out.put_slice(payload);
    out.freeze()
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
