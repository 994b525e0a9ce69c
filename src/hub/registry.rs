//! The registry: sessions, their subscriptions and timers. Pure; the present moment is passed in.
//!
//! The roof over `seats`, `broadcast` and `due`; called through the hub's handle by the shard and
//! the proxy. It knows no socket: bytes leave through the [`Outlet`] that is handed in.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use fastrand::Rng;

use super::broadcast::{self, Broadcasts};
use super::due;
use super::fanout::{Fanout, Outlet};
use super::recent::Recent;
use super::seats::Seats;
use super::slab::SessionId;
use crate::clock::Tick;
use crate::grip::channel::ChannelName;
use crate::grip::control::SocketKeepAlive;
use crate::grip::instruction::Response;
use crate::grip::item::Item;
use crate::grip::message::Message;
use crate::limits;
use crate::session::frames::message_frame;
use crate::session::http::{Reply, ResponseHold, StreamHold, compact};
use crate::session::keep_alive::{Pacer, Pulse};
use crate::session::{Hold, Mode, Session};

pub use super::fanout::{Effect, Receipt, Receivers};
pub use super::seats::{Counts, Subscribed};

/// What the registry is told at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Channels that one connection may be subscribed to.
    pub subscriptions_max: usize,
    /// Subscribers that one call of [`Registry::deliver`] sends to.
    pub slice: usize,
    /// Items that may wait to be delivered; past it publishers are kept waiting.
    pub waiting_items_max: usize,
    /// Bytes that these may keep.
    pub waiting_bytes_max: usize,
    /// Makes the random parts of keep-alive periods repeatable.
    pub seed: Option<u64>,
    /// How long an item waits for the one before it, in milliseconds.
    pub message_wait_ms: u64,
    /// Items that each channel keeps of those delivered lately, for clients that come back; 0 for
    /// none.
    pub ring_items_max: usize,
    /// Bytes that these may have.
    pub ring_bytes_max: usize,
    /// How long they are kept, in milliseconds.
    pub ring_age_ms: u64,
    /// Bytes that they may have in all channels of the shard together.
    pub ring_total_bytes_max: usize,
    /// How long a channel is remembered after its last long-poll, in milliseconds.
    pub linger_ms: u64,
    /// Whether the backend is asked again a second after the first subscription of a channel.
    pub update_on_first_subscription: bool,
    /// Deliveries a second; `None` for no limit.
    pub message_rate: Option<u32>,
    /// Deliveries that may wait for that rate; past it publishers are kept waiting.
    pub message_hwm: Option<usize>,
    /// Bytes of a message that count as one delivery; 0 counts each message as one.
    pub message_block_bytes: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            subscriptions_max: limits::SUBSCRIPTIONS_PER_CONNECTION_MAX,
            slice: limits::SLICE_DELIVERIES_MAX,
            waiting_items_max: limits::WAITING_ITEMS_MAX,
            waiting_bytes_max: limits::WAITING_BYTES_MAX,
            seed: None,
            message_wait_ms: limits::MESSAGE_WAIT_MS,
            ring_items_max: limits::RING_ITEMS_MAX,
            ring_bytes_max: limits::RING_BYTES_MAX,
            ring_age_ms: limits::RING_AGE_MS,
            ring_total_bytes_max: limits::RING_TOTAL_BYTES_MAX,
            linger_ms: limits::SUBSCRIPTION_LINGER_MS,
            update_on_first_subscription: true,
            message_rate: None,
            message_hwm: None,
            message_block_bytes: 0,
        }
    }
}

/// One shard's sessions.
pub struct Registry {
    pub(super) subscriptions_max: usize,
    pub(super) slice: usize,
    pub(super) waiting_items_max: usize,
    pub(super) waiting_bytes_max: usize,
    pub(super) seats: Seats,
    pub(super) broadcasts: Broadcasts,
    pub(super) effects: VecDeque<Effect>,
    pub(super) responses: Recent<Response>,
    pub(super) pulses: Recent<Pulse>,
}

impl Registry {
    /// Bytes that a session takes here, with one subscription and without a timer.
    pub const SESSION_BYTES: usize = Seats::SEAT_BYTES;

    /// An empty registry.
    #[must_use]
    pub fn new(settings: Settings) -> Registry {
        Registry {
            subscriptions_max: settings.subscriptions_max,
            slice: settings.slice.max(1),
            waiting_items_max: settings.waiting_items_max.max(1),
            waiting_bytes_max: settings.waiting_bytes_max.max(1),
            seats: Seats::new(settings.seed.map_or_else(Rng::new, Rng::with_seed)),
            broadcasts: Broadcasts::default(),
            effects: VecDeque::new(),
            responses: Recent::default(),
            pulses: Recent::default(),
        }
    }

    /// Takes up a long-poll. Its time-out runs from `now`.
    pub fn open_response(&mut self, hold: ResponseHold, now: Tick) -> SessionId {
        let ResponseHold { held, version, persistent, head_only, timeout_s } = hold;
        let held = match self.responses.find(&held) {
            Some(known) => known,
            None => self.responses.note(Rc::new(compact(&held))),
        };
        let reply = Reply { version, persistent, head_only };
        let due = now.plus_ms(u64::from(timeout_s) * 1000);
        self.seats.open(Session::new(Hold::Response { held, reply, due }))
    }

    /// Takes up a stream. Its keep-alive runs from `now`.
    pub fn open_stream(&mut self, hold: StreamHold, now: Tick) -> SessionId {
        let StreamHold { framing, keep_alive, persistent, next: _ } = hold;
        let pulse = keep_alive.and_then(|keep_alive| Pulse::for_stream(&keep_alive, framing));
        let keep_alive = pulse.map(|pulse| {
            let pulse = self.share(pulse);
            Pacer::start(pulse, now, &mut self.seats.rng)
        });
        self.seats.open(Session::new(Hold::Stream { framing, persistent, keep_alive }))
    }

    /// Takes up a WebSocket.
    pub fn open_socket(&mut self, now: Tick) -> SessionId {
        let _ = now; // nothing of a WebSocket runs before its backend asks for it
        self.seats.open(Session::new(Hold::Socket(None)))
    }

    /// Subscribes a session. `implicit` subscriptions (a target's `sub=`) are neither counted
    /// against the limit nor removed by `unsubscribe`.
    pub fn subscribe(
        &mut self,
        id: SessionId,
        channel: &ChannelName,
        implicit: bool,
    ) -> Subscribed {
        self.seats.subscribe(id, channel, implicit, self.subscriptions_max)
    }

    /// Leaves a channel; unknown channels and implicit subscriptions are ignored.
    pub fn unsubscribe(&mut self, id: SessionId, channel: &ChannelName) {
        self.seats.unsubscribe(id, channel);
    }

    /// Sets a variable of the session, or removes it.
    pub fn set_meta(&mut self, id: SessionId, name: &str, value: Option<&str>) {
        self.seats.change(id, |session, _| session.set_meta(name, value));
    }

    /// A variable of the session.
    #[must_use]
    pub fn meta(&self, id: SessionId, name: &str) -> Option<&str> {
        self.seats.session(id)?.meta(name)
    }

    /// Sets a WebSocket's keep-alive, or turns it off; its time starts now. One that no client may
    /// be sent (a ping or pong of more than 125 bytes) is ignored, and the previous one stays.
    pub fn set_keep_alive(
        &mut self,
        id: SessionId,
        keep_alive: Option<SocketKeepAlive>,
        now: Tick,
    ) {
        let pulse = match keep_alive.as_ref().map(Pulse::for_socket) {
            Some(None) => {
                tracing::debug!("a keep-alive ping or pong of more than 125 bytes is ignored");
                return;
            }
            Some(Some(pulse)) => Some(self.share(pulse)),
            None => None,
        };
        self.seats.change(id, |session, rng| {
            session.with_socket(|socket| {
                socket.keep_alive = pulse.map(|pulse| Pacer::start(pulse, now, rng));
            });
        });
    }

    /// Something was relayed to the client: an idle keep-alive starts its time again.
    pub fn touched(&mut self, id: SessionId, now: Tick) {
        self.seats.touched(id, now);
    }

    /// Sends `message` after `seconds`; one that is already waiting is sent first, now. A ping or
    /// pong of more than 125 bytes is ignored.
    pub fn send_delayed(
        &mut self,
        id: SessionId,
        message: Message,
        seconds: u32,
        now: Tick,
        outlet: &mut dyn Outlet,
    ) {
        let Some(frame) = message_frame(&message) else {
            tracing::debug!("a delayed ping or pong of more than 125 bytes is ignored");
            return;
        };
        self.flush_delayed(id, now, outlet);
        let at = now.plus_ms(u64::from(seconds) * 1000);
        self.seats.change(id, |session, _| {
            session.with_socket(|socket| socket.delayed = Some((frame, at)));
        });
    }

    /// Sends the delayed message now, if there is one.
    pub fn flush_delayed(&mut self, id: SessionId, now: Tick, outlet: &mut dyn Outlet) {
        let delayed = self
            .seats
            .change(id, |session, _| session.with_socket(|socket| socket.delayed.take()).flatten());
        if let Some(Some((frame, _))) = delayed {
            self.seats.touched(id, now);
            self.fanout(outlet).send(id, &frame);
        }
    }

    /// A WebSocket's CLOSE has been sent by its proxy side: nothing more is delivered to it and all
    /// its subscriptions end.
    pub fn mute(&mut self, id: SessionId) {
        self.seats.mute(id);
    }

    /// Sets, moves or (with `None`) clears the one timer that a WebSocket's backend side has. It
    /// outlives `mute`.
    pub fn set_backend_timer(&mut self, id: SessionId, at: Option<Tick>) {
        self.seats.change(id, |session, _| session.set_backend(at));
    }

    /// Forgets a session; stale ids are ignored. The caller closes or reuses its socket.
    pub fn close(&mut self, id: SessionId) {
        self.seats.close(id);
    }

    /// Whether this id's session still lives.
    #[must_use]
    pub fn is_live(&self, id: SessionId) -> bool {
        self.seats.session(id).is_some()
    }

    /// Whether this id's session is a WebSocket.
    #[must_use]
    pub fn is_socket(&self, id: SessionId) -> bool {
        self.seats.session(id).is_some_and(|session| session.mode() == Mode::Socket)
    }

    /// Takes items in for all who are subscribed here now; `deliver` sends them. What is counted
    /// are the matches, and what cannot be sent at all.
    pub fn publish(
        &mut self,
        items: &[Arc<Item>],
        now: Tick,
        receipts: Option<&mut Vec<Receipt>>,
    ) -> Receivers {
        let _ = now;
        let (seats, broadcasts) = (&mut self.seats, &mut self.broadcasts);
        broadcast::publish(seats, broadcasts, items, receipts)
    }

    /// Sends what waits to at most [`Settings::slice`] subscribers. What is counted are deliveries;
    /// [`Registry::is_delivering`] says whether more waits.
    pub fn deliver(&mut self, now: Tick, outlet: &mut dyn Outlet) -> Receivers {
        let Registry { seats, effects, broadcasts, slice, .. } = self;
        let receivers = Receivers::default();
        let mut fanout = Fanout { seats, outlet, effects, receivers };
        broadcast::slice(&mut fanout, broadcasts, *slice, now);
        fanout.receivers
    }

    /// Whether anything waits to be delivered.
    #[must_use]
    pub fn is_delivering(&self) -> bool {
        !self.broadcasts.is_empty()
    }

    /// Whether more may be published now: otherwise it is to be kept back until more has been
    /// delivered.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let (items, bytes) = self.broadcasts.backlog.waiting();
        items < self.waiting_items_max && bytes < self.waiting_bytes_max
    }

    /// Does what is due: time-outs, keep-alives, delayed messages.
    pub fn tick(&mut self, now: Tick, outlet: &mut dyn Outlet) {
        due::tick(&mut self.fanout(outlet), now);
    }

    /// When `tick` is to be called next. At times a little early: `tick` then has nothing to send.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        self.seats.next_deadline()
    }

    /// What the shard is asked to do, in order. An effect may outlive its session.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether `poll_effect` has something to give.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Stopping: long-polls get what they get at their time-out, streams end, WebSockets get 1001.
    /// All their connections are closed afterwards.
    pub fn drain(&mut self, outlet: &mut dyn Outlet) {
        due::drain(&mut self.fanout(outlet));
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// How many sessions there are of each kind.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.seats.counts
    }

    /// How many channels have subscribers, and how many timers run.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        self.seats.load()
    }

    /// How many sessions are subscribed to a channel, over all modes.
    #[must_use]
    pub fn subscribers(&self, channel: &ChannelName) -> usize {
        let Some(channel) = self.seats.channel(channel) else { return 0 };
        [Mode::Response, Mode::Stream, Mode::Socket]
            .map(|mode| self.seats.subscribers(channel, mode).len())
            .iter()
            .sum()
    }

    /// Checks that all that is kept twice agrees. For tests and fuzzing: it looks at everything.
    ///
    /// # Panics
    /// When it does not.
    pub fn verify(&self) {
        self.seats.verify();
        let (items, bytes) = self.broadcasts.backlog.waiting();
        assert!(self.is_delivering() || (items, bytes) == (0, 0));
    }

    fn share(&mut self, pulse: Pulse) -> Rc<Pulse> {
        match self.pulses.find(&pulse) {
            Some(known) => known,
            None => self.pulses.note(Rc::new(pulse)),
        }
    }

    pub(super) fn fanout<'a>(&'a mut self, outlet: &'a mut dyn Outlet) -> Fanout<'a> {
        let receivers = Receivers::default();
        Fanout { seats: &mut self.seats, outlet, effects: &mut self.effects, receivers }
    }
}

#[cfg(test)]
mod tests;
