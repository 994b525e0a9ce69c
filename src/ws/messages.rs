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
    meter: Meter,
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

    /// The next whole message; `None` when more bytes are needed. A message over `limits` is an
    /// error as soon as so much of it has come.
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
        if is_last && self.partial.is_none() {
            Meter::default().count(&piece, limits)?;
            return Ok(content(piece));
        }
        let partial = self.partial.get_or_insert_default();
        partial.meter.count(&piece, limits)?;
        partial.content.extend_from_slice(&content(piece).unwrap_or_default());
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
