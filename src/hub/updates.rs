//! Holds whose backend is asked about them again: what is asked with, and what becomes of them.
//!
//! The proxy hears of it by `Effect::Update`, calls `begin_update` when it is about to ask, and
//! with the answer either holds the session anew (`resume_response`, `resume_stream`, then
//! `subscribe_to` for each channel, then `settle`) or ends it.

use std::rc::Rc;

use super::catching;
use super::fanout::Outlet;
use super::interest::Interest;
use super::ledger::Tally;
use super::offers;
use super::registry::Registry;
use super::seats::Subscribed;
use super::sequence::{Counters, Load, Position};
use super::slab::SessionId;
use super::upkeep::Update;
use crate::clock::Tick;
use crate::grip::channel::ChannelName;
use crate::grip::instruction::KeepAlive;
use crate::session::http::{Next, Reply, ResponseHold, StreamFraming};
use crate::session::{Hold, Mode};
use crate::wire::http1::Version;

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
        match self.seats.ledger.sequencer.after(channel, prev_id, None) {
            Position::Newest | Position::Unknown => Standing::Current,
            Position::Next(..) => Standing::Behind,
            Position::Missed => Standing::Conflict,
        }
    }

    /// Forgets the last id of a channel (specification, GRIP 5.4).
    pub fn forget_last_id(&mut self, channel: &ChannelName) {
        self.seats.ledger.sequencer.forget(channel);
    }

    /// Subscribes a session as an instruction asks; a known subscription takes over what is asked.
    pub fn subscribe_to(&mut self, id: SessionId, interest: &Interest) -> Subscribed {
        self.seats.subscribe(id, interest, self.subscriptions_max)
    }

    /// Leaves all channels but these and the implicit ones.
    pub fn keep_only(&mut self, id: SessionId, channels: &[ChannelName]) {
        self.seats.keep_only(id, channels);
    }

    /// From now on [`Effect::Ended`](super::fanout::Effect::Ended) tells of the end of this
    /// session, once.
    pub fn tell_end(&mut self, id: SessionId) {
        if let Some(upkeep) = self.seats.upkeep_mut(id) {
            upkeep.tells_end = true;
        }
    }

    /// Has the backend of a hold asked: for whoever knows a reason that the hub does not. A
    /// long-poll, or a stream with a next link; nothing happens to others.
    pub fn request_update(&mut self, id: SessionId, soon: bool) {
        offers::want(&mut self.seats, &mut self.effects, id, soon);
    }

    /// The backend is asked now. `None` when that is no longer wanted: the session has ended, or
    /// it is being asked already.
    ///
    /// A long-poll leaves its channels and does not time out meanwhile. A stream stays subscribed;
    /// what is published to it waits until `settle`, and it is sent no keep-alives.
    pub fn begin_update(&mut self, id: SessionId) -> Option<Begun> {
        if self.seats.upkeep(id)?.update != Update::Wanted {
            return None;
        }
        let mode = self.seats.session(id)?.mode();
        self.seats.put_back(id);
        let lasts = self.lasts(id);
        if mode == Mode::Response {
            let reply = self.reply(id)?;
            self.seats.leave_all(id);
            self.seats.set_hold(id, Hold::Asking { reply });
        }
        self.seats.set_update(id, Update::Asking);
        Some(Begun { mode, lasts })
    }

    /// For `Grip-Last`: each channel of a session, without the route's prefix, whose last id is
    /// known.
    #[must_use]
    pub fn lasts(&self, id: SessionId) -> Vec<(Box<str>, Rc<str>)> {
        let subscriptions = self.seats.subscriptions(id).iter();
        let lasts = subscriptions.filter_map(|subscription| {
            let following = subscription.following.as_deref()?;
            let name = self.seats.name_of(subscription.channel)?.as_str();
            let name = name.get(following.prefix_bytes..).unwrap_or_default();
            Some((name.into(), following.prev_id.clone()?))
        });
        lasts.collect()
    }

    /// The backend of a long-poll that is being asked wants it held (anew). Its time-out runs from
    /// `settle` on. Whether there still is such a session.
    pub fn resume_response(&mut self, id: SessionId, hold: ResponseHold, now: Tick) -> bool {
        let Some(Hold::Asking { .. }) = self.seats.session(id).map(|session| &session.hold) else {
            return false;
        };
        let hold = self.response_hold(hold, now);
        self.seats.set_hold(id, hold);
        true
    }

    /// The backend wants a session held as a stream (anew): a stream whose next link was followed,
    /// or a long-poll that was asked about and has been sent the beginning of a stream.
    pub fn resume_stream(&mut self, id: SessionId, resumed: Resumed, now: Tick) -> bool {
        let Resumed { keep_alive, next } = resumed;
        let (framing, persistent) = match self.seats.session(id).map(|session| &session.hold) {
            Some(Hold::Stream { framing, persistent, .. }) => (*framing, *persistent),
            Some(Hold::Asking { reply }) => match reply.version {
                Version::Http11 => (StreamFraming::Chunked, reply.persistent),
                Version::Http10 => (StreamFraming::Raw, false),
            },
            _ => return false,
        };
        let mut keep_alive = self.stream_pacer(keep_alive, framing, now);
        // Asking is no activity: the time of a keep-alive that stays the same runs on.
        if let Some(Hold::Stream { keep_alive: Some(before), .. }) =
            self.seats.session(id).map(|session| &session.hold)
            && let Some(pacer) = &mut keep_alive
            && pacer.pulse == before.pulse
        {
            pacer.due = before.due;
        }
        self.seats.set_hold(id, Hold::Stream { framing, persistent, keep_alive });
        self.seats.set_next(id, next);
        true
    }

    /// A session has all its subscriptions now: it is sent what it is behind by, as its client
    /// takes it, and what waited while its backend was asked. To be called after the subscriptions
    /// of a new session too.
    pub fn settle(&mut self, id: SessionId, now: Tick, outlet: &mut dyn Outlet) {
        let (mut fanout, replays) = self.fanout_and_replays(outlet);
        catching::settle(&mut fanout, replays, id, now);
    }

    /// What waited for the client to read has been written: it may be sent more.
    pub fn drained(&mut self, id: SessionId) {
        catching::drained(&mut self.seats, id);
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
            Hold::Response { reply, .. } | Hold::Asking { reply } => Some(reply),
            _ => None,
        }
    }

    /// `recover`: forgets all last ids and has the backend of every hold asked that has one.
    pub fn recover(&mut self) {
        self.seats.ledger.sequencer.forget_all();
        let ids: Vec<SessionId> = self.seats.ids().collect();
        for id in ids {
            self.request_update(id, false);
        }
    }

    /// What became of items beyond deliveries: what was served from where, what was given up.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.seats.ledger.tally
    }

    /// What became of the order of items, and what is kept for it now.
    #[must_use]
    pub fn order(&self) -> (Counters, Load) {
        let sequencer = &self.seats.ledger.sequencer;
        (sequencer.counters(), sequencer.load())
    }
}

#[cfg(test)]
mod tests;
