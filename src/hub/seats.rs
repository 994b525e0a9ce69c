//! Who sits where: the slab of sessions, their subscriptions and their timers, kept in step.
//!
//! The only file that changes both sides of a subscription, or a session and its timer. It sends
//! nothing: `fanout` and `due` do, over this; `registry` is its roof.

use fastrand::Rng;
use smallvec::SmallVec;

use super::channels::{ChannelIndex, Channels, Marks, Subscriber, Subscription};
use super::interest::Interest;
use super::ledger::Ledger;
use super::slab::{SessionId, Slab};
use super::upkeep::{Update, Upkeep};
use super::waiting::Waiting;
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
    pub(super) fn of(&mut self, mode: Mode) -> &mut usize {
        match mode {
            Mode::Response => &mut self.responses,
            Mode::Stream => &mut self.streams,
            Mode::Socket => &mut self.sockets,
        }
    }
}

/// A session with its subscriptions and its timer.
pub(super) struct Seat {
    pub(super) session: Session,
    /// Runs to the session's next due moment, or to an earlier one; then it looks again.
    pub(super) timer: Option<Timer>,
    pub(super) subscriptions: SmallVec<[Subscription; 1]>,
    /// Items are looked at one by one for it.
    pub(super) special: bool,
    pub(super) upkeep: Option<Box<Upkeep>>,
}

impl Seat {
    pub(super) fn is_asking(&self) -> bool {
        self.upkeep.as_ref().is_some_and(|upkeep| upkeep.update == Update::Asking)
    }

    fn marks(&self) -> Marks {
        Marks { special: self.special, formed: self.session.has_form() }
    }

    /// While its backend is being asked, nothing of it is due.
    fn next_due(&self) -> Option<Tick> {
        if self.is_asking() && !self.session.is_muted() {
            return None;
        }
        let poll = self.upkeep.as_ref().and_then(|upkeep| Some(upkeep.next.as_ref()?.1));
        self.session.next_due().into_iter().chain(poll).min()
    }
}

/// All sessions of a shard.
pub struct Seats {
    pub(super) slab: Slab<Seat>,
    pub(super) channels: Channels,
    wheel: Wheel<SessionId>,
    /// Draws the random part of keep-alive periods.
    pub rng: Rng,
    /// The sessions by kind.
    pub counts: Counts,
    /// What is kept so that nothing is lost.
    pub ledger: Ledger,
}

impl Seats {
    /// Bytes that a session takes in the slab, with one subscription.
    pub const SEAT_BYTES: usize = Slab::<Seat>::PLACE_BYTES;

    /// None yet.
    #[must_use]
    pub fn new(rng: Rng, ledger: Ledger) -> Seats {
        Seats {
            slab: Slab::default(),
            channels: Channels::default(),
            wheel: Wheel::new(),
            rng,
            counts: Counts::default(),
            ledger,
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
        let subscriptions = SmallVec::new();
        let seat = Seat { session, timer: None, subscriptions, special: false, upkeep: None };
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
        self.end_upkeep(id);
        self.change(id, |session, _| session.mute());
    }

    /// Takes a session out.
    pub fn close(&mut self, id: SessionId) {
        self.leave_all(id);
        self.end_upkeep(id);
        let Some(seat) = self.slab.remove(id) else { return };
        *self.counts.of(seat.session.mode()) -= 1;
        if let Some(timer) = seat.timer {
            self.wheel.cancel(timer);
        }
    }

    /// Subscribes a session, unless it has `max` channels that count. A known subscription takes
    /// over what is asked now.
    pub fn subscribe(&mut self, id: SessionId, interest: &Interest, max: usize) -> Subscribed {
        let known = self.channels.find(&interest.channel);
        let Some(seat) = self.slab.get_mut(id) else { return Subscribed::Gone };
        if seat.session.is_muted() {
            return Subscribed::Gone;
        }
        let is_known = |subscription: &Subscription| Some(subscription.channel) == known;
        if let Some(nth) = seat.subscriptions.iter().position(is_known) {
            if interest.implicit {
                seat.subscriptions[nth].make_implicit();
            } else {
                self.follow(id, nth, interest);
            }
            return Subscribed::Replaced;
        }
        let counted = seat.subscriptions.iter().filter(|subscription| !subscription.is_implicit());
        if !interest.implicit && counted.count() >= max {
            return Subscribed::TooMany;
        }
        let nth = seat.subscriptions.len() as u32; // bounded by `max` and the targets' `sub=`
        let (mode, marks) = (seat.session.mode(), seat.marks());
        let (channel, place) = self.channels.join(&interest.channel, mode, (id, nth, marks));
        seat.subscriptions.push(Subscription::new(channel, place, interest.implicit));
        if self.ledger.sequencer.joined(&interest.channel, false, known.is_none()) {
            self.ledger.note_first(&interest.channel);
        }
        self.follow(id, nth as usize, interest);
        Subscribed::Added
    }

    /// Ends a subscription that is not implicit.
    pub fn unsubscribe(&mut self, id: SessionId, name: &ChannelName) {
        let (Some(channel), Some(seat)) = (self.channels.find(name), self.slab.get(id)) else {
            return;
        };
        let nth = seat.subscriptions.iter().position(|s| s.channel == channel && !s.is_implicit());
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

    /// What waits for the subscribers of one mode.
    #[must_use]
    pub fn waiting(&self, channel: ChannelIndex, mode: Mode) -> Option<&Waiting> {
        self.channels.waiting(channel, mode)
    }

    /// A variable of a session.
    #[must_use]
    pub fn meta(&self, id: SessionId, name: &str) -> Option<&str> {
        self.slab.get(id)?.session.meta(name)
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
        let mut due = None;
        if seat.next_due().is_some_and(|at| at <= now) {
            let polled = seat.upkeep.as_mut().and_then(|upkeep| upkeep.next.as_mut());
            match polled {
                Some((next, at)) if *at <= now => {
                    *at = self.ledger.next_poll(next);
                    due = Some(Due::Poll);
                }
                _ => due = seat.session.take_due(now, &mut self.rng),
            }
        }
        if due.is_none() {
            self.rearm(id);
        }
        due
    }

    /// When the wheel is to be advanced, or the ledger.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        // Asked several times a turn: `None` is not to stand before what is due.
        match (self.wheel.next_deadline(), self.ledger.next_deadline()) {
            (Some(timer), Some(ledger)) => Some(timer.min(ledger)),
            (timer, ledger) => timer.or(ledger),
        }
    }

    pub(super) fn rearm(&mut self, id: SessionId) {
        let Some(seat) = self.slab.get_mut(id) else { return };
        let runs_to = seat.timer.and_then(|timer| self.wheel.deadline(timer));
        let due = seat.next_due();
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

    /// The name of a channel.
    #[must_use]
    pub fn name_of(&self, channel: ChannelIndex) -> Option<&ChannelName> {
        self.channels.name_of(channel)
    }

    /// A session leaves all its channels.
    pub fn leave_all(&mut self, id: SessionId) {
        while let Some(last) =
            self.slab.get(id).and_then(|seat| seat.subscriptions.len().checked_sub(1))
        {
            self.leave(id, last);
        }
        if let Some(seat) = self.slab.get_mut(id) {
            seat.subscriptions.shrink_to_fit();
        }
    }

    pub(super) fn leave(&mut self, id: SessionId, nth: usize) {
        let Some(seat) = self.slab.get_mut(id) else { return };
        let mode = seat.session.mode();
        let left = seat.subscriptions.swap_remove(nth);
        if let Some(moved) = seat.subscriptions.get(nth) {
            self.channels.renumber(moved.channel, mode, moved.place(), nth as u32);
        }
        let tracked = left.following.as_ref().is_some_and(|following| following.is_tracked());
        let alone = self.channels.list(left.channel, mode).len() == 1;
        if tracked || alone {
            self.note_leaving(left.channel, mode, tracked, alone);
        }
        let Some(moved) = self.channels.leave(left.channel, mode, left.place()) else { return };
        let other = self.slab.get_mut(moved.id);
        if let Some(other) = other.and_then(|seat| seat.subscriptions.get_mut(moved.nth() as usize))
        {
            other.set_place(left.place());
        }
    }

    /// A subscription ends that followed ids, or that is the last of its mode.
    fn note_leaving(&mut self, channel: ChannelIndex, mode: Mode, tracked: bool, alone: bool) {
        let last = alone && self.channels.subscribers_of(channel) == 1;
        let lingers = alone && mode == Mode::Response;
        let Some(name) = self.channels.name_of(channel) else { return };
        if tracked || last || lingers {
            let now = self.ledger.now;
            self.ledger.sequencer.left(name, tracked, last, lingers, now);
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
                let known = list.get(subscription.place() as usize).map(|s| (s.id, s.nth()));
                let marks = list.get(subscription.place() as usize).map(Subscriber::marks);
                assert_eq!(marks, Some(seat.marks()));
                assert_eq!(known, Some((id, nth)));
                channels.insert(subscription.channel);
                edges += 1;
            }
            let runs_to = seat.timer.and_then(|timer| self.wheel.deadline(timer));
            assert_eq!(runs_to.is_some(), seat.timer.is_some());
            assert_eq!(runs_to.is_some(), seat.next_due().is_some());
            assert!(runs_to <= seat.next_due());
        }
        assert_eq!((counts, self.channels.len()), (self.counts, channels.len()));
        assert_eq!(self.channels.subscribers(), edges);
    }
}
