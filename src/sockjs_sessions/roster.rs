//! The names of the SockJS sessions that a shard is the home of: the way to each, and how many of
//! them somebody waits for.
//!
//! Kept by `home`; the sessions themselves count in it who waits. It starts none.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hashbrown::HashMap;
use tokio::sync::mpsc;

use crate::forward::visit::{Name, Visit};
use crate::limits;

/// Told when nobody waits for a session any more.
pub type Bell = Rc<dyn Fn()>;

/// See the module.
#[derive(Default)]
pub struct Roster {
    open: RefCell<HashMap<Name, mpsc::Sender<Box<Visit>>, ahash::RandomState>>,
    /// How many of them have a receiver.
    waited_for: Cell<usize>,
    /// Set when the shard stops.
    stopping: RefCell<Option<Bell>>,
}

/// A receiver waits for a session, as long as this lives.
pub struct Waiting(Rc<Roster>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waited_for.set(self.0.waited_for.get() - 1);
        if let Some(bell) = &*self.0.stopping.borrow() {
            bell();
        }
    }
}

/// Why a visit did not get to its session.
pub enum Missed {
    /// There is none.
    Unknown(Box<Visit>),
    /// Too many wait for it.
    Full(Box<Visit>),
}

impl Roster {
    /// Gives a visit to its session.
    ///
    /// # Errors
    /// Gives it back.
    pub fn pass(&self, visit: Box<Visit>) -> Result<(), Missed> {
        let known = self.open.borrow().get(&visit.name).cloned();
        let Some(session) = known else { return Err(Missed::Unknown(visit)) };
        match session.try_send(visit) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(visit)) => Err(Missed::Full(visit)),
            Err(mpsc::error::TrySendError::Closed(visit)) => Err(Missed::Unknown(visit)),
        }
    }

    /// A session begins; its visits.
    pub fn add(&self, name: &Name) -> mpsc::Receiver<Box<Visit>> {
        let (sender, visits) = mpsc::channel(limits::SOCKJS_VISITS_MAX);
        self.open.borrow_mut().insert(name.clone(), sender);
        visits
    }

    /// A session is over; what still came for it.
    pub fn remove(&self, name: &Name, mut visits: mpsc::Receiver<Box<Visit>>) -> Vec<Visit> {
        self.open.borrow_mut().remove(name);
        visits.close();
        std::iter::from_fn(|| visits.try_recv().ok().map(|visit| *visit)).collect()
    }

    /// A receiver waits from now on.
    pub fn wait(self: &Rc<Roster>) -> Waiting {
        self.waited_for.set(self.waited_for.get() + 1);
        Waiting(Rc::clone(self))
    }

    /// From now on `bell` is rung when a receiver has been told.
    pub fn stop(&self, bell: Bell) {
        *self.stopping.borrow_mut() = Some(bell);
    }

    /// Whether the shard stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.borrow().is_some()
    }

    /// Whether nobody waits for any of them.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waited_for.get() == 0
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.borrow().len()
    }
}
