//! What is published on its way through a registry: taken in, in the order of its ids, and
//! delivered a slice at a time, within the rate that is allowed.

use std::sync::Arc;

use super::broadcast;
use super::catching;
use super::fanout::{Fanout, Outlet, Receipt, Receivers};
use super::intake::Intake;
use super::limiter::Limiter;
use super::registry::Registry;
use super::sequence::Arrival;
use crate::clock::Tick;
use crate::grip::item::Item;

impl Registry {
    /// Takes items in for all who are subscribed here now, in the order of their ids; `deliver`
    /// sends them. What is counted are the matches, and what cannot be sent at all. With
    /// `receipts`, one is added for each item.
    pub fn publish(
        &mut self,
        items: &[Arc<Item>],
        now: Tick,
        mut receipts: Option<&mut Vec<Receipt>>,
    ) -> Receivers {
        self.heard(now);
        let mut receivers = Receivers::default();
        for item in items {
            let subscribed = self.seats.channel(&item.channel).is_some();
            let released = &mut self.released;
            let mut release = |entry| released.push(entry);
            let sequencer = &mut self.seats.ledger.sequencer;
            let arrival = sequencer.arrive(item, subscribed, now, &mut release);
            let own = self.put_down(Some(item), &mut receivers);
            if let Some(receipts) = &mut receipts {
                let waiting = arrival == Arrival::Waiting;
                let dropped = matches!(arrival, Arrival::Dropped(_));
                receipts.push(Receipt { waiting, dropped, ..own });
            }
        }
        receivers
    }

    /// Puts what was released down beside its subscribers; what came of `item` among it.
    pub(super) fn put_down(
        &mut self,
        item: Option<&Arc<Item>>,
        receivers: &mut Receivers,
    ) -> Receipt {
        let mut own = Receipt::default();
        let Registry { seats, broadcasts, message_block_bytes, released, .. } = self;
        let mut intake = Intake { seats, broadcasts, block_bytes: *message_block_bytes };
        for entry in released.drain(..) {
            let is_own = item.is_some_and(|item| Arc::ptr_eq(item, &entry.item));
            let receipt = intake.put(entry);
            receivers.matched += receipt.matched;
            receivers.refused += receipt.refused;
            if is_own {
                own = receipt;
            }
        }
        own
    }

    /// Sends what waits to at most [`Settings::slice`](super::settings::Settings::slice)
    /// subscribers. What is counted are deliveries; [`Registry::is_delivering`] says whether more
    /// waits.
    pub fn deliver(&mut self, now: Tick, outlet: &mut dyn Outlet) -> Receivers {
        let allowance = self.limiter.as_mut().map(|limiter| limiter.allowance(now));
        let slice = self.slice.min(allowance.unwrap_or(usize::MAX));
        let Registry { seats, effects, broadcasts, replays, .. } = self;
        let receivers = Receivers::default();
        let mut fanout = Fanout { seats, outlet, effects, receivers, cost: 0 };
        broadcast::slice(&mut fanout, broadcasts, slice, now);
        if !fanout.seats.ledger.line.is_empty() {
            catching::serve(&mut fanout, replays, slice, now);
        }
        let (receivers, cost) = (fanout.receivers, fanout.cost);
        if let Some(limiter) = &mut self.limiter {
            limiter.spend(cost);
        }
        receivers
    }

    /// Whether anything waits to be delivered and may be now.
    #[must_use]
    pub fn is_delivering(&self) -> bool {
        self.is_waiting() && self.next_turn().is_none()
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.broadcasts.is_empty() || !self.seats.ledger.line.is_empty()
    }

    /// When the rate allows more deliveries, if it does not now.
    pub(super) fn next_turn(&self) -> Option<Tick> {
        self.limiter.as_ref().and_then(Limiter::next_turn)
    }

    /// Whether more may be published now: otherwise it is to be kept back until more has been
    /// delivered.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let (items, bytes) = self.broadcasts.backlog.waiting();
        items < self.waiting_items_max
            && bytes < self.waiting_bytes_max
            && self.message_hwm.is_none_or(|hwm| self.broadcasts.cost(&self.seats) < hwm as u64)
    }
}
