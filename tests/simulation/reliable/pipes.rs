//! The outlet of the reliable simulation: clients that read at once, later or never; what was taken
//! for them and what they have read is logged item by item.

use std::collections::{HashMap, VecDeque};
use std::task::{Poll, Waker};

use bytes::Bytes;
use linchpin::hub::fanout::{Delivery, Outlet, Then};
use linchpin::hub::slab::SessionId;

use super::wire::{Form, Mark, decoded};

/// One connection.
pub struct Pipe {
    form: Form,
    /// It reads nothing of its own accord.
    pub slow: bool,
    /// Its connection has ended; the registry does not know yet.
    pub gone: bool,
    queue: VecDeque<(usize, Vec<Mark>)>,
    waiting: usize,
    pub finished: bool,
    /// It did not read: its connection is to be closed.
    pub refused: bool,
}

#[derive(Default)]
pub struct Pipes {
    pipes: HashMap<SessionId, Pipe>,
    /// What may wait for one client, in bytes.
    pub room: usize,
    /// What was taken for clients, in order.
    pub taken: Vec<(SessionId, Vec<Mark>)>,
    /// What clients have read, in order.
    pub read: Vec<(SessionId, Vec<Mark>)>,
}

impl Pipes {
    pub fn add(&mut self, id: SessionId, form: Form, slow: bool) {
        let (gone, finished, refused) = (false, false, false);
        let pipe = Pipe { form, slow, gone, queue: VecDeque::new(), waiting: 0, finished, refused };
        assert!(self.pipes.insert(id, pipe).is_none());
    }

    pub fn pipe(&mut self, id: SessionId) -> Option<&mut Pipe> {
        self.pipes.get_mut(&id)
    }

    /// The client reads up to so many bytes. Whether that was all, and something.
    pub fn read(&mut self, id: SessionId, mut bytes: usize) -> bool {
        let Some(pipe) = self.pipes.get_mut(&id) else { return false };
        let before = pipe.waiting;
        while bytes > 0
            && let Some((left, _)) = pipe.queue.front_mut()
        {
            let now = bytes.min(*left);
            (*left, bytes, pipe.waiting) = (*left - now, bytes - now, pipe.waiting - now);
            if *left == 0
                && let Some((_, marks)) = pipe.queue.pop_front()
            {
                self.read.push((id, marks));
            }
        }
        before > 0 && pipe.waiting == 0
    }

    /// Connections that are over: all was read after the last byte, or they did not read.
    pub fn over(&self) -> Vec<SessionId> {
        let over = self.pipes.iter().filter(|(_, pipe)| {
            pipe.refused || pipe.gone || (pipe.finished && pipe.queue.is_empty())
        });
        let mut over: Vec<_> = over.map(|(&id, _)| id).collect();
        over.sort_unstable_by_key(|id| id.index);
        over
    }

    pub fn remove(&mut self, id: SessionId) {
        self.pipes.remove(&id);
    }
}

impl Outlet for Pipes {
    fn open(&mut self, _: SessionId) {}

    fn send(&mut self, id: SessionId, bytes: &Bytes) -> Delivery {
        let pipe = self.pipes.get_mut(&id).unwrap_or_else(|| panic!("{id:?} is no client"));
        assert!(!bytes.is_empty(), "{id:?}: nothing is sent as nothing");
        assert!(!pipe.finished && !pipe.refused, "{id:?}: bytes after the last one");
        if pipe.gone {
            return Delivery::Gone;
        }
        if pipe.slow && pipe.waiting + bytes.len() > self.room {
            pipe.refused = true;
            return Delivery::Refused;
        }
        let marks = decoded(pipe.form, bytes);
        self.taken.push((id, marks.clone()));
        if pipe.slow || !pipe.queue.is_empty() {
            pipe.waiting += bytes.len();
            pipe.queue.push_back((bytes.len(), marks));
            return Delivery::Queued;
        }
        self.read.push((id, marks));
        Delivery::Written
    }

    fn finish(&mut self, id: SessionId, _: Then) {
        let pipe = self.pipes.get_mut(&id).expect("a session has its pipe");
        assert!(!pipe.finished, "{id:?}: finished twice");
        pipe.finished = true;
    }

    fn backlog(&self, id: SessionId) -> usize {
        self.pipes.get(&id).map_or(0, |pipe| pipe.waiting)
    }

    fn room(&self) -> usize {
        self.room
    }

    fn set_reading(&mut self, _: SessionId, _: bool) {}

    fn poll_next(&mut self, _: SessionId, _: &Waker) -> Poll<Option<Bytes>> {
        Poll::Ready(None)
    }

    fn close(&mut self, id: SessionId) {
        self.remove(id);
    }
}
