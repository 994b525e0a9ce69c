//! Which holds' backends are to be asked, in what order: sessions that want the same are one batch,
//! batches take turns by the link that they are about, urgent ones come first.
//!
//! Filled and emptied by `holds`. Pure: it knows neither requests nor time. A batch whose like is
//! under way waits until that has landed.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use hashbrown::{HashMap, HashSet};

use super::held::{Link, Repeat};
use crate::asking::errand::Home;
use crate::clock::Tick;
use crate::forward::outgoing::Last;
use crate::hub::slab::SessionId;

/// A thing that is shared among all who have the same: two are equal if they are one.
pub struct Same<T>(pub Rc<T>);

impl<T> Clone for Same<T> {
    fn clone(&self) -> Same<T> {
        Same(Rc::clone(&self.0))
    }
}

impl<T> PartialEq for Same<T> {
    fn eq(&self, other: &Same<T>) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Eq for Same<T> {}

impl<T> Hash for Same<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Rc::as_ptr(&self.0).cast::<()>().hash(state);
    }
}

/// What a backend is asked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum What {
    /// A next link. Links that differ in their queries only are one.
    Link(Same<Home>, Rc<str>),
    /// Equal requests of long-polls.
    Repeat(Same<Repeat>),
    /// The request of one long-poll.
    Alone(SessionId),
}

/// One request to a backend: all who want the same are asked for with it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Wish {
    /// What is asked.
    pub what: What,
    /// With what, sorted.
    pub lasts: Vec<Last>,
}

/// What one of them is asked with.
#[derive(Clone)]
pub enum Via {
    /// A next link.
    Link(Rc<Link>),
    /// A request.
    Repeat(Rc<Repeat>),
}

/// A session that is to be asked about.
#[derive(Clone)]
pub struct Member {
    /// Which.
    pub id: SessionId,
    /// It has been begun: nobody else asks about it.
    pub begun: bool,
    /// When it was told that there is something new, if it was.
    pub fresh: Option<Tick>,
}

/// Sessions that want the same.
pub struct Batch {
    /// What they want.
    pub wish: Wish,
    /// How the first of them would ask.
    pub via: Via,
    /// The sessions.
    pub members: Vec<Member>,
    soon: bool,
    group: u64,
}

/// Groups take turns.
#[derive(Default)]
struct Lane {
    turns: VecDeque<u64>,
    groups: HashMap<u64, VecDeque<Wish>, ahash::RandomState>,
}

impl Lane {
    fn push(&mut self, group: u64, wish: Wish) {
        let wishes = self.groups.entry(group).or_insert_with(|| {
            self.turns.push_back(group);
            VecDeque::new()
        });
        wishes.push_back(wish);
    }

    fn pop(&mut self) -> Option<Wish> {
        let group = self.turns.pop_front()?;
        let wishes = self.groups.get_mut(&group)?;
        let wish = wishes.pop_front();
        if wishes.is_empty() {
            self.groups.remove(&group);
        } else {
            self.turns.push_back(group);
        }
        wish
    }
}

/// See the module.
#[derive(Default)]
pub struct Queue {
    batches: HashMap<Wish, Batch, ahash::RandomState>,
    /// A wish may stand in both lanes, or where its batch has left: it is passed over then.
    soon: Lane,
    later: Lane,
    flying: HashSet<Wish, ahash::RandomState>,
}

impl Queue {
    /// Puts a session down. `group` is whose turn it is.
    pub fn add(&mut self, wish: Wish, via: Via, group: u64, member: Member, soon: bool) {
        let flying = self.flying.contains(&wish);
        let known = self.batches.contains_key(&wish);
        let batch = self.batches.entry(wish.clone()).or_insert_with(|| Batch {
            wish: wish.clone(),
            via,
            members: Vec::new(),
            soon: false,
            group,
        });
        batch.members.push(member);
        let raised = soon && !batch.soon;
        batch.soon |= soon;
        if !flying && (raised || !known) {
            let lane = if batch.soon { &mut self.soon } else { &mut self.later };
            lane.push(batch.group, wish);
        }
    }

    /// The next batch; from now on it is under way.
    pub fn take(&mut self) -> Option<Batch> {
        while let Some(wish) = self.soon.pop().or_else(|| self.later.pop()) {
            if self.flying.contains(&wish) {
                continue;
            }
            if let Some(batch) = self.batches.remove(&wish) {
                self.flying.insert(wish);
                return Some(batch);
            }
        }
        None
    }

    /// Those who came to want the same while it was under way.
    pub fn late(&mut self, wish: &Wish) -> Vec<Member> {
        self.batches.remove(wish).map_or_else(Vec::new, |batch| batch.members)
    }

    /// It is not under way any more.
    pub fn landed(&mut self, wish: &Wish) {
        self.flying.remove(wish);
        if let Some(batch) = self.batches.get(wish) {
            let lane = if batch.soon { &mut self.soon } else { &mut self.later };
            lane.push(batch.group, wish.clone());
        }
    }

    /// Whether something is waiting or under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.batches.is_empty() && self.flying.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u32) -> SessionId {
        SessionId { index, generation: 1 }
    }

    fn link(group: &str) -> Via {
        Via::Link(Rc::new(Link { url: group.into(), group: group.into() }))
    }

    fn wish(index: u32) -> Wish {
        Wish { what: What::Alone(id(index)), lasts: Vec::new() }
    }

    fn add(queue: &mut Queue, group: u64, number: u32, soon: bool) {
        let member = Member { id: id(number), begun: false, fresh: None };
        queue.add(wish(number), link("x"), group, member, soon);
    }

    fn order(queue: &mut Queue) -> Vec<u32> {
        let next = |queue: &mut Queue| queue.take().map(|batch| batch.members[0].id.index);
        std::iter::from_fn(|| next(queue)).collect()
    }

    #[test]
    fn groups_take_turns() {
        let mut queue = Queue::default();
        for number in 10..14 {
            add(&mut queue, 1, number, false);
        }
        add(&mut queue, 2, 20, false);
        add(&mut queue, 3, 30, true);
        assert_eq!(order(&mut queue), [30, 10, 20, 11, 12, 13]);
    }

    #[test]
    fn what_is_raised_comes_first_and_once() {
        let mut queue = Queue::default();
        for number in [1, 2, 3] {
            add(&mut queue, 1, number, false);
        }
        add(&mut queue, 1, 3, true);
        let first = queue.take().unwrap();
        assert_eq!(first.members.len(), 2);
        assert!(first.wish == wish(3));
        assert_eq!(order(&mut queue), [1, 2]);
    }

    #[test]
    fn who_wants_what_is_under_way_waits_for_the_next() {
        let mut queue = Queue::default();
        add(&mut queue, 1, 1, false);
        let flight = queue.take().unwrap();
        add(&mut queue, 1, 1, true);
        add(&mut queue, 1, 1, false);
        assert!(queue.take().is_none() && !queue.is_idle());
        queue.landed(&flight.wish);
        let second = queue.take().unwrap();
        assert_eq!(second.members.len(), 2);
        add(&mut queue, 1, 1, false);
        assert_eq!(queue.late(&second.wish).len(), 1);
        queue.landed(&second.wish);
        assert!(queue.take().is_none() && queue.is_idle());
    }

    #[test]
    fn links_that_differ_in_their_queries_are_one() {
        let home = Same(Rc::new(1));
        let (other, same) = (Same(Rc::new(1)), home.clone());
        assert!(home == same && home != other);
    }
}
