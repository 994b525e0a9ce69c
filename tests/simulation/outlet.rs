//! An outlet that takes bytes whole, in parts or not at all, as the simulation decides, and logs
//! what was asked of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::task::{Poll, Waker};

use bytes::Bytes;
use linchpin::hub::fanout::{Delivery, Outlet, Then};
use linchpin::hub::slab::SessionId;
use linchpin::session::outbox::Outbox;

const OUTBOX_BYTES_MAX: usize = 300;

/// One client.
#[derive(Default)]
pub struct Client {
    /// It reads nothing of its own accord: what is sent queues.
    pub slow: bool,
    /// Its connection has ended; the registry does not know yet.
    pub gone: bool,
    outbox: Outbox,
    /// What has been taken for it, and what of that it has read.
    pub taken: Vec<u8>,
    read: Vec<u8>,
    last: Option<Then>,
    refused: bool,
}

/// All clients, and what was asked for them since the log was last taken.
#[derive(Default)]
pub struct Clients {
    clients: HashMap<SessionId, Client>,
    log: Log,
    asked: RefCell<Vec<(SessionId, usize)>>,
}

/// What was asked.
#[derive(Default)]
pub struct Log {
    pub sends: Vec<(SessionId, Bytes, Delivery)>,
    pub finishes: Vec<(SessionId, Then)>,
    pub backlogs: Vec<(SessionId, usize)>,
}

impl Clients {
    pub fn client(&mut self, id: SessionId) -> &mut Client {
        self.clients.entry(id).or_default()
    }

    pub fn take_log(&mut self) -> Log {
        let backlogs = self.asked.take();
        Log { backlogs, ..std::mem::take(&mut self.log) }
    }

    /// The client reads up to `n` bytes of what waits for it.
    pub fn read(&mut self, id: SessionId, n: usize) {
        let client = self.client(id);
        let waiting: Vec<u8> = client.outbox.pieces().flatten().copied().collect();
        let n = n.min(waiting.len());
        client.read.extend_from_slice(&waiting[..n]);
        client.outbox.advance(n);
    }

    /// The client reads the rest; it must have got all that was taken for it, in order.
    pub fn close(&mut self, id: SessionId) {
        self.read(id, usize::MAX);
        let client = self.clients.remove(&id).unwrap_or_default();
        assert_eq!(client.read, client.taken, "{id:?}");
    }
}

impl Outlet for Clients {
    fn open(&mut self, _: SessionId) {}

    fn send(&mut self, id: SessionId, bytes: &Bytes) -> Delivery {
        let client = self.clients.entry(id).or_default();
        assert!(!bytes.is_empty(), "{id:?}: nothing is sent as nothing");
        assert!(client.last.is_none(), "{id:?}: bytes after the last one");
        assert!(!client.refused, "{id:?}: bytes after a refusal");
        let delivery = if client.gone {
            Delivery::Gone
        } else if client.slow {
            let half = bytes.len() / 2;
            if client.outbox.is_empty() {
                // The socket takes one half at once.
                client.read.extend_from_slice(&bytes[..half]);
                let pushed = client.outbox.push(bytes.slice(half..), OUTBOX_BYTES_MAX);
                assert_eq!(pushed, Ok(()));
                Delivery::Queued
            } else if client.outbox.push(bytes.clone(), OUTBOX_BYTES_MAX).is_ok() {
                Delivery::Queued
            } else {
                Delivery::Refused
            }
        } else {
            client.read.extend_from_slice(bytes);
            Delivery::Written
        };
        match delivery {
            Delivery::Written | Delivery::Queued => client.taken.extend_from_slice(bytes),
            Delivery::Refused | Delivery::Gone => client.refused = true,
        }
        self.log.sends.push((id, bytes.clone(), delivery));
        delivery
    }

    fn finish(&mut self, id: SessionId, then: Then) {
        let last = self.client(id).last.replace(then);
        assert_eq!(last, None, "{id:?}: finished twice");
        self.log.finishes.push((id, then));
    }

    fn backlog(&self, id: SessionId) -> usize {
        let bytes = self.clients.get(&id).map_or(0, |client| client.outbox.bytes());
        self.asked.borrow_mut().push((id, bytes));
        bytes
    }

    fn set_reading(&mut self, _: SessionId, _: bool) {}

    fn poll_next(&mut self, _: SessionId, _: &Waker) -> Poll<Option<Bytes>> {
        Poll::Ready(None)
    }

    fn close(&mut self, id: SessionId) {
        Clients::close(self, id);
    }
}
