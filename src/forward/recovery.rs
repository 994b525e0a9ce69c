//! How a backend is asked for what its WebSocket client has missed: what it is told, and the way to
//! it when it is a WebSocket backend itself.
//!
//! `sockets` hears of it from the hub. A backend over HTTP is told through its conversation; a
//! relay is a task, so it has an [`Ear`], from the moment at which its backend first subscribes
//! with a `prev-id`: no other can ever miss anything.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

use bytes::Bytes;
use hashbrown::HashMap;
use serde_json::Value;

use crate::hub::slab::SessionId;

/// The code with which a client is closed when it has missed what nobody can bring any more, its
/// backend having detached: it is to connect anew.
pub const CANNOT_RECOVER: u16 = 1011;

/// What a client has missed: all of a channel after an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The channel, without the route's prefix.
    pub channel: Box<str>,
    /// The id of the last item that the client has.
    pub prev_id: Rc<str>,
}

impl Missed {
    /// The content of the event that a backend over HTTP gets.
    #[must_use]
    pub fn event(&self) -> Bytes {
        format!("{{{}}}", self.members()).into()
    }

    /// The control message that a WebSocket backend gets.
    #[must_use]
    pub fn control(&self) -> Bytes {
        format!("c:{{\"type\":\"recover\",{}}}", self.members()).into()
    }

    fn members(&self) -> String {
        let text = |text: &str| Value::from(text).to_string();
        format!("\"channel\":{},\"prev-id\":{}", text(&self.channel), text(&self.prev_id))
    }
}

/// The relays of one shard that may have to be told something.
#[derive(Default)]
pub struct Ears {
    known: RefCell<HashMap<SessionId, Weak<Heard>, ahash::RandomState>>,
}

/// What one relay has been told.
#[derive(Default)]
struct Heard {
    missed: RefCell<VecDeque<Missed>>,
    waker: Cell<Option<Waker>>,
}

/// A relay's end: while there is one, it is told.
pub struct Ear {
    heard: Rc<Heard>,
    ears: Rc<Ears>,
    id: SessionId,
}

impl Ears {
    /// An ear for this session's relay. A session has one at most.
    #[must_use]
    pub fn open(self: &Rc<Ears>, id: SessionId) -> Ear {
        let heard = Rc::new(Heard::default());
        self.known.borrow_mut().insert(id, Rc::downgrade(&heard));
        Ear { heard, ears: Rc::clone(self), id }
    }

    /// Tells a relay. Nobody hears it if there is none.
    pub fn tell(&self, id: SessionId, missed: Missed) {
        let Some(heard) = self.known.borrow().get(&id).and_then(Weak::upgrade) else { return };
        heard.missed.borrow_mut().push_back(missed);
        if let Some(waker) = heard.waker.take() {
            waker.wake();
        }
    }
}

impl Ear {
    /// The next thing that was told.
    pub fn poll(&self, waker: &Waker) -> Poll<Missed> {
        match self.heard.missed.borrow_mut().pop_front() {
            Some(missed) => Poll::Ready(missed),
            None => {
                self.heard.waker.set(Some(waker.clone()));
                Poll::Pending
            }
        }
    }

    /// What was missed of a channel does not matter any more.
    pub fn forget(&self, channel: &str) {
        self.heard.missed.borrow_mut().retain(|missed| *missed.channel != *channel);
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.ears.known.borrow_mut().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SessionId = SessionId { index: 1, generation: 2 };

    fn missed(channel: &str) -> Missed {
        Missed { channel: channel.into(), prev_id: "5".into() }
    }

    #[test]
    fn texts_of_backends() {
        let odd = Missed { channel: "a\"b\n".into(), prev_id: "é".into() };
        assert_eq!(odd.event(), r#"{"channel":"a\"b\n","prev-id":"é"}"#);
        let control = r#"c:{"type":"recover","channel":"c","prev-id":"5"}"#;
        assert_eq!(missed("c").control(), control);
    }

    #[test]
    fn what_is_told_is_heard_once_and_by_who_is_there() {
        let ears = Rc::new(Ears::default());
        ears.tell(ID, missed("early"));
        let ear = ears.open(ID);
        let waker = Waker::noop();
        assert!(ear.poll(waker).is_pending());
        for channel in ["a", "b", "c"] {
            ears.tell(ID, missed(channel));
        }
        ear.forget("b");
        assert_eq!(ear.poll(waker), Poll::Ready(missed("a")));
        assert_eq!(ear.poll(waker), Poll::Ready(missed("c")));
        assert!(ear.poll(waker).is_pending());
        drop(ear);
        ears.tell(ID, missed("late"));
        assert!(ears.known.borrow().is_empty());
    }
}
