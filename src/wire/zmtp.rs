//! ZMTP 3.0, as far as a socket without security needs it (rfc.zeromq.org/spec/23): the greeting,
//! READY, and frames.
//!
//! Called by `publish` for its ZeroMQ sockets. Pure. A peer that speaks a later version falls back
//! to this one.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Length of a greeting.
pub const GREETING_BYTES: usize = 64;

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// Why what a peer sent is not ZMTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZmtpError {
    /// Not the greeting of a peer of version 3 or later.
    #[error("not a ZMTP 3 greeting")]
    Greeting,
    /// The peer wants another security mechanism than none.
    #[error("the peer wants security, which is not offered")]
    Mechanism,
    /// A frame's flags have no meaning.
    #[error("flags {0:#04x} have no meaning")]
    Flags(u8),
    /// A frame is larger than allowed.
    #[error("a frame of {bytes} bytes, of {bytes_max} that are allowed")]
    TooLarge {
        /// Its length.
        bytes: u64,
        /// The limit.
        bytes_max: usize,
    },
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// It belongs to the protocol, not to a message.
    pub is_command: bool,
    /// Further frames of its message follow.
    pub more: bool,
    /// What it carries.
    pub payload: Bytes,
}

/// Our greeting: version 3.0, mechanism NULL.
#[must_use]
pub fn greeting() -> [u8; GREETING_BYTES] {
    let mut greeting = [0; GREETING_BYTES];
    greeting[0] = 0xff;
    greeting[8] = 1;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

/// Checks a peer's greeting.
pub fn check_greeting(greeting: &[u8; GREETING_BYTES]) -> Result<(), ZmtpError> {
    if greeting[0] != 0xff || greeting[9] & 1 == 0 || greeting[10] < 3 {
        return Err(ZmtpError::Greeting);
    }
    if greeting[12..32] != *b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" {
        return Err(ZmtpError::Mechanism);
    }
    Ok(())
}

/// The command READY, which says what kind of socket this is (at most 255 bytes).
#[must_use]
pub fn ready(socket_type: &str) -> Bytes {
    const NAME: &[u8] = b"Socket-Type";
    let mut body = BytesMut::new();
    body.put_u8(5);
    body.put_slice(b"READY");
    body.put_u8(NAME.len() as u8);
    body.put_slice(NAME);
    let kind = socket_type.as_bytes().get(..255).unwrap_or(socket_type.as_bytes());
    body.put_u32(kind.len() as u32); // at most 255
    body.put_slice(kind);
    let mut out = BytesMut::new();
    put_frame(&Frame { is_command: true, more: false, payload: body.freeze() }, &mut out);
    out.freeze()
}

/// Appends a frame.
pub fn put_frame(frame: &Frame, out: &mut BytesMut) {
    let mut flags = if frame.more { MORE } else { 0 };
    if frame.is_command {
        flags |= COMMAND;
    }
    match u8::try_from(frame.payload.len()) {
        Ok(short) => {
            out.put_u8(flags);
            out.put_u8(short);
        }
        Err(_) => {
            out.put_u8(flags | LONG);
            out.put_u64(frame.payload.len() as u64);
        }
    }
    out.put_slice(&frame.payload);
}

/// Takes the next frame off `input`; `None` when more bytes are needed. One of more than
/// `bytes_max` is an error before it has come.
pub fn take_frame(input: &mut BytesMut, bytes_max: usize) -> Result<Option<Frame>, ZmtpError> {
    let Some(&flags) = input.first() else { return Ok(None) };
    if flags & !(MORE | LONG | COMMAND) != 0 || flags & (MORE | COMMAND) == MORE | COMMAND {
        return Err(ZmtpError::Flags(flags));
    }
    let (length, head_bytes) = if flags & LONG != 0 {
        let Some(digits) = input.get(1..9).and_then(<[u8]>::first_chunk::<8>) else {
            return Ok(None);
        };
        (u64::from_be_bytes(*digits), 9)
    } else {
        let Some(&length) = input.get(1) else { return Ok(None) };
        (u64::from(length), 2)
    };
    let bytes = usize::try_from(length).ok().filter(|bytes| *bytes <= bytes_max);
    let bytes = bytes.ok_or(ZmtpError::TooLarge { bytes: length, bytes_max })?;
    if input.len() - head_bytes < bytes {
        return Ok(None);
    }
    input.advance(head_bytes);
    let payload = input.split_to(bytes).freeze();
    Ok(Some(Frame { is_command: flags & COMMAND != 0, more: flags & MORE != 0, payload }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn greetings() {
        let own = greeting();
        assert_eq!(check_greeting(&own), Ok(()));
        // What libzmq 4.3 sends.
        let mut later = own;
        later[11] = 1;
        assert_eq!(check_greeting(&later), Ok(()));
        let mut old = own;
        old[10] = 1;
        assert_eq!(check_greeting(&old), Err(ZmtpError::Greeting));
        let mut curve = own;
        curve[12..17].copy_from_slice(b"CURVE");
        assert_eq!(check_greeting(&curve), Err(ZmtpError::Mechanism));
        assert_eq!(check_greeting(&[b'G'; GREETING_BYTES]), Err(ZmtpError::Greeting));
    }

    #[test]
    fn ready_says_what_kind_of_socket_it_is() {
        assert_eq!(&ready("REP")[..], b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03REP");
    }

    #[test]
    fn frames() {
        let take = |bytes: &[u8]| take_frame(&mut BytesMut::from(bytes), 300);
        assert_eq!(take(b""), Ok(None));
        assert_eq!(take(b"\0"), Ok(None));
        assert_eq!(take(b"\0\x02a"), Ok(None));
        assert_eq!(take(b"\x02\0\0\0\0\0\0\0"), Ok(None));
        let frame = |is_command, more, payload| Frame { is_command, more, payload };
        assert_eq!(take(b"\x01\x02ab..."), Ok(Some(frame(false, true, Bytes::from_static(b"ab")))));
        assert_eq!(take(b"\x04\0"), Ok(Some(frame(true, false, Bytes::new()))));
        assert_eq!(
            take(b"\x02\0\0\0\0\0\0\0\x01a"),
            Ok(Some(frame(false, false, Bytes::from_static(b"a"))))
        );
        assert_eq!(take(b"\x08\0"), Err(ZmtpError::Flags(8)));
        assert_eq!(take(b"\x05\0"), Err(ZmtpError::Flags(5)));
        let too_large = Err(ZmtpError::TooLarge { bytes: 301, bytes_max: 300 });
        assert_eq!(take(b"\x02\0\0\0\0\0\0\x01\x2d"), too_large);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            frames in prop::collection::vec((any::<bool>(), any::<bool>(), 0..600_usize), 0..6),
        ) {
            let frames: Vec<_> = frames
                .into_iter()
                .map(|(is_command, more, bytes)| {
                    let payload = Bytes::from(vec![b'x'; bytes]);
                    Frame { is_command, more: more && !is_command, payload }
                })
                .collect();
            let mut wire = BytesMut::new();
            frames.iter().for_each(|frame| put_frame(frame, &mut wire));
            for frame in frames {
                prop_assert_eq!(take_frame(&mut wire, 600), Ok(Some(frame)));
            }
            prop_assert!(wire.is_empty());
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>) {
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = take_frame(&mut input, 100) {}
        }
    }
}
