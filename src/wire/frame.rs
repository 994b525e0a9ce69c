//! WebSocket frames (RFC 6455, section 5): heads in both directions, masking, whole frames.
//!
//! Called by `ws` and `proxy` to read and relay, and by `hub` to encode what is published. Pure: it
//! knows neither which side it works for nor what belongs to one message.

use bytes::{BufMut, Bytes, BytesMut};

/// Longest head: two bytes, eight of length, four of mask.
pub const HEAD_BYTES_MAX: usize = 14;
/// Longest payload of a control frame (RFC 6455, 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

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

impl Opcode {
    /// The four bits on the wire.
    #[must_use]
    pub fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }

    fn from_bits(bits: u8) -> Option<Opcode> {
        match bits {
            0 => Some(Opcode::Continuation),
            1 => Some(Opcode::Text),
            2 => Some(Opcode::Binary),
            8 => Some(Opcode::Close),
            9 => Some(Opcode::Ping),
            10 => Some(Opcode::Pong),
            _ => None,
        }
    }

    /// CLOSE, PING or PONG: short, never fragmented, allowed between the fragments of a message.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.bits() >= 8
    }
}

/// The head of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last fragment of its message.
    pub fin: bool,
    /// The reserved bits RSV1 to RSV3, as the number 0 to 7 (RSV1 is 4).
    pub reserved: u8,
    /// What the frame carries.
    pub opcode: Opcode,
    /// The key that the payload is masked with.
    pub mask: Option<[u8; 4]>,
    /// How many bytes of payload follow.
    pub payload_bytes: u64,
}

/// Why bytes are not the head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Opcodes 3 to 7 and 11 to 15 have no meaning.
    #[error("reserved opcode {0}")]
    ReservedOpcode(u8),
    /// The length's highest bit must be 0.
    #[error("payload length over 2^63")]
    Length,
}

/// What came of reading a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A head, and how many bytes it took.
    Head(Head, usize),
    /// At least so many more bytes are needed.
    Needs(usize),
}

/// Reads the head that `bytes` begins with.
pub fn head(bytes: &[u8]) -> Result<Parsed, HeadError> {
    let &[first, second, ..] = bytes else { return Ok(Parsed::Needs(2 - bytes.len())) };
    let opcode = Opcode::from_bits(first & 15).ok_or(HeadError::ReservedOpcode(first & 15))?;
    let masked = second & 0x80 != 0;
    let length_bytes = match second & 0x7f {
        127 => 8,
        126 => 2,
        _ => 0,
    };
    let total = 2 + length_bytes + if masked { 4 } else { 0 };
    let Some(rest) = bytes.get(2..total) else { return Ok(Parsed::Needs(total - bytes.len())) };
    let (length, key) = rest.split_at(length_bytes);
    let payload_bytes = match length_bytes {
        0 => u64::from(second & 0x7f),
        _ => length.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
    };
    if payload_bytes >> 63 != 0 {
        return Err(HeadError::Length);
    }
    let head = Head {
        fin: first & 0x80 != 0,
        reserved: first >> 4 & 7,
        opcode,
        mask: key.first_chunk().copied(),
        payload_bytes,
    };
    Ok(Parsed::Head(head, total))
}

/// Appends a head, its length in as few bytes as it needs.
pub fn put_head(head: &Head, out: &mut BytesMut) {
    let fin = if head.fin { 0x80 } else { 0 };
    out.put_u8(fin | (head.reserved & 7) << 4 | head.opcode.bits());
    let masked = if head.mask.is_some() { 0x80 } else { 0 };
    match head.payload_bytes {
        short @ 0..126 => out.put_u8(masked | short as u8),
        middle @ 126..0x1_0000 => {
            out.put_u8(masked | 126);
            out.put_u16(middle as u16);
        }
        long => {
            out.put_u8(masked | 127);
            out.put_u64(long);
        }
    }
    if let Some(key) = head.mask {
        out.put_slice(&key);
    }
}

/// Masks or unmasks (it is the same) a part of a payload that begins `offset` bytes into it.
pub fn mask(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let mut key = key;
    key.rotate_left(offset & 3);
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// One unmasked frame, as a server sends it; without `fin`, more of its message follows.
#[must_use]
pub fn server_fragment(opcode: Opcode, fin: bool, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(10 + payload.len());
    let payload_bytes = payload.len() as u64;
    put_head(&Head { fin, reserved: 0, opcode, mask: None, payload_bytes }, &mut out);
    out.put_slice(payload);
    out.freeze()
}

/// One whole, unmasked frame with FIN set, as a server sends it.
#[must_use]
pub fn server_frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    server_fragment(opcode, true, payload)
}

/// One frame masked with `key`, as a client sends it; without `fin`, more of its message follows.
#[must_use]
pub fn client_fragment(opcode: Opcode, fin: bool, key: [u8; 4], payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD_BYTES_MAX + payload.len());
    let payload_bytes = payload.len() as u64;
    put_head(&Head { fin, reserved: 0, opcode, mask: Some(key), payload_bytes }, &mut out);
    let start = out.len();
    out.put_slice(payload);
    if let Some(payload) = out.get_mut(start..) {
        mask(payload, key, 0);
    }
    out.freeze()
}

/// The payload of a CLOSE frame: the code, and the reason cut at a UTF-8 boundary so that both fit
/// 125 bytes. Without a code it is 1000 and the reason is left out.
#[must_use]
pub fn close_payload(code: Option<u16>, reason: &str) -> Bytes {
    let (code, reason) = match code {
        Some(code) => (code, reason),
        None => (1000, ""),
    };
    let reason = &reason.as_bytes()[..reason.floor_char_boundary(CONTROL_BYTES_MAX - 2)];
    let mut out = BytesMut::with_capacity(2 + reason.len());
    out.put_u16(code);
    out.put_slice(reason);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(bytes: &[u8]) -> (Head, usize) {
        match head(bytes) {
            Ok(Parsed::Head(head, taken)) => (head, taken),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_examples_of_the_rfc() {
        assert_eq!(&server_frame(Opcode::Text, b"Hello")[..], b"\x81\x05Hello");
        let key = [0x37, 0xfa, 0x21, 0x3d];
        assert_eq!(
            &client_fragment(Opcode::Text, true, key, b"Hello")[..],
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        );
        assert_eq!(&server_fragment(Opcode::Text, false, b"Hel")[..], b"\x01\x03Hel");
        assert_eq!(&server_fragment(Opcode::Continuation, true, b"lo")[..], b"\x80\x02lo");
        assert_eq!(&server_frame(Opcode::Ping, b"Hello")[..], b"\x89\x05Hello");
        assert_eq!(&server_frame(Opcode::Binary, &[0; 256])[..4], b"\x82\x7e\x01\x00");
        let long = server_frame(Opcode::Binary, &vec![0; 65536]);
        assert_eq!(&long[..10], b"\x82\x7f\0\0\0\0\0\x01\0\0");
    }

    #[test]
    fn a_head_asks_for_what_it_lacks() {
        assert_eq!(head(b""), Ok(Parsed::Needs(2)));
        assert_eq!(head(b"\x81"), Ok(Parsed::Needs(1)));
        assert_eq!(head(b"\x81\x80"), Ok(Parsed::Needs(4)));
        assert_eq!(head(b"\x81\xfe\x01"), Ok(Parsed::Needs(5)));
        assert_eq!(head(b"\x81\x7f"), Ok(Parsed::Needs(8)));
        let (head, taken) = parsed(b"\xc1\x02..");
        assert_eq!((head.reserved, head.payload_bytes, taken), (4, 2, 2));
    }

    #[test]
    fn heads_without_meaning_are_refused() {
        for bits in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            assert_eq!(head(&[0x80 | bits, 0]), Err(HeadError::ReservedOpcode(bits)));
        }
        assert_eq!(head(b"\x82\x7f\x80\0\0\0\0\0\0\0"), Err(HeadError::Length));
    }

    #[test]
    fn the_vector_of_a_published_close() {
        let payload = close_payload(Some(4001), "bye");
        assert_eq!(&server_frame(Opcode::Close, &payload)[..], b"\x88\x05\x0f\xa1bye");
    }

    #[test]
    fn a_close_without_code_is_1000_and_a_long_reason_is_cut() {
        assert_eq!(&close_payload(None, "gone")[..], b"\x03\xe8");
        assert_eq!(&close_payload(Some(0), "")[..], b"\0\0");
        let cut = close_payload(Some(1000), &"é".repeat(100));
        assert_eq!(cut.len(), 124);
        assert!(std::str::from_utf8(&cut[2..]).is_ok());
        assert_eq!(close_payload(Some(1000), &"x".repeat(123)).len(), 125);
    }

    proptest! {
        #[test]
        fn heads_come_back(
            fin: bool,
            reserved in 0..8_u8,
            bits in prop::sample::select(vec![0_u8, 1, 2, 8, 9, 10]),
            mask: Option<[u8; 4]>,
            payload_bytes in prop_oneof![0..300_u64, 65_000..66_000_u64, 0..1_u64 << 63],
        ) {
            let opcode = Opcode::from_bits(bits).unwrap();
            let head = Head { fin, reserved, opcode, mask, payload_bytes };
            let mut out = BytesMut::new();
            put_head(&head, &mut out);
            prop_assert_eq!(parsed(&out), (head, out.len()));
            for cut in 0..out.len() {
                let needs = super::head(&out[..cut]);
                let Ok(Parsed::Needs(needs)) = needs else { panic!("{needs:?}") };
                prop_assert!(needs > 0 && cut + needs <= out.len());
            }
        }

        #[test]
        fn masking_in_parts_is_masking_the_whole(
            payload: Vec<u8>, key: [u8; 4], cut: prop::sample::Index,
        ) {
            let plain: Vec<u8> =
                payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let mut whole = payload.clone();
            let cut = cut.index(payload.len() + 1);
            let (one, two) = whole.split_at_mut(cut);
            mask(one, key, 0);
            mask(two, key, cut);
            prop_assert_eq!(&whole, &plain);
            mask(&mut whole, key, 0);
            prop_assert_eq!(whole, payload);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = head(&bytes);
        }
    }
}
