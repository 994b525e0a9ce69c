//! Channel names to vectors of subscribers.
//!
//! A name is looked up by the hash that it carries and stands for a dense index from then on. A
//! channel has one vector a mode; whoever is in it knows its place there, so that leaving is one
//! `swap_remove`. Beside it is kept what still waits to be delivered to it. A channel without
//! subscribers is freed. Used by `seats`, which keeps both sides of each subscription in step.

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::following::Following;
use super::slab::SessionId;
use super::waiting::{Parcel, Waiting};
use crate::grip::channel::ChannelName;
use crate::session::Mode;

/// A session in a channel's vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// Who.
    pub id: SessionId,
    /// Which of the session's subscriptions this is, and the marks of the session.
    nth: u32,
    /// The number of the last item of the list that it has, or that came before it.
    pub upto: u32,
}

/// What is to be known of a session before one looks at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Items must be looked at one by one for it: it follows ids, has filters or a next link.
    pub special: bool,
    /// It gets what is published in a form of its own (`session::socket::Form`).
    pub formed: bool,
}

/// The bit of a subscriber's `nth` that says that its session is special.
const SPECIAL: u32 = 1 << 31;
/// The bit that says that it has a form of its own.
const FORMED: u32 = 1 << 30;

impl Subscriber {
    fn new(id: SessionId, nth: u32, marks: Marks, upto: u32) -> Subscriber {
        let special = if marks.special { SPECIAL } else { 0 };
        let formed = if marks.formed { FORMED } else { 0 };
        Subscriber { id, nth: nth | special | formed, upto }
    }

    /// Which of the session's subscriptions this is.
    #[must_use]
    pub fn nth(&self) -> u32 {
        self.nth & !(SPECIAL | FORMED)
    }

    /// What is to be known of its session.
    #[must_use]
    pub fn marks(&self) -> Marks {
        Marks { special: self.is_special(), formed: self.nth & FORMED != 0 }
    }

    /// Whether its session has no marks: the usual case.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        self.nth & (SPECIAL | FORMED) == 0
    }

    /// Whether items must be looked at one by one for this session: it follows ids, has filters or
    /// a next link. Others are sent the same bytes without a look.
    #[must_use]
    pub fn is_special(&self) -> bool {
        self.nth & SPECIAL != 0
    }
}

/// The other side: a channel in a session's list.
#[derive(Debug)]
pub struct Subscription {
    /// The channel.
    pub channel: ChannelIndex,
    /// The session's place in the channel's vector, and whether the subscription is implicit.
    place: u32,
    /// What only some subscriptions have.
    pub following: Option<Box<Following>>,
}

/// The bit of a subscription's `place` that says that it is implicit. Like the one above it keeps a
/// struct small of which there is one for every client.
const IMPLICIT: u32 = 1 << 31;

impl Subscription {
    /// A subscription at a place.
    #[must_use]
    pub fn new(channel: ChannelIndex, place: u32, implicit: bool) -> Subscription {
        let place = place | if implicit { IMPLICIT } else { 0 };
        Subscription { channel, place, following: None }
    }

    /// The session's place in the channel's vector.
    #[must_use]
    pub fn place(&self) -> u32 {
        self.place & !IMPLICIT
    }

    /// It has moved there.
    pub fn set_place(&mut self, place: u32) {
        self.place = place | (self.place & IMPLICIT);
    }

    /// Made by a target's `sub=`: neither counted nor removable.
    #[must_use]
    pub fn is_implicit(&self) -> bool {
        self.place & IMPLICIT != 0
    }

    /// It is implicit from now on.
    pub fn make_implicit(&mut self) {
        self.place |= IMPLICIT;
    }
}

/// A channel that has subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelIndex(u32);

/// The smallest vector that is made smaller when most have left it.
const SHRINK_FROM: usize = 64;

/// The subscribers of one channel in one mode.
#[derive(Default)]
struct List {
    subscribers: SmallVec<[Subscriber; 1]>,
    /// How many of them are special.
    specials: u32,
    /// How many items there were for this list; wraps.
    items: u32,
    waiting: Option<Box<Waiting>>,
}

struct Channel {
    name: Option<ChannelName>,
    lists: [List; 3],
}

/// All channels that have subscribers.
#[derive(Default)]
pub struct Channels {
    by_name: HashTable<u32>,
    channels: Vec<Channel>,
    free: Vec<u32>,
}

impl Channels {
    /// How many channels have subscribers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The channel of a name, if it has subscribers.
    #[must_use]
    pub fn find(&self, name: &ChannelName) -> Option<ChannelIndex> {
        let is_it = |&index: &u32| self.name(index) == Some(name);
        self.by_name.find(name.hash_value(), is_it).map(|&index| ChannelIndex(index))
    }

    /// The subscribers of one mode.
    #[must_use]
    pub fn list(&self, channel: ChannelIndex, mode: Mode) -> &[Subscriber] {
        let channel = self.channels.get(channel.0 as usize);
        channel.map_or(&[], |channel| &channel.lists[mode as usize].subscribers)
    }

    /// Adds a subscription (the `nth` of its session) to the channel of a name; which channel, and
    /// at which place. It is for what is published from now on.
    pub fn join(
        &mut self,
        name: &ChannelName,
        mode: Mode,
        (id, nth, marks): (SessionId, u32, Marks),
    ) -> (ChannelIndex, u32) {
        let channel = self.find(name).unwrap_or_else(|| self.insert(name));
        let list = &mut self.channels[channel.0 as usize].lists[mode as usize];
        let place = list.subscribers.len() as u32; // fewer than 2^32: one a session
        list.specials += u32::from(marks.special);
        list.subscribers.push(Subscriber::new(id, nth, marks, list.items));
        (channel, place)
    }

    /// Removes the subscriber at `place`. Returns the one that has taken the place over, if any.
    pub fn leave(&mut self, channel: ChannelIndex, mode: Mode, place: u32) -> Option<Subscriber> {
        let known = self.channels.get_mut(channel.0 as usize)?;
        let list = &mut known.lists[mode as usize];
        let subscribers = &mut list.subscribers;
        if place as usize >= subscribers.len() {
            return None;
        }
        let left = subscribers.swap_remove(place as usize);
        list.specials -= u32::from(left.is_special());
        let moved = subscribers.get(place as usize).copied();
        if subscribers.capacity() >= SHRINK_FROM && subscribers.len() <= subscribers.capacity() / 4
        {
            subscribers.shrink_to_fit();
        }
        if subscribers.is_empty() {
            list.waiting = None;
        }
        if known.lists.iter().all(|list| list.subscribers.is_empty()) {
            self.remove(channel.0);
        }
        moved
    }

    fn subscriber(
        &mut self,
        channel: ChannelIndex,
        mode: Mode,
        place: u32,
    ) -> Option<&mut Subscriber> {
        let list = &mut self.channels.get_mut(channel.0 as usize)?.lists[mode as usize];
        list.subscribers.get_mut(place as usize)
    }

    /// Notes that a subscriber's subscription is now the `nth` of its session.
    pub fn renumber(&mut self, channel: ChannelIndex, mode: Mode, place: u32, nth: u32) {
        if let Some(subscriber) = self.subscriber(channel, mode, place) {
            *subscriber = Subscriber::new(subscriber.id, nth, subscriber.marks(), subscriber.upto);
        }
    }

    /// From now on items are looked at for this subscriber.
    pub fn make_special(&mut self, channel: ChannelIndex, mode: Mode, place: u32) {
        let Some(known) = self.channels.get_mut(channel.0 as usize) else { return };
        let list = &mut known.lists[mode as usize];
        let Some(subscriber) = list.subscribers.get_mut(place as usize) else { return };
        list.specials += u32::from(!subscriber.is_special());
        subscriber.nth |= SPECIAL;
    }

    /// How many subscriptions a channel has, over all modes.
    #[must_use]
    pub fn subscribers_of(&self, channel: ChannelIndex) -> usize {
        let channel = self.channels.get(channel.0 as usize);
        channel.map_or(0, |channel| channel.lists.iter().map(|list| list.subscribers.len()).sum())
    }

    /// How many special subscribers a list has.
    #[must_use]
    pub fn specials(&self, channel: ChannelIndex, mode: Mode) -> u32 {
        let channel = self.channels.get(channel.0 as usize);
        channel.map_or(0, |channel| channel.lists[mode as usize].specials)
    }

    /// Notes that a subscriber has all items up to this one. Up to which it had them before.
    pub fn note(
        &mut self,
        channel: ChannelIndex,
        mode: Mode,
        place: u32,
        upto: u32,
    ) -> Option<Subscriber> {
        let subscriber = self.subscriber(channel, mode, place)?;
        let before = *subscriber;
        subscriber.upto = upto;
        Some(before)
    }

    /// Lets an item wait that `parcel` makes of its number in the list. Whether it is the first.
    pub fn wait(
        &mut self,
        channel: ChannelIndex,
        mode: Mode,
        parcel: impl FnOnce(u32) -> Parcel,
    ) -> bool {
        let Some(channel) = self.channels.get_mut(channel.0 as usize) else { return false };
        let list = &mut channel.lists[mode as usize];
        list.items = list.items.wrapping_add(1);
        let parcel = parcel(list.items);
        if let Some(waiting) = &mut list.waiting {
            waiting.push(parcel);
            return false;
        }
        list.waiting = Some(Box::new(Waiting::new(parcel, list.subscribers.len())));
        true
    }

    /// What waits for a list.
    #[must_use]
    pub fn waiting(&self, channel: ChannelIndex, mode: Mode) -> Option<&Waiting> {
        self.channels.get(channel.0 as usize)?.lists[mode as usize].waiting.as_deref()
    }

    /// What waits for a list, and up to which item the subscriber at `place` has it.
    pub fn waiting_for(
        &mut self,
        channel: ChannelIndex,
        mode: Mode,
        place: u32,
    ) -> Option<(u32, &mut Waiting)> {
        let list = &mut self.channels.get_mut(channel.0 as usize)?.lists[mode as usize];
        let upto = list.subscribers.get(place as usize)?.upto;
        Some((upto, list.waiting.as_deref_mut()?))
    }

    /// Takes out what waits for a list, so that the list may change meanwhile.
    pub fn take_waiting(&mut self, channel: ChannelIndex, mode: Mode) -> Option<Box<Waiting>> {
        self.channels.get_mut(channel.0 as usize)?.lists[mode as usize].waiting.take()
    }

    /// Puts it back. Nobody may have joined meanwhile; if all have left it goes.
    pub fn put_waiting(&mut self, channel: ChannelIndex, mode: Mode, waiting: Box<Waiting>) {
        let Some(channel) = self.channels.get_mut(channel.0 as usize) else { return };
        let list = &mut channel.lists[mode as usize];
        if !list.subscribers.is_empty() {
            list.waiting = Some(waiting);
        }
    }

    /// How many subscriptions there are, over all channels.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        let lists = self.channels.iter().flat_map(|channel| &channel.lists);
        lists.map(|list| list.subscribers.len()).sum()
    }

    /// The name of a channel.
    #[must_use]
    pub fn name_of(&self, channel: ChannelIndex) -> Option<&ChannelName> {
        self.name(channel.0)
    }

    fn name(&self, index: u32) -> Option<&ChannelName> {
        self.channels.get(index as usize)?.name.as_ref()
    }

    fn insert(&mut self, name: &ChannelName) -> ChannelIndex {
        let channel = Channel { name: Some(name.clone()), lists: Default::default() };
        let index = if let Some(index) = self.free.pop() {
            self.channels[index as usize] = channel;
            index
        } else {
            self.channels.push(channel);
            self.channels.len() as u32 - 1 // fewer than 2^32: each needs a subscriber
        };
        let channels = &self.channels;
        self.by_name.insert_unique(name.hash_value(), index, |&index| {
            channels[index as usize].name.as_ref().map_or(0, ChannelName::hash_value)
        });
        ChannelIndex(index)
    }

    fn remove(&mut self, index: u32) {
        let channel = &mut self.channels[index as usize];
        channel.lists = Default::default();
        let Some(name) = channel.name.take() else { return };
        if let Ok(entry) = self.by_name.find_entry(name.hash_value(), |&known| known == index) {
            entry.remove();
        }
        self.free.push(index);
        if self.is_empty() {
            // A quiet shard keeps no memory for the channels that it once had.
            *self = Channels::default();
        }
    }
}

#[cfg(test)]
mod tests;
