//! From an item to its subscribers, a slice at a time.
//!
//! `intake` puts an item down beside the subscribers of its channel; [`slice`] delivers what waits,
//! at most so many subscribers at once, so that a channel with a hundred thousand of them delays
//! nobody else by more than a slice. Lists take turns. A subscriber whose turn it is gets all that
//! waits for it, of all its channels, in the order in which it was published and in one write.
//! Called by `registry`.

use std::collections::VecDeque;
use std::rc::Rc;

use smallvec::SmallVec;

use super::backlog::Backlog;
use super::channels::{ChannelIndex, Subscriber};
use super::fanout::{Fanout, Then};
use super::offers::{Flow, Offers, want};
use super::performing::{Wire, perform};
use super::seats::Seats;
use super::slab::SessionId;
use super::waiting::{Load, Parcel, Step, Waiting};
use crate::clock::Tick;
use crate::session::http::StreamFraming;
use crate::session::socket::Form;
use crate::session::{Hold, Mode};

/// Subscribers looked at for one that is sent something: looking is cheap, but not for nothing.
const LOOKS_PER_DELIVERY: usize = 16;

/// The lists for which something waits.
#[derive(Default)]
pub struct Broadcasts {
    /// In the order of their turns. A list that lost its subscribers may still be here.
    turns: VecDeque<(ChannelIndex, Mode)>,
    /// What waits for all of them.
    pub backlog: Rc<Backlog>,
}

impl Broadcasts {
    /// Whether anything waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Lets an item wait for the subscribers of a channel.
    pub fn put(&mut self, seats: &mut Seats, channel: ChannelIndex, mode: Mode, load: Load) {
        let Broadcasts { turns, backlog } = self;
        if seats.channels().wait(channel, mode, |nth| Parcel::new(load, nth, backlog)) {
            turns.push_back((channel, mode));
        }
    }

    /// What all that waits costs.
    #[must_use]
    pub fn cost(&self, seats: &Seats) -> u64 {
        let cost = |&(channel, mode): &(ChannelIndex, Mode)| {
            let subscribers = seats.subscribers(channel, mode).len() as u64;
            seats.waiting(channel, mode).map_or(0, |waiting| {
                let left = (waiting.cursor as u64).min(subscribers);
                waiting.cost() * left
            })
        };
        self.turns.iter().map(cost).sum()
    }
}

/// Delivers to at most `deliveries` subscribers.
pub fn slice(fanout: &mut Fanout<'_>, broadcasts: &mut Broadcasts, deliveries: usize, now: Tick) {
    let mut budget = deliveries.saturating_mul(LOOKS_PER_DELIVERY);
    while budget > 0 {
        let Some((channel, mode)) = broadcasts.turns.pop_front() else { return };
        let Some(waiting) = fanout.seats.channels().take_waiting(channel, mode) else { continue };
        let others = !broadcasts.turns.is_empty();
        let mut pass = Pass { fanout: &mut *fanout, channel, mode, waiting, others, now };
        let done = pass.advance(&mut budget);
        let waiting = pass.waiting;
        if !done {
            fanout.seats.channels().put_waiting(channel, mode, waiting);
            broadcasts.turns.push_back((channel, mode));
        }
    }
}

/// A list whose turn it is.
struct Pass<'a, 'b> {
    fanout: &'a mut Fanout<'b>,
    channel: ChannelIndex,
    mode: Mode,
    waiting: Box<Waiting>,
    /// Something waits for other lists too.
    others: bool,
    now: Tick,
}

impl Pass<'_, '_> {
    /// Goes on within the budget. Whether all have all.
    fn advance(&mut self, budget: &mut usize) -> bool {
        loop {
            let count = self.fanout.seats.subscribers(self.channel, self.mode).len();
            let left = self.waiting.cursor.min(count);
            let Some(place) = left.checked_sub(1) else {
                if self.waiting.next_pass(count) {
                    continue;
                }
                return true;
            };
            if *budget == 0 {
                return false;
            }
            self.waiting.cursor = place;
            let newest = self.waiting.newest();
            let place = place as u32; // a place is one
            let channels = self.fanout.seats.channels();
            let Some(subscriber) = channels.note(self.channel, self.mode, place, newest) else {
                continue;
            };
            if subscriber.upto == newest {
                *budget -= 1;
                continue;
            }
            *budget = budget.saturating_sub(LOOKS_PER_DELIVERY);
            self.serve(subscriber);
        }
    }

    fn serve(&mut self, subscriber: Subscriber) {
        let Subscriber { id, upto, .. } = subscriber;
        if !subscriber.is_usual() {
            if subscriber.is_special() {
                return self.offer(id, upto, subscriber.nth() as usize);
            }
            if !self.others && self.serve_alone_in_form(id) {
                return;
            }
        } else if !self.others && self.serve_alone(id) {
            return;
        }
        let Some(session) = self.fanout.seats.session(id) else { return };
        let wire = match &session.hold {
            Hold::Response { .. } => return self.answer(id, upto),
            Hold::Stream { framing, .. } => Wire { framing: *framing, form: Form::Plain },
            Hold::Socket { form, .. } => Wire { framing: StreamFraming::Silent, form: *form },
            Hold::Asking { .. } | Hold::Muted { .. } => return,
        };
        if self.others && self.fanout.seats.subscriptions(id).len() > 1 {
            return self.serve_from_all(id, upto, wire);
        }
        let loads = self.waiting.after(upto).map(|parcel| &parcel.load);
        perform(self.fanout, id, wire, self.now, loads);
    }

    /// The usual case, without detours: a single message waits, and on no other list anything.
    /// Whether it is that case.
    fn serve_alone(&mut self, id: SessionId) -> bool {
        let Pass { fanout, waiting, now, .. } = self;
        let Some(load) = waiting.only() else { return false };
        if !load.for_all {
            return true;
        }
        let piece = match &load.step {
            Step::Frame(frame) => {
                fanout.seats.touched(id, *now);
                frame.plain()
            }
            Step::Payload { raw, chunk } => match fanout.seats.touched(id, *now) {
                Some(Hold::Stream { framing: StreamFraming::Chunked, .. }) => chunk,
                Some(Hold::Stream { framing: StreamFraming::Raw, .. }) => raw,
                _ => return true,
            },
            _ => return false,
        };
        if !piece.is_empty() {
            fanout.cost += u64::from(load.cost);
            fanout.publish(id, piece);
        }
        true
    }

    /// The same for a WebSocket that has a form of its own.
    fn serve_alone_in_form(&mut self, id: SessionId) -> bool {
        let Pass { fanout, waiting, now, .. } = self;
        let Some(load) = waiting.only() else { return false };
        let Step::Frame(frame) = &load.step else { return false };
        if load.for_all
            && let Some(&Hold::Socket { form, .. }) = fanout.seats.touched(id, *now)
        {
            fanout.cost += u64::from(load.cost);
            let piece = frame.in_form(form, &mut fanout.seats.ledger);
            fanout.publish(id, piece);
        }
        true
    }

    /// The usual case of a client that follows ids: a single message, and it is the next one.
    /// Whether it is that case.
    fn follow_alone(&mut self, id: SessionId, nth: usize) -> bool {
        let Pass { fanout, waiting, now, .. } = self;
        let Some(load) = waiting.only().filter(|load| load.for_all) else { return false };
        let (Step::Frame(_) | Step::Payload { .. }, Some(entry)) = (&load.step, &load.entry) else {
            return false;
        };
        let Some(hold) = fanout.seats.follow_on(id, nth, entry, *now) else { return false };
        let piece = match (&load.step, hold) {
            (Step::Frame(frame), &Hold::Socket { form, .. }) => {
                frame.in_form(form, &mut fanout.seats.ledger)
            }
            (Step::Payload { raw, chunk }, Hold::Stream { framing, .. }) => match framing {
                StreamFraming::Chunked => chunk,
                StreamFraming::Raw => raw,
                StreamFraming::Silent => return true,
            },
            _ => return true,
        };
        if !piece.is_empty() {
            fanout.cost += u64::from(load.cost);
            fanout.send(id, piece);
        }
        true
    }

    /// A session for which items are looked at one by one.
    fn offer(&mut self, id: SessionId, upto: u32, nth: usize) {
        if !self.others && self.follow_alone(id, nth) {
            return;
        }
        if !self.others || self.fanout.seats.subscriptions(id).len() == 1 {
            let mut offers = Offers::new(self.fanout, id, self.now);
            for parcel in self.waiting.after(upto) {
                if offers.offer(nth, &parcel.load) == Flow::Stop {
                    return;
                }
            }
            offers.flush();
            return;
        }
        let mut loads: Vec<(u64, usize, Load)> = Vec::new();
        let own = self.waiting.after(upto);
        loads.extend(own.map(|parcel| (parcel.order, nth, parcel.load.clone())));
        for (channel, place) in self.elsewhere(id) {
            let channels = self.fanout.seats.channels();
            let Some(newest) = channels.waiting(channel, self.mode).map(|w| w.newest()) else {
                continue;
            };
            let Some(before) = channels.note(channel, self.mode, place, newest) else { continue };
            if let Some(waiting) = channels.waiting(channel, self.mode) {
                let nth = before.nth() as usize;
                let theirs = waiting.after(before.upto);
                loads.extend(theirs.map(|parcel| (parcel.order, nth, parcel.load.clone())));
            }
        }
        loads.sort_unstable_by_key(|(order, ..)| *order);
        let mut offers = Offers::new(self.fanout, id, self.now);
        for (_, nth, load) in &loads {
            if offers.offer(*nth, load) == Flow::Stop {
                return;
            }
        }
        offers.flush();
    }

    /// Something waits for other lists too, and this session may be on them: what waits there
    /// for it, and where.
    fn elsewhere(&self, id: SessionId) -> SmallVec<[(ChannelIndex, u32); 8]> {
        let subscriptions = self.fanout.seats.subscriptions(id).iter();
        subscriptions
            .filter(|subscription| subscription.channel != self.channel)
            .map(|subscription| (subscription.channel, subscription.place()))
            .collect()
    }

    /// All that waits for this session goes out now, in the order in which it was published.
    fn serve_from_all(&mut self, id: SessionId, upto: u32, wire: Wire) {
        let mut loads: Vec<(u64, Load)> = Vec::new();
        let mut take = |waiting: &Waiting, upto| {
            let parcels = waiting.after(upto);
            loads.extend(parcels.map(|parcel| (parcel.order, parcel.load.clone())));
        };
        take(&self.waiting, upto);
        for (channel, place) in self.elsewhere(id) {
            let channels = self.fanout.seats.channels();
            let Some(newest) = channels.waiting(channel, self.mode).map(|w| w.newest()) else {
                continue;
            };
            let Some(before) = channels.note(channel, self.mode, place, newest) else { continue };
            if let Some(waiting) = channels.waiting(channel, self.mode) {
                take(waiting, before.upto);
            }
        }
        loads.sort_unstable_by_key(|(order, _)| *order);
        perform(self.fanout, id, wire, self.now, loads.iter().map(|(_, load)| load));
    }

    /// A long-poll takes the first that waits for it, of all its channels.
    fn answer(&mut self, id: SessionId, upto: u32) {
        let Some(Hold::Response { held, reply, .. }) =
            self.fanout.seats.session(id).map(|session| &session.hold)
        else {
            return;
        };
        let (held, reply) = (Rc::clone(held), *reply);
        let mut first = self
            .waiting
            .answer_after(upto)
            .map(|(order, found)| (order, found.answer(&held, reply)));
        if self.others {
            for (channel, place) in self.elsewhere(id) {
                let channels = self.fanout.seats.channels();
                let Some((upto, waiting)) = channels.waiting_for(channel, self.mode, place) else {
                    continue;
                };
                if let Some((order, found)) = waiting.answer_after(upto)
                    && first.as_ref().is_none_or(|(known, _)| order < *known)
                {
                    first = Some((order, found.answer(&held, reply)));
                }
            }
        }
        if self.waiting.hints && self.waiting.hints_after(upto) {
            want(self.fanout.seats, self.fanout.effects, id, true);
        }
        if let Some((_, Some(bytes))) = first {
            self.fanout.cost += 1;
            self.fanout.finish(id, &bytes, Then::after(reply.persistent));
        }
    }
}

#[cfg(test)]
mod tests;
