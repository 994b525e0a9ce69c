//! Holds whose backends are asked again: what the hub wants of them comes in here, is gathered so
//! that many sessions cost one request, and is carried out, a bounded number at a time.
//!
//! One a shard; called by the roof with the hub's effects. Sessions wait as ids; a task there is
//! only for each request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::flight::Flight;
use super::follow::{self, Asked, take_turns};
use super::gone::{Gone, back_off_ms};
use super::held::{Held, Kind};
use super::queue::{Batch, Member, Queue, Same, Via, What, Wish};
use super::repeat;
use crate::clock::{self, Tick};
use crate::forward::order::Order;
use crate::forward::outgoing::Last;
use crate::forward::shared::Shared;
use crate::hub::registry::Effect;
use crate::hub::slab::SessionId;
use crate::limits::{ERRAND_RETRIES_MAX, GATHER_MS, GATHER_MS_MAX, GATHER_SOON_MS};
use crate::session::http::StreamFraming;

/// Sessions that are waited for to become more.
#[derive(Default)]
struct Gathering {
    ids: RefCell<Vec<SessionId>>,
    /// When the last of them came.
    since: Cell<Tick>,
    waiting: Cell<bool>,
}

/// See the module.
pub struct Holds {
    held: Rc<Held>,
    gone: Rc<Gone>,
    queue: RefCell<Queue>,
    flights: RefCell<HashMap<Wish, Rc<Flight>, ahash::RandomState>>,
    slots: Arc<Semaphore>,
    soon: Gathering,
    later: Gathering,
    groups: ahash::RandomState,
}

impl Holds {
    /// A shard that has none yet.
    #[must_use]
    pub fn new(shared: Rc<Shared>) -> Rc<Holds> {
        let at_once = shared.settings.updates_at_once.clamp(1, Semaphore::MAX_PERMITS);
        let held = Rc::new(Held::new(shared));
        let holds = Rc::new(Holds {
            gone: Gone::new(Rc::clone(&held)),
            held,
            queue: RefCell::default(),
            flights: RefCell::default(),
            slots: Arc::new(Semaphore::new(at_once)),
            soon: Gathering::default(),
            later: Gathering::default(),
            groups: ahash::RandomState::new(),
        });
        let weak = Rc::downgrade(&holds);
        holds.held.when_slot_is_free(Rc::new(move || {
            if let Some(holds) = weak.upgrade() {
                holds.launch();
            }
        }));
        holds
    }

    /// What is kept of holds.
    #[must_use]
    pub fn held(&self) -> &Rc<Held> {
        &self.held
    }

    /// The hub wants something.
    pub fn effect(self: &Rc<Holds>, effect: &Effect) {
        match effect {
            Effect::Update { id, soon } => self.wanted(*id, *soon),
            Effect::Ended(id) => self.ended(*id),
            _ => {}
        }
    }

    /// Another shard wants a next link asked for.
    pub fn order(&self, order: Order) {
        self.held.ferries.take_for_peer(order);
    }

    /// What was queued for the client has been written.
    pub fn drained(&self, id: SessionId) {
        self.held.changed(id);
    }

    /// Stopping: nothing more is asked; whom to tell that requests are gone is told. `idle` is
    /// called when all have been.
    pub fn drain(&self, idle: Rc<dyn Fn()>) {
        self.held.stop();
        self.gone.flush(idle);
    }

    /// Whether a shard that stops need not wait for anything here.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.gone.is_idle()
    }

    fn ended(&self, id: SessionId) {
        self.held.changed(id);
        let Some(entry) = self.held.remove(id) else { return };
        if let Some(gone) = &entry.gone {
            self.gone.ended(Rc::clone(entry.home()), Rc::clone(gone));
        }
    }

    fn wanted(self: &Rc<Holds>, id: SessionId, soon: bool) {
        self.held.shared.stats.updates_wanted.inc();
        if self.held.is_stopping() {
            return;
        }
        let gathering = if soon { &self.soon } else { &self.later };
        gathering.ids.borrow_mut().push(id);
        gathering.since.set(clock::now());
        if !gathering.waiting.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).gather(soon));
        }
    }

    /// Waits for more of the same, then has them asked about. Jittered: shards that hear of the
    /// same at the same time need not ask at the same time.
    async fn gather(self: Rc<Holds>, soon: bool) {
        let window_ms = if soon { GATHER_SOON_MS } else { GATHER_MS };
        let mut waited_ms = 0;
        loop {
            let ms = fastrand::u64(window_ms / 4..=window_ms);
            clock::sleep_ms(ms).await;
            waited_ms += ms;
            // As long as a broadcast is under way there may be more.
            if waited_ms >= GATHER_MS_MAX || !self.held.shared.hub.is_delivering() {
                break;
            }
        }
        let gathering = if soon { &self.soon } else { &self.later };
        gathering.waiting.set(false);
        let ids = gathering.ids.take();
        let fresh = soon.then(|| gathering.since.get());
        for (number, id) in ids.into_iter().enumerate() {
            self.sort(id, fresh);
            take_turns(number).await;
        }
        self.launch();
    }

    /// Puts a session to those who want the same.
    fn sort(&self, id: SessionId, fresh: Option<Tick>) {
        let lasts = self.held.shared.hub.with(|registry| registry.lasts(id));
        let Some((wish, via, group)) = self.wish(id, lasts) else { return };
        let joinable =
            |flight: &&Rc<Flight>| fresh.is_none() && flight.is_open() && !flight.is_resting();
        let flight = self.flights.borrow().get(&wish).filter(joinable).cloned();
        let member = Member { id, begun: false, fresh };
        match flight {
            // What was asked for before a hint may be older than what the hint is about.
            Some(flight) => self.board(&flight, member),
            None => self.queue.borrow_mut().add(wish, via, group, member, fresh.is_some()),
        }
    }

    /// What a session wants, if it wants anything.
    fn wish(&self, id: SessionId, mut lasts: Vec<Last>) -> Option<(Wish, Via, u64)> {
        let entry = self.held.entry(id)?;
        lasts.sort();
        let (what, via, group) = match entry.kind {
            Kind::Stream { next: None, .. } => return None,
            Kind::Stream { home, next: Some(link) } => {
                let what = What::Link(Same(home), Rc::clone(&link.group));
                let group = self.groups.hash_one(&link.group);
                (what, Via::Link(link), group)
            }
            Kind::Poll(request) => {
                let shared = request.is_shareable() && entry.gone.is_none();
                let what = match shared {
                    true => What::Repeat(Same(Rc::clone(&request))),
                    false => What::Alone(id),
                };
                let group = self.groups.hash_one(Rc::as_ptr(&request.home).cast::<()>());
                (what, Via::Repeat(request), group)
            }
        };
        Some((Wish { what, lasts }, via, group))
    }

    /// Takes a session aboard, if it is still wanted and wants the same as the others; otherwise it
    /// is put where it belongs.
    fn board(&self, flight: &Flight, member: Member) {
        let id = member.id;
        let hub = &self.held.shared.hub;
        if !member.begun {
            let Some(begun) = hub.with(|registry| registry.begin_update(id)) else { return };
            let mut lasts = begun.lasts;
            lasts.sort();
            if lasts != flight.wish.lasts {
                let Some((wish, via, group)) = self.wish(id, lasts) else { return };
                let member = Member { begun: true, ..member };
                self.queue.borrow_mut().add(wish, via, group, member, true);
                return;
            }
        } else if !hub.with(|registry| registry.is_live(id)) {
            return;
        }
        let framing = hub.with(|registry| registry.framing(id));
        flight.freshen(member.fresh);
        flight.board(id, framing == Some(StreamFraming::Chunked));
    }

    /// Starts what waits, as far as there is room.
    fn launch(self: &Rc<Holds>) {
        loop {
            let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() else { return };
            let Some(batch) = self.queue.borrow_mut().take() else { return };
            let Batch { wish, via, members, .. } = batch;
            let flight = Rc::new(Flight::new(wish, via));
            for member in members {
                self.board(&flight, member);
            }
            if flight.is_empty() {
                self.queue.borrow_mut().landed(&flight.wish);
                continue;
            }
            self.flights.borrow_mut().insert(flight.wish.clone(), Rc::clone(&flight));
            tokio::task::spawn_local(Rc::clone(self).fly(flight, permit));
        }
    }

    async fn fly(self: Rc<Holds>, flight: Rc<Flight>, permit: OwnedSemaphorePermit) {
        let stats = &self.held.shared.stats;
        flight.depart(permit);
        match flight.via.clone() {
            Via::Link(link) => {
                if let What::Link(Same(home), _) = flight.wish.what.clone() {
                    let mut failures = 0;
                    while follow::ask(&self.held, &flight, &home, &link).await == Asked::Failed {
                        if failures >= ERRAND_RETRIES_MAX {
                            follow::give_up(&self.held, &flight, &home).await;
                            break;
                        }
                        self.back_off(&flight, failures).await;
                        failures += 1;
                        if flight.is_empty() {
                            break;
                        }
                        stats.updates_retried.inc();
                    }
                }
            }
            Via::Repeat(request) => {
                stats.updates_made.inc();
                let others = repeat::run(&self.held, &flight, &request).await;
                for id in others {
                    let wish = Wish { what: What::Alone(id), lasts: flight.wish.lasts.clone() };
                    let via = Via::Repeat(Rc::clone(&request));
                    let group = self.groups.hash_one(Rc::as_ptr(&request.home).cast::<()>());
                    let member = Member { id, begun: true, fresh: None };
                    self.queue.borrow_mut().add(wish, via, group, member, true);
                }
            }
        }
        stats.updates_shared.add(flight.boarded().saturating_sub(1));
        self.flights.borrow_mut().remove(&flight.wish);
        self.queue.borrow_mut().landed(&flight.wish);
        flight.rest();
        self.launch();
    }

    /// Waits before a request is made again. Meanwhile there is room for others, and whoever wants
    /// the same comes along.
    async fn back_off(self: &Rc<Holds>, flight: &Rc<Flight>, failures: u32) {
        flight.rest();
        self.launch();
        clock::sleep_ms(back_off_ms(failures)).await;
        // The semaphore is never closed.
        if let Ok(permit) = Arc::clone(&self.slots).acquire_owned().await {
            flight.depart(permit);
        }
        let late = self.queue.borrow_mut().late(&flight.wish);
        for member in late {
            self.board(flight, member);
        }
        let hub = &self.held.shared.hub;
        flight.keep(|id| hub.with(|registry| registry.framing(id)).is_some());
    }
}
