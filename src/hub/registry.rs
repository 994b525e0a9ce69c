//! The registry: sessions, their subscriptions and timers. Pure; the present moment is passed in.

use bytes::Bytes;

use super::fanout::Outlet;
use super::slab::SessionId;
use crate::clock::Tick;
use crate::grip::channel::ChannelName;
use crate::grip::control::SocketKeepAlive;
use crate::grip::item::Item;
use crate::grip::message::Message;
use crate::session::http::{ResponseHold, StreamHold};

/// What the registry is told at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Channels that one connection may be subscribed to.
    pub subscriptions_max: usize,
}

/// What the hub asks of its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A `refresh` item reached this WebSocket: ask its backend now.
    Refresh(SessionId),
    /// A `close` item reached this WebSocket: its client has been sent a CLOSE; tell its backend.
    SocketClosed(SessionId),
    /// The backend timer of this WebSocket (see `set_backend_timer`) is due.
    BackendTimer(SessionId),
}

/// What came of subscribing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribed {
    /// A new subscription.
    Added,
    /// It was subscribed already; filters and prev-id were replaced.
    Replaced,
    /// The connection has as many channels as it may have; nothing changed.
    TooMany,
    /// There is no such session.
    Gone,
}

/// What came of publishing one item here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receivers {
    /// Sessions that the item was for, over all transports.
    pub matched: u64,
    /// Deliveries that were refused because a client does not read.
    pub refused: u64,
}

/// One shard's sessions.
pub struct Registry {}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(settings: Settings) -> Registry {
        let _ = settings;
        todo!()
    }

    /// Takes up a long-poll. Its time-out runs from `now`.
    pub fn open_response(&mut self, hold: ResponseHold, now: Tick) -> SessionId {
        let _ = (hold, now);
        todo!()
    }

    /// Takes up a stream. Its keep-alive runs from `now`.
    pub fn open_stream(&mut self, hold: StreamHold, now: Tick) -> SessionId {
        let _ = (hold, now);
        todo!()
    }

    /// Takes up a WebSocket.
    pub fn open_socket(&mut self, now: Tick) -> SessionId {
        let _ = now;
        todo!()
    }

    /// Subscribes a session. `implicit` subscriptions (a target's `sub=`) are neither counted
    /// against the limit nor removed by `unsubscribe`.
    pub fn subscribe(
        &mut self,
        id: SessionId,
        channel: &ChannelName,
        implicit: bool,
    ) -> Subscribed {
        let _ = (id, channel, implicit);
        todo!()
    }

    /// Leaves a channel; unknown channels and implicit subscriptions are ignored.
    pub fn unsubscribe(&mut self, id: SessionId, channel: &ChannelName) {
        let _ = (id, channel);
        todo!()
    }

    /// Sets a variable of the session, or removes it.
    pub fn set_meta(&mut self, id: SessionId, name: &str, value: Option<&str>) {
        let _ = (id, name, value);
        todo!()
    }

    /// Sets a WebSocket's keep-alive, or turns it off; its time starts now.
    pub fn set_keep_alive(
        &mut self,
        id: SessionId,
        keep_alive: Option<SocketKeepAlive>,
        now: Tick,
    ) {
        let _ = (id, keep_alive, now);
        todo!()
    }

    /// Something was relayed to the client: an idle keep-alive starts its time again.
    pub fn touched(&mut self, id: SessionId, now: Tick) {
        let _ = (id, now);
        todo!()
    }

    /// Sends `message` after `seconds`; one that is already waiting is sent first, now.
    pub fn send_delayed(
        &mut self,
        id: SessionId,
        message: Message,
        seconds: u32,
        now: Tick,
        outlet: &mut dyn Outlet,
    ) {
        let _ = (id, message, seconds, now, outlet);
        todo!()
    }

    /// Sends the delayed message now, if there is one.
    pub fn flush_delayed(&mut self, id: SessionId, now: Tick, outlet: &mut dyn Outlet) {
        let _ = (id, now, outlet);
        todo!()
    }

    /// A WebSocket's CLOSE has been sent by its proxy side: nothing more is delivered to it and all
    /// its subscriptions end.
    pub fn mute(&mut self, id: SessionId) {
        let _ = id;
        todo!()
    }

    /// Sets, moves or (with `None`) clears the one timer that a WebSocket's backend side has.
    pub fn set_backend_timer(&mut self, id: SessionId, at: Option<Tick>) {
        let _ = (id, at);
        todo!()
    }

    /// Forgets a session; stale ids are ignored. The caller closes or reuses its socket.
    pub fn close(&mut self, id: SessionId) {
        let _ = id;
        todo!()
    }

    /// Whether this id's session still lives.
    #[must_use]
    pub fn is_live(&self, id: SessionId) -> bool {
        let _ = id;
        todo!()
    }

    /// Delivers one item to all who are subscribed here.
    pub fn publish(&mut self, item: &Item, now: Tick, outlet: &mut dyn Outlet) -> Receivers {
        let _ = (item, now, outlet);
        todo!()
    }

    /// Does what is due: time-outs, keep-alives, delayed messages.
    pub fn tick(&mut self, now: Tick, outlet: &mut dyn Outlet) {
        let _ = (now, outlet);
        todo!()
    }

    /// When `tick` is to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        todo!()
    }

    /// What the shard is asked to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        todo!()
    }

    /// Whether `poll_effect` has something to give.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        todo!()
    }

    /// Stopping: long-polls get what they get at their time-out, streams end, WebSockets get 1001.
    pub fn drain(&mut self, outlet: &mut dyn Outlet) {
        let _ = outlet;
        let _ = Bytes::new();
        todo!()
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
