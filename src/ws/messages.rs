//! Whole messages from the bytes of one side, bounded in size.
//!
//! For connections whose messages are not relayed while they come: WebSocket-over-HTTP and the test
//! backend, through `proxy`. Between messages it is as small as its [`Reader`].

use bytes::{Bytes, BytesMut};

use super::meter::{Limits, Meter};
use super::reader::{Close, DataKind, Inflation, Piece, Reader, Sender, Violation};
use crate::grip::message::{Message, MessageKind};

/// What a side said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A message or a ping or a pong.
    Message(Message),
    /// Its last word.
    Close(Close),
}

/// Collects the messages of one side.
#[derive(Debug)]
pub struct Messages {
    reader: Reader,
    /// What has come of a message whose end has not.
    partial: Option<Box<Partial>>,
}

#[derive(Debug, Default)]
struct Partial {
    content: BytesMut,
    /// How much of a text has been found to be UTF-8; at most a cut character is left.
    text_bytes: usize,
    meter: Meter,
}

impl Partial {
    /// Whether what has come can be the beginning of a text, or all of it.
    fn check_text(&mut self, is_last: bool) -> Result<(), Violation> {
        let fresh = self.content.get(self.text_bytes..).unwrap_or_default();
        match std::str::from_utf8(fresh) {
            Ok(text) => self.text_bytes += text.len(),
            Err(error) if error.error_len().is_none() && !is_last => {
                self.text_bytes += error.valid_up_to();
            }
            Err(_) => return Err(Violation::NotUtf8),
        }
        Ok(())
    }
}

impl Messages {
    /// A collector of `sender`'s messages.
    #[must_use]
    pub fn new(sender: Sender) -> Messages {
        Messages { reader: Reader::new(sender), partial: None }
    }

    /// The same for a sender that may deflate its messages; what bounds them is what they become.
    #[must_use]
    pub fn inflating(self, inflation: Inflation) -> Messages {
        Messages { reader: self.reader.inflating(inflation), ..self }
    }

    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.reader.feed(BytesMut::from(bytes));
    }

    /// The next whole message; `None` when more bytes are needed. A message over `limits`, or a text
    /// that is not UTF-8, is an error as soon as so much of it has come.
    pub fn next(&mut self, limits: impl Into<Limits>) -> Result<Option<Incoming>, Violation> {
        let limits = limits.into();
        while let Some(piece) = self.reader.next(0)? {
            let (kind, content) = match piece {
                Piece::Ping(content) => (MessageKind::Ping, content),
                Piece::Pong(content) => (MessageKind::Pong, content),
                Piece::Close(close) => return Ok(Some(Incoming::Close(close))),
                Piece::Data { kind, .. } => {
                    let Some(content) = self.collect(piece, &limits)? else { continue };
                    match kind {
                        DataKind::Text => (MessageKind::Text, content),
                        DataKind::Binary => (MessageKind::Binary, content),
                    }
                }
            };
            return Ok(Some(Incoming::Message(Message { kind, content })));
        }
        Ok(None)
    }

    /// Takes a piece of a message; gives the message when it is whole.
    fn collect(&mut self, piece: Piece, limits: &Limits) -> Result<Option<Bytes>, Violation> {
        let is_last = matches!(piece, Piece::Data { last: true, .. });
        let is_text = matches!(piece, Piece::Data { kind: DataKind::Text, .. });
        if is_last && self.partial.is_none() {
            Meter::default().count(&piece, limits)?;
            let content = content(piece);
            if is_text && content.as_deref().is_some_and(|text| str::from_utf8(text).is_err()) {
                return Err(Violation::NotUtf8);
            }
            return Ok(content);
        }
        let partial = self.partial.get_or_insert_default();
        partial.meter.count(&piece, limits)?;
        partial.content.extend_from_slice(&content(piece).unwrap_or_default());
        if is_text {
            partial.check_text(is_last)?;
        }
        if !is_last {
            return Ok(None);
        }
        Ok(self.partial.take().map(|whole| whole.content.freeze()))
    }
}

fn content(piece: Piece) -> Option<Bytes> {
    match piece {
        Piece::Data { bytes, .. } => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{Opcode, client_fragment};

    const KEY: [u8; 4] = [9, 8, 7, 6];

    fn incoming(kind: MessageKind, content: &'static [u8]) -> Incoming {
        Incoming::Message(Message { kind, content: Bytes::from_static(content) })
    }

    #[test]
    fn fragments_become_one_message_around_a_ping() {
        let frames = [
            client_fragment(Opcode::Text, false, KEY, b"frag1"),
            client_fragment(Opcode::Ping, true, KEY, b"p"),
            client_fragment(Opcode::Continuation, true, KEY, b"frag2"),
            client_fragment(Opcode::Binary, true, KEY, b""),
            client_fragment(Opcode::Close, true, KEY, b""),
        ]
        .concat();
        for size in 1..frames.len() {
            let mut messages = Messages::new(Sender::Client);
            let mut all = Vec::new();
            for chunk in frames.chunks(size) {
                messages.feed(chunk);
                while let Some(one) = messages.next(10_usize).unwrap() {
                    all.push(one);
                }
            }
            assert_eq!(
                all,
                [
                    incoming(MessageKind::Ping, b"p"),
                    incoming(MessageKind::Text, b"frag1frag2"),
                    incoming(MessageKind::Binary, b""),
                    Incoming::Close(None)
                ]
            );
        }
        assert!(size_of::<Messages>() <= 24);
    }

    #[test]
    fn text_is_utf8_and_is_refused_where_it_is_not() {
        let read = |opcode, parts: &[&[u8]]| {
            let mut messages = Messages::new(Sender::Client);
            let mut next = Ok(None);
            for (n, part) in parts.iter().enumerate() {
                let opcode = if n == 0 { opcode } else { Opcode::Continuation };
                messages.feed(&client_fragment(opcode, n + 1 == parts.len(), KEY, part));
                next = messages.next(100_usize).map(|one| one.map(|_| n));
                if next.is_err() {
                    return (n, false);
                }
            }
            (parts.len() - 1, next.is_ok_and(|one| one.is_some()))
        };
        let text = "κόσμε \u{10ffff}".as_bytes();
        for cut in 0..=text.len() {
            assert_eq!(read(Opcode::Text, &[&text[..cut], b"", &text[cut..]]), (2, true));
            let whole = str::from_utf8(&text[..cut]).is_ok();
            assert_eq!(read(Opcode::Text, &[&text[..cut]]), (0, whole));
            assert_eq!(read(Opcode::Text, &[&text[..cut], b""]), (1, whole));
        }
        assert_eq!(read(Opcode::Text, &[b"a\xf4", b"\x90", b"\x80\x80"]), (1, false));
        assert_eq!(read(Opcode::Text, &[b"\xed\xa0", b"\x80"]), (0, false));
        assert_eq!(read(Opcode::Binary, &[b"\xff", b"\xff"]), (1, true));
    }

    #[test]
    fn frames_are_bounded_too() {
        let limits = Limits { frame_bytes: 4, fragments: 2, ..Limits::NONE };
        let read = |lengths: &[usize]| {
            let mut messages = Messages::new(Sender::Client);
            for (n, &length) in lengths.iter().enumerate() {
                let opcode = if n == 0 { Opcode::Binary } else { Opcode::Continuation };
                let fin = n + 1 == lengths.len();
                messages.feed(&client_fragment(opcode, fin, KEY, &vec![b'x'; length]));
            }
            messages.next(limits).map(|one| one.is_some())
        };
        assert_eq!(read(&[4, 4]), Ok(true));
        assert_eq!(read(&[5]), Err(Violation::LongFrame { limit_bytes: 4 }));
        assert_eq!(read(&[4, 5]), Err(Violation::LongFrame { limit_bytes: 4 }));
        assert_eq!(read(&[0, 0, 0]), Err(Violation::Fragments { limit: 2 }));
    }

    #[test]
    fn a_message_over_the_limit_is_refused_before_its_end() {
        let frame = client_fragment(Opcode::Text, true, KEY, &[b'x'; 20]);
        let mut messages = Messages::new(Sender::Client);
        messages.feed(&frame[..17]);
        let large = Err(Violation::TooLarge { limit_bytes: 10 });
        assert_eq!(messages.next(10_usize), large);
        let mut messages = Messages::new(Sender::Client);
        messages.feed(&frame);
        assert!(matches!(messages.next(20_usize), Ok(Some(_))));
    }
}
