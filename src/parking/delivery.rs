//! How the hub's bytes leave: at once where the socket takes them, else queued as shares.
//!
//! Implements the hub's [`Outlet`] for the lot; nothing here copies a payload.

use std::io;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::lot::{Lot, Notice, Slot};
use super::socket::{PIECES_AT_ONCE, Parked};
use crate::hub::fanout::{Delivery, Outlet, Then};
use crate::hub::slab::SessionId;

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
        let Some(slot) = self.slot(id).filter(|slot| slot.accepts()) else {
            return Delivery::Gone;
        };
        if bytes.is_empty() {
            return Delivery::Written;
        }
        let Some(parked) = slot.parked.as_mut().filter(|_| slot.outbox.is_none()) else {
            return self.queue(id, bytes.clone());
        };
        let written = parked.write(bytes);
        let records = parked.has_records();
        if !records && written.as_ref().is_ok_and(|taken| *taken == bytes.len()) {
            return Delivery::Written;
        }
        let Some(taken) = self.taken(id, written) else { return Delivery::Gone };
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
        let Some(parked) = slot.parked.as_ref() else { return };
        let tls = matches!(parked, Parked::Tls(_));
        if parked.watched().and_then(|socket| set.modify(socket, id, interest)).is_err() {
            self.fail(id);
        } else if on && tls {
            self.notify(Notice::Readable(id));
        }
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
