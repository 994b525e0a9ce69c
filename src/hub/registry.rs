//! The registry: sessions, their subscriptions and timers. Pure; the present moment is passed in.
//!
//! The roof over `seats`, `broadcast` and `due`; called through the hub's handle by the shard and
//! the proxy. It knows no socket: bytes leave through the [`Outlet`] that is handed in.

use std::collections::VecDeque;
use std::rc::Rc;

use fastrand::Rng;

use super::broadcast::Broadcasts;
use super::catching::Replays;
use super::due;
use super::fanout::{Fanout, Outlet};
use super::interest::Interest;
use super::ledger::Ledger;
use super::limiter::Limiter;
use super::recent::Recent;
use super::seats::Seats;
use super::sequence::{Entry, Sequencer};
use super::slab::SessionId;
use crate::clock::Tick;
use crate::grip::channel::ChannelName;
use crate::grip::control::SocketKeepAlive;
use crate::grip::instruction::KeepAlive;
use crate::grip::message::Message;
use crate::session::frames::message_frame;
use crate::session::http::{HeldResponse, Reply, ResponseHold, StreamFraming, StreamHold, compact};
use crate::session::keep_alive::{Pacer, Pulse};
use crate::session::socket::Form;
use crate::session::{Hold, Mode, Session};

pub use super::fanout::{Effect, Receipt, Receivers};
pub use super::seats::{Counts, Subscribed};
pub use super::settings::Settings;

/// One shard's sessions.
pub struct Registry {
    pub(super) subscriptions_max: usize,
    pub(super) slice: usize,
    pub(super) waiting_items_max: usize,
    pub(super) waiting_bytes_max: usize,
    pub(super) seats: Seats,
    pub(super) broadcasts: Broadcasts,
    pub(super) effects: VecDeque<Effect>,
    pub(super) responses: Recent<HeldResponse>,
    pub(super) pulses: Recent<Pulse>,
    pub(super) limiter: Option<Limiter>,
    pub(super) message_hwm: Option<usize>,
    pub(super) message_block_bytes: usize,
    /// Items that the sequencer has just released; empty in between.
    pub(super) released: Vec<Entry>,
    pub(super) replays: Replays,
}

impl Registry {
    /// Bytes that a session takes here, with one subscription and without a timer.
    pub const SESSION_BYTES: usize = Seats::SEAT_BYTES;

    /// An empty registry.
    #[must_use]
    pub fn new(settings: Settings) -> Registry {
        let sequencer = Sequencer::new(settings.sequencer());
        let mut ledger = Ledger::new(sequencer, settings.update_on_first_subscription);
        ledger.deflate_bytes_min = settings.deflate_bytes_min;
        Registry {
            subscriptions_max: settings.subscriptions_max,
            slice: settings.slice.max(1),
            waiting_items_max: settings.waiting_items_max.max(1),
            waiting_bytes_max: settings.waiting_bytes_max.max(1),
            seats: Seats::new(settings.seed.map_or_else(Rng::new, Rng::with_seed), ledger),
            limiter: settings.message_rate.map(Limiter::new),
            message_hwm: settings.message_hwm,
            message_block_bytes: settings.message_block_bytes,
            released: Vec::new(),
            replays: Replays::default(),
            broadcasts: Broadcasts::default(),
            effects: VecDeque::new(),
            responses: Recent::default(),
            pulses: Recent::default(),
        }
    }

    /// Takes up a long-poll. Its time-out runs from `now`.
    pub fn open_response(&mut self, hold: ResponseHold, now: Tick) -> SessionId {
        self.heard(now);
        let hold = self.response_hold(hold, now);
        self.seats.open(Session::new(hold))
    }

    pub(super) fn response_hold(&mut self, hold: ResponseHold, now: Tick) -> Hold {
        let ResponseHold { held, version, persistent, head_only, timeout_s } = hold;
        let held = match self.responses.find(&held) {
            Some(known) => known,
            None => self.responses.note(Rc::new(compact(&held))),
        };
        let reply = Reply { version, persistent, head_only };
        let due = now.plus_ms(u64::from(timeout_s) * 1000);
        Hold::Response { held, reply, due }
    }

    /// Takes up a stream. Its keep-alive and the time to its next link run from `now`.
    pub fn open_stream(&mut self, hold: StreamHold, now: Tick) -> SessionId {
        self.heard(now);
        let StreamHold { framing, keep_alive, persistent, next } = hold;
        let keep_alive = self.stream_pacer(keep_alive, framing, now);
        let id = self.seats.open(Session::new(Hold::Stream { framing, persistent, keep_alive }));
        if next.is_some() {
            self.seats.set_next(id, next);
        }
        id
    }

    pub(super) fn stream_pacer(
        &mut self,
        keep_alive: Option<KeepAlive>,
        framing: StreamFraming,
        now: Tick,
    ) -> Option<Pacer> {
        let pulse = Pulse::for_stream(&keep_alive?, framing)?;
        let pulse = self.share(pulse);
        Some(Pacer::start(pulse, now, &mut self.seats.rng))
    }

    pub(super) fn heard(&mut self, now: Tick) {
        self.seats.ledger.now = self.seats.ledger.now.max(now);
    }

    /// Takes up a WebSocket that gets what is published in this form.
    pub fn open_socket(&mut self, form: Form, now: Tick) -> SessionId {
        self.heard(now); // nothing of a WebSocket runs before its backend asks for it
        self.seats.open(Session::new(Hold::Socket { form, timed: None }))
    }

    /// Subscribes a session. `implicit` subscriptions (a target's `sub=`) are neither counted
    /// against the limit nor removed by `unsubscribe`.
    pub fn subscribe(
        &mut self,
        id: SessionId,
        channel: &ChannelName,
        implicit: bool,
    ) -> Subscribed {
        self.subscribe_to(id, &Interest::plain(channel.clone(), implicit))
    }

    /// Leaves a channel; unknown channels and implicit subscriptions are ignored.
    pub fn unsubscribe(&mut self, id: SessionId, channel: &ChannelName) {
        self.seats.unsubscribe(id, channel);
    }

    /// Sets a variable of the session, or removes it.
    pub fn set_meta(&mut self, id: SessionId, name: &str, value: Option<&str>) {
        let set = self.seats.change(id, |session, _| session.set_meta(name, value));
        if set == Some(false) {
            self.seats.ledger.tally.variables_refused += 1;
            tracing::warn!(session = %id, name, "a connection has too many variables");
        }
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

    /// Does what is due: time-outs, keep-alives, delayed messages.
    pub fn tick(&mut self, now: Tick, outlet: &mut dyn Outlet) {
        self.heard(now);
        if let Some(limiter) = &mut self.limiter {
            limiter.allowance(now);
        }
        let released = &mut self.released;
        self.seats.ledger.sequencer.tick(now, &mut |entry| released.push(entry));
        self.put_down(None, &mut Receivers::default());
        while let Some(channel) = self.seats.ledger.take_first(now) {
            self.follow_up(&channel);
        }
        due::tick(&mut self.fanout(outlet), now);
    }

    /// A channel was subscribed a while ago: what was published elsewhere before anybody knew of
    /// the subscription, the backends know (specification, GRIP 5.6).
    fn follow_up(&mut self, channel: &ChannelName) {
        let Some(channel) = self.seats.channel(channel) else { return };
        for mode in [Mode::Response, Mode::Stream] {
            let ids = self.seats.subscribers(channel, mode).iter().map(|subscriber| subscriber.id);
            for id in ids.collect::<Vec<SessionId>>() {
                self.request_update(id, false);
            }
        }
    }

    /// When `tick` is to be called next. At times a little early: `tick` then has nothing to send.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        let turn = self.next_turn().filter(|_| self.is_waiting());
        self.seats.next_deadline().into_iter().chain(turn).min()
    }

    /// What the shard is asked to do, in order. An effect may outlive its session.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let ended = |seats: &mut Seats| seats.ledger.ended.pop_front().map(Effect::Ended);
        self.effects.pop_front().or_else(|| ended(&mut self.seats))
    }

    /// Whether `poll_effect` has something to give.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty() || !self.seats.ledger.ended.is_empty()
    }

    /// Stopping: long-polls get what they get at their time-out, streams end, WebSockets get 1001.
    /// All their connections are closed afterwards.
    pub fn drain(&mut self, outlet: &mut dyn Outlet) {
        self.limiter = None;
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
        assert!(self.is_waiting() || (items, bytes) == (0, 0));
    }

    fn share(&mut self, pulse: Pulse) -> Rc<Pulse> {
        match self.pulses.find(&pulse) {
            Some(known) => known,
            None => self.pulses.note(Rc::new(pulse)),
        }
    }

    pub(super) fn fanout<'a>(&'a mut self, outlet: &'a mut dyn Outlet) -> Fanout<'a> {
        let receivers = Receivers::default();
        Fanout { seats: &mut self.seats, outlet, effects: &mut self.effects, receivers, cost: 0 }
    }

    pub(super) fn fanout_and_replays<'a>(
        &'a mut self,
        outlet: &'a mut dyn Outlet,
    ) -> (Fanout<'a>, &'a mut Replays) {
        let Registry { seats, effects, replays, .. } = self;
        (Fanout { seats, outlet, effects, receivers: Receivers::default(), cost: 0 }, replays)
    }
}

#[cfg(test)]
mod tests;
