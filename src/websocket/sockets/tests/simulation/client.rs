//! The client of a history: what it sends, in which parts it arrives, and what it has heard.

use std::collections::VecDeque;

use bytes::Bytes;
use fastrand::Rng;

use crate::grip::message::{Message, MessageKind};
use crate::wire::frame::{Opcode, client_fragment};
use crate::ws::messages::{Incoming, Messages};
use crate::ws::reader::Sender;

/// What arrives whole with the byte before `end`.
struct Said {
    end: usize,
    what: What,
}

/// What a client says.
pub enum What {
    Message(Message),
    Close(Option<(u16, Bytes)>),
}

/// See the module.
pub struct Person {
    /// Its messages are long.
    loud: bool,
    /// All that it has sent, and how much of it has arrived.
    sent: Vec<u8>,
    arrived: usize,
    said: VecDeque<Said>,
    /// The rest of a message whose first fragment was sent.
    unfinished: Option<(MessageKind, Vec<u8>, Vec<u8>)>,
    /// It has sent CLOSE.
    pub closed: bool,
    heard: Messages,
    /// Numbers of the backend's messages that it has heard, of published ones, and of delayed ones.
    pub from_backend: Vec<usize>,
    pub published: Vec<usize>,
    pub delayed: Vec<usize>,
    /// The CLOSE that it got.
    pub got_close: bool,
}

impl Person {
    pub fn new(loud: bool) -> Person {
        Person {
            loud,
            sent: Vec::new(),
            arrived: 0,
            said: VecDeque::new(),
            unfinished: None,
            closed: false,
            heard: Messages::new(Sender::Server),
            from_backend: Vec::new(),
            published: Vec::new(),
            delayed: Vec::new(),
            got_close: false,
        }
    }

    fn frame(&mut self, rng: &mut Rng, opcode: Opcode, fin: bool, payload: &[u8]) {
        let key = rng.u32(..).to_be_bytes();
        self.sent.extend_from_slice(&client_fragment(opcode, fin, key, payload));
    }

    fn is_said(&mut self, what: What) {
        self.said.push_back(Said { end: self.sent.len(), what });
    }

    /// Says something: a message, whole or in fragments, or a control frame.
    pub fn speaks(&mut self, rng: &mut Rng, number: usize) {
        let bytes = match rng.u8(0..60) {
            0..=30 if self.loud => rng.usize(60_000..=200_000),
            1..=12 => 0,
            13..=20 => rng.usize(120..300),
            _ => rng.usize(1..20),
        };
        let mut content = format!("{number};").into_bytes();
        content.resize(bytes, b'x');
        match rng.u8(0..8) {
            0 | 1 => {
                content.truncate(125);
                let (opcode, kind) = match rng.bool() {
                    true => (Opcode::Ping, MessageKind::Ping),
                    false => (Opcode::Pong, MessageKind::Pong),
                };
                self.frame(rng, opcode, true, &content);
                self.is_said(What::Message(Message { kind, content: content.into() }));
            }
            _ if self.unfinished.is_some() => self.goes_on(rng),
            2 | 3 => {
                let kind = if rng.bool() { MessageKind::Text } else { MessageKind::Binary };
                let first = content.len() / 2;
                self.frame(rng, opcode(kind), false, &content[..first]);
                let rest = content.split_off(first);
                self.unfinished = Some((kind, content, rest));
            }
            n => {
                let kind = if n < 7 { MessageKind::Text } else { MessageKind::Binary };
                self.frame(rng, opcode(kind), true, &content);
                self.is_said(What::Message(Message { kind, content: content.into() }));
            }
        }
    }

    fn goes_on(&mut self, rng: &mut Rng) {
        let Some((kind, begun, rest)) = self.unfinished.take() else { return };
        let last = rng.bool();
        if !last {
            self.frame(rng, Opcode::Continuation, false, b"");
            self.unfinished = Some((kind, begun, rest));
            return;
        }
        self.frame(rng, Opcode::Continuation, true, &rest);
        let content = [begun, rest].concat().into();
        self.is_said(What::Message(Message { kind, content }));
    }

    /// Sends CLOSE.
    pub fn closes(&mut self, rng: &mut Rng) {
        self.closed = true;
        let close = rng.bool().then(|| (3000 + rng.u16(0..10), Bytes::from_static(b"bye")));
        let payload = match &close {
            Some((code, reason)) => [&code.to_be_bytes(), &reason[..]].concat(),
            None => Vec::new(),
        };
        self.frame(rng, Opcode::Close, true, &payload);
        self.is_said(What::Close(close));
    }

    /// Bytes that have not arrived.
    pub fn on_the_way(&self) -> usize {
        self.sent.len() - self.arrived
    }

    /// The next `n` bytes arrive; and what is whole with them.
    pub fn arrives(&mut self, n: usize) -> (Vec<u8>, Vec<What>) {
        let bytes = self.sent[self.arrived..self.arrived + n].to_vec();
        self.arrived += n;
        let mut whole = Vec::new();
        while self.said.front().is_some_and(|said| said.end <= self.arrived) {
            whole.extend(self.said.pop_front().map(|said| said.what));
        }
        (bytes, whole)
    }

    /// Hears bytes.
    pub fn hears(&mut self, bytes: &[u8]) {
        self.heard.feed(bytes);
        while let Some(one) = self.heard.next(usize::MAX).expect("valid frames") {
            assert!(!self.got_close, "{one:?} after CLOSE");
            let Incoming::Message(message) = one else {
                self.got_close = true;
                continue;
            };
            let text = String::from_utf8(message.content.to_vec()).expect("text");
            let number = text[1..].split(';').next().and_then(|digits| digits.parse().ok());
            let list = match text.as_bytes()[0] {
                b'b' => &mut self.from_backend,
                b'p' => &mut self.published,
                b'd' => &mut self.delayed,
                _ => panic!("{text:?} is from nobody"),
            };
            list.push(number.expect("a number"));
        }
    }
}

fn opcode(kind: MessageKind) -> Opcode {
    match kind {
        MessageKind::Text => Opcode::Text,
        _ => Opcode::Binary,
    }
}
