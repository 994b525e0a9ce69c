//! WebSocket as browsers spoke it before the RFC (draft-ietf-hybi-thewebsocketprotocol-00, "hixie
//! 76"): the proof of the handshake and the frames. SockJS's release 0.3.3 has it; nothing else of
//! linchpin does. Called by `proxy` for SockJS clients. Pure.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use md5::{Digest, Md5};
use thiserror::Error;

/// Ends a connection, in both directions.
pub const CLOSE: Bytes = Bytes::from_static(&[0xff, 0x00]);
/// Bytes that a client sends behind its head, before any frame.
pub const NONCE_BYTES: usize = 8;

/// The number that a `Sec-WebSocket-Key1` or `2` stands for: its digits as one number, divided by
/// the number of its spaces; `None` if it stands for none.
#[must_use]
pub fn key(value: &[u8]) -> Option<u32> {
    let mut number = None::<u64>;
    let mut spaces = 0_u64;
    for &byte in value {
        match byte {
            b'0'..=b'9' => {
                let digit = u64::from(byte - b'0');
                number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?);
            }
            b' ' => spaces += 1,
            _ => {}
        }
    }
    let number = number?;
    if number.checked_rem(spaces)? != 0 {
        return None;
    }
    u32::try_from(number.checked_div(spaces)?).ok()
}

/// What the server proves to have understood the handshake with: it follows on the head of the 101,
/// once the nonce has come.
#[must_use]
pub fn proof(key1: u32, key2: u32, nonce: [u8; NONCE_BYTES]) -> [u8; 16] {
    let mut digest = Md5::new();
    digest.update(key1.to_be_bytes());
    digest.update(key2.to_be_bytes());
    digest.update(nonce);
    digest.finalize().into()
}

/// A text frame. The text is UTF-8, so no byte of it is 0xff.
#[must_use]
pub fn text(text: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(text.len() + 2);
    frame.put_u8(0x00);
    frame.put_slice(text);
    frame.put_u8(0xff);
    frame.freeze()
}

/// What a client has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Text, in UTF-8.
    Text(Bytes),
    /// It wants to close.
    Close,
}

/// Bytes that are no frames.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Violation {
    /// Neither text nor a close.
    #[error("a frame of type {0:#04x}")]
    Type(u8),
    /// A text longer than allowed, in bytes.
    #[error("a text of more than {0} bytes")]
    TooLong(usize),
    /// A text that is not UTF-8.
    #[error("a text that is not UTF-8")]
    NotUtf8,
}

/// Takes the next frame off the front of `bytes`; `None` if it is not whole yet. A text has at most
/// `text_bytes_max` bytes; so `bytes` need never hold much more.
///
/// # Errors
///
/// See [`Violation`]. Nothing can be read after it.
pub fn decode(bytes: &mut BytesMut, text_bytes_max: usize) -> Result<Option<Frame>, Violation> {
    match (bytes.first().copied(), bytes.get(1).copied()) {
        (None, _) | (Some(0xff), None) => Ok(None),
        (Some(0xff), Some(0x00)) => {
            bytes.advance(CLOSE.len());
            Ok(Some(Frame::Close))
        }
        (Some(0x00), _) => {
            let text = bytes.get(1..).unwrap_or_default();
            let length = memchr::memchr(0xff, text);
            if length.unwrap_or(text.len()) > text_bytes_max {
                return Err(Violation::TooLong(text_bytes_max));
            }
            let Some(length) = length else { return Ok(None) };
            let mut frame = bytes.split_to(length.saturating_add(2)).freeze();
            frame.advance(1);
            frame.truncate(length);
            std::str::from_utf8(&frame).map_err(|_| Violation::NotUtf8)?;
            Ok(Some(Frame::Text(frame)))
        }
        (Some(kind), _) => Err(Violation::Type(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys() {
        // The examples of the draft.
        assert_eq!(key(b"18x 6]8vM;54 *(5:  {   U1]8  z [  8"), Some(155_712_099));
        assert_eq!(key(b"1_ tx7X d  <  nw  334J702) 7]o}` 0"), Some(173_347_027));
        assert_eq!(key(b"3e6b263  4 17 80"), Some(906_585_445));
        for bad in ["", " ", "123", "12 5x9  ", "99999999999999999999 9", "4294967296 "] {
            assert_eq!(key(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn proofs() {
        let of = |one, two, nonce| proof(key(one).unwrap(), key(two).unwrap(), nonce);
        let draft = of(
            b"18x 6]8vM;54 *(5:  {   U1]8  z [  8",
            b"1_ tx7X d  <  nw  334J702) 7]o}` 0",
            *b"Tm[K T2u",
        );
        assert_eq!(&draft, b"fQJ,fN/4F4!~K~MH");
    }

    #[test]
    fn frames() {
        let mut bytes = BytesMut::from(&b"\x00hello\xff\x00\xff\xff"[..]);
        assert_eq!(decode(&mut bytes, 5), Ok(Some(Frame::Text("hello".into()))));
        assert_eq!(decode(&mut bytes, 5), Ok(Some(Frame::Text(Bytes::new()))));
        assert_eq!(decode(&mut bytes, 5), Ok(None));
        bytes.put_u8(0x00);
        assert_eq!(decode(&mut bytes, 5), Ok(Some(Frame::Close)));
        assert!(bytes.is_empty());

        let of = |bytes: &[u8]| decode(&mut BytesMut::from(bytes), 5);
        assert_eq!(of(b""), Ok(None));
        assert_eq!(of(b"\x00hello"), Ok(None));
        assert_eq!(of(b"\x00hello!"), Err(Violation::TooLong(5)));
        assert_eq!(of(b"\x00hello!\xff"), Err(Violation::TooLong(5)));
        assert_eq!(of(b"\x00\xc3\xff"), Err(Violation::NotUtf8));
        assert_eq!(of(b"\x80\x01a"), Err(Violation::Type(0x80)));
        assert_eq!(of(b"\xff\x01a"), Err(Violation::Type(0xff)));
    }

    proptest! {
        #[test]
        fn a_text_is_read_again(before: String, after: Vec<u8>) {
            let mut bytes = BytesMut::from(&text(before.as_bytes())[..]);
            bytes.extend_from_slice(&after);
            let read = decode(&mut bytes, before.len());
            prop_assert_eq!(read, Ok(Some(Frame::Text(before.into()))));
            prop_assert_eq!(&bytes[..], &after[..]);
        }

        #[test]
        fn it_never_panics(bytes: Vec<u8>, most in 0..9_usize) {
            let _ = key(&bytes);
            let mut bytes = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decode(&mut bytes, most) {}
        }
    }
}
