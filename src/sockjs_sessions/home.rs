//! The SockJS sessions that this shard is the home of, and the way of a request to the home of its
//! session.
//!
//! `door` has requests brought to their home by [`Sessions::send`]; the shard gives what
//! other shards send to [`Sessions::take`]. Each session is a task (`session`) and a name in
//! the roster, which it takes out when it is over.

use std::rc::{Rc, Weak};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::roster::{Bell, Missed, Roster};
use super::session::{self, End, First};
use crate::clock;
use crate::forward::shared::Shared;
use crate::forward::visit::{self, Purpose, Visit};
use crate::limits;
use crate::sockjs::answers;
use crate::sockjs::client::Client;
use crate::websocket::sockets::Sockets;

/// First and longest pause before a visit that found no room is tried again, in milliseconds.
const PAUSES_MS: (u64, u64) = (1, 50);

/// See the module.
pub struct Sessions {
    sockets: Rc<Sockets>,
    roster: Rc<Roster>,
    this: Weak<Sessions>,
}

impl Sessions {
    /// A shard that has none yet.
    #[must_use]
    pub fn new(sockets: Rc<Sockets>) -> Rc<Sessions> {
        Rc::new_cyclic(|this| Sessions { sockets, roster: Rc::default(), this: this.clone() })
    }

    fn shared(&self) -> &Rc<Shared> {
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
            if clock::now() >= patience || self.roster.is_stopping() {
                return self.turn_away(&back);
            }
            visit = back;
            clock::sleep_ms(pause_ms).await;
            pause_ms = PAUSES_MS.1.min(2 * pause_ms);
        }
    }

    /// A request has come to its home.
    pub fn take(&self, visit: Box<Visit>) {
        match self.roster.pass(visit) {
            Ok(()) => {}
            Err(Missed::Full(visit)) => self.turn_away(&visit),
            Err(Missed::Unknown(visit)) => self.open(*visit),
        }
    }

    fn turn_away(&self, visit: &Visit) {
        self.shared().stats.sockjs_visits_refused.inc();
        visit::answer(&visit.reply, unavailable(&visit.client));
    }

    /// There is no such session.
    fn open(&self, visit: Visit) {
        let Visit { name, purpose, client, reply } = visit;
        let Purpose::Receive(receiver, opening) = purpose else {
            return visit::answer(&reply, answers::not_found(&client));
        };
        let full = self.roster.len() >= self.shared().settings.sockjs.sessions_max;
        let refused = full || self.roster.is_stopping();
        let Some(sessions) = self.this.upgrade().filter(|_| !refused) else {
            self.shared().stats.sockjs_sessions_refused.inc();
            return visit::answer(&reply, unavailable(&client));
        };
        let visits = self.roster.add(&name);
        self.shared().stats.sockjs_sessions.inc();
        let first = First { receiver, client, reply, opening: *opening };
        let home = (Rc::clone(&self.sockets), Rc::clone(&self.roster));
        tokio::task::spawn_local(async move {
            let End { visits, refused } = session::run(home, name, first, visits).await;
            // What came too late is for the next one of its name.
            visits.into_iter().for_each(|visit| sessions.take(Box::new(visit)));
            if let Some((listener, (response, access))) = refused {
                listener.refuse(response, access.as_ref()).await;
            }
        });
    }

    /// Stopping: no session is opened any more. The hub closes those that there are; `bell` is rung
    /// when a receiver has been told.
    pub fn drain(&self, bell: Bell) {
        self.roster.stop(bell);
    }

    /// Whether nobody waits for any of them.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.roster.is_idle()
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
