//! What `seats` keeps for sessions that are more than a place in a list: what ids their clients
//! have, their next links, whether their backends are being asked.

use std::rc::Rc;

use super::channels::Subscription;
use super::following::{Following, Stance};
use super::interest::Interest;
use super::seats::Seats;
use super::sequence::Entry;
use super::slab::SessionId;
use super::upkeep::{Update, Upkeep};
use crate::clock::Tick;
use crate::grip::channel::ChannelName;
use crate::grip::filter::Filters;
use crate::session::Hold;
use crate::session::http::Next;

impl Seats {
    /// Notes what ids a subscription's client has, from now on.
    pub(super) fn follow(&mut self, id: SessionId, nth: usize, interest: &Interest) {
        let Some(seat) = self.slab.get_mut(id) else { return };
        let links = seat.upkeep.as_ref().is_some_and(|upkeep| upkeep.next.is_some());
        let renewed = seat.is_asking();
        let Some(subscription) = seat.subscriptions.get_mut(nth) else { return };
        let was = subscription.following.take();
        let was_tracked = was.is_some_and(|following| following.is_tracked());
        let prev_id = interest.prev_id.as_deref().map(Rc::from);
        let tracked = prev_id.is_some();
        let filters = interest.filters;
        let debug = interest.debug;
        let special = tracked || links || debug || !filters.is_empty();
        if special {
            let stance = if tracked { Stance::Behind } else { Stance::Current };
            let prefix_bytes = interest.prefix_bytes;
            let following = Following {
                prev_id,
                stance,
                prefix_bytes,
                fresh: true,
                renewed,
                filters,
                debug,
                ..Following::default()
            };
            subscription.following = Some(Box::new(following));
        }
        if tracked != was_tracked {
            self.ledger.track(&interest.channel, tracked);
        }
        if special {
            self.make_special(id);
        }
    }

    /// Whether items are looked at for this session.
    #[must_use]
    pub fn is_special(&self, id: SessionId) -> bool {
        self.slab.get(id).is_some_and(|seat| seat.special)
    }

    /// From now on items are looked at for this session.
    pub fn make_special(&mut self, id: SessionId) {
        let Some(seat) = self.slab.get_mut(id) else { return };
        if seat.special {
            return;
        }
        seat.special = true;
        let mode = seat.session.mode();
        for subscription in &seat.subscriptions {
            self.channels.make_special(subscription.channel, mode, subscription.place());
        }
    }

    /// What only some subscriptions have.
    pub fn following(&mut self, id: SessionId, nth: usize) -> Option<&mut Following> {
        self.slab.get_mut(id)?.subscriptions.get_mut(nth)?.following.as_deref_mut()
    }

    /// The name of the channel of a session's subscription.
    #[must_use]
    pub fn channel_name(&self, id: SessionId, nth: usize) -> Option<&ChannelName> {
        self.channels.name_of(self.slab.get(id)?.subscriptions.get(nth)?.channel)
    }

    /// A subscription does not follow ids any more.
    pub fn untrack(&mut self, id: SessionId, nth: usize) {
        let Some(following) = self.following(id, nth) else { return };
        if following.prev_id.take().is_some()
            && let Some(name) = self.channel_name(id, nth).cloned()
        {
            self.ledger.track(&name, false);
        }
    }

    /// What only sessions have whose backends are asked.
    #[must_use]
    pub fn upkeep(&self, id: SessionId) -> Option<&Upkeep> {
        self.slab.get(id)?.upkeep.as_deref()
    }

    /// See [`Seats::upkeep`]; it is made where there is none yet.
    pub fn upkeep_mut(&mut self, id: SessionId) -> Option<&mut Upkeep> {
        let seat = self.slab.get_mut(id).filter(|seat| !seat.session.is_muted())?;
        Some(seat.upkeep.get_or_insert_default())
    }

    /// The next item for a client that follows ids and is not behind: it has it from now on. `None`
    /// where it is not so simple; then nothing has changed.
    pub fn follow_on(
        &mut self,
        id: SessionId,
        nth: usize,
        entry: &Entry,
        now: Tick,
    ) -> Option<&Hold> {
        let seat = self.slab.get_mut(id)?;
        let busy = seat.upkeep.as_ref().is_some_and(|upkeep| upkeep.is_busy());
        let following = seat.subscriptions.get_mut(nth)?.following.as_deref_mut()?;
        if busy || following.stance != Stance::Current || following.filters != Filters::default() {
            return None;
        }
        let (prev_id, prev, next) =
            (following.prev_id.as_mut()?, entry.prev.as_ref()?, entry.id.as_ref()?);
        if !Rc::ptr_eq(prev_id, prev) && *prev_id != *prev {
            return None;
        }
        *prev_id = Rc::clone(next);
        following.active = true;
        seat.session.touched(now, &mut self.rng);
        Some(&seat.session.hold)
    }

    /// What a session's filter is being asked about is forgotten, and comes again later.
    pub fn put_back(&mut self, id: SessionId) {
        let Some(upkeep) = self.slab.get_mut(id).and_then(|seat| seat.upkeep.as_mut()) else {
            return;
        };
        let Some(filtering) = upkeep.filtering.take() else { return };
        let channel = filtering.channel;
        let nth = self.subscriptions(id).iter().position(|s| s.channel == channel);
        let Some(following) = nth.and_then(|nth| self.following(id, nth)) else { return };
        if following.is_tracked() {
            following.stance = Stance::Behind;
        } else if let Some(upkeep) = self.upkeep_mut(id) {
            upkeep.queue.push_front((channel, filtering.load));
        }
    }

    /// Whether what is published to a session has to wait.
    #[must_use]
    pub fn is_busy(&self, id: SessionId) -> bool {
        self.upkeep(id).is_some_and(Upkeep::is_busy)
    }

    /// Sets a stream's next link, or takes it away.
    pub fn set_next(&mut self, id: SessionId, next: Option<Next>) {
        let Some(upkeep) = self.upkeep_mut(id) else { return };
        let before = upkeep.next.take();
        if let Some((before, _)) = &before {
            self.ledger.leave_poll(before);
        }
        if let Some(next) = next {
            let due = self.ledger.join_poll(&next);
            if let Some(upkeep) = self.upkeep_mut(id) {
                upkeep.next = Some((next, due));
            }
            self.make_special(id);
        }
        self.rearm(id);
    }

    /// The backend of a session is asked, or has answered: its timers stop or run again.
    pub fn set_update(&mut self, id: SessionId, update: Update) {
        let Some(upkeep) = self.upkeep_mut(id) else { return };
        upkeep.update = update;
        self.rearm(id);
    }

    /// No backend is asked about a session any more.
    pub(super) fn end_upkeep(&mut self, id: SessionId) {
        let Some(upkeep) = self.slab.get_mut(id).and_then(|seat| seat.upkeep.take()) else {
            return;
        };
        if let Some((next, _)) = &upkeep.next {
            self.ledger.leave_poll(next);
        }
        if upkeep.tells_end {
            self.ledger.ended.push_back(id);
        }
    }

    /// Puts a session into another state. It must have no subscriptions if its mode changes.
    pub fn set_hold(&mut self, id: SessionId, hold: Hold) {
        let Some(seat) = self.slab.get_mut(id) else { return };
        *self.counts.of(seat.session.mode()) -= 1;
        seat.session.hold = hold;
        *self.counts.of(seat.session.mode()) += 1;
        self.rearm(id);
    }

    /// Leaves all channels but these and the implicit ones.
    pub fn keep_only(&mut self, id: SessionId, channels: &[ChannelName]) {
        loop {
            let goes = |subscription: &Subscription| {
                let name = self.channels.name_of(subscription.channel);
                !subscription.is_implicit() && !name.is_some_and(|name| channels.contains(name))
            };
            let subscriptions = self.subscriptions(id);
            let Some(nth) = subscriptions.iter().position(goes) else { return };
            let left = subscriptions.get(nth).map(|subscription| subscription.channel);
            if let Some(upkeep) = self.slab.get_mut(id).and_then(|seat| seat.upkeep.as_mut()) {
                // Another channel may have its place before what waits is looked at.
                upkeep.queue.retain(|(channel, _)| Some(*channel) != left);
            }
            self.leave(id, nth);
        }
    }
}
