//! How the hub's bytes leave: at once where the socket takes them, else queued as shares.
//!
//! Implements the hub's [`Outlet`] for the lot; nothing here copies a payload.

use std::io;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::lot::{Lot, Notice, Settings, Slot};
use super::socket::{PIECES_AT_ONCE, Parked};
use crate::clock;
use crate::hub::fanout::{Delivery, Outlet, Then};
use crate::hub::slab::SessionId;
use crate::session::outbox::{Bounds, Kind, Slow};

impl Lot {
    fn accepts(&mut self, id: SessionId) -> bool {
        self.slot(id).is_some_and(|slot| slot.accepts())
    }

    /// The connection, if what is sent now may be written at once.
    fn writable(&mut self, id: SessionId) -> Option<&mut Parked> {
        let slot = self.slot(id)?;
        slot.parked.as_mut().filter(|_| slot.outbox.is_none())
    }

    /// How many bytes a write took; `None` when the connection is over.
    fn taken(&mut self, id: SessionId, written: io::Result<usize>) -> Option<usize> {
        match written {
            Ok(taken) => {
                let beat = self.beat;
                if let Some(slot) = self.slot(id).filter(|_| taken > 0) {
                    slot.active = beat;
                }
                Some(taken)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Some(0),
                _ => {
                    self.fail(id);
                    None
                }
            },
        }
    }

    fn queue(&mut self, id: SessionId, bytes: Bytes, kind: Kind) -> Delivery {
        let Settings { outbox_bytes_max, outbox_messages_max, .. } = self.settings;
        let Some(slot) = self.slot(id) else { return Delivery::Gone };
        let slow = slot.slow;
        let bounds = Bounds { bytes: outbox_bytes_max, messages: outbox_messages_max, slow };
        let Ok(queued) = slot.outbox.get_or_insert_default().put(bytes, kind, &bounds) else {
            self.stats.clients_too_slow.inc();
            self.complain(id, "closing a client that does not read");
            self.fail(id);
            return Delivery::Refused;
        };
        if queued.dropped > 0 {
            let counter = match slow {
                Slow::Conflate => &self.stats.messages_conflated,
                Slow::Close | Slow::DropOldest => &self.stats.messages_dropped,
            };
            counter.add(queued.dropped as u64);
        }
        if queued.became_slow {
            self.complain(id, "dropping messages for a client that does not read");
        }
        Delivery::Queued
    }

    /// Says that a client does not read, unless too much of that kind was said just now.
    fn complain(&mut self, id: SessionId, what: &str) {
        let Some(left_out) = self.complaints.admit(clock::now()) else { return };
        let Some(slot) = self.slot(id) else { return };
        let client = slot.parked.as_ref().and_then(Parked::peer);
        let (bytes, messages) = slot.outbox.as_ref().map_or((0, 0), |o| (o.bytes(), o.len()));
        let client = client.map(tracing::field::display);
        tracing::warn!(session = %id, client, bytes, messages, left_out, "{what}");
    }

    /// Sends one piece; see [`Outlet::send`].
    fn deliver(&mut self, id: SessionId, bytes: &Bytes, kind: Kind) -> Delivery {
        let beat = self.beat;
        let Some(slot) = self.slot(id).filter(|slot| slot.accepts()) else {
            return Delivery::Gone;
        };
        if bytes.is_empty() {
            return Delivery::Written;
        }
        let Some(parked) = slot.parked.as_mut().filter(|_| slot.outbox.is_none()) else {
            return self.queue(id, bytes.clone(), kind);
        };
        let written = parked.write(bytes);
        let records = parked.has_records();
        if !records && written.as_ref().is_ok_and(|taken| *taken == bytes.len()) {
            slot.active = beat;
            return Delivery::Written;
        }
        let Some(taken) = self.taken(id, written) else { return Delivery::Gone };
        let delivery = match taken {
            all if all == bytes.len() => Delivery::Queued,
            part => self.queue(id, bytes.slice(part..), rest_of(part, kind)),
        };
        self.watch_write(id, true);
        delivery
    }

    /// Sends several pieces; see [`Outlet::send_many`].
    fn deliver_many(&mut self, id: SessionId, pieces: &[&Bytes], kind: Kind) -> (usize, Delivery) {
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
                match self.queue(id, part.slice(taken..), rest_of(taken, kind)) {
                    Delivery::Queued => sent += 1,
                    other => return (sent, other),
                }
            }
        }
        for piece in &pieces[sent..] {
            delivery = self.queue(id, Bytes::clone(piece), kind);
            if delivery != Delivery::Queued {
                break;
            }
            sent += 1;
        }
        (sent, delivery)
    }
}

/// What is left of a piece of which so many bytes have been written: it has to follow them.
fn rest_of(written: usize, kind: Kind) -> Kind {
    if written > 0 { Kind::Kept } else { kind }
}

impl Outlet for Lot {
    fn open(&mut self, id: SessionId) {
        let index = id.index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Slot::default);
        }
        let slow = self.settings.slow;
        self.slots[index] = Slot { generation: id.generation, open: true, slow, ..Slot::default() };
    }

    fn send(&mut self, id: SessionId, bytes: &Bytes) -> Delivery {
        self.deliver(id, bytes, Kind::Kept)
    }

    fn send_many(&mut self, id: SessionId, pieces: &[&Bytes]) -> (usize, Delivery) {
        self.deliver_many(id, pieces, Kind::Kept)
    }

    fn publish(&mut self, id: SessionId, message: &Bytes) -> Delivery {
        self.deliver(id, message, Kind::Message)
    }

    fn publish_many(&mut self, id: SessionId, messages: &[&Bytes]) -> (usize, Delivery) {
        self.deliver_many(id, messages, Kind::Message)
    }

    fn set_slow(&mut self, id: SessionId, slow: Slow) {
        if let Some(slot) = self.slot(id) {
            slot.slow = slow;
        }
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

    fn finished(&self, id: SessionId) -> Option<Then> {
        self.live(id)?.then
    }

    fn backlog(&self, id: SessionId) -> usize {
        self.live(id).map_or(0, Slot::queued)
    }

    fn room(&self) -> usize {
        self.settings.outbox_bytes_max
    }

    fn set_reading(&mut self, id: SessionId, on: bool) {
        let set = self.set.clone();
        let Some(slot) = self.slot(id) else { return };
        if slot.reading == on {
            return;
        }
        slot.reading = on;
        let interest = slot.interest();
        let Some(parked) = slot.parked.as_ref() else {
            if let Some(outbox) = slot.outbox.as_mut() {
                outbox.wake();
            }
            return;
        };
        let tls = matches!(parked, Parked::Tls(_));
        if parked.watched().and_then(|socket| set.modify(socket, id, interest)).is_err() {
            self.fail(id);
        } else if on && tls {
            self.notify(Notice::Readable(id));
        }
    }

    fn wants_reading(&self, id: SessionId) -> bool {
        self.live(id).is_some_and(|slot| slot.reading)
    }

    fn poll_next(&mut self, id: SessionId, waker: &Waker) -> Poll<Option<Bytes>> {
        let Some(slot) = self.slot(id) else { return Poll::Ready(None) };
        if slot.broken {
            return Poll::Ready(None);
        }
        let ended = slot.then.is_some();
        // An empty outbox is kept here: it holds the reader's waker.
        match slot.outbox.get_or_insert_default().poll_pop(waker) {
            Poll::Ready(bytes) => Poll::Ready(Some(bytes)),
            Poll::Pending if ended => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_closed(&mut self, id: SessionId, cx: &mut Context<'_>) -> Poll<()> {
        match self.slot(id) {
            Some(slot) if !slot.broken => {
                slot.outbox.get_or_insert_default().register(cx.waker());
                Poll::Pending
            }
            _ => Poll::Ready(()),
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
