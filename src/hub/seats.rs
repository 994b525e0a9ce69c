//! Who sits where: the slab of sessions, their subscriptions and their timers, kept in step.
//!
//! The only file that changes both sides of a subscription, or a session and its timer. It sends
//! nothing: `fanout` and `due` do, over this; `registry` is its roof.

use fastrand::Rng;
use smallvec::SmallVec;

use super::channels::{ChannelIndex, Channels, Subscriber, Subscription};
use super::slab::{SessionId, Slab};
use crate::clock::Tick;
use crate::grip::channel::ChannelName;
use crate::session::{Due, Hold, Mode, Session};
use crate::wheel::{Timer, Wheel};

/// What came of subscribing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribed {
    /// A new subscription.
    Added,
    /// It was subscribed already; filters and prev-id were replaced.
    Replaced,
    /// The connection has as many channels as it may have; nothing changed.
    TooMany,
    /// There is no such session, or nothing more is sent to it.
    Gone,
}

/// How many sessions there are of each kind; the ones that wait to be closed included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Long-polls.
    pub responses: usize,
    /// Streams.
    pub streams: usize,
    /// WebSockets.
    pub sockets: usize,
}

impl Counts {
    fn of(&mut self, mode: Mode) -> &mut usize {
        match mode {
            Mode::Response => &mut self.responses,
            Mode::Stream => &mut self.streams,
            Mode::Socket => &mut self.sockets,
        }
    }
}

/// A session with its subscriptions and its timer.
struct Seat {
    session: Session,
    /// Runs to the session's next due moment, or to an earlier one; then it looks again.
    timer: Option<Timer>,
    subscriptions: SmallVec<[Subscription; 1]>,
}

/// All sessions of a shard.
pub struct Seats {
    slab: Slab<Seat>,
    channels: Channels,
    wheel: Wheel<SessionId>,
    /// Draws the random part of keep-alive periods.
    pub rng: Rng,
    /// The sessions by kind.
    pub counts: Counts,
}

impl Seats {
    /// Bytes that a session takes in the slab, with one subscription.
    pub const SEAT_BYTES: usize = Slab::<Seat>::PLACE_BYTES;

    /// None yet.
    #[must_use]
    pub fn new(rng: Rng) -> Seats {
        Seats {
            slab: Slab::default(),
            channels: Channels::default(),
            wheel: Wheel::new(),
            rng,
            counts: Counts::default(),
        }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many channels have subscribers, and how many timers run.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        (self.channels.len(), self.wheel.len())
    }

    /// All sessions.
    pub fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.slab.ids()
    }

    /// A session.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.slab.get(id).map(|seat| &seat.session)
    }

    /// Takes a session in.
    pub fn open(&mut self, session: Session) -> SessionId {
        *self.counts.of(session.mode()) += 1;
        let seat = Seat { session, timer: None, subscriptions: SmallVec::new() };
        let id = self.slab.insert(seat);
        self.rearm(id);
        id
    }

    /// Changes a session, and moves its timer if it is now due earlier.
    pub fn change<R>(
        &mut self,
        id: SessionId,
        change: impl FnOnce(&mut Session, &mut Rng) -> R,
    ) -> Option<R> {
        let seat = self.slab.get_mut(id)?;
        let result = change(&mut seat.session, &mut self.rng);
        self.rearm(id);
        Some(result)
    }

    /// Something was written to the client. Its timer is left as it is: no moment gets earlier.
    pub fn touched(&mut self, id: SessionId, now: Tick) -> Option<&Hold> {
        let seat = self.slab.get_mut(id)?;
        seat.session.touched(now, &mut self.rng);
        Some(&seat.session.hold)
    }

    /// Nothing more is sent to a session: it leaves its channels and what it held goes.
    pub fn mute(&mut self, id: SessionId) {
        self.leave_all(id);
        self.change(id, |session, _| session.mute());
    }

    /// Takes a session out.
    pub fn close(&mut self, id: SessionId) {
        self.leave_all(id);
        let Some(seat) = self.slab.remove(id) else { return };
        *self.counts.of(seat.session.mode()) -= 1;
        if let Some(timer) = seat.timer {
            self.wheel.cancel(timer);
        }
    }

    /// Subscribes a session, unless it has `max` channels that count.
    pub fn subscribe(
        &mut self,
        id: SessionId,
        name: &ChannelName,
        implicit: bool,
        max: usize,
    ) -> Subscribed {
        let known = self.channels.find(name);
        let Some(seat) = self.slab.get_mut(id) else { return Subscribed::Gone };
        if seat.session.is_muted() {
            return Subscribed::Gone;
        }
        let is_known = |subscription: &&mut Subscription| Some(subscription.channel) == known;
        if let Some(subscription) = seat.subscriptions.iter_mut().find(is_known) {
            subscription.implicit |= implicit;
            return Subscribed::Replaced;
        }
        let counted = seat.subscriptions.iter().filter(|subscription| !subscription.implicit);
        if !implicit && counted.count() >= max {
            return Subscribed::TooMany;
        }
        let nth = seat.subscriptions.len() as u32; // bounded by `max` and the targets' `sub=`
        let mode = seat.session.mode();
        let (channel, place) = self.channels.join(name, mode, id, nth);
        seat.subscriptions.push(Subscription { channel, place, implicit });
        Subscribed::Added
    }

    /// Ends a subscription that is not implicit.
    pub fn unsubscribe(&mut self, id: SessionId, name: &ChannelName) {
        let (Some(channel), Some(seat)) = (self.channels.find(name), self.slab.get(id)) else {
            return;
        };
        let nth = seat.subscriptions.iter().position(|s| s.channel == channel && !s.implicit);
        if let Some(nth) = nth {
            self.leave(id, nth);
        }
    }

    /// The channel of a name, if it has subscribers.
    #[must_use]
    pub fn channel(&self, name: &ChannelName) -> Option<ChannelIndex> {
        self.channels.find(name)
    }

    /// The subscribers of one mode.
    #[must_use]
    pub fn subscribers(&self, channel: ChannelIndex, mode: Mode) -> &[Subscriber] {
        self.channels.list(channel, mode)
    }

    /// The lists of subscribers, and what waits for them. Not to be used to join or leave.
    pub fn channels(&mut self) -> &mut Channels {
        &mut self.channels
    }

    /// The subscriptions of a session.
    #[must_use]
    pub fn subscriptions(&self, id: SessionId) -> &[Subscription] {
        self.slab.get(id).map_or(&[], |seat| &seat.subscriptions)
    }

    /// Collects the sessions whose timer has fired; each must then be looked at with `take_due`.
    pub fn advance(&mut self, now: Tick, fired: &mut Vec<SessionId>) {
        self.wheel.advance(now, |id| fired.push(id));
        for &id in &*fired {
            if let Some(seat) = self.slab.get_mut(id) {
                seat.timer = None;
            }
        }
    }

    /// The next thing that is due for a session; with the last one its timer runs again.
    pub fn take_due(&mut self, id: SessionId, now: Tick) -> Option<Due> {
        let seat = self.slab.get_mut(id)?;
        let due = seat.session.take_due(now, &mut self.rng);
        if due.is_none() {
            self.rearm(id);
        }
        due
    }

    /// When the wheel is to be advanced.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        self.wheel.next_deadline()
    }

    fn rearm(&mut self, id: SessionId) {
        let Some(seat) = self.slab.get_mut(id) else { return };
        let runs_to = seat.timer.and_then(|timer| self.wheel.deadline(timer));
        let due = seat.session.next_due();
        match (due, runs_to) {
            (None, None) => return,
            (Some(due), Some(runs_to)) if runs_to <= due => return,
            _ => {}
        }
        if let Some(timer) = seat.timer.take() {
            self.wheel.cancel(timer);
        }
        seat.timer = due.map(|due| self.wheel.insert(due, id));
    }

    fn leave_all(&mut self, id: SessionId) {
        while let Some(last) =
            self.slab.get(id).and_then(|seat| seat.subscriptions.len().checked_sub(1))
        {
            self.leave(id, last);
        }
        if let Some(seat) = self.slab.get_mut(id) {
            seat.subscriptions.shrink_to_fit();
        }
    }

    fn leave(&mut self, id: SessionId, nth: usize) {
        let Some(seat) = self.slab.get_mut(id) else { return };
        let mode = seat.session.mode();
        let left = seat.subscriptions.swap_remove(nth);
        if let Some(moved) = seat.subscriptions.get(nth) {
            self.channels.renumber(moved.channel, mode, moved.place, nth as u32);
        }
        let Some(moved) = self.channels.leave(left.channel, mode, left.place) else { return };
        let other = self.slab.get_mut(moved.id);
        if let Some(other) = other.and_then(|seat| seat.subscriptions.get_mut(moved.nth as usize)) {
            other.place = left.place;
        }
    }

    /// Checks that both sides of every subscription agree. For tests and fuzzing: it looks at all.
    ///
    /// # Panics
    /// When they do not.
    pub fn verify(&self) {
        let (mut edges, mut counts) = (0, Counts::default());
        let mut channels = std::collections::HashSet::new();
        for id in self.ids() {
            let seat = self.slab.get(id).expect("an id of the slab is live");
            *counts.of(seat.session.mode()) += 1;
            assert!(!seat.session.is_muted() || seat.subscriptions.is_empty());
            for (subscription, nth) in seat.subscriptions.iter().zip(0..) {
                let list = self.channels.list(subscription.channel, seat.session.mode());
                let known = list.get(subscription.place as usize).map(|s| (s.id, s.nth));
                assert_eq!(known, Some((id, nth)));
                channels.insert(subscription.channel);
                edges += 1;
            }
            let runs_to = seat.timer.and_then(|timer| self.wheel.deadline(timer));
            assert_eq!(runs_to.is_some(), seat.timer.is_some());
            assert_eq!(runs_to.is_some(), seat.session.next_due().is_some());
            assert!(runs_to <= seat.session.next_due());
        }
        assert_eq!((counts, self.channels.len()), (self.counts, channels.len()));
        assert_eq!(self.channels.subscribers(), edges);
    }
}
