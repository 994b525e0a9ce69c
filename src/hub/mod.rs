//! One shard's registry of held connections, and the cheap handle to it.
//!
//! The roof is [`Hub`]: the pure [`registry::Registry`] and the [`fanout::Outlet`] through which
//! its bytes leave, together. Its methods borrow, act and release; no borrow lives across an await.
//! A [`Lease`] keeps a session open while whoever serves its connection lives.

mod answers;
pub mod asking;
mod backlog;
mod broadcast;
mod care;
mod catching;
pub mod channels;
mod due;
mod failing;
pub mod fanout;
mod filtering;
mod following;
mod forms;
mod intake;
pub mod interest;
pub mod ledger;
mod limiter;
mod offers;
mod passing;
mod performing;
mod recent;
#[cfg(test)]
mod recorder;
pub mod registry;
pub mod seats;
pub mod sequence;
mod settings;
pub mod slab;
pub mod updates;
mod upkeep;
mod waiting;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::clock::Tick;
use crate::grip::item::Item;
use crate::session::http::{ResponseHold, StreamHold};
use crate::session::outbox::Slow;
use crate::session::socket::Form;

use fanout::{Delivery, Outlet, Then};
use registry::{Receipt, Receivers, Registry, Settings};
use slab::SessionId;

/// A shard's handle to its sessions.
#[derive(Clone)]
pub struct Hub {
    registry: Rc<RefCell<Registry>>,
    outlet: Rc<RefCell<dyn Outlet>>,
    armed: Rc<Cell<Option<Tick>>>,
    alarm: Rc<dyn Fn()>,
}

impl Hub {
    /// An empty hub whose bytes leave through `outlet`. `alarm` is called when the shard has to
    /// look again: something became due earlier than it was told, or there are effects.
    #[must_use]
    pub fn new(settings: Settings, outlet: Rc<RefCell<dyn Outlet>>, alarm: Rc<dyn Fn()>) -> Hub {
        let registry = Rc::new(RefCell::new(Registry::new(settings)));
        Hub { registry, outlet, armed: Rc::default(), alarm }
    }

    /// Does something with the registry alone.
    pub fn with<R>(&self, act: impl FnOnce(&mut Registry) -> R) -> R {
        let mut registry = self.registry.borrow_mut();
        let result = act(&mut registry);
        self.look_again(&registry);
        result
    }

    /// Does something with the registry that may send.
    pub fn with_outlet<R>(&self, act: impl FnOnce(&mut Registry, &mut dyn Outlet) -> R) -> R {
        let mut registry = self.registry.borrow_mut();
        let result = act(&mut registry, &mut *self.outlet.borrow_mut());
        self.look_again(&registry);
        result
    }

    fn look_again(&self, registry: &Registry) {
        let earlier = match (registry.next_deadline(), self.armed.get()) {
            (Some(next), Some(armed)) => next < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if earlier || registry.has_effects() || registry.is_delivering() {
            (self.alarm)();
        }
    }

    /// Does what is due and says when to come back: the shard's timer, one for all sessions.
    pub fn tick(&self, now: Tick) -> Option<Tick> {
        let mut registry = self.registry.borrow_mut();
        if registry.next_deadline().is_some_and(|at| at <= now) {
            registry.tick(now, &mut *self.outlet.borrow_mut());
        }
        let next = registry.next_deadline();
        self.armed.set(next);
        next
    }

    /// Takes up a long-poll.
    pub fn open_response(&self, hold: ResponseHold, now: Tick) -> Lease {
        self.lease(|registry| registry.open_response(hold, now))
    }

    /// Takes up a stream.
    pub fn open_stream(&self, hold: StreamHold, now: Tick) -> Lease {
        self.lease(|registry| registry.open_stream(hold, now))
    }

    /// Takes up a WebSocket that gets what is published in this form.
    pub fn open_socket(&self, form: Form, now: Tick) -> Lease {
        self.lease(|registry| registry.open_socket(form, now))
    }

    fn lease(&self, open: impl FnOnce(&mut Registry) -> SessionId) -> Lease {
        let id = self.with_outlet(|registry, outlet| {
            let id = open(registry);
            outlet.open(id);
            id
        });
        Lease { hub: self.clone(), id: Some(id) }
    }

    /// Takes items in; see [`Registry::publish`].
    pub fn publish(
        &self,
        items: &[Arc<Item>],
        now: Tick,
        receipts: Option<&mut Vec<Receipt>>,
    ) -> Receivers {
        self.with(|registry| registry.publish(items, now, receipts))
    }

    /// Delivers a slice of what waits; see [`Registry::deliver`].
    /// For the shard, which looks again by itself.
    pub fn deliver(&self, now: Tick) -> Receivers {
        self.registry.borrow_mut().deliver(now, &mut *self.outlet.borrow_mut())
    }

    /// Whether anything waits to be delivered.
    #[must_use]
    pub fn is_delivering(&self) -> bool {
        self.registry.borrow().is_delivering()
    }

    /// Whether more may be published now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.registry.borrow().has_room()
    }

    /// Sends bytes to one client, and counts as activity.
    pub fn send(&self, id: SessionId, bytes: &Bytes, now: Tick) -> Delivery {
        self.with_outlet(|registry, outlet| {
            registry.touched(id, now);
            outlet.send(id, bytes)
        })
    }

    /// No more will be sent to this client.
    pub fn finish(&self, id: SessionId, then: Then) {
        self.with_outlet(|registry, outlet| {
            registry.mute(id);
            outlet.finish(id, then);
        });
    }

    /// Bytes that wait for this client to read.
    #[must_use]
    pub fn backlog(&self, id: SessionId) -> usize {
        self.outlet.borrow().backlog(id)
    }

    /// Whether the shard reads from this client.
    pub fn set_reading(&self, id: SessionId, on: bool) {
        self.outlet.borrow_mut().set_reading(id, on);
    }

    /// See [`Outlet::finished`].
    #[must_use]
    pub fn finished(&self, id: SessionId) -> Option<Then> {
        self.outlet.borrow().finished(id)
    }

    /// See [`Outlet::wants_reading`].
    #[must_use]
    pub fn wants_reading(&self, id: SessionId) -> bool {
        self.outlet.borrow().wants_reading(id)
    }

    /// What is done when this client does not read, instead of what is done with all.
    pub fn set_slow(&self, id: SessionId, slow: Slow) {
        self.outlet.borrow_mut().set_slow(id, slow);
    }

    /// See [`Outlet::poll_next`].
    pub fn poll_next(&self, id: SessionId, waker: &Waker) -> Poll<Option<Bytes>> {
        let polled = self.outlet.borrow_mut().poll_next(id, waker);
        if polled.is_pending() {
            // What waited has been read: who is behind may be sent more.
            self.with(|registry| registry.drained(id));
        }
        polled
    }

    /// See [`Outlet::poll_closed`].
    pub fn poll_closed(&self, id: SessionId, cx: &mut Context<'_>) -> Poll<()> {
        self.outlet.borrow_mut().poll_closed(id, cx)
    }

    /// Ends a session and drops its connection, if it still has one.
    pub fn close(&self, id: SessionId) {
        self.with_outlet(|registry, outlet| {
            registry.close(id);
            outlet.close(id);
        });
    }
}

/// Keeps a session open: when it is dropped (the client left, hyper gave up, the task ended) the
/// session closes and all its subscriptions with it.
#[must_use]
pub struct Lease {
    hub: Hub,
    id: Option<SessionId>,
}

impl Lease {
    /// Whose lease it is.
    ///
    /// # Panics
    /// Never: a lease has its id until it is parked, which consumes it.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id.expect("a lease has its id until it is parked")
    }

    /// The hub that the session is in.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Hands the session over to the lot, which closes it when its socket ends.
    #[must_use]
    pub fn park(mut self) -> SessionId {
        self.id.take().expect("a lease has its id until it is parked")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.hub.close(id);
        }
    }
}
