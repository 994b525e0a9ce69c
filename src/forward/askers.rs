//! Sessions whose filters ask over HTTP: on whose behalf they ask, and who waits for its turn.
//!
//! Whoever subscribes a session says so here ([`Askers::remember`]); `filters` makes the requests.
//! Knows nothing of what is asked.

mod pace;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hashbrown::HashMap;
use url::Url;

use super::context::RouteRef;
use crate::clock::Tick;
use crate::hub::Hub;
use crate::hub::slab::SessionId;
use crate::limits;
use pace::Pace;

pub use pace::Turn;

/// On whose behalf a session's filters are asked.
pub struct Asker {
    /// The route of the client's request.
    pub route: RouteRef,
    /// Who answered it: an index into the route's targets.
    pub target: usize,
    /// Its scheme is https (or wss).
    pub secure: bool,
    /// Its host and port.
    pub host: Rc<str>,
    /// What a relative URL is seen from: the request's own, or the last link's. `None` if it has
    /// none.
    pub base: Option<Url>,
}

/// One shard's.
pub struct Askers {
    known: RefCell<HashMap<SessionId, Rc<Asker>, ahash::RandomState>>,
    /// How many there may be before those that have ended are looked for.
    sweep_at: Cell<usize>,
    pace: RefCell<Pace<(SessionId, Url)>>,
    /// Somebody gives out the turns.
    driven: Cell<bool>,
}

impl Askers {
    /// A shard whose filters may be asked so often in a second.
    #[must_use]
    pub fn new(requests_per_second: u32) -> Askers {
        Askers {
            known: RefCell::default(),
            sweep_at: Cell::new(0),
            pace: RefCell::new(Pace::new(requests_per_second, limits::HTTP_FILTER_WAITING_MAX)),
            driven: Cell::new(false),
        }
    }

    /// A session's filters ask on behalf of `asker` from now on.
    pub fn remember(&self, hub: &Hub, id: SessionId, asker: Asker) {
        let mut known = self.known.borrow_mut();
        if known.len() >= self.sweep_at.get() {
            known.retain(|id, _| hub.with(|registry| registry.is_live(*id)));
            // The next sweep is paid for by at least as many new ones as it will look at.
            self.sweep_at.set((known.len() * 2).max(16));
        }
        known.insert(id, Rc::new(asker));
    }

    /// On whose behalf this session's filters are asked.
    #[must_use]
    pub fn of(&self, id: SessionId) -> Option<Rc<Asker>> {
        self.known.borrow().get(&id).cloned()
    }

    /// How many are known; some may have ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.borrow().len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets a session wait for its turn; `false` when too many wait.
    #[must_use]
    pub fn wait(&self, id: SessionId, url: Url) -> bool {
        let key = url.to_string();
        self.pace.borrow_mut().push(&key, (id, url)).is_ok()
    }

    /// Whose turn it is. Sessions that have ended have none.
    #[must_use]
    pub fn next(&self, hub: &Hub, now: Tick) -> Turn<(SessionId, Url)> {
        let is_live = |(id, _): &(SessionId, Url)| hub.with(|registry| registry.is_live(*id));
        self.pace.borrow_mut().next(now, is_live)
    }

    /// Whether the caller is to give out the turns from now on: nobody else does.
    #[must_use]
    pub fn take_the_lead(&self) -> bool {
        !self.driven.replace(true)
    }

    /// The caller gives out no more turns.
    pub fn step_down(&self) {
        self.driven.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::forward::tests::{Company, route, run};
    use crate::session::socket::Form;

    fn asker() -> Asker {
        let route = route("* 127.0.0.1:1");
        Asker { route, target: 0, secure: false, host: "a".into(), base: None }
    }

    #[test]
    fn who_has_ended_is_not_remembered_for_ever() {
        run(async {
            let company = Company::new();
            let (hub, askers) = (&company.shared.hub, Askers::new(100));
            let lease = hub.open_socket(Form::Plain, clock::now());
            assert!(askers.is_empty() && askers.of(lease.id()).is_none());
            askers.remember(hub, lease.id(), asker());
            for _ in 0..1000 {
                let gone = hub.open_socket(Form::Plain, clock::now());
                askers.remember(hub, gone.id(), asker());
            }
            assert!(askers.of(lease.id()).is_some() && askers.len() <= 20, "{}", askers.len());
        });
    }

    #[test]
    fn one_gives_out_the_turns() {
        let askers = Askers::new(100);
        assert!(askers.take_the_lead() && !askers.take_the_lead());
        askers.step_down();
        assert!(askers.take_the_lead());
    }

    #[test]
    fn too_many_may_not_wait() {
        run(async {
            let company = Company::new();
            let (hub, askers) = (&company.shared.hub, Askers::new(100));
            let lease = hub.open_socket(Form::Plain, clock::now());
            let url = Url::parse("http://a/").unwrap();
            for _ in 0..limits::HTTP_FILTER_WAITING_MAX {
                assert!(askers.wait(lease.id(), url.clone()));
            }
            assert!(!askers.wait(lease.id(), url.clone()));
            assert_eq!(askers.next(hub, clock::now()), Turn::Of((lease.id(), url.clone())));
            assert!(askers.wait(lease.id(), url));
            drop(lease);
            assert_eq!(askers.next(hub, clock::now().plus_ms(1000)), Turn::None);
        });
    }
}
