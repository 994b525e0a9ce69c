//! The task of one SockJS session of the HTTP transports: between its client's requests and its
//! WebSocket, which it is the client of, over a stream within the process.
//!
//! Started by `home` with the request that opens the session. What is said when is
//! `sockjs::session`'s matter, and what then goes on `talk`'s; here the backend is asked for
//! the WebSocket, and the end is made known.

use std::pin::pin;
use std::rc::Rc;

use bytes::Bytes;
use http::Response;
use tokio::sync::mpsc;

use super::listener::Listener;
use super::roster::Roster;
use super::talk::Talk;
use crate::asking::onward::Onward;
use crate::forward::access::Access;
use crate::forward::carried::Reply;
use crate::forward::shared::SockJs;
use crate::forward::visit::{Name, Opening, Visit};
use crate::limits;
use crate::listen::pipe;
use crate::listen::stream::Stream;
use crate::route::Route;
use crate::sockjs::client::Client;
use crate::sockjs::session::Settings;
use crate::sockjs::transport::Receiver;
use crate::websocket::accept;
use crate::websocket::porter::Accepted;
use crate::websocket::sockets::Sockets;
use crate::websocket::upgrade::{Outcome, Rejection, log_answer};

/// The request that opens a session.
pub struct First {
    /// How its client gets frames.
    pub receiver: Receiver,
    /// Who it is.
    pub client: Client,
    /// Where the answer goes.
    pub reply: mpsc::Sender<Reply>,
    /// The handshake.
    pub opening: Opening,
}

/// What is left of a session.
pub struct End {
    /// What came for it too late.
    pub visits: Vec<Visit>,
    /// The request that was to open it, and how its backend has declined.
    pub refused: Option<(Listener, Refusal)>,
}

/// How a backend has declined a session, and the line of the request that was to open it.
pub type Refusal = (Response<Rejection>, Option<Access>);

/// See the module.
pub async fn run(
    (sockets, roster): (Rc<Sockets>, Rc<Roster>),
    name: Name,
    first: First,
    visits: mpsc::Receiver<Box<Visit>>,
) -> End {
    let First { receiver, client, reply, opening } = first;
    let shared = sockets.shared();
    let settings = settings(&shared.settings.sockjs, &opening.route);
    let listener = Listener::new(&roster, receiver, client, reply);
    let home = (Rc::clone(shared), Rc::clone(&roster));
    let mut talk = Talk::new(home, settings, listener, visits);
    let mut further = None;
    let mut refused = None;
    match open(&sockets, &mut talk, opening).await {
        Some(Ok(onward)) => {
            let (ours, theirs) = pipe::pair(limits::SOCKJS_PIPE_BYTES);
            let accepted = Accepted::new(Rc::clone(&sockets), onward);
            tokio::task::spawn_local(accepted.attend(Stream::Inside(theirs), Bytes::new()));
            further = talk.run(ours).await;
        }
        Some(Err(refusal)) => refused = Some(refusal),
        // The client left.
        None => {}
    }
    let (visits, listener) = talk.into_parts();
    let mut visits = roster.remove(&name, visits);
    visits.splice(..0, further.map(|visit| *visit));
    End { visits, refused: listener.zip(refused) }
}

fn settings(settings: &SockJs, route: &Route) -> Settings {
    let limit = route.options.sockjs.as_ref().and_then(|sockjs| sockjs.response_bytes_max);
    Settings {
        heartbeat_ms: settings.heartbeat_ms,
        disconnect_ms: settings.disconnect_ms,
        linger_ms: limits::SOCKJS_LINGER_MS,
        response_bytes_max: limit.unwrap_or(limits::SOCKJS_RESPONSE_BYTES_MAX) as usize,
        queue_bytes_max: settings.queue_bytes_max,
    }
}

/// Asks the backend. `None` when the client has left meanwhile.
async fn open(
    sockets: &Rc<Sockets>,
    talk: &mut Talk,
    opening: Opening,
) -> Option<Result<Onward, Refusal>> {
    let shared = sockets.shared();
    let (mut context, route) = opening.into_context();
    context.compact();
    let mut access = Access::begin(&context, Some(&route), &shared.settings);
    let debug = shared.settings.debug || route.options.debug;
    let mut asking = pin!(accept::open(sockets, context, route));
    let outcome = loop {
        tokio::select! {
            outcome = &mut asking => break outcome,
            left = talk.wait_undecided() => if left { return None },
        }
    };
    let failure = match outcome {
        Outcome::Accepted { response, onward } => {
            log_answer(&mut access, &response);
            if let Some(access) = access {
                access.complete();
            }
            return Some(Ok(onward));
        }
        Outcome::Rejected(response) => {
            log_answer(&mut access, &response);
            return Some(Err((response, access)));
        }
        Outcome::Failed(failed) => {
            if let (Some(access), Some(target)) = (&mut access, failed.target()) {
                access.set_target(target.to_owned());
            }
            failed.told("a SockJS session")
        }
    };
    shared.stats.backend_failures.inc();
    let response = failure.response(debug, false);
    if let Some(access) = &access {
        access.set_status(response.status().as_u16());
    }
    Some(Err((response.map(Rejection::Whole), access)))
}
