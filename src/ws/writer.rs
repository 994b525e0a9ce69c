//! Messages into frames, deflated where that was agreed on (RFC 7692, section 6.1).
//!
//! A [`Writer`] makes the frames that one side of a relay sends, while a message comes in parts;
//! [`whole`] makes one frame of a message. Used by `proxy`; what is published is `session`'s
//! matter. Pure. A part is deflated by itself, so nothing is remembered from one to the next.

use bytes::{BufMut, Bytes, BytesMut};

use super::random;
use super::reader::{DEFLATED, DataKind, Sender};
use crate::wire::deflate;
use crate::wire::frame::{self, HEAD_BYTES_MAX, Head, Opcode};

/// A payload of at least so many bytes is not copied behind its head.
const SHARED_PAYLOAD_BYTES_MIN: usize = 1024;

/// How messages are deflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflation {
    /// References reach back at most `2^window_bits` bytes (9 to 15).
    pub window_bits: u8,
    /// A shorter message is sent as it is, if it comes whole.
    pub bytes_min: usize,
}

/// Makes the frames of one side. See the module.
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    sender: Sender,
    deflation: Option<Deflation>,
    /// The message that is open is deflated.
    deflating: bool,
}

impl Writer {
    /// A writer of `sender`'s frames.
    #[must_use]
    pub fn new(sender: Sender, deflation: Option<Deflation>) -> Writer {
        Writer { sender, deflation, deflating: false }
    }

    /// The next part of a message, as one frame in one or two pieces. Nothing is made of an empty
    /// part in the middle.
    pub fn part(
        &mut self,
        kind: DataKind,
        (first, last): (bool, bool),
        bytes: Bytes,
        mut put: impl FnMut(Bytes),
    ) {
        if first && last {
            let Some(frame) = deflated(self.sender, self.deflation, kind, &bytes) else {
                return self.plain(opcode(kind), true, bytes, put);
            };
            return put(frame);
        }
        if first {
            self.deflating = self.deflation.is_some();
        } else if !last && bytes.is_empty() {
            return;
        }
        let opcode = if first { opcode(kind) } else { Opcode::Continuation };
        let Some(deflation) = self.deflation.filter(|_| self.deflating) else {
            return self.plain(opcode, last, bytes, put);
        };
        let payload = deflate::message(deflation.window_bits, &bytes);
        // Without it the next part could not begin at a byte.
        let rest: &[u8] = if last { b"" } else { &deflate::TAIL };
        let reserved = if first { DEFLATED } else { 0 };
        put(one_frame(self.sender, opcode, (last, reserved), &[&payload, rest]));
    }

    fn plain(&self, opcode: Opcode, fin: bool, bytes: Bytes, mut put: impl FnMut(Bytes)) {
        if self.sender == Sender::Client || bytes.len() < SHARED_PAYLOAD_BYTES_MIN {
            return put(one_frame(self.sender, opcode, (fin, 0), &[&bytes]));
        }
        let mut head = BytesMut::with_capacity(HEAD_BYTES_MAX);
        let payload_bytes = bytes.len() as u64;
        frame::put_head(&Head { fin, reserved: 0, opcode, mask: None, payload_bytes }, &mut head);
        put(head.freeze());
        put(bytes);
    }
}

/// A whole message as a server sends it.
#[must_use]
pub fn whole(deflation: Option<Deflation>, kind: DataKind, content: &[u8]) -> Bytes {
    deflated(Sender::Server, deflation, kind, content)
        .unwrap_or_else(|| frame::server_frame(opcode(kind), content))
}

/// A whole message as one deflated frame, if that is agreed on and makes it shorter.
fn deflated(
    sender: Sender,
    deflation: Option<Deflation>,
    kind: DataKind,
    content: &[u8],
) -> Option<Bytes> {
    let Deflation { window_bits, bytes_min } = deflation?;
    if content.len() < bytes_min {
        return None;
    }
    let frame = |payload: &[u8]| one_frame(sender, opcode(kind), (true, DEFLATED), &[payload]);
    deflate::shorter(window_bits, content, frame)
}

fn opcode(kind: DataKind) -> Opcode {
    match kind {
        DataKind::Text => Opcode::Text,
        DataKind::Binary => Opcode::Binary,
    }
}

/// A frame whose payload is these pieces; a client's is masked.
fn one_frame(
    sender: Sender,
    opcode: Opcode,
    (fin, reserved): (bool, u8),
    payload: &[&[u8]],
) -> Bytes {
    let key = (sender == Sender::Client).then(random::bytes);
    let length: usize = payload.iter().map(|piece| piece.len()).sum();
    let mut out = BytesMut::with_capacity(HEAD_BYTES_MAX + length);
    let head = Head { fin, reserved, opcode, mask: key, payload_bytes: length as u64 };
    frame::put_head(&head, &mut out);
    let start = out.len();
    payload.iter().for_each(|piece| out.put_slice(piece));
    if let (Some(key), Some(payload)) = (key, out.get_mut(start..)) {
        frame::mask(payload, key, 0);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::Parsed;
    use crate::ws::messages::{Incoming, Messages};
    use crate::ws::reader::Inflation;
    use proptest::prelude::*;

    const SMALL: Deflation = Deflation { window_bits: 15, bytes_min: 10 };

    fn head(frame: &[u8]) -> Head {
        match frame::head(frame) {
            Ok(Parsed::Head(head, _)) => head,
            other => panic!("{other:?}"),
        }
    }

    fn parts(writer: &mut Writer, parts: &[&'static [u8]]) -> Vec<Bytes> {
        let mut frames = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            let ends = (place == 0, place + 1 == parts.len());
            let part = Bytes::from_static(part);
            writer.part(DataKind::Text, ends, part, |piece| frames.push(piece));
        }
        frames
    }

    #[test]
    fn only_what_gets_shorter_is_deflated() {
        let deflated = whole(Some(SMALL), DataKind::Text, b"aaaaaaaaaaaaaaaaaaaaaaaa");
        assert_eq!((head(&deflated).reserved, deflated.len() < 12), (DEFLATED, true));
        for plain in [&b"aaaaaaaaa"[..], b"0123456789abc"] {
            let frame = whole(Some(SMALL), DataKind::Text, plain);
            assert_eq!(frame, frame::server_frame(Opcode::Text, plain));
            let mut writer = Writer::new(Sender::Server, Some(SMALL));
            let mut frames = Vec::new();
            let bytes = Bytes::copy_from_slice(plain);
            writer.part(DataKind::Text, (true, true), bytes, |piece| frames.push(piece));
            assert_eq!(frames, [frame]);
        }
        assert_eq!(head(&whole(None, DataKind::Binary, &[b'a'; 99])).reserved, 0);
    }

    #[test]
    fn the_parts_of_a_message_are_one_stream() {
        let mut writer = Writer::new(Sender::Server, Some(SMALL));
        let frames = parts(&mut writer, &[b"", b"one", b"", b"two, two, two, two, two", b""]);
        let heads: Vec<_> = frames.iter().map(|one| head(one)).collect();
        let seen: Vec<_> = heads.iter().map(|one| (one.opcode, one.reserved, one.fin)).collect();
        assert_eq!(
            seen,
            [
                (Opcode::Text, DEFLATED, false),
                (Opcode::Continuation, 0, false),
                (Opcode::Continuation, 0, false),
                (Opcode::Continuation, 0, true)
            ]
        );
        assert_eq!(frames[3], &b"\x80\x01\x00"[..]);
    }

    #[test]
    fn a_large_payload_is_not_copied() {
        let large = Bytes::from(vec![b'x'; 5000]);
        let mut pieces = Vec::new();
        let mut writer = Writer::new(Sender::Server, None);
        writer.part(DataKind::Binary, (true, false), large.clone(), |piece| pieces.push(piece));
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
        assert_eq!((head(&pieces[0]).payload_bytes, head(&pieces[0]).fin), (5000, false));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(
            messages in prop::collection::vec(
                (prop::collection::vec("[ab]{0,300}|[a-z0-9]{0,40}|x{9000}", 1..5), any::<bool>()),
                0..8),
            client: bool,
            window_bits in 9..=15_u8,
            bytes_min in 0..100_usize,
            deflates: bool,
            in_context: bool,
        ) {
            let sender = if client { Sender::Client } else { Sender::Server };
            let deflation = deflates.then_some(Deflation { window_bits, bytes_min });
            let mut writer = Writer::new(sender, deflation);
            let inflation = match (deflates, in_context) {
                (false, _) => Inflation::None,
                (_, true) => Inflation::InContext,
                (_, false) => Inflation::EachMessage,
            };
            let mut reader = Messages::new(sender).inflating(inflation);
            for (parts, text) in messages {
                let kind = if text { DataKind::Text } else { DataKind::Binary };
                for (place, part) in parts.iter().enumerate() {
                    let ends = (place == 0, place + 1 == parts.len());
                    writer.part(kind, ends, part.clone().into(), |piece| reader.feed(&piece));
                }
                let Ok(Some(Incoming::Message(message))) = reader.next(1_000_000) else { panic!() };
                prop_assert_eq!(&message.content, &parts.concat());
            }
            prop_assert_eq!(reader.next(1_000_000), Ok(None));
        }
    }
}
