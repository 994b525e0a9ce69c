//! The SockJS sessions that this shard is the home of, and the way of a request to the home of its
//! session.
//!
//! `sockjs_door` has requests brought to their home by [`Sessions::send`]; the shard gives what
//! other shards send to [`Sessions::take`]. Each session is a task (`sockjs_session`) and its name
//! here; it takes itself out when it is over.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use bytes::Bytes;
use hashbrown::HashMap;
use http::{HeaderValue, Response, StatusCode, header};
use tokio::sync::mpsc;

use super::shared::Shared;
use super::sockets::Sockets;
use super::sockjs_session::{self, First};
use super::visit::{self, Name, Purpose, Visit};
use crate::clock;
use crate::limits;
use crate::sockjs::answers;
use crate::sockjs::client::Client;

/// First and longest pause before a visit that found no room is tried again, in milliseconds.
const PAUSES_MS: (u64, u64) = (1, 50);

/// Told when nobody waits for a session any more.
type Bell = Rc<dyn Fn()>;

/// See the module.
pub struct Sessions {
    sockets: Rc<Sockets>,
    open: RefCell<HashMap<Name, mpsc::Sender<Box<Visit>>, ahash::RandomState>>,
    /// How many of them have a receiver.
    waited_for: Cell<usize>,
    /// Set when the shard stops.
    stopping: RefCell<Option<Bell>>,
    this: Weak<Sessions>,
}

/// A receiver waits for a session, as long as this lives.
pub struct Waiting(Rc<Sessions>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waited_for.set(self.0.waited_for.get() - 1);
        if let Some(bell) = &*self.0.stopping.borrow() {
            bell();
        }
    }
}

impl Sessions {
    /// A shard that has none yet.
    #[must_use]
    pub fn new(sockets: Rc<Sockets>) -> Rc<Sessions> {
        Rc::new_cyclic(|this| Sessions {
            sockets,
            open: RefCell::default(),
            waited_for: Cell::new(0),
            stopping: RefCell::default(),
            this: this.clone(),
        })
    }

    /// The WebSockets of the shard: the sessions are their clients.
    #[must_use]
    pub fn sockets(&self) -> &Rc<Sockets> {
        &self.sockets
    }

    /// The shard's company.
    #[must_use]
    pub fn shared(&self) -> &Rc<Shared> {
        self.sockets.shared()
    }

    /// Brings a request to the home of its session. If there is no room for it there for too long,
    /// it is answered so.
    pub async fn send(&self, visit: Box<Visit>) {
        let peers = self.shared().peers.clone();
        let home = peers.as_ref().and_then(|peers| peers.owner(visit.name.hash()));
        let (Some(peers), Some(home)) = (peers, home) else { return self.take(visit) };
        let mut visit = visit;
        let patience = clock::now().plus_ms(limits::SOCKJS_VISIT_MS);
        let mut pause_ms = PAUSES_MS.0;
        while let Err(back) = peers.visit(home, visit) {
            if clock::now() >= patience {
                self.shared().stats.sockjs_visits_refused.inc();
                return visit::answer(&back.reply, unavailable(&back.client));
            }
            visit = back;
            clock::sleep_ms(pause_ms).await;
            pause_ms = PAUSES_MS.1.min(2 * pause_ms);
        }
    }

    /// A request has come to its home.
    pub fn take(&self, visit: Box<Visit>) {
        let known = self.open.borrow().get(&visit.name).cloned();
        let Some(session) = known else { return self.open(visit) };
        let visit = match session.try_send(visit) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(visit)) => {
                self.shared().stats.sockjs_visits_refused.inc();
                return visit::answer(&visit.reply, unavailable(&visit.client));
            }
            Err(mpsc::error::TrySendError::Closed(visit)) => visit,
        };
        self.open.borrow_mut().remove(&visit.name);
        self.open(visit);
    }

    /// There is no such session.
    fn open(&self, visit: Box<Visit>) {
        let Visit { name, purpose, client, reply } = *visit;
        let Purpose::Receive(receiver, opening) = purpose else {
            return visit::answer(&reply, answers::not_found(&client));
        };
        let full = self.open.borrow().len() >= self.shared().settings.sockjs.sessions_max;
        let Some(sessions) = self.this.upgrade().filter(|_| !full && !self.is_stopping()) else {
            self.shared().stats.sockjs_sessions_refused.inc();
            return visit::answer(&reply, unavailable(&client));
        };
        let (sender, visits) = mpsc::channel(limits::SOCKJS_VISITS_MAX);
        self.open.borrow_mut().insert(name.clone(), sender);
        self.shared().stats.sockjs_sessions.inc();
        let first = First { receiver, client, reply, opening: *opening };
        tokio::task::spawn_local(sockjs_session::run(sessions, name, first, visits));
    }

    /// A session is over: what still comes for it is for the next one of its name.
    pub(super) fn remove(&self, name: &Name, mut visits: mpsc::Receiver<Box<Visit>>) {
        self.open.borrow_mut().remove(name);
        visits.close();
        while let Ok(visit) = visits.try_recv() {
            self.take(visit);
        }
    }

    /// A receiver waits from now on.
    pub(super) fn wait(self: &Rc<Sessions>) -> Waiting {
        self.waited_for.set(self.waited_for.get() + 1);
        Waiting(Rc::clone(self))
    }

    /// Stopping: no session is opened any more. The hub closes those that there are; `bell` is rung
    /// when a receiver has been told.
    pub fn drain(&self, bell: Bell) {
        *self.stopping.borrow_mut() = Some(bell);
    }

    fn is_stopping(&self) -> bool {
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

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// There is no room for a session, or for a request of one.
fn unavailable(client: &Client) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"Service Unavailable\n"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let plain = HeaderValue::from_static("text/plain; charset=UTF-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    client.mark(response.headers_mut());
    response
}
