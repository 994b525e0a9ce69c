//! An item offered to a session for which items are looked at one by one: does it follow on what
//! the client has, has it to wait, what does it do.
//!
//! Called by `broadcast` for what is published and by `catching` for what a session lacked. What is
//! to be written is gathered and leaves in one write ([`Offers::flush`]).

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::failing;
use super::fanout::{Effect, Fanout, Then};
use super::filtering::{self, Verdict};
use super::following::Stance;
use super::seats::Seats;
use super::sequence::{Entry, Position};
use super::slab::SessionId;
use super::upkeep::Update;
use super::waiting::{Load, Step};
use crate::clock::Tick;
use crate::limits::QUEUED_ITEMS_MAX;
use crate::session::http::StreamFraming;
use crate::session::{Hold, Mode};

/// Whether more may be offered to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It may.
    On,
    /// Its hold has ended, or its backend is to be asked first.
    Stop,
}

/// Items on their way to one session.
pub struct Offers<'a, 'b> {
    /// The sessions and the way out.
    pub fanout: &'a mut Fanout<'b>,
    id: SessionId,
    now: Tick,
    pieces: SmallVec<[Bytes; 8]>,
    /// Something among the pieces is of a channel that is followed by ids.
    reliable: bool,
}

impl<'a, 'b> Offers<'a, 'b> {
    /// Nothing yet for the session `id`.
    pub fn new(fanout: &'a mut Fanout<'b>, id: SessionId, now: Tick) -> Offers<'a, 'b> {
        Offers { fanout, id, now, pieces: SmallVec::new(), reliable: false }
    }

    /// How many bytes are gathered.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// An item of the session's `nth` subscription, as it is published.
    pub fn offer(&mut self, nth: usize, load: &Load) -> Flow {
        let busy = self.fanout.seats.is_busy(self.id);
        let Some(following) = self.fanout.seats.following(self.id, nth) else {
            return if busy { self.put_off(nth, load) } else { self.perform(load) };
        };
        following.active = true;
        let Some(prev_id) = &following.prev_id else {
            return if busy { self.put_off(nth, load) } else { self.deliver(nth, load) };
        };
        let entry = load.entry.as_deref();
        if matches!(load.step, Step::Hint) && entry.is_none_or(|entry| entry.id.is_none()) {
            // It is about no item: there is nothing to be in order with.
            return if busy { self.put_off(nth, load) } else { self.perform(load) };
        }
        let kept = entry.is_some_and(|entry| entry.kept);
        match following.stance {
            Stance::Missed => Flow::On,
            // It is found in the ring, later.
            Stance::Behind if kept => Flow::On,
            Stance::Behind => self.miss(nth),
            Stance::Current if follows(entry, prev_id) => {
                if busy {
                    following.stance = Stance::Behind;
                    return if kept { Flow::On } else { self.miss(nth) };
                }
                self.take(nth, load)
            }
            Stance::Current => self.stray(nth, kept),
        }
    }

    /// The item that follows on what the client has of the session's `nth` subscription.
    pub fn take(&mut self, nth: usize, load: &Load) -> Flow {
        self.reliable = true;
        self.deliver(nth, load)
    }

    /// An item, if the subscription's filters let it through.
    fn deliver(&mut self, nth: usize, load: &Load) -> Flow {
        let verdict = filtering::run(self.fanout.seats, self.id, nth, load);
        self.act(nth, load, verdict)
    }

    /// Does what the filters said of an item.
    pub fn act(&mut self, nth: usize, load: &Load, verdict: Verdict) -> Flow {
        let flow = match verdict {
            Verdict::Whole => self.perform(load),
            Verdict::Changed(load) => self.perform(&load),
            Verdict::Drop => {
                self.fanout.seats.ledger.tally.filtered += 1;
                Flow::On
            }
            Verdict::Mismatch => return Flow::On,
            Verdict::Fail(message) => {
                if self.flush() {
                    failing::fail(self.fanout, self.id, &message);
                }
                return Flow::Stop;
            }
            Verdict::Ask(filtering) => {
                if let Some(upkeep) = self.fanout.seats.upkeep_mut(self.id) {
                    upkeep.filtering = Some(Box::new(filtering));
                    self.fanout.effects.push_back(Effect::Filter(self.id));
                }
                return Flow::On;
            }
        };
        self.advance(nth, load);
        flow
    }

    /// The client has an item now, or has been spared it.
    fn advance(&mut self, nth: usize, load: &Load) {
        let Some(following) = self.fanout.seats.following(self.id, nth) else { return };
        if !following.is_tracked() {
            return;
        }
        match load.entry.as_ref().and_then(|entry| entry.id.clone()) {
            Some(id) => following.prev_id = Some(id),
            // Without an id there is nothing that the next one could follow on.
            None => self.fanout.seats.untrack(self.id, nth),
        }
    }

    /// An item that does not follow on what the client has.
    fn stray(&mut self, nth: usize, kept: bool) -> Flow {
        match standing(self.fanout, self.id, nth) {
            Some(Position::Newest) if kept => Flow::On, // the client has it
            Some(Position::Next(..)) => {
                if let Some(following) = self.fanout.seats.following(self.id, nth) {
                    following.stance = Stance::Behind;
                }
                join_line(self.fanout.seats, self.id);
                Flow::On
            }
            _ => self.miss(nth),
        }
    }

    /// Only the backend knows what the client lacks.
    pub fn miss(&mut self, nth: usize) -> Flow {
        self.flush();
        miss(self.fanout, self.id, nth)
    }

    /// The session's backend is being asked: an item of a channel without ids waits.
    fn put_off(&mut self, nth: usize, load: &Load) -> Flow {
        let seats = &mut *self.fanout.seats;
        let Some(channel) = seats.subscriptions(self.id).get(nth).map(|s| s.channel) else {
            return Flow::On;
        };
        if matches!(load.step, Step::Hint) {
            // Whatever is being asked may have been answered before.
            if let Some(upkeep) = seats.upkeep_mut(self.id) {
                upkeep.again = true;
            }
            drop_queue(seats, self.id);
            return Flow::On;
        }
        let Some(upkeep) = seats.upkeep_mut(self.id) else { return Flow::Stop };
        if upkeep.queue.len() < QUEUED_ITEMS_MAX {
            upkeep.queue.push_back((channel, load.clone()));
        } else {
            seats.ledger.tally.dropped_queue += 1;
            tracing::debug!(session = self.id.index, "an item is dropped: too many wait");
        }
        Flow::On
    }

    /// Does what an item does.
    fn perform(&mut self, load: &Load) -> Flow {
        let Some(session) = self.fanout.seats.session(self.id) else { return Flow::Stop };
        self.fanout.cost += u64::from(load.cost);
        let piece = match (&load.step, &session.hold) {
            (_, Hold::Muted { .. } | Hold::Asking { .. }) => return Flow::Stop,
            (Step::Answer(answering), Hold::Response { held, reply, .. }) => {
                let (held, reply) = (Rc::clone(held), *reply);
                if let Some(bytes) = answering.answer(&held, reply) {
                    self.fanout.finish(self.id, &bytes, Then::after(reply.persistent));
                }
                return Flow::Stop;
            }
            (Step::Payload { raw, chunk }, Hold::Stream { framing, .. }) => match framing {
                StreamFraming::Chunked => chunk.clone(),
                StreamFraming::Raw => raw.clone(),
                StreamFraming::Silent => Bytes::new(),
            },
            (Step::Frame(frame), Hold::Socket { form, .. }) => {
                let form = *form;
                frame.in_form(form, &mut self.fanout.seats.ledger).clone()
            }
            (Step::EndStream, Hold::Stream { .. }) => {
                if self.flush() {
                    self.fanout.end_stream(self.id, true);
                }
                return Flow::Stop;
            }
            (Step::CloseSocket(frame), Hold::Socket { .. }) => {
                let frame = frame.clone();
                if self.flush() {
                    self.fanout.close_socket(self.id, &frame);
                }
                return Flow::Stop;
            }
            (Step::Refresh, Hold::Socket { .. }) => {
                self.fanout.effects.push_back(Effect::Refresh(self.id));
                return Flow::On;
            }
            (Step::Hint, _) => {
                want(self.fanout.seats, self.fanout.effects, self.id, true);
                return Flow::On;
            }
            _ => return Flow::On,
        };
        self.fanout.seats.touched(self.id, self.now);
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
        Flow::On
    }

    /// Sends what is gathered. Whether the session can be sent more.
    pub fn flush(&mut self) -> bool {
        let pieces = std::mem::take(&mut self.pieces);
        let refs: SmallVec<[&Bytes; 8]> = pieces.iter().collect();
        // Whoever follows ids wants no hole.
        match std::mem::take(&mut self.reliable) {
            true => self.fanout.send_all(self.id, &refs),
            false => self.fanout.publish_all(self.id, &refs),
        }
    }
}

/// Whether an item follows on the one with this id. The empty one says that there was none yet: an
/// item that names none follows on it.
fn follows(entry: Option<&Entry>, prev_id: &Rc<str>) -> bool {
    match entry.and_then(|entry| entry.prev.as_ref()) {
        Some(prev) => Rc::ptr_eq(prev, prev_id) || prev == prev_id,
        None => prev_id.is_empty(),
    }
}

/// Where the client of a subscription stands in its channel.
fn standing<'f>(fanout: &'f Fanout<'_>, id: SessionId, nth: usize) -> Option<Position<'f>> {
    let seats = &*fanout.seats;
    let following = seats.subscriptions(id).get(nth)?.following.as_deref()?;
    let prev_id = following.prev_id.as_deref()?;
    Some(seats.ledger.sequencer.after(seats.channel_name(id, nth)?, prev_id, following.place))
}

/// A subscription whose client lacks what only its backend knows: that is asked.
pub fn miss(fanout: &mut Fanout<'_>, id: SessionId, nth: usize) -> Flow {
    let Some(name) = fanout.seats.channel_name(id, nth).cloned() else { return Flow::Stop };
    let Some(following) = fanout.seats.following(id, nth) else { return Flow::Stop };
    following.stance = Stance::Missed;
    following.place = None;
    let (prev_id, prefix) = (following.prev_id.clone(), following.prefix_bytes);
    fanout.seats.ledger.tally.missed += 1;
    let Some(mode) = fanout.seats.session(id).map(|session| session.mode()) else {
        return Flow::Stop;
    };
    if mode == Mode::Socket {
        if let Some(prev_id) = prev_id {
            let channel = name.as_str().get(prefix..).unwrap_or_default().into();
            fanout.effects.push_back(Effect::Missed { id, channel, prev_id });
        }
        return Flow::On;
    }
    // What came last is not forgotten for that: others who come may be behind as well, and whoever
    // was asked about is believed (see `catching::next`).
    drop_queue(fanout.seats, id);
    if want(fanout.seats, fanout.effects, id, false) {
        return Flow::On;
    }
    // Nobody can be asked: its client comes back, and says what it has.
    fanout.end_stream(id, false);
    Flow::Stop
}

/// What waits for a session whose backend is to be asked anew is dropped (specification, GRIP 3.3
/// and 5.4).
fn drop_queue(seats: &mut Seats, id: SessionId) {
    let Some(upkeep) = seats.upkeep_mut(id) else { return };
    let dropped = std::mem::take(&mut upkeep.queue).len();
    seats.ledger.tally.dropped_queue += dropped as u64;
}

/// Has the backend of a long-poll or of a stream with a next link asked. Whether it has one.
pub fn want(seats: &mut Seats, effects: &mut VecDeque<Effect>, id: SessionId, soon: bool) -> bool {
    let linked = seats.upkeep(id).is_some_and(|upkeep| upkeep.next.is_some());
    match seats.session(id).map(|session| &session.hold) {
        Some(Hold::Response { .. } | Hold::Asking { .. }) => {}
        Some(Hold::Stream { .. }) if linked => {}
        _ => return false,
    }
    let Some(upkeep) = seats.upkeep_mut(id) else { return false };
    match upkeep.update {
        Update::Idle => {
            upkeep.update = Update::Wanted;
            effects.push_back(Effect::Update { id, soon });
        }
        Update::Wanted if soon => effects.push_back(Effect::Update { id, soon }),
        Update::Wanted => {}
        Update::Asking => upkeep.again = true,
    }
    true
}

/// The session is sent what it lacks when it is its turn.
pub fn join_line(seats: &mut Seats, id: SessionId) {
    let Some(upkeep) = seats.upkeep_mut(id) else { return };
    if !std::mem::replace(&mut upkeep.in_line, true) {
        seats.ledger.line.push_back(id);
    }
}
