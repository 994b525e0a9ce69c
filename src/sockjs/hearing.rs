//! What the backend's side of a session says: the frames of a WebSocket server into what concerns a
//! SockJS client, messages as JSON strings (specification, SockJS 6.5). Pure.
//!
//! Fed by `proxy` with what comes through the stream within the process. A TEXT frame with RSV2 is
//! a message that was made a JSON string already, for all who get it (`session::socket::Form`): it
//! is passed on as it came, without a copy where its frame came in one piece.

use bytes::{Bytes, BytesMut};

use crate::wire::frame::{self, CONTROL_BYTES_MAX, Head, HeadError, Opcode, Parsed};
use crate::wire::sockjs::quote;

/// RSV2, among the reserved bits as [`Head`] has them.
const QUOTED: u8 = 2;

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A message, as a JSON string.
    Message(Bytes),
    /// A ping, to be answered.
    Ping(Bytes),
    /// The last word: code and reason.
    Close(Option<u16>, Bytes),
}

/// What the process says to itself is wrong, or a message of a backend is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misheard {
    /// No head of a frame.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// Masked, or fragments that do not fit together, or a control frame that is none.
    #[error("frames that a server does not send")]
    Frames,
    /// A message has more bytes than it may.
    #[error("a message of more than {0} bytes")]
    TooLarge(usize),
}

/// See the module.
#[derive(Debug)]
pub struct Hearing {
    /// What came last; where it ends within a frame, the next piece is put behind it.
    input: Bytes,
    /// Fragments of a message whose end has not come.
    message: Option<BytesMut>,
    message_bytes_max: usize,
}

impl Hearing {
    /// Nothing was said yet. A message may have so many bytes.
    #[must_use]
    pub fn new(message_bytes_max: usize) -> Hearing {
        Hearing { input: Bytes::new(), message: None, message_bytes_max }
    }

    /// Takes what came. [`Hearing::hear`] then tells what it says.
    pub fn feed(&mut self, piece: Bytes) {
        if self.input.is_empty() {
            self.input = piece;
            return;
        }
        // What is whole has been taken off: this is the beginning of one frame.
        let mut joined = match std::mem::take(&mut self.input).try_into_mut() {
            Ok(input) => input,
            Err(shared) => BytesMut::from(&shared[..]),
        };
        joined.extend_from_slice(&piece);
        self.input = joined.freeze();
    }

    /// What was said next; `None` when more has to come.
    ///
    /// # Errors
    /// See [`Misheard`]. After one there is nothing more to hear.
    pub fn hear(&mut self) -> Result<Option<Said>, Misheard> {
        while let Some((head, payload)) = self.frame()? {
            let said = match head.opcode {
                Opcode::Ping => Some(Said::Ping(payload)),
                Opcode::Pong => None,
                Opcode::Close => Some(close(&payload)),
                Opcode::Text if head.reserved == QUOTED && head.fin => {
                    Some(Said::Message(self.alone(payload)?))
                }
                _ if head.reserved != 0 => return Err(Misheard::Frames),
                Opcode::Text | Opcode::Binary if head.fin => {
                    Some(Said::Message(quote(&self.alone(payload)?)))
                }
                Opcode::Text | Opcode::Binary => {
                    let payload = self.alone(payload)?;
                    self.message = Some(BytesMut::from(&payload[..]));
                    None
                }
                Opcode::Continuation => self.continued(&head, &payload)?.map(Said::Message),
            };
            if said.is_some() {
                return Ok(said);
            }
        }
        Ok(None)
    }

    /// The next whole frame, taken off.
    fn frame(&mut self) -> Result<Option<(Head, Bytes)>, Misheard> {
        let Parsed::Head(head, taken) = frame::head(&self.input)? else { return Ok(None) };
        let is_control = head.opcode.is_control();
        if head.mask.is_some() || (is_control && (!head.fin || head.reserved != 0)) {
            return Err(Misheard::Frames);
        }
        let most = if is_control { CONTROL_BYTES_MAX } else { self.bound(&head) };
        let length = usize::try_from(head.payload_bytes).unwrap_or(usize::MAX);
        if length > most {
            return Err(Misheard::TooLarge(most));
        }
        if self.input.len() - taken < length {
            return Ok(None);
        }
        let mut payload = self.input.split_to(taken + length);
        let payload = payload.split_off(taken);
        Ok(Some((head, payload)))
    }

    /// A message that was quoted may have grown.
    fn bound(&self, head: &Head) -> usize {
        let factor = if head.reserved == QUOTED { 6 } else { 1 };
        self.message_bytes_max.saturating_mul(factor).saturating_add(2 * usize::from(factor > 1))
    }

    /// A message that begins while none is open.
    fn alone(&mut self, payload: Bytes) -> Result<Bytes, Misheard> {
        if self.message.is_some() { Err(Misheard::Frames) } else { Ok(payload) }
    }

    fn continued(&mut self, head: &Head, payload: &[u8]) -> Result<Option<Bytes>, Misheard> {
        let message = self.message.as_mut().ok_or(Misheard::Frames)?;
        if message.len().saturating_add(payload.len()) > self.message_bytes_max {
            return Err(Misheard::TooLarge(self.message_bytes_max));
        }
        message.extend_from_slice(payload);
        if !head.fin {
            return Ok(None);
        }
        Ok(self.message.take().map(|message| quote(&message)))
    }
}

fn close(payload: &Bytes) -> Said {
    match payload.split_first_chunk() {
        Some((code, _)) => Said::Close(Some(u16::from_be_bytes(*code)), payload.slice(2..)),
        None => Said::Close(None, Bytes::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{close_payload, put_head, server_fragment, server_frame};
    use proptest::prelude::*;

    fn quoted(message: &[u8]) -> Bytes {
        let text = quote(message);
        let payload_bytes = text.len() as u64;
        let mut out = BytesMut::new();
        let opcode = Opcode::Text;
        put_head(
            &Head { fin: true, reserved: QUOTED, opcode, mask: None, payload_bytes },
            &mut out,
        );
        out.extend_from_slice(&text);
        out.freeze()
    }

    fn hear(hearing: &mut Hearing, piece: Bytes) -> Result<Vec<Said>, Misheard> {
        hearing.feed(piece);
        let mut all = Vec::new();
        while let Some(said) = hearing.hear()? {
            all.push(said);
        }
        Ok(all)
    }

    #[test]
    fn everything_that_is_said() {
        let frames = [
            server_frame(Opcode::Text, b"one"),
            server_fragment(Opcode::Binary, false, b"fr\xff"),
            server_frame(Opcode::Ping, b"p"),
            server_frame(Opcode::Pong, b""),
            server_fragment(Opcode::Continuation, true, b"ag"),
            quoted(b"\"shared\""),
            server_frame(Opcode::Text, b""),
            server_frame(Opcode::Close, &close_payload(Some(4001), "bye")),
        ]
        .concat();
        let message = |text: &'static str| Said::Message(Bytes::from_static(text.as_bytes()));
        let expected = [
            message("\"one\""),
            Said::Ping(Bytes::from_static(b"p")),
            message("\"fr\\ufffdag\""),
            message("\"\\\"shared\\\"\""),
            message("\"\""),
            Said::Close(Some(4001), Bytes::from_static(b"bye")),
        ];
        for size in 1..=frames.len() {
            let mut hearing = Hearing::new(100);
            let mut all = Vec::new();
            for piece in frames.chunks(size) {
                all.extend(hear(&mut hearing, Bytes::copy_from_slice(piece)).unwrap());
            }
            assert_eq!(all, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_was_quoted_for_all_is_not_copied() {
        let frame = quoted(b"shared by all");
        let said = hear(&mut Hearing::new(100), frame.clone()).unwrap();
        let [Said::Message(message)] = &said[..] else { panic!("{said:?}") };
        assert_eq!(message.as_ptr(), frame.slice(2..).as_ptr());
    }

    #[test]
    fn bounds() {
        let at = |bytes: usize| {
            hear(&mut Hearing::new(10), server_frame(Opcode::Text, &vec![b'x'; bytes]))
        };
        assert!(at(10).is_ok());
        assert_eq!(at(11), Err(Misheard::TooLarge(10)));
        let mut hearing = Hearing::new(10);
        hear(&mut hearing, server_fragment(Opcode::Text, false, b"12345")).unwrap();
        hear(&mut hearing, server_fragment(Opcode::Continuation, false, b"67890")).unwrap();
        let more = server_fragment(Opcode::Continuation, true, b"!");
        assert_eq!(hear(&mut hearing, more), Err(Misheard::TooLarge(10)));
        assert!(hear(&mut Hearing::new(10), quoted(&[0; 10])).is_ok());
        assert!(hear(&mut Hearing::new(10), quoted(&[0; 11])).is_err());
    }

    #[test]
    fn what_no_server_says() {
        for wrong in
            [&b"\x80\x00"[..], b"\x81\x80kkkk", b"\xc1\x00", b"\x09\x00", b"\xa9\x00", b"\x83\x00"]
        {
            let said = hear(&mut Hearing::new(10), Bytes::from_static(wrong));
            assert!(said.is_err(), "{wrong:x?}: {said:?}");
        }
        let nested = [&b"\x01\x00"[..], b"\x81\x00"].concat();
        assert_eq!(hear(&mut Hearing::new(10), nested.into()), Err(Misheard::Frames));
        let close = hear(&mut Hearing::new(10), Bytes::from_static(b"\x88\x00"));
        assert_eq!(close, Ok(vec![Said::Close(None, Bytes::new())]));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(pieces: Vec<Vec<u8>>) {
            let mut hearing = Hearing::new(50);
            for piece in pieces {
                if hear(&mut hearing, piece.into()).is_err() {
                    break;
                }
            }
        }
    }
}
