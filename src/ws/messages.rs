//! Whole messages from the bytes of one side, bounded in size.
//!
//! For connections whose messages are not relayed while they come: WebSocket-over-HTTP and the test
//! backend, through `proxy`. Between messages it is as small as its [`Reader`].

use bytes::{Bytes, BytesMut};

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
    partial: Option<Box<BytesMut>>,
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

    /// The next whole message; `None` when more bytes are needed. A message of more than
    /// `limit_bytes` is an error as soon as so much of it has come.
    pub fn next(&mut self, limit_bytes: usize) -> Result<Option<Incoming>, Violation> {
        while let Some(piece) = self.reader.next(0)? {
            let (kind, content) = match piece {
                Piece::Ping(content) => (MessageKind::Ping, content),
                Piece::Pong(content) => (MessageKind::Pong, content),
                Piece::Close(close) => return Ok(Some(Incoming::Close(close))),
                Piece::Data { kind, last, bytes, .. } => {
                    let Some(content) = self.collect(bytes, last, limit_bytes)? else { continue };
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

    fn collect(
        &mut self,
        bytes: Bytes,
        last: bool,
        limit_bytes: usize,
    ) -> Result<Option<Bytes>, Violation> {
        let before = self.partial.as_ref().map_or(0, |partial| partial.len());
        if before + bytes.len() > limit_bytes {
            return Err(Violation::TooLarge { limit_bytes });
        }
        if last && before == 0 {
            self.partial = None;
            return Ok(Some(bytes));
        }
        let partial = self.partial.get_or_insert_default();
        partial.extend_from_slice(&bytes);
        if !last {
            return Ok(None);
        }
        Ok(self.partial.take().map(|whole| whole.freeze()))
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
                while let Some(one) = messages.next(10).unwrap() {
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
    fn a_message_over_the_limit_is_refused_before_its_end() {
        let frame = client_fragment(Opcode::Text, true, KEY, &[b'x'; 20]);
        let mut messages = Messages::new(Sender::Client);
        messages.feed(&frame[..17]);
        assert_eq!(messages.next(10), Err(Violation::TooLarge { limit_bytes: 10 }));
        let mut messages = Messages::new(Sender::Client);
        messages.feed(&frame);
        assert!(matches!(messages.next(20), Ok(Some(_))));
    }
}
