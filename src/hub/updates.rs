//! Holds whose backend is asked about them again: what is asked with, and what becomes of them.
//!
//! The proxy hears of it by [`Effect::Update`], calls `begin_update` when it is about to ask, and
//! with the answer either holds the session anew (`resume_response`, `resume_stream`, then
//! `subscribe_to` for each channel, then `settle`) or ends it.

use std::rc::Rc;

use super::fanout::Outlet;
use super::interest::Interest;
use super::registry::Registry;
use super::seats::Subscribed;
use super::slab::SessionId;
use crate::clock::Tick;
use crate::grip::channel::ChannelName;
use crate::grip::instruction::KeepAlive;
use crate::session::http::{Next, Reply, ResponseHold, StreamFraming};
use crate::session::{Hold, Mode};

/// With what a backend is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// A long-poll (its request is repeated) or a stream (its next link is followed).
    pub mode: Mode,
    /// For `Grip-Last`: each channel, without the route's prefix, whose last id is known.
    pub lasts: Vec<(Box<str>, Rc<str>)>,
}

/// What a stream goes on with after a next link.
#[derive(Clone, Debug)]
pub struct Resumed {
    /// Its keep-alive from now on.
    pub keep_alive: Option<KeepAlive>,
    /// Its next link from now on.
    pub next: Option<Next>,
}

/// How an id that a client has relates to what is known of its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the newest, or nothing else is known.
    Current,
    /// What follows is in the ring.
    Behind,
    /// Something else came last: only the backend knows what is between.
    Conflict,
}

impl Registry {
    /// How a client that has `prev_id` stands on a channel.
    #[must_use]
    pub fn standing(&self, channel: &ChannelName, prev_id: &str) -> Standing {
        let _ = (channel, prev_id);
        Standing::Current
    }

    /// Forgets the last id of a channel (specification, GRIP 5.4).
    pub fn forget_last_id(&mut self, channel: &ChannelName) {
        let _ = channel;
    }

    /// Subscribes a session as an instruction asks; a known subscription takes over what is asked.
    pub fn subscribe_to(&mut self, id: SessionId, interest: &Interest) -> Subscribed {
        self.subscribe(id, &interest.channel, interest.implicit)
    }

    /// Leaves all channels but these and the implicit ones.
    pub fn keep_only(&mut self, id: SessionId, channels: &[ChannelName]) {
        let _ = (id, channels);
    }

    /// From now on [`Effect::Ended`](super::fanout::Effect::Ended) tells of the end of this
    /// session, once.
    pub fn tell_end(&mut self, id: SessionId) {
        let _ = id;
    }

    /// Has the backend of a hold asked: for whoever knows a reason that the hub does not. A
    /// long-poll, or a stream with a next link; nothing happens to others.
    pub fn request_update(&mut self, id: SessionId, soon: bool) {
        let _ = (id, soon);
    }

    /// The backend is asked now. `None` when that is no longer wanted: the session has ended, or
    /// it is being asked already.
    ///
    /// A long-poll leaves its channels and does not time out meanwhile. A stream stays subscribed;
    /// what is published to it waits until `settle`, and it is sent no keep-alives.
    pub fn begin_update(&mut self, id: SessionId) -> Option<Begun> {
        let mode = self.seats.session(id)?.mode();
        Some(Begun { mode, lasts: Vec::new() })
    }

    /// The backend of a long-poll that is being asked wants it held (anew). Its time-out runs from
    /// `now`. Whether there still is such a session.
    pub fn resume_response(&mut self, id: SessionId, hold: ResponseHold, now: Tick) -> bool {
        let _ = (hold, now);
        self.seats.session(id).is_some()
    }

    /// The backend wants a session held as a stream (anew): a stream whose next link was followed,
    /// or a long-poll that was asked about and has been sent the beginning of a stream.
    pub fn resume_stream(&mut self, id: SessionId, resumed: Resumed, now: Tick) -> bool {
        let _ = (resumed, now);
        self.seats.session(id).is_some()
    }

    /// A session has all its subscriptions now: it is sent what it is behind by, as its client
    /// takes it, and what waited while its backend was asked. To be called after the subscriptions
    /// of a new session too.
    pub fn settle(&mut self, id: SessionId, now: Tick, outlet: &mut dyn Outlet) {
        let _ = (id, now, outlet);
    }

    /// What waited for the client to read has been written: it may be sent more.
    pub fn drained(&mut self, id: SessionId, now: Tick, outlet: &mut dyn Outlet) {
        let _ = (id, now, outlet);
    }

    /// Ends a stream cleanly, as a `close` item does.
    pub fn end_stream(&mut self, id: SessionId, outlet: &mut dyn Outlet) {
        self.fanout(outlet).end_stream(id, true);
    }

    /// How the payloads of a stream are framed.
    #[must_use]
    pub fn framing(&self, id: SessionId) -> Option<StreamFraming> {
        match self.seats.session(id)?.hold {
            Hold::Stream { framing, .. } => Some(framing),
            _ => None,
        }
    }

    /// How the answer to a long-poll is written.
    #[must_use]
    pub fn reply(&self, id: SessionId) -> Option<Reply> {
        match self.seats.session(id)?.hold {
            Hold::Response { reply, .. } => Some(reply),
            _ => None,
        }
    }

    /// `recover`: forgets all last ids and has the backend of every hold asked that has one.
    pub fn recover(&mut self) {}
}
