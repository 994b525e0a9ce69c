//! The same rules, kept as simply as can be: vectors, searched from end to end for everything.

use std::collections::BTreeMap;

use super::super::ring::CHAINS_MAX;
use super::{Arrival, Counters, Load, Settings, Why};

/// An item: its channel, its ids, its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    pub channel: u8,
    pub id: Option<u8>,
    pub prev: Option<u8>,
    pub no_seq: bool,
    pub bytes: usize,
}

/// Where a reader stands; what comes next, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    Newest,
    Next(Option<u8>),
    Unknown,
    Missed,
}

#[derive(Clone, Debug)]
struct Row {
    thing: Thing,
    at: u64,
    number: u64,
}

#[derive(Clone, Debug, Default)]
struct Channel {
    last: Option<u8>,
    waiting: Vec<Row>,
    chains: Vec<Vec<Row>>,
    /// When an item without an id came, and its number.
    interruption: Option<(u64, u64)>,
    tracked: u32,
    subscribed: bool,
    linger: Option<u64>,
    forgotten: bool,
    torn: bool,
    used: u64,
}

impl Channel {
    fn kept(&self) -> usize {
        self.chains.iter().map(Vec::len).sum()
    }

    fn bytes(&self) -> usize {
        self.chains.iter().flatten().map(|row| row.thing.bytes).sum()
    }

    fn clear(&mut self) -> u64 {
        self.interruption = None;
        let kept = self.kept() as u64;
        self.chains.clear();
        self.torn = false;
        kept
    }

    fn is_blank(&self) -> bool {
        self.last.is_none()
            && self.waiting.is_empty()
            && self.chains.is_empty()
            && self.interruption.is_none()
            && self.tracked == 0
            && self.linger.is_none()
    }

    /// Drops the first rows of a chain. With the end of a chain that came at `settled` or later
    /// goes the knowledge what is last.
    fn drop_first(&mut self, nth: usize, rows: usize, settled: u64) {
        let end = self.chains[nth].drain(..rows).next_back().unwrap();
        if self.chains[nth].is_empty() {
            self.chains.remove(nth);
            self.torn = (self.torn || end.at >= settled) && !self.chains.is_empty();
        }
    }

    /// The chain with the row of this number, and its place in it.
    fn place(&self, number: u64) -> Option<(usize, usize)> {
        let find = |(nth, chain): (usize, &Vec<Row>)| {
            chain.iter().position(|row| row.number == number).map(|at| (nth, at))
        };
        self.chains.iter().enumerate().find_map(find)
    }
}

pub struct Naive {
    settings: Settings,
    channels: BTreeMap<u8, Channel>,
    numbers: u64,
    pub counters: Counters,
    pub released: Vec<Thing>,
}

impl Naive {
    pub fn new(settings: Settings) -> Naive {
        let (channels, released) = (BTreeMap::new(), Vec::new());
        Naive { settings, channels, numbers: 0, counters: Counters::default(), released }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn channel(&mut self, name: u8, subscribed: bool) -> &mut Channel {
        if !self.channels.contains_key(&name) {
            if self.channels.len() >= self.settings.channels_max {
                self.counters.channels_evicted += 1;
                let oldest = self.channels.iter().min_by_key(|(_, channel)| channel.used);
                let oldest = *oldest.unwrap().0;
                let used = self.number();
                let channel = self.channels.get_mut(&oldest).unwrap();
                self.counters.ring_evicted += channel.clear();
                self.counters.discarded += channel.waiting.len() as u64;
                let (tracked, forgotten) = (channel.tracked, channel.forgotten);
                let subscribed = channel.subscribed;
                *channel = Channel { tracked, subscribed, forgotten, used, ..Channel::default() };
                self.prune();
            }
            let used = self.number();
            self.channels.insert(name, Channel { used, subscribed, ..Channel::default() });
        }
        self.channels.get_mut(&name).unwrap()
    }

    fn prune(&mut self) {
        self.channels.retain(|_, channel| !channel.is_blank());
    }

    pub fn arrive(&mut self, thing: &Thing, subscribed: bool, now: u64) -> Arrival {
        let name = thing.channel;
        let notes =
            thing.id.is_some() && !thing.no_seq && (subscribed || self.settings.ring_items_max > 0);
        if !self.channels.contains_key(&name) && !notes {
            self.released.push(thing.clone());
            return Arrival::Released;
        }
        let channel = self.channel(name, subscribed);
        channel.subscribed = subscribed;
        let active = subscribed || channel.linger.is_some();
        if thing.no_seq {
            self.released.push(thing.clone());
            return Arrival::Released;
        }
        let differs = channel.last.is_some() && thing.prev.is_some() && channel.last != thing.prev;
        if active && differs {
            return self.hold_back(thing, now);
        }
        self.release(thing.clone(), active, now);
        self.prune();
        Arrival::Released
    }

    fn hold_back(&mut self, thing: &Thing, now: u64) -> Arrival {
        let number = self.number();
        let all = self.channels.values().flat_map(|channel| &channel.waiting);
        let bytes: usize = all.map(|row| row.thing.bytes).sum();
        let channel = self.channels.get_mut(&thing.channel).unwrap();
        channel.used = number;
        if channel.waiting.iter().any(|row| row.thing.prev == thing.prev) {
            self.counters.dropped_duplicate_prev += 1;
            return Arrival::Dropped(Why::DuplicatePrev);
        }
        if channel.waiting.len() >= self.settings.pending_max {
            self.counters.dropped_pending_full += 1;
            return Arrival::Dropped(Why::PendingFull);
        }
        if bytes + thing.bytes > self.settings.pending_total_bytes_max {
            self.counters.dropped_pending_bytes += 1;
            return Arrival::Dropped(Why::PendingBytes);
        }
        channel.waiting.push(Row { thing: thing.clone(), at: now, number });
        self.counters.held_back += 1;
        Arrival::Waiting
    }

    fn release(&mut self, thing: Thing, active: bool, now: u64) {
        self.released.push(thing.clone());
        let number = self.number();
        let channel = self.channels.get_mut(&thing.channel).unwrap();
        channel.used = number;
        let noted =
            channel.last.is_some() || !channel.chains.is_empty() || channel.interruption.is_some();
        if active {
            channel.last = thing.id;
            channel.torn = false;
        }
        let off = self.settings.ring_items_max == 0;
        let tracked = off && channel.tracked > 0;
        let room = if tracked { self.settings.pending_max } else { self.settings.ring_items_max };
        if room > 0 && thing.id.is_some() {
            self.keep(Row { thing: thing.clone(), at: now, number }, room);
        } else if room > 0 && noted && channel.interruption.is_none() {
            self.counters.ring_cleared += channel.clear();
            channel.interruption = Some((now, number));
        }
        let Some(channel) = self.channels.get_mut(&thing.channel) else { return };
        if active && thing.id.is_some() {
            let next = channel.waiting.iter().position(|row| row.thing.prev == thing.id);
            if let Some(next) = next {
                let next = channel.waiting.remove(next);
                self.release(next.thing, active, now);
            }
        }
    }

    fn keep(&mut self, row: Row, room: usize) {
        let (id, prev, now) = (row.thing.id, row.thing.prev, row.at);
        let settled = now.saturating_sub(self.settings.message_wait_ms);
        let channel = self.channels.get_mut(&row.thing.channel).unwrap();
        channel.interruption = None;
        channel.forgotten = false;
        if prev.is_none() {
            self.counters.ring_cleared += channel.clear();
        }
        let chains = &mut channel.chains;
        let ends = |chain: &Vec<Row>| prev.is_some() && chain.last().unwrap().thing.id == prev;
        let onto = chains.iter().rposition(ends).unwrap_or_else(|| {
            chains.push(Vec::new());
            chains.len() - 1
        });
        chains[onto].push(row);
        let starts = |(nth, chain): (usize, &Vec<Row>)| nth != onto && chain[0].thing.prev == id;
        let follower = chains.iter().enumerate().position(starts);
        if let Some(follower) = follower {
            let rows = std::mem::take(&mut chains[follower]);
            chains[onto].extend(rows);
            chains.remove(follower);
        }
        while channel.kept() > room || channel.bytes() > self.settings.ring_bytes_max {
            let chains = channel.chains.iter().enumerate();
            let oldest = chains.min_by_key(|(_, chain)| chain[0].number).unwrap().0;
            channel.drop_first(oldest, 1, settled);
            self.counters.ring_evicted += 1;
        }
        if channel.chains.len() > CHAINS_MAX {
            let rows = channel.chains[0].len();
            channel.drop_first(0, rows, settled);
            self.counters.ring_evicted += rows as u64;
        }
        while self.load().kept_bytes > self.settings.ring_total_bytes_max {
            let (dropped, _) = self.drop_oldest(now);
            self.counters.ring_evicted += dropped;
        }
    }

    /// The row or interruption that has been kept longest: channel, number, since when.
    fn oldest(&self) -> Option<(u8, u64, u64)> {
        let rows = self.channels.iter().flat_map(|(&name, channel)| {
            let rows = channel.chains.iter().flatten().map(|row| (row.number, row.at));
            let rows = rows.chain(channel.interruption.map(|(at, number)| (number, at)));
            rows.map(move |(number, at)| (name, number, at))
        });
        rows.min_by_key(|&(_, number, _)| number)
    }

    fn drop_oldest(&mut self, now: u64) -> (u64, u64) {
        let (name, number, at) = self.oldest().unwrap();
        let channel = self.channels.get_mut(&name).unwrap();
        let dropped = match channel.place(number) {
            Some((nth, upto)) => {
                let settled = now.saturating_sub(self.settings.message_wait_ms);
                channel.drop_first(nth, upto + 1, settled);
                upto as u64 + 1
            }
            None => {
                channel.interruption = None;
                0
            }
        };
        self.prune();
        (dropped, at)
    }

    pub fn tick(&mut self, now: u64) {
        loop {
            let waiting = self.channels.values().filter_map(|channel| channel.waiting.first());
            let first = waiting.min_by_key(|row| row.number);
            let Some(row) = first.filter(|row| row.at + self.settings.message_wait_ms <= now)
            else {
                break;
            };
            let row = row.clone();
            self.channels.get_mut(&row.thing.channel).unwrap().waiting.remove(0);
            self.counters.released_late += 1;
            self.release(row.thing, true, now);
            self.prune();
        }
        for channel in self.channels.values_mut() {
            if channel.linger.is_some_and(|until| until <= now) {
                channel.linger = None;
                if !channel.subscribed {
                    channel.last = None;
                    self.counters.discarded += channel.waiting.drain(..).count() as u64;
                }
            }
        }
        self.prune();
        let age = self.settings.ring_age_ms;
        while self.settings.ring_items_max > 0
            && self.oldest().is_some_and(|(.., at)| at + age <= now)
        {
            self.counters.ring_expired += self.drop_oldest(now).0;
        }
    }

    pub fn joined(&mut self, name: u8, tracked: bool, first: bool) -> bool {
        if !self.channels.contains_key(&name) && !tracked {
            return first;
        }
        let channel = self.channel(name, true);
        channel.subscribed = true;
        channel.tracked += u32::from(tracked);
        first && channel.linger.is_none()
    }

    pub fn left(&mut self, name: u8, tracked: bool, last: bool, linger: bool, now: u64) {
        if !self.channels.contains_key(&name) && !linger {
            return;
        }
        let (off, ms) = (self.settings.ring_items_max == 0, self.settings.linger_ms);
        let channel = self.channel(name, !last);
        channel.subscribed = !last;
        channel.tracked -= u32::from(tracked);
        let cleared = if tracked && off && channel.tracked == 0 { channel.clear() } else { 0 };
        let mut discarded = 0;
        if linger {
            channel.linger = Some(now + ms);
        } else if last && channel.linger.is_none() {
            channel.last = None;
            discarded = channel.waiting.drain(..).count() as u64;
        }
        self.counters.ring_cleared += cleared;
        self.counters.discarded += discarded;
        self.prune();
    }

    pub fn forget(&mut self, name: u8) {
        if let Some(channel) = self.channels.get_mut(&name) {
            channel.last = None;
            channel.forgotten = true;
        }
        self.prune();
    }

    pub fn last(&self, name: u8) -> Option<u8> {
        self.channels.get(&name)?.last
    }

    pub fn after(&self, name: u8, prev: u8) -> Stand {
        let Some(channel) = self.channels.get(&name) else { return Stand::Unknown };
        let has = |row: &Row| row.thing.id == Some(prev);
        for chain in channel.chains.iter().rev() {
            if let Some(at) = chain.iter().rposition(has) {
                if let Some(next) = chain.get(at + 1) {
                    return Stand::Next(next.thing.id);
                }
                if channel.chains.len() == 1 && !channel.torn {
                    return Stand::Newest;
                }
                return self.elsewhere(channel, prev);
            }
        }
        let first = channel.chains.iter().find(|chain| chain[0].thing.prev == Some(prev));
        first.map_or_else(|| self.elsewhere(channel, prev), |chain| Stand::Next(chain[0].thing.id))
    }

    fn elsewhere(&self, channel: &Channel, prev: u8) -> Stand {
        let nothing =
            channel.last.is_none() && channel.chains.is_empty() && channel.interruption.is_none();
        match channel.last == Some(prev) {
            true => Stand::Newest,
            false if channel.forgotten || nothing => Stand::Unknown,
            false => Stand::Missed,
        }
    }

    pub fn load(&self) -> Load {
        let waiting = || self.channels.values().flat_map(|channel| &channel.waiting);
        let interruptions =
            self.channels.values().filter(|channel| channel.interruption.is_some()).count();
        Load {
            channels: self.channels.len(),
            pending: waiting().count(),
            pending_bytes: waiting().map(|row| row.thing.bytes).sum(),
            kept: self.channels.values().map(Channel::kept).sum::<usize>() + interruptions,
            kept_bytes: self.channels.values().map(Channel::bytes).sum(),
        }
    }
}
