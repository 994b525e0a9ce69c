//! Sessions that one request to a backend is made for, and how what it answers reaches them all:
//! the same bytes, as far as each client takes them.
//!
//! Made by `holds`; `follow` and `repeat` send through it. Sessions may still come aboard while
//! what was sent is kept. A client that does not read holds up the others up to a bound, then it is
//! left behind.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::held::Held;
use super::queue::{Via, Wish};
use crate::clock::{self, Tick};
use crate::hub::fanout::Delivery;
use crate::hub::slab::SessionId;
use crate::limits::{
    FLIGHT_KEPT_BYTES_MAX, FLIGHT_LAG_MS, FLIGHT_PIECE_BYTES_MAX, FLIGHT_STALL_MS,
    SLICE_DELIVERIES_MAX,
};
use crate::wire::http1;

/// While clients do not read, it is looked at so often whether they are still there.
const LOOK_MS: u64 = 1_000;

struct Passenger {
    id: SessionId,
    /// It is sent chunks, not bare bytes.
    chunked: bool,
    /// So many of the pieces that are kept it has been sent.
    at: usize,
}

struct Piece {
    bare: Bytes,
    /// Made when the first client wants it.
    chunk: Option<Bytes>,
}

/// See the module.
pub struct Flight {
    /// What the backend is asked.
    pub wish: Wish,
    /// How.
    pub via: Via,
    passengers: RefCell<Vec<Passenger>>,
    pieces: RefCell<Vec<Piece>>,
    kept_bytes: Cell<usize>,
    open: Cell<bool>,
    boarded: Cell<u64>,
    fresh: Cell<Option<Tick>>,
    changed: Rc<Notify>,
    /// Counts among the requests that are made at once, as long as the backend is at work.
    permit: RefCell<Option<OwnedSemaphorePermit>>,
}

impl Flight {
    /// An empty one that may be joined.
    #[must_use]
    pub fn new(wish: Wish, via: Via) -> Flight {
        Flight {
            wish,
            via,
            passengers: RefCell::default(),
            pieces: RefCell::default(),
            kept_bytes: Cell::new(0),
            open: Cell::new(true),
            boarded: Cell::new(0),
            fresh: Cell::new(None),
            changed: Rc::new(Notify::new()),
            permit: RefCell::default(),
        }
    }

    /// From now on it counts among the requests that are made at once.
    pub fn depart(&self, permit: OwnedSemaphorePermit) {
        *self.permit.borrow_mut() = Some(permit);
    }

    /// It does not count any more.
    pub fn rest(&self) {
        self.permit.borrow_mut().take();
    }

    /// Whether it does not count now.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.permit.borrow().is_none()
    }

    /// Takes a session aboard.
    pub fn board(&self, id: SessionId, chunked: bool) {
        self.passengers.borrow_mut().push(Passenger { id, chunked, at: 0 });
        self.boarded.set(self.boarded.get() + 1);
    }

    /// Somebody aboard was told at this moment that there is something new.
    pub fn freshen(&self, since: Option<Tick>) {
        self.fresh.set(self.fresh.get().max(since));
    }

    /// What was asked for at this moment or before may be older than what is wanted.
    #[must_use]
    pub fn fresh(&self) -> Option<Tick> {
        self.fresh.get()
    }

    /// How many have come aboard.
    #[must_use]
    pub fn boarded(&self) -> u64 {
        self.boarded.get()
    }

    /// Whether sessions may still come aboard.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// Nobody comes aboard any more.
    pub fn close(&self) {
        self.open.set(false);
    }

    /// Who is aboard.
    #[must_use]
    pub fn ids(&self) -> Vec<SessionId> {
        self.passengers.borrow().iter().map(|passenger| passenger.id).collect()
    }

    /// How many are aboard.
    #[must_use]
    pub fn len(&self) -> usize {
        self.passengers.borrow().len()
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those who are not wanted aboard leave.
    pub fn keep(&self, wanted: impl Fn(SessionId) -> bool) {
        self.passengers.borrow_mut().retain(|passenger| wanted(passenger.id));
    }

    /// All but the first leave.
    #[must_use]
    pub fn leave_first(&self) -> Vec<SessionId> {
        let mut passengers = self.passengers.borrow_mut();
        let from = passengers.len().min(1);
        passengers.split_off(from).into_iter().map(|passenger| passenger.id).collect()
    }

    /// Says anew who is sent chunks.
    pub fn frame(&self, chunked: impl Fn(SessionId) -> bool) {
        for passenger in self.passengers.borrow_mut().iter_mut() {
            passenger.chunked = chunked(passenger.id);
        }
    }

    /// Sends bytes to all, when they have room for them. Whether anybody is left.
    pub async fn send(&self, held: &Held, mut bytes: Bytes) -> bool {
        while !bytes.is_empty() {
            let bare = bytes.split_to(bytes.len().min(FLIGHT_PIECE_BYTES_MAX));
            self.room(held, bare.len()).await;
            self.kept_bytes.set(self.kept_bytes.get().saturating_add(bare.len()));
            self.pieces.borrow_mut().push(Piece { bare, chunk: None });
            self.deliver(held).await;
            if self.kept_bytes.get() > FLIGHT_KEPT_BYTES_MAX {
                self.close();
                // Whoever came aboard meanwhile has all of it before the first of it is forgotten.
                self.deliver(held).await;
                self.pieces.borrow_mut().clear();
                for passenger in self.passengers.borrow_mut().iter_mut() {
                    passenger.at = 0;
                }
            }
            if self.is_empty() {
                return false;
            }
        }
        !self.is_empty()
    }

    /// Whether nothing has been sent.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.kept_bytes.get() == 0
    }

    /// Lets nobody in any more, and sends what was kept to those who came late.
    pub async fn arrive(&self, held: &Held) {
        self.close();
        self.deliver(held).await;
    }

    /// Sends each what it has not been sent of the pieces. Others have their turns in between.
    async fn deliver(&self, held: &Held) {
        let mut index = 0;
        while let Some((id, pieces)) = self.missing(index) {
            let now = clock::now();
            let sent = pieces.iter().all(|bytes| {
                let delivery = held.shared.hub.send(id, bytes, now);
                matches!(delivery, Delivery::Written | Delivery::Queued)
            });
            let count = self.pieces.borrow().len();
            if let Some(passenger) = self.passengers.borrow_mut().get_mut(index) {
                passenger.at = if sent { count } else { usize::MAX };
            }
            index += 1;
            if index % SLICE_DELIVERIES_MAX == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.passengers.borrow_mut().retain(|passenger| passenger.at != usize::MAX);
    }

    /// What a passenger has not been sent.
    fn missing(&self, index: usize) -> Option<(SessionId, SmallVec<[Bytes; 2]>)> {
        let passengers = self.passengers.borrow();
        let Passenger { id, chunked, at } = *passengers.get(index)?;
        let mut pieces = self.pieces.borrow_mut();
        let missing = pieces.get_mut(at..).unwrap_or_default().iter_mut().map(|piece| {
            if !chunked {
                return piece.bare.clone();
            }
            piece.chunk.get_or_insert_with(|| http1::chunk(&piece.bare)).clone()
        });
        Some((id, missing.collect()))
    }

    /// Waits until all have room for so many bytes more; those who hold up the others for too long
    /// are closed.
    async fn room(&self, held: &Held, bytes: usize) {
        let mut since = clock::now();
        let mut before = usize::MAX;
        loop {
            let (slow, backlog) = self.slow(held, bytes);
            if slow.is_empty() {
                return;
            }
            let alone = self.len() == 1;
            if alone && backlog < before {
                (since, before) = (clock::now(), backlog);
            }
            let bound_ms = if alone { FLIGHT_STALL_MS } else { FLIGHT_LAG_MS };
            let waited_ms = clock::now().ms_since(since);
            if waited_ms >= bound_ms {
                self.leave_behind(held, &slow);
                continue;
            }
            if waited_ms >= LOOK_MS {
                // The backend waits for us now: it has time for others.
                self.rest();
                held.slot_is_free();
            }
            held.wait_for(&slow, &self.changed);
            tokio::select! {
                () = self.changed.notified() => {}
                () = clock::sleep_ms(LOOK_MS.min(bound_ms - waited_ms)) => {}
            }
            held.wait_no_more(&slow);
        }
    }

    /// Who has no room for so many bytes more, and how much waits for them.
    fn slow(&self, held: &Held, bytes: usize) -> (Vec<SessionId>, usize) {
        let hub = &held.shared.hub;
        let limit = held.shared.settings.outbox_bytes_max / 2;
        let mut total = 0;
        let mut slow = Vec::new();
        self.passengers.borrow_mut().retain(|passenger| {
            let backlog = hub.backlog(passenger.id);
            if backlog > 0 && backlog.saturating_add(bytes) > limit {
                if !hub.with(|registry| registry.is_live(passenger.id)) {
                    return false;
                }
                slow.push(passenger.id);
                total += backlog;
            }
            true
        });
        (slow, total)
    }

    fn leave_behind(&self, held: &Held, slow: &[SessionId]) {
        for id in slow {
            held.shared.stats.clients_left_behind.inc();
            tracing::info!(session = id.index, "closing a client that holds up others");
            held.shared.hub.close(*id);
        }
        self.keep(|id| !slow.contains(&id));
    }
}
