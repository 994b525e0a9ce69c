//! One request to a SockJS session, on its way to the shard that has the session.
//!
//! A session's requests come in on any shard; its name says which one is its home. Made by
//! `sockjs_sessions::door`, carried between threads by whoever implements `Peers`, taken by
//! `sockjs_sessions::home`. Everything here may be sent to another thread. The answer comes back in
//! parts (`carried`); that nobody waits for it any more is seen by its channel being closed.

use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, SEC_WEBSOCKET_EXTENSIONS,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, Response, header};
use tokio::sync::mpsc;

use super::carried::{Head, Reply};
use super::context::{Context, RouteRef};
use crate::session::socket::Form;
use crate::sockjs::client::Client;
use crate::sockjs::transport::Receiver;
use crate::wire::http1::Version;
use crate::ws::handshake;

/// Which session: the same name under another route, or another base, is another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The route and its base. It outlives a reload of routes that leaves them as they are.
    scope: u64,
    /// As the client named it.
    session: Box<str>,
}

impl Name {
    /// The name of a route's session.
    #[must_use]
    pub fn new(route: &RouteRef, session: &str) -> Name {
        let condition = &route.condition;
        let base = route.options.sockjs.as_ref().map(|sockjs| &sockjs.base);
        let hosts = (&condition.host, condition.secure, &condition.path_beg);
        let scope = hasher().hash_one((&route.options.id, hosts, base));
        Name { scope, session: session.into() }
    }

    /// The same in all shards: by it they agree on the home.
    #[must_use]
    pub fn hash(&self) -> u64 {
        hasher().hash_one(self)
    }
}

fn hasher() -> ahash::RandomState {
    ahash::RandomState::with_seeds(5, 6, 7, 8)
}

/// The handshake of a session that is to be opened, as far as it may cross threads.
pub struct Opening {
    /// The route of the request that opens it.
    pub route: RouteRef,
    /// The TCP peer.
    pub peer: Option<IpAddr>,
    /// The client's scheme is https.
    pub secure: bool,
    /// Host and port.
    pub host: Box<str>,
    /// The path that the backend is asked for, before the route rewrites it.
    pub path: Box<str>,
    /// The query.
    pub query: Option<Box<str>>,
    /// All of a WebSocket's handshake.
    pub headers: HeaderMap,
    /// The client is a GRIP proxy that is trusted.
    pub trusted: bool,
}

/// The fields of the handshake of a session that a request with these opens.
#[must_use]
pub fn as_handshake(headers: HeaderMap) -> HeaderMap {
    let mut headers = headers;
    let own: [HeaderName; 5] =
        [CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, CONNECTION, SEC_WEBSOCKET_EXTENSIONS];
    for name in own {
        headers.remove(name);
    }
    handshake::ask(&mut headers, &handshake::new_key());
    headers
}

impl Opening {
    /// As the backend's side has it.
    #[must_use]
    pub fn into_context(self) -> (Context, RouteRef) {
        let context = Context {
            peer: self.peer,
            secure: self.secure,
            method: Method::GET,
            host: self.host.into(),
            path: self.path.into(),
            query: self.query.map(Rc::from),
            headers: Rc::new(self.headers),
            version: Version::Http11,
            websocket: true,
            trusted: self.trusted,
            form: Form::Quoted,
        };
        (context, self.route)
    }
}

/// What a request is for.
pub enum Purpose {
    /// To wait for frames. Opens the session if there is none.
    Receive(Receiver, Box<Opening>),
    /// To bring messages, and to be answered with this when they are on their way.
    Send(Vec<Bytes>, Box<Response<Bytes>>),
}

/// See the module.
pub struct Visit {
    /// Whom it is for.
    pub name: Name,
    /// What for.
    pub purpose: Purpose,
    /// Who asks.
    pub client: Client,
    /// Where the answer goes.
    pub reply: mpsc::Sender<Reply>,
}

impl Visit {
    /// Bytes that it brings.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.purpose {
            Purpose::Receive(..) => 0,
            Purpose::Send(messages, _) => messages.iter().map(Bytes::len).sum(),
        }
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Visit").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Begins an answer; its body follows.
pub fn begin(reply: &mpsc::Sender<Reply>, response: Response<()>) {
    let reason = crate::http::reason(&response);
    let (parts, ()) = response.into_parts();
    let head = Head { status: parts.status, headers: parts.headers, reason };
    // Who has gone is noticed elsewhere; there is room, for an answer begins in an empty channel.
    let _ = reply.try_send(Reply::Head(Arc::new(head)));
}

/// Gives a whole answer.
pub fn answer(reply: &mpsc::Sender<Reply>, response: Response<Bytes>) {
    let (parts, body) = response.into_parts();
    let mut response = Response::from_parts(parts, ());
    if !response.status().is_informational() && response.status() != http::StatusCode::NO_CONTENT {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    begin(reply, response);
    if !body.is_empty() {
        let _ = reply.try_send(Reply::Data(body));
    }
    let _ = reply.try_send(Reply::End);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::tests::route;

    #[test]
    fn names_are_of_their_route_and_base() {
        let name = |line: &str, session: &str| Name::new(&route(line), session);
        let line = "a.com,sockjs=/sj test";
        assert_eq!(name(line, "s"), name(line, "s"), "also after a reload");
        assert_eq!(name(line, "s").hash(), name(line, "s").hash());
        assert_ne!(name(line, "s"), name(line, "t"));
        for other in ["b.com,sockjs=/sj test", "a.com,sockjs=/s test", "a.com,id=x,sockjs=/sj test"]
        {
            assert_ne!(name(line, "s"), name(other, "s"), "{other}");
        }
    }
}
