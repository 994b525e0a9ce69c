//! Sessions that lack something which their channels still keep: they are sent it, in order, as
//! their clients take it.
//!
//! Called by `registry`: for a session that has just been subscribed (`settle`), between slices of
//! what is published (`serve`), and when a client has read what waited for it (`drained`).

use std::rc::Rc;

use super::channels::Subscription;
use super::fanout::Fanout;
use super::following::Stance;
use super::offers::{Flow, Offers, join_line, want};
use super::seats::Seats;
use super::sequence::{Entry, Position};
use super::slab::SessionId;
use super::upkeep::Update;
use super::waiting::{Load, Step};
use crate::clock::Tick;
use crate::limits::CATCH_UP_BYTES_MAX;
use crate::session::Mode;

/// Items that were encoded for others who lacked them too.
#[derive(Default)]
pub struct Replays {
    places: Vec<Option<(Mode, Load)>>,
}

/// How many of them are known.
const REPLAYS: usize = 64;

impl Replays {
    /// An item as it is sent in `mode`.
    fn load(&mut self, entry: &Entry, mode: Mode) -> Load {
        if self.places.is_empty() {
            self.places.resize_with(REPLAYS, || None);
        }
        let address = std::sync::Arc::as_ptr(&entry.item) as usize;
        // Allocations are some way apart: their low bits are alike.
        let at = (address >> 5).wrapping_add(mode as usize) % REPLAYS;
        if let Some(Some((known_mode, load))) = self.places.get(at) {
            let known = load.entry.as_ref().map(|known| &known.item);
            let same = known.is_some_and(|item| std::sync::Arc::ptr_eq(item, &entry.item));
            if same && *known_mode == mode {
                return load.clone();
            }
        }
        let step = Step::of(&entry.item, mode).unwrap_or(Step::Nothing);
        let load = Load { step, entry: Some(Rc::new(entry.clone())), cost: 1, for_all: true };
        if let Some(place) = self.places.get_mut(at) {
            *place = Some((mode, load.clone()));
        }
        load
    }

    /// Keeps nothing alive any more.
    pub fn clear(&mut self) {
        self.places = Vec::new();
    }
}

/// What comes of looking for the next item that a session lacks.
enum Found {
    Load(Load),
    /// It has all.
    Nothing,
    /// Only its backend knows.
    Missed,
}

/// Sends sessions in line what they lack, at most so many items.
pub fn serve(fanout: &mut Fanout<'_>, replays: &mut Replays, mut items: usize, now: Tick) {
    let turns = fanout.seats.ledger.line.len();
    for _ in 0..turns {
        if items == 0 {
            return;
        }
        let Some(id) = fanout.seats.ledger.line.pop_front() else { break };
        if let Some(upkeep) = fanout.seats.upkeep_mut(id) {
            upkeep.in_line = false;
            catch_up(fanout, replays, id, &mut items, now);
        }
    }
    if fanout.seats.ledger.line.is_empty() {
        replays.clear();
    }
}

/// A session has all its subscriptions, and its backend is not asked any more.
pub fn settle(fanout: &mut Fanout<'_>, replays: &mut Replays, id: SessionId, now: Tick) {
    if !fanout.seats.is_special(id) && !fanout.seats.is_busy(id) {
        return;
    }
    let again = match fanout.seats.upkeep_mut(id) {
        Some(upkeep) => std::mem::take(&mut upkeep.again),
        None => return,
    };
    fanout.seats.set_update(id, Update::Idle);
    go_on(fanout, replays, id, now);
    if again {
        want(fanout.seats, fanout.effects, id, false);
    }
}

/// A session has time again: it gets what waited, and what it lacks.
pub fn go_on(fanout: &mut Fanout<'_>, replays: &mut Replays, id: SessionId, now: Tick) {
    if fanout.seats.is_busy(id) {
        return;
    }
    let waited = fanout.seats.upkeep_mut(id).map(|upkeep| std::mem::take(&mut upkeep.queue));
    let mut offers = Offers::new(fanout, id, now);
    for (channel, load) in waited.into_iter().flatten() {
        let nth = offers.fanout.seats.subscriptions(id).iter().position(|s| s.channel == channel);
        if let Some(nth) = nth
            && offers.offer(nth, &load) == Flow::Stop
        {
            return;
        }
    }
    if offers.flush() {
        let mut items = usize::MAX;
        catch_up(fanout, replays, id, &mut items, now);
    }
}

/// What waited for a client to read has been written.
pub fn drained(seats: &mut Seats, id: SessionId) {
    let is_behind = |subscription: &Subscription| {
        let following = subscription.following.as_deref();
        following.is_some_and(|following| following.stance == Stance::Behind)
    };
    if seats.subscriptions(id).iter().any(is_behind) {
        join_line(seats, id);
    }
}

/// Sends a session what it lacks, as far as its client takes it at once.
fn catch_up(
    fanout: &mut Fanout<'_>,
    replays: &mut Replays,
    id: SessionId,
    items: &mut usize,
    now: Tick,
) {
    // It is called again when its client has read.
    if fanout.seats.is_busy(id) || fanout.outlet.backlog(id) > 0 {
        return;
    }
    let limit = CATCH_UP_BYTES_MAX.min(fanout.outlet.room() / 2);
    let mut offers = Offers::new(fanout, id, now);
    let mut more = false;
    'subscriptions: for nth in 0..offers.fanout.seats.subscriptions(id).len() {
        loop {
            let load = match next(offers.fanout, replays, id, nth) {
                Found::Nothing => break,
                Found::Missed => {
                    if offers.miss(nth) == Flow::Stop {
                        return;
                    }
                    break;
                }
                Found::Load(load) => load,
            };
            if *items == 0 || offers.bytes() > limit {
                more = true;
                break 'subscriptions;
            }
            *items -= 1;
            offers.fanout.seats.ledger.tally.from_ring += 1;
            if offers.take(nth, &load) == Flow::Stop {
                return;
            }
        }
    }
    if offers.flush() && more && fanout.outlet.backlog(id) == 0 {
        join_line(fanout.seats, id);
    }
}

/// The next item that a subscription's client lacks.
fn next(fanout: &mut Fanout<'_>, replays: &mut Replays, id: SessionId, nth: usize) -> Found {
    let seats = &mut *fanout.seats;
    let Some(mode) = seats.session(id).map(|session| session.mode()) else { return Found::Nothing };
    let Some(name) = seats.channel_name(id, nth).cloned() else { return Found::Nothing };
    let Some(following) = seats.following(id, nth) else { return Found::Nothing };
    let (Some(prev_id), Stance::Behind) = (following.prev_id.clone(), following.stance) else {
        return Found::Nothing;
    };
    let (place, fresh, renewed) = (following.place, following.fresh, following.renewed);
    let (stance, place, found) = match seats.ledger.sequencer.after(&name, &prev_id, place) {
        Position::Newest => (Stance::Current, None, Found::Nothing),
        Position::Unknown if fresh => (Stance::Current, None, Found::Nothing),
        Position::Next(entry, place) => {
            (Stance::Behind, Some(place), Found::Load(replays.load(entry, mode)))
        }
        // The backend has just said so: it may be ahead, or know another history.
        Position::Missed if fresh && renewed => (Stance::Current, None, Found::Nothing),
        Position::Missed | Position::Unknown => (Stance::Missed, None, Found::Missed),
    };
    if let Some(following) = fanout.seats.following(id, nth) {
        following.stance = stance;
        following.place = place;
        following.fresh = false;
    }
    found
}

/// Sessions that are polled: their backends are asked, unless all their channels were busy.
pub fn polled(fanout: &mut Fanout<'_>, id: SessionId) {
    let count = fanout.seats.subscriptions(id).len();
    let mut all = count > 0;
    for nth in 0..count {
        if let Some(following) = fanout.seats.following(id, nth) {
            all &= std::mem::take(&mut following.active);
        }
    }
    if !all {
        want(fanout.seats, fanout.effects, id, false);
    }
}
