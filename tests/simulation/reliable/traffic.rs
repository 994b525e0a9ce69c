//! What is published, how it arrives, how time passes; and the end of each history, where all has
//! to come right.

use linchpin::grip::format::Action;
use linchpin::grip::item::Item;
use std::sync::Arc;

use super::people::{Kind, Seen};
use super::reached::REACHED;
use super::wire::{item, next_item};
use super::{CHANNELS, WILD, What, World};

/// In so many rounds all must have come right.
const ROUNDS_MAX: usize = 40;
/// In so many of them there still is something new.
const ROUNDS_NEW: usize = 2;

impl World {
    pub fn publish(&mut self) {
        let channel = self.rng.u8(0..WILD);
        for _ in 0..self.rng.u8(1..4) {
            let number = &mut self.history[usize::from(channel)];
            *number += 1;
            self.flight.push((channel, *number));
        }
    }

    /// Some of what is on its way arrives, usually in order.
    pub fn arrive(&mut self) {
        let mut items = Vec::new();
        for _ in 0..self.rng.usize(1..4) {
            if self.flight.is_empty() {
                break;
            }
            let any = self.rng.u8(0..if self.lossy { 5 } else { 20 }) == 0;
            let at = if any { self.rng.usize(0..self.flight.len()) } else { 0 };
            items.push(next_item(self.flight.remove(at)));
        }
        self.hand_in(&items);
    }

    fn hand_in(&mut self, items: &[Arc<Item>]) {
        self.arrived += items.len() as u64;
        self.registry.publish(items, self.now, None);
    }

    pub fn lose(&mut self) {
        if !self.flight.is_empty() {
            let at = self.rng.usize(0..self.flight.len());
            self.flight.remove(at);
        }
    }

    /// An item of the past comes (again).
    pub fn arrive_again(&mut self) {
        let channel = self.rng.u8(0..WILD);
        let last = self.history[usize::from(channel)];
        if last > 0 {
            let number = last - self.rng.u32(0..last.min(8));
            self.hand_in(&[next_item((channel, number))]);
        }
    }

    /// A publisher that makes mistakes: any ids, or none.
    pub fn wild(&mut self) {
        let items: Vec<_> = (0..self.rng.u8(1..5))
            .map(|_| {
                let number = &mut self.history[usize::from(WILD)];
                *number += 1;
                let number = *number;
                let mut id = || (self.rng.u8(0..4) != 0).then(|| self.rng.u8(0..6).to_string());
                let ids = [id(), id()];
                item((WILD, number), ids, self.rng.u8(0..8) == 0)
            })
            .collect();
        self.hand_in(&items);
    }

    /// Backends are to be asked, whatever there is.
    pub fn hint(&mut self) {
        let channel = self.rng.u8(0..CHANNELS as u8);
        let mut hint = (*item((channel, 0), [None, None], false)).clone();
        hint.http_response = Some(Action::Hint);
        hint.http_stream = Some(Action::Hint);
        hint.ws_message = None;
        self.registry.publish(&[Arc::new(hint)], self.now, None);
    }

    pub fn deliver(&mut self) {
        self.registry.deliver(self.now, &mut self.pipes);
    }

    pub fn deliver_all(&mut self) {
        while self.registry.is_delivering() {
            self.deliver();
        }
        self.hand_over();
    }

    pub fn time_moves(&mut self) {
        let ms = self.rng.u64(0..20_000) >> self.rng.u8(0..8);
        self.pass(ms);
    }

    /// Time passes, from one due moment to the next.
    fn pass(&mut self, ms: u64) {
        let target = self.now.plus_ms(ms);
        loop {
            let next = self.registry.next_deadline().filter(|&next| next <= target);
            self.now = next.unwrap_or(target).max(self.now);
            self.registry.tick(self.now, &mut self.pipes);
            self.look_around();
            if next.is_none() {
                return;
            }
        }
    }

    /// No more mistakes: what is on its way arrives or is lost, backends answer, clients read and
    /// come back. All who follow ids must then have all.
    pub fn finale(&mut self) {
        while !self.flight.is_empty() {
            if self.rng.bool() {
                self.arrive()
            } else {
                self.lose()
            }
            self.look_around();
        }
        self.hang_up_the_gone();
        for round in 0..ROUNDS_MAX {
            if round < ROUNDS_NEW {
                for channel in 0..WILD {
                    let number = &mut self.history[usize::from(channel)];
                    *number += 1;
                    let next = next_item((channel, *number));
                    self.hand_in(&[next]);
                }
            }
            self.round();
            let all = self.clients.iter().all(|client| {
                let has = |&channel: &u8| {
                    client.got[usize::from(channel)] == Some(self.history[usize::from(channel)])
                };
                !client.reliable || client.channels.iter().all(has)
            });
            if all && round >= ROUNDS_NEW {
                return self.accounts();
            }
        }
        let lacking: Vec<_> = self.clients.iter().filter(|client| client.reliable).collect();
        panic!("not all have all of {:?}: {lacking:?}", self.history);
    }

    fn round(&mut self) {
        for at in 0..self.clients.len() {
            if self.clients[at].session.is_none() && !self.clients[at].asking {
                self.clients[at].asking = true;
                self.ask(at, What::Come);
            }
        }
        for _ in 0..200 {
            self.get_on(true);
            self.look_around();
            if self.requests.is_empty() {
                break;
            }
        }
        self.deliver_all();
        for at in 0..self.clients.len() {
            if let Some(id) = self.clients[at].session
                && self.pipes.read(id, usize::MAX)
            {
                self.registry.drained(id);
            }
        }
        self.deliver_all();
        self.look_around();
        self.pass(7000);
        self.deliver_all();
        self.look_around();
        self.registry.verify();
    }

    /// Every item that arrived was released to all alike, or was counted.
    fn accounts(&mut self) {
        let mut lost = 0;
        for client in &self.clients {
            let whole = client.session.is_some() && client.kind != Kind::Poll;
            lost += client.seen.iter().map(|seen| self.compare(seen, whole)).sum::<u64>();
        }
        lost += self.over.iter().map(|seen| self.compare(seen, false)).sum::<u64>();
        // What waits for a stream is lost when its backend is to be asked anew.
        assert!(lost <= self.registry.tally().dropped_queue);
        let (counters, load) = self.registry.order();
        let dropped = counters.dropped_duplicate_prev
            + counters.dropped_pending_full
            + counters.dropped_pending_bytes;
        let waiting = counters.discarded + load.pending as u64;
        if !self.observers.is_empty() {
            let observed: usize = self.observed.iter().map(Vec::len).sum();
            assert_eq!(self.arrived, observed as u64 + dropped + waiting, "{counters:?}");
        }
        let tally = self.registry.tally();
        REACHED.add(&[
            tally.from_ring,
            tally.missed,
            tally.dropped_queue,
            counters.held_back,
            counters.released_late,
            counters.discarded,
            dropped,
            counters.ring_evicted,
            counters.ring_expired,
            self.observed.iter().map(|seen| seen.len() as u64).sum(),
            tally.deflated,
        ]);
        for at in 0..self.clients.len() {
            self.hang_up(at);
        }
        assert!(self.told.is_empty(), "ends that were not told");
        for id in std::mem::take(&mut self.observers) {
            self.registry.close(id);
            self.pipes.remove(id);
        }
        self.take_effects();
        self.registry.verify();
        assert!(self.registry.is_empty());
        assert_eq!(self.registry.load(), (0, 0));
    }

    /// How many items a client has not got which all got.
    fn compare(&self, seen: &(u8, Seen), whole: bool) -> u64 {
        if self.observers.is_empty() {
            return 0;
        }
        let (channel, Seen { from, numbers }) = seen;
        let all = &self.observed[usize::from(*channel)][*from..];
        let mut rest = all.iter();
        let mut lost = 0;
        for number in numbers {
            let skipped = rest.by_ref().position(|known| known == number);
            lost += skipped.unwrap_or_else(|| panic!("{channel}: {seen:?} of {all:?}"));
        }
        (lost + if whole { rest.count() } else { 0 }) as u64
    }
}
