//! An outlet that records, for the tests of this folder.

use std::collections::HashMap;
use std::task::{Poll, Waker};

use bytes::Bytes;

use super::fanout::{Delivery, Outlet, Then};
use super::slab::SessionId;

/// What was asked of it, and what it is to answer.
#[derive(Default)]
pub struct Recorder {
    /// What each was sent.
    pub sent: HashMap<SessionId, Vec<Bytes>>,
    /// Who was sent something, in order; one entry a write.
    pub order: Vec<SessionId>,
    /// Who was finished.
    pub finished: Vec<(SessionId, Then)>,
    /// What comes of sending to whom; everything is written otherwise.
    pub answers: HashMap<SessionId, Delivery>,
    /// What waits for whom.
    pub backlog: HashMap<SessionId, usize>,
}

impl Outlet for Recorder {
    fn open(&mut self, _: SessionId) {}
    fn send(&mut self, id: SessionId, bytes: &Bytes) -> Delivery {
        assert!(!bytes.is_empty(), "nothing is sent as nothing");
        assert!(self.finished.iter().all(|&(done, _)| done != id), "nothing after the last byte");
        self.sent.entry(id).or_default().push(bytes.clone());
        self.order.push(id);
        self.answers.get(&id).copied().unwrap_or(Delivery::Written)
    }
    fn send_many(&mut self, id: SessionId, pieces: &[&Bytes]) -> (usize, Delivery) {
        assert!(pieces.len() > 1);
        let before = self.order.len();
        for (taken, piece) in pieces.iter().enumerate() {
            let delivery = self.send(id, piece);
            self.order.truncate(before + 1);
            if matches!(delivery, Delivery::Refused | Delivery::Gone) {
                return (taken, delivery);
            }
        }
        (pieces.len(), Delivery::Written)
    }
    fn finish(&mut self, id: SessionId, then: Then) {
        self.finished.push((id, then));
    }
    fn backlog(&self, id: SessionId) -> usize {
        self.backlog.get(&id).copied().unwrap_or(0)
    }
    fn set_reading(&mut self, _: SessionId, _: bool) {}
    fn poll_next(&mut self, _: SessionId, _: &Waker) -> Poll<Option<Bytes>> {
        Poll::Ready(None)
    }
    fn close(&mut self, _: SessionId) {}
}

impl Recorder {
    /// All that a session was sent.
    pub fn text(&self, id: SessionId) -> String {
        let pieces = self.sent.get(&id).cloned().unwrap_or_default();
        String::from_utf8_lossy(&pieces.concat()).into_owned()
    }
}
