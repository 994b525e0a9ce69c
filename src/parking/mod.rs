//! Held sockets without a task each: the lot of one shard.
//!
//! A parked connection is a slot: its socket, a remainder that the socket has not taken, and bytes
//! that the client sent ahead. The slot of a session is at the place that its id names in the hub's
//! slab, so a delivery finds its socket by one index and one comparison. The lot implements the
//! hub's [`Outlet`]; what it cannot do itself (serve the next request, tell a backend) it leaves to
//! the shard as a [`Notice`].

pub mod poll;
pub mod socket;

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll as TaskPoll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::hub::fanout::{Delivery, Outlet, Then};
use crate::hub::slab::SessionId;
use crate::listen::stream::Stream;
use crate::session::outbox::Outbox;
use crate::stats::Stats;
use poll::{Interest, Poll};
use socket::{PIECES_AT_ONCE, Parked};

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes that may wait for one client; past it the client is dropped.
    pub outbox_bytes_max: usize,
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

#[derive(Default)]
struct Slot {
    generation: u32,
    open: bool,
    broken: bool,
    reading: bool,
    watching_write: bool,
    then: Option<Then>,
    parked: Option<Parked>,
    outbox: Option<Box<Outbox>>,
    read_ahead: Option<Box<Bytes>>,
}

impl Slot {
    fn interest(&self) -> Interest {
        Interest { read: self.reading, write: self.watching_write }
    }

    fn queued(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.bytes())
    }
}

/// The lot of one shard.
pub struct Lot {
    slots: Vec<Slot>,
    set: Rc<Poll>,
    settings: Settings,
    parked: usize,
    notices: VecDeque<Notice>,
    bell: Rc<Notify>,
    stats: Rc<Stats>,
}

impl Lot {
    /// An empty lot; `bell` rings when there are notices.
    #[must_use]
    pub fn new(set: Rc<Poll>, settings: Settings, bell: Rc<Notify>, stats: Rc<Stats>) -> Lot {
        Lot { slots: Vec::new(), set, settings, parked: 0, notices: VecDeque::new(), bell, stats }
    }

    fn slot(&mut self, id: SessionId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(id.index as usize)?;
        (slot.open && slot.generation == id.generation).then_some(slot)
    }

    fn notify(&mut self, notice: Notice) {
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
        let set = self.set.clone();
        let gone = || io::Error::new(io::ErrorKind::NotFound, "the session is gone");
        let slot = self.slot(id).filter(|slot| !slot.broken).ok_or_else(gone)?;
        let parked = Parked::new(stream)?;
        let tls = matches!(parked, Parked::Tls(_));
        slot.reading = true;
        slot.watching_write = false;
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
        match self.slot(id).and_then(|slot| slot.parked.as_mut()) {
            Some(parked) => parked.read(into),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
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
        let Some(slot) = self.slot(id) else { return };
        let Some(parked) = slot.parked.as_mut() else { return };
        let had = slot.outbox.is_some() || slot.watching_write;
        let mut nothing = Outbox::default();
        let outbox = slot.outbox.as_deref_mut().unwrap_or(&mut nothing);
        match parked.flush(outbox) {
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

    fn watch_write(&mut self, id: SessionId, on: bool) {
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
    fn fail(&mut self, id: SessionId) {
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

    fn accepts(&mut self, id: SessionId) -> bool {
        self.slot(id).is_some_and(|slot| !slot.broken && slot.then.is_none())
    }

    /// The connection, if what is sent now may be written at once.
    fn writable(&mut self, id: SessionId) -> Option<&mut Parked> {
        let slot = self.slot(id)?;
        slot.parked.as_mut().filter(|_| slot.outbox.is_none())
    }

    /// How many bytes a write took; `None` when the connection is over.
    fn taken(&mut self, id: SessionId, written: io::Result<usize>) -> Option<usize> {
        match written {
            Ok(taken) => Some(taken),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Some(0),
                _ => {
                    self.fail(id);
                    None
                }
            },
        }
    }

    fn queue(&mut self, id: SessionId, bytes: Bytes) -> Delivery {
        let limit = self.settings.outbox_bytes_max;
        let Some(slot) = self.slot(id) else { return Delivery::Gone };
        if slot.outbox.get_or_insert_default().push(bytes, limit).is_ok() {
            return Delivery::Queued;
        }
        let queued = slot.queued();
        self.stats.clients_too_slow.inc();
        tracing::info!(session = id.index, queued, "closing a client that does not read");
        self.fail(id);
        Delivery::Refused
    }
}

impl Outlet for Lot {
    fn open(&mut self, id: SessionId) {
        let index = id.index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Slot::default);
        }
        self.slots[index] = Slot { generation: id.generation, open: true, ..Slot::default() };
    }

    fn send(&mut self, id: SessionId, bytes: &Bytes) -> Delivery {
        if !self.accepts(id) {
            return Delivery::Gone;
        }
        if bytes.is_empty() {
            return Delivery::Written;
        }
        let Some(parked) = self.writable(id) else { return self.queue(id, bytes.clone()) };
        let written = parked.write(bytes);
        let records = parked.has_records();
        let Some(taken) = self.taken(id, written) else { return Delivery::Gone };
        if taken == bytes.len() && !records {
            return Delivery::Written;
        }
        let delivery = match taken {
            all if all == bytes.len() => Delivery::Queued,
            part => self.queue(id, bytes.slice(part..)),
        };
        self.watch_write(id, true);
        delivery
    }

    fn send_many(&mut self, id: SessionId, pieces: &[&Bytes]) -> (usize, Delivery) {
        if !self.accepts(id) {
            return (0, Delivery::Gone);
        }
        let (mut sent, mut delivery) = (0, Delivery::Written);
        while let Some(rest) = pieces.get(sent..).filter(|rest| !rest.is_empty()) {
            let Some(parked) = self.writable(id) else { break };
            let at_once = &rest[..rest.len().min(PIECES_AT_ONCE)];
            let written = parked.write_some(at_once.iter().map(|piece| &piece[..]));
            let records = parked.has_records();
            let Some(mut taken) = self.taken(id, written) else { return (sent, Delivery::Gone) };
            let whole = at_once.iter().take_while(|piece| {
                let fits = piece.len() <= taken;
                taken -= if fits { piece.len() } else { 0 };
                fits
            });
            let whole = whole.count();
            sent += whole;
            if whole < at_once.len() || records {
                delivery = Delivery::Queued;
                self.watch_write(id, true);
            }
            if let Some(part) = at_once.get(whole) {
                match self.queue(id, part.slice(taken..)) {
                    Delivery::Queued => sent += 1,
                    other => return (sent, other),
                }
            }
        }
        for piece in &pieces[sent..] {
            delivery = self.queue(id, Bytes::clone(piece));
            if delivery != Delivery::Queued {
                break;
            }
            sent += 1;
        }
        (sent, delivery)
    }

    fn finish(&mut self, id: SessionId, then: Then) {
        let Some(slot) = self.slot(id) else { return };
        if slot.broken || slot.then.is_some() {
            return;
        }
        slot.then = Some(then);
        if slot.parked.is_none() {
            if let Some(outbox) = slot.outbox.as_mut() {
                outbox.wake();
            }
        } else if slot.outbox.is_none() && !slot.watching_write {
            self.notify(Notice::Done(id, then));
        }
    }

    fn backlog(&self, id: SessionId) -> usize {
        let slot = self.slots.get(id.index as usize);
        slot.filter(|slot| slot.open && slot.generation == id.generation).map_or(0, Slot::queued)
    }

    fn set_reading(&mut self, id: SessionId, on: bool) {
        let set = self.set.clone();
        let Some(slot) = self.slot(id) else { return };
        if slot.reading == on {
            return;
        }
        slot.reading = on;
        let interest = slot.interest();
        let Some(parked) = slot.parked.as_ref() else { return };
        let tls = matches!(parked, Parked::Tls(_));
        if parked.watched().and_then(|socket| set.modify(socket, id, interest)).is_err() {
            self.fail(id);
        } else if on && tls {
            self.notify(Notice::Readable(id));
        }
    }

    fn poll_next(&mut self, id: SessionId, waker: &Waker) -> TaskPoll<Option<Bytes>> {
        let Some(slot) = self.slot(id) else { return TaskPoll::Ready(None) };
        if slot.broken {
            return TaskPoll::Ready(None);
        }
        let ended = slot.then.is_some();
        // An empty outbox is kept here: it holds the reader's waker.
        match slot.outbox.get_or_insert_default().poll_pop(waker) {
            TaskPoll::Ready(bytes) => TaskPoll::Ready(Some(bytes)),
            TaskPoll::Pending if ended => TaskPoll::Ready(None),
            TaskPoll::Pending => TaskPoll::Pending,
        }
    }

    fn poll_closed(&mut self, id: SessionId, cx: &mut Context<'_>) -> TaskPoll<()> {
        match self.slot(id) {
            Some(slot) if !slot.broken => {
                slot.outbox.get_or_insert_default().register(cx.waker());
                TaskPoll::Pending
            }
            _ => TaskPoll::Ready(()),
        }
    }

    fn close(&mut self, id: SessionId) {
        let Some(slot) = self.slot(id) else { return };
        slot.open = false;
        slot.read_ahead = None;
        if let Some(mut outbox) = slot.outbox.take() {
            outbox.wake();
        }
        if let Some(mut parked) = slot.parked.take() {
            parked.end();
            self.parked -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
