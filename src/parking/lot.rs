//! The lot itself: slots, what is read from their sockets, and what is left to the shard.
//!
//! Called by the shard; `delivery` is its other side, by which the hub writes.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::complaints::Complaints;
use super::poll::{Interest, Poll};
use super::socket::Parked;
use crate::hub::fanout::{Outlet, Then};
use crate::hub::slab::SessionId;
use crate::listen::stream::Stream;
use crate::session::outbox::{Outbox, Slow};
use crate::stats::Stats;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes that may wait for one client.
    pub outbox_bytes_max: usize,
    /// Pieces that may wait for one client when one more is published to it.
    pub outbox_messages_max: usize,
    /// What is done with a client for which that is not enough, unless it is told otherwise.
    pub slow: Slow,
    /// Bytes of its next requests that a held client may send ahead; past it the client waits.
    pub read_ahead_bytes_max: usize,
}

/// What the lot asks of its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// All has been written, and this was to happen then.
    Done(SessionId, Then),
    /// The client does not read, or its connection broke: the session is over.
    Broken(SessionId),
    /// What waited for this client has been written.
    Drained(SessionId),
    /// There may be something to read although the socket has nothing (TLS).
    Readable(SessionId),
}

/// One parked connection.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) open: bool,
    pub(super) broken: bool,
    pub(super) reading: bool,
    pub(super) watching_write: bool,
    pub(super) then: Option<Then>,
    pub(super) slow: Slow,
    /// The beat in which bytes last went either way.
    pub(super) active: u32,
    pub(super) parked: Option<Parked>,
    pub(super) outbox: Option<Box<Outbox>>,
    pub(super) read_ahead: Option<Box<Bytes>>,
}

impl Slot {
    pub(super) fn interest(&self) -> Interest {
        Interest { read: self.reading, write: self.watching_write }
    }

    /// Whether more may be sent.
    pub(super) fn accepts(&self) -> bool {
        !self.broken && self.then.is_none()
    }

    pub(super) fn queued(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.bytes())
    }
}

/// The lot of one shard.
pub struct Lot {
    pub(super) slots: Vec<Slot>,
    pub(super) set: Rc<Poll>,
    pub(super) settings: Settings,
    pub(super) parked: usize,
    pub(super) complaints: Complaints,
    /// Now, in beats; see `idle`.
    pub(super) beat: u32,
    /// So many slots have been looked at in this round.
    pub(super) looked_at: usize,
    notices: VecDeque<Notice>,
    bell: Rc<Notify>,
    pub(super) stats: Rc<Stats>,
}

impl Lot {
    /// An empty lot; `bell` rings when there are notices.
    #[must_use]
    pub fn new(set: Rc<Poll>, settings: Settings, bell: Rc<Notify>, stats: Rc<Stats>) -> Lot {
        Lot {
            slots: Vec::new(),
            set,
            settings,
            parked: 0,
            complaints: Complaints::default(),
            beat: 0,
            looked_at: 0,
            notices: VecDeque::new(),
            bell,
            stats,
        }
    }

    pub(super) fn slot(&mut self, id: SessionId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(id.index as usize)?;
        (slot.open && slot.generation == id.generation).then_some(slot)
    }

    pub(super) fn live(&self, id: SessionId) -> Option<&Slot> {
        let slot = self.slots.get(id.index as usize)?;
        (slot.open && slot.generation == id.generation).then_some(slot)
    }

    pub(super) fn notify(&mut self, notice: Notice) {
        self.notices.push_back(notice);
        self.bell.notify_one();
    }

    /// How many connections are parked.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.parked
    }

    /// The next thing to do for the shard.
    pub fn next_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Takes a session's connection: from now on it is written directly. What was queued for it
    /// meanwhile goes out first. `read_ahead` is kept for its next request.
    ///
    /// # Errors
    /// When the socket cannot be watched, or the session is gone: the connection is dropped.
    pub fn park(&mut self, id: SessionId, stream: Stream, read_ahead: Bytes) -> io::Result<()> {
        let (set, beat) = (self.set.clone(), self.beat);
        let gone = || io::Error::new(io::ErrorKind::NotFound, "the session is gone");
        let slot = self.slot(id).filter(|slot| !slot.broken).ok_or_else(gone)?;
        let parked = Parked::new(stream)?;
        let tls = matches!(parked, Parked::Tls(_));
        slot.reading = true;
        slot.watching_write = false;
        slot.active = beat;
        set.add(parked.watched()?, id, slot.interest())?;
        slot.parked = Some(parked);
        slot.read_ahead = (!read_ahead.is_empty()).then(|| Box::new(read_ahead));
        self.parked += 1;
        self.stats.connections_parked.inc();
        if tls {
            // The TLS session may hold decrypted bytes that no readiness will ever report.
            self.notify(Notice::Readable(id));
        }
        self.flush(id);
        Ok(())
    }

    /// Gives a connection back, with the bytes read ahead, registered with the runtime that this is
    /// called in. The slot is closed.
    pub fn unpark(&mut self, id: SessionId) -> Option<(Stream, Bytes)> {
        let set = self.set.clone();
        let slot = self.slot(id)?;
        let parked = slot.parked.take()?;
        self.parked -= 1;
        let slot = self.slot(id)?;
        let read_ahead = slot.read_ahead.take().map_or_else(Bytes::new, |bytes| *bytes);
        let removed = parked.watched().and_then(|socket| set.remove(socket));
        self.close(id);
        removed.ok()?;
        Some((parked.into_stream().ok()?, read_ahead))
    }

    /// Reads what the client sent; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing; otherwise the connection is over.
    pub fn read(&mut self, id: SessionId, into: &mut [u8]) -> io::Result<usize> {
        let beat = self.beat;
        let parked = self.slot(id).and_then(|slot| Some((slot.parked.as_mut()?, &mut slot.active)));
        let Some((parked, active)) = parked else { return Err(io::ErrorKind::WouldBlock.into()) };
        let read = parked.read(into)?;
        *active = beat;
        Ok(read)
    }

    /// Whether the shard may read from this client now.
    pub fn is_reading(&mut self, id: SessionId) -> bool {
        self.slot(id).is_some_and(|slot| slot.reading && slot.parked.is_some())
    }

    /// Reads again when everybody else has had a turn; only TLS needs to be reminded.
    pub fn read_again(&mut self, id: SessionId) {
        let slot = self.slot(id);
        if slot.is_some_and(|slot| matches!(slot.parked, Some(Parked::Tls(_)))) {
            self.notify(Notice::Readable(id));
        }
    }

    /// Keeps bytes for the client's next request; at the bound the client has to wait with more.
    pub fn keep(&mut self, id: SessionId, bytes: &[u8]) {
        let limit = self.settings.read_ahead_bytes_max;
        let Some(slot) = self.slot(id) else { return };
        let mut kept = slot.read_ahead.take().map_or_else(Vec::new, |known| known.to_vec());
        kept.extend_from_slice(bytes);
        let full = kept.len() >= limit;
        slot.read_ahead = Some(Box::new(kept.into()));
        if full {
            self.set_reading(id, false);
        }
    }

    /// Writes what waits, as far as the socket takes it, and says what follows from it.
    pub fn flush(&mut self, id: SessionId) {
        let beat = self.beat;
        let Some(slot) = self.slot(id) else { return };
        let Some(parked) = slot.parked.as_mut() else { return };
        let had = slot.outbox.is_some() || slot.watching_write;
        let mut nothing = Outbox::default();
        let outbox = slot.outbox.as_deref_mut().unwrap_or(&mut nothing);
        let before = outbox.bytes();
        let flushed = parked.flush(outbox);
        if outbox.bytes() < before {
            slot.active = beat;
        }
        match flushed {
            Ok(true) => {
                slot.outbox = None;
                let then = slot.then;
                self.watch_write(id, false);
                if had {
                    self.notify(Notice::Drained(id));
                }
                if let Some(then) = then {
                    self.notify(Notice::Done(id, then));
                }
            }
            Ok(false) => self.watch_write(id, true),
            Err(error) => {
                tracing::debug!(%error, "a held connection broke");
                self.fail(id);
            }
        }
    }

    pub(super) fn watch_write(&mut self, id: SessionId, on: bool) {
        let set = self.set.clone();
        let Some(slot) = self.slot(id) else { return };
        if slot.watching_write == on {
            return;
        }
        slot.watching_write = on;
        let interest = slot.interest();
        let changed = match slot.parked.as_ref().map(Parked::watched) {
            Some(Ok(socket)) => set.modify(socket, id, interest),
            Some(Err(error)) => Err(error),
            None => Ok(()),
        };
        if changed.is_err() {
            self.fail(id);
        }
    }

    /// The connection is over: its socket is dropped now, its session when the shard hears of it.
    pub(super) fn fail(&mut self, id: SessionId) {
        let Some(slot) = self.slot(id) else { return };
        if slot.broken {
            return;
        }
        slot.broken = true;
        let parked = slot.parked.take();
        if let Some(mut outbox) = slot.outbox.take() {
            outbox.wake();
        }
        self.parked -= usize::from(parked.is_some());
        self.notify(Notice::Broken(id));
    }
}
