//! The pieces that wait for one client, in order, and which of them may be dropped.
//!
//! Used by `outbox`, which knows the bounds. Most clients' pieces may never be dropped, and most
//! clients have none waiting: so what may be dropped is marked beside the pieces, and only while a
//! client with such a policy has some.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

/// The pieces, first to last.
#[derive(Debug)]
pub enum Queue {
    /// None of them may be dropped.
    Kept(VecDeque<Bytes>),
    /// Some may.
    Marked(Box<Marked>),
}

/// Pieces of which some may be dropped. Never empty between two calls.
#[derive(Debug, Default)]
pub struct Marked {
    pieces: VecDeque<Bytes>,
    /// For each piece whether it may be dropped.
    droppable: VecDeque<bool>,
    /// How many of them may.
    messages: usize,
    /// So many at the front surely may not: none of these is looked at again.
    kept: usize,
    /// Some have been dropped since the queue was empty.
    slow: bool,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue::Kept(VecDeque::new())
    }
}

impl Queue {
    /// All pieces.
    #[must_use]
    pub fn pieces(&self) -> &VecDeque<Bytes> {
        match self {
            Queue::Kept(pieces) => pieces,
            Queue::Marked(marked) => &marked.pieces,
        }
    }

    /// Whether messages have been dropped since the queue was empty.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        matches!(self, Queue::Marked(marked) if marked.slow)
    }

    /// Messages have been dropped. Whether that is new.
    pub fn set_slow(&mut self) -> bool {
        match self {
            Queue::Marked(marked) => !std::mem::replace(&mut marked.slow, true),
            Queue::Kept(_) => false,
        }
    }

    /// Adds a piece that has to arrive.
    pub fn push(&mut self, piece: Bytes) {
        match self {
            Queue::Kept(pieces) => pieces.push_back(piece),
            Queue::Marked(marked) => {
                marked.pieces.push_back(piece);
                marked.droppable.push_back(false);
            }
        }
    }

    /// Adds a message that may be dropped as long as nothing of it has been written.
    pub fn push_message(&mut self, message: Bytes) {
        let mut marked = match std::mem::take(self) {
            Queue::Marked(marked) => marked,
            Queue::Kept(pieces) => {
                let kept = pieces.len();
                let droppable = std::iter::repeat_n(false, kept).collect();
                Box::new(Marked { pieces, droppable, messages: 0, kept, slow: false })
            }
        };
        marked.pieces.push_back(message);
        marked.droppable.push_back(true);
        marked.messages += 1;
        *self = Queue::Marked(marked);
    }

    /// Takes the first piece.
    pub fn pop(&mut self) -> Option<Bytes> {
        match self {
            Queue::Kept(pieces) => pieces.pop_front(),
            Queue::Marked(marked) => {
                let piece = marked.pieces.pop_front();
                marked.messages -= usize::from(marked.droppable.pop_front() == Some(true));
                marked.kept = marked.kept.saturating_sub(1);
                if marked.pieces.is_empty() {
                    *self = Queue::default();
                }
                piece
            }
        }
    }

    /// So many bytes of the first piece, fewer than it has, have been written: the rest has to
    /// follow.
    pub fn advance(&mut self, bytes: usize) {
        let front = match self {
            Queue::Kept(pieces) => pieces.front_mut(),
            Queue::Marked(marked) => {
                if let Some(droppable) = marked.droppable.front_mut() {
                    marked.messages -= usize::from(std::mem::replace(droppable, false));
                    marked.kept = marked.kept.max(1);
                }
                marked.pieces.front_mut()
            }
        };
        if let Some(front) = front {
            front.advance(bytes.min(front.len()));
        }
    }

    /// Drops the oldest message that may be dropped, and says how many bytes it had.
    pub fn drop_oldest(&mut self) -> Option<usize> {
        let Queue::Marked(marked) = self else { return None };
        if marked.messages == 0 {
            return None;
        }
        let behind = marked.droppable.range(marked.kept..).position(|droppable| *droppable)?;
        let place = marked.kept + behind;
        marked.kept = place;
        marked.messages -= 1;
        marked.droppable.remove(place);
        let bytes = marked.pieces.remove(place)?.len();
        if marked.pieces.is_empty() {
            // The next one is on its way in: what is known of the client stays.
            marked.kept = 0;
        }
        Some(bytes)
    }

    /// Drops all messages that may be dropped: how many there were, and their bytes.
    pub fn drop_all(&mut self) -> (usize, usize) {
        let Queue::Marked(marked) = self else { return (0, 0) };
        let Marked { pieces, droppable, messages, .. } = &mut **marked;
        let dropped = std::mem::take(messages);
        let (mut bytes, mut marks) = (0, droppable.iter());
        if dropped > 0 {
            pieces.retain(|piece| {
                let drop = marks.next().copied().unwrap_or(false);
                bytes += if drop { piece.len() } else { 0 };
                !drop
            });
            droppable.retain(|drop| !drop);
            marked.kept = marked.pieces.len();
        }
        (dropped, bytes)
    }

    /// Gives back the memory of a queue that is empty.
    pub fn shrink(&mut self) {
        if self.pieces().is_empty() {
            *self = Queue::default();
        }
    }
}
