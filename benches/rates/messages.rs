//! What is published and the judge of what arrives: messages of 100 bytes, numbered by each
//! publisher for itself. Pure; the measurements that publish share it.

use crate::failure::{Fault, excerpt};
use crate::head::number;

/// Bytes of a message.
pub const SIZE: usize = 100;
/// Publishers have two digits.
pub const PUBLISHERS_MAX: usize = 100;
/// Digits of the publisher and of its count, a space after each.
const PUBLISHER: usize = 2;
const COUNT: usize = 12;
const PREFIX: usize = PUBLISHER + 1 + COUNT + 1;

/// Message `count` of a publisher.
pub fn message(publisher: usize, count: u64) -> Vec<u8> {
    let mut out = format!("{publisher:02} {count:012} ").into_bytes();
    out.resize(SIZE - 1, b'x');
    out.push(b'\n');
    out
}

/// Writes `count` over that of a message which begins at `at` of `body`.
pub fn renumber(body: &mut [u8], at: usize, mut count: u64) {
    let start = at + PUBLISHER + 1;
    for digit in body.get_mut(start..start + COUNT).unwrap_or_default().iter_mut().rev() {
        *digit = b'0' + (count % 10) as u8;
        count /= 10;
    }
}

/// What one subscriber got: of each publisher every message exactly once, in its order,
/// unaltered.
pub struct Inbox {
    greeting: &'static [u8],
    partial: Vec<u8>,
    next: Vec<u64>,
    /// Messages.
    pub received: u64,
    /// Tells the order in which the publishers' messages came: equal for all subscribers.
    pub order: u64,
}

impl Inbox {
    /// For messages of so many publishers, after the content that the stream begins with.
    pub fn new(publishers: usize, greeting: &'static [u8]) -> Inbox {
        Inbox { greeting, partial: Vec::new(), next: vec![0; publishers], received: 0, order: 0 }
    }

    /// Whether what the stream begins with has come.
    pub fn greeted(&self) -> bool {
        self.greeting.is_empty()
    }

    /// Takes some of the stream's content.
    pub fn feed(&mut self, mut content: &[u8]) -> Result<(), Fault> {
        if !self.greeting.is_empty() {
            let shared = content.len().min(self.greeting.len());
            let (now, later) = content.split_at(shared);
            let (due, rest) = self.greeting.split_at(shared);
            if now != due {
                return Err(Fault::Alien { expected: 0, got: excerpt(content) });
            }
            self.greeting = rest;
            content = later;
        }
        if !self.partial.is_empty() {
            let missing = SIZE - self.partial.len();
            let (now, later) = content.split_at(content.len().min(missing));
            self.partial.extend_from_slice(now);
            if self.partial.len() < SIZE {
                return Ok(());
            }
            let whole = std::mem::take(&mut self.partial);
            self.receive(&whole)?;
            content = later;
        }
        let mut whole = content.chunks_exact(SIZE);
        for message in &mut whole {
            self.receive(message)?;
        }
        self.partial.extend_from_slice(whole.remainder());
        Ok(())
    }

    fn receive(&mut self, message: &[u8]) -> Result<(), Fault> {
        let alien = || Fault::Alien { expected: self.received, got: excerpt(message) };
        let (prefix, padding) = message.split_at(PREFIX.min(message.len()));
        let field = |from, to| prefix.get(from..to).and_then(number).ok_or_else(alien);
        let publisher = field(0, PUBLISHER)?;
        let got = field(PUBLISHER + 1, PREFIX - 1)? as u64;
        let next = self.next.get_mut(publisher).ok_or_else(alien)?;
        let expected = *next;
        let (end, filling) = padding.split_last().ok_or_else(alien)?;
        if got > expected {
            return Err(Fault::Gap { expected, got });
        }
        if got < expected {
            return Err(Fault::Repeated { expected, got });
        }
        let spaces = [PUBLISHER, PREFIX - 1].iter().all(|at| prefix.get(*at) == Some(&b' '));
        if !spaces || *end != b'\n' || filling.iter().any(|byte| *byte != b'x') {
            return Err(Fault::Altered { expected, got: excerpt(message) });
        }
        *next += 1;
        self.received += 1;
        self.order =
            self.order.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (publisher as u64 + 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_pieces_of_any_size() {
        let mut wire = b"hello".to_vec();
        for count in 0..4 {
            wire.extend(message(0, count));
            wire.extend(message(11, count));
        }
        let mut orders = Vec::new();
        for size in [1, 7, 99, 100, 101, 250, 805] {
            let mut inbox = Inbox::new(12, b"hello");
            for piece in wire.chunks(size) {
                assert_eq!(inbox.feed(piece), Ok(()));
            }
            assert_eq!((inbox.received, inbox.partial.len()), (8, 0));
            orders.push(inbox.order);
        }
        orders.dedup();
        assert_eq!(orders.len(), 1);
    }

    #[test]
    fn tells_gaps_repeats_damage_and_order() {
        let mut inbox = Inbox::new(2, b"");
        assert_eq!(inbox.feed(&message(1, 0)), Ok(()));
        assert_eq!(inbox.feed(&message(1, 0)), Err(Fault::Repeated { expected: 1, got: 0 }));
        assert_eq!(inbox.feed(&message(1, 2)), Err(Fault::Gap { expected: 1, got: 2 }));
        let mut damaged = message(1, 1);
        damaged[50] = b'y';
        assert!(matches!(inbox.feed(&damaged), Err(Fault::Altered { .. })));
        assert!(matches!(inbox.feed(&message(2, 0)), Err(Fault::Alien { .. })));
        let (mut one, mut other) = (Inbox::new(2, b""), Inbox::new(2, b""));
        for publisher in [0, 1] {
            assert_eq!(one.feed(&message(publisher, 0)), Ok(()));
            assert_eq!(other.feed(&message(1 - publisher, 0)), Ok(()));
        }
        assert_ne!(one.order, other.order);
        assert!(Inbox::new(1, b"hello").feed(b"help").is_err());
    }

    #[test]
    fn renumbers_in_place() {
        let mut body = b"...".to_vec();
        body.extend(message(7, 0));
        renumber(&mut body, 3, 9_876_543_210);
        assert_eq!(&body[3..], message(7, 9_876_543_210));
    }
}
