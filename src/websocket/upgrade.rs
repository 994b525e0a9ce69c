//! The answer to a WebSocket handshake: accepted, rejected or failed, and the head that the client
//! sees (specification, WebSockets 1.3 and 1.4).
//!
//! Made by `accept` and `passthrough`, whatever the kind of backend; read by `exchange`.

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, HeaderName, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use uuid::Uuid;

use crate::asking::failure::Failure;
use crate::asking::onward::Onward;
use crate::backend::body::AnswerBody;
use crate::backend::error::Error;
use crate::clock;
use crate::forward::access::Access;
use crate::forward::context::Context;
use crate::forward::shared::Shared;
use crate::hub::Lease;
use crate::route::Route;
use crate::wire::http1::Version;
use crate::wire::names::{self, Spelling};
use crate::ws::handshake;

/// What a client's handshake came to.
pub enum Outcome {
    /// The backend accepted: the client gets this 101, and then its connection goes on.
    Accepted {
        /// The 101, complete but for its version. A [`Via`] is among its extensions.
        response: http::Response<()>,
        /// Who takes the connection over. If it comes to nothing (the client left), `Sockets::gone`
        /// is to be called with the id of a lease that was to be parked.
        onward: Onward,
    },
    /// The backend declined: the client gets this, and its connection is closed. A [`Via`] is among
    /// its extensions.
    Rejected(http::Response<Rejection>),
    /// No backend answered.
    Failed(Failed),
}

/// The target that answered, as the log shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via(pub String);

/// The body of a rejection.
pub enum Rejection {
    /// These bytes.
    Whole(Bytes),
    /// As it comes from the backend; its length, if known, is in the head.
    Streamed(AnswerBody),
}

/// Why no backend answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// None of these targets could be reached, as the log says.
    Unreachable(Vec<String>),
    /// A backend did not answer, as the log says.
    Broken,
    /// There is no room for another one.
    NoRoom,
    /// The target's address is not allowed.
    Forbidden,
    /// All else, in words for the log.
    Other(String),
    /// For this reason, at this target.
    At(Via, Box<Failed>),
}

impl Failed {
    /// The target that was tried last, as the log shows it.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match self {
            Failed::Unreachable(tried) => tried.last().map(String::as_str),
            Failed::At(Via(target), _) => Some(target),
            _ => None,
        }
    }

    /// What the client is told. `what` could not be had; the log says why, if it has not yet.
    #[must_use]
    pub fn told(self, what: &str) -> Failure {
        match self {
            Failed::Unreachable(tried) => Failure::NoTarget(tried),
            Failed::Broken => Failure::Backend,
            Failed::NoRoom => Failure::NoRoom,
            Failed::Forbidden => Failure::AddressPolicy,
            Failed::Other(why) => {
                tracing::warn!("{what} could not be opened: {why}");
                Failure::Backend
            }
            Failed::At(Via(target), why) => why.told(&format!("{what} of {target}")),
        }
    }
}

/// What came of one target.
pub enum Attempt {
    /// It did not answer. The request may be made twice, or not.
    Broken(Box<Error>, bool),
    /// It is decided.
    Decided(Outcome),
}

/// The 101 for a client: the backend's head without what is its own hop's.
pub fn switching(
    context: &Context,
    backend: http::Response<()>,
    relayed: Vec<HeaderValue>,
) -> http::Response<()> {
    let mut response = backend;
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    remove_hop(headers);
    headers.remove(CONTENT_LENGTH);
    let key = context.headers.get(SEC_WEBSOCKET_KEY).map_or(&b""[..], HeaderValue::as_bytes);
    handshake::answer(headers, key);
    for line in relayed {
        headers.append(SEC_WEBSOCKET_EXTENSIONS, line);
    }
    response
}

/// A 101, or another head without a body (1xx), as it is written to a client of this version: names
/// as the backend wrote them.
#[must_use]
pub fn head(response: &http::Response<()>, version: Version) -> Bytes {
    let mut head: Vec<u8> = match version {
        Version::Http10 => b"HTTP/1.0 ".into(),
        Version::Http11 => b"HTTP/1.1 ".into(),
    };
    let (status, reason) = (response.status(), crate::http::reason(response));
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    let usual = status.canonical_reason().unwrap_or_default();
    head.extend_from_slice(reason.as_deref().unwrap_or(usual.as_bytes()));
    head.extend_from_slice(b"\r\n");
    let spelling = response.extensions().get::<Spelling>();
    let mut spelled = spelling.map(Spelling::names).unwrap_or_default();
    for name in response.headers().keys() {
        for value in response.headers().get_all(name) {
            match spelled.take(name.as_str()) {
                Some(spelled) => head.extend_from_slice(spelled),
                None => names::put_registered(&mut head, name.as_str()),
            }
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}

fn remove_hop(headers: &mut HeaderMap) {
    handshake::remove_hop(headers);
    for name in [TRANSFER_ENCODING, HeaderName::from_static("keep-alive")] {
        headers.remove(name);
    }
}

/// A backend's rejection as the client sees it.
pub fn rejected(backend: http::Response<Rejection>) -> Outcome {
    let mut response = backend;
    // The backend's version is that of its own hop.
    *response.version_mut() = http::Version::HTTP_11;
    remove_hop(response.headers_mut());
    if let Rejection::Whole(_) = response.body() {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    Outcome::Rejected(response)
}

/// A lease for an accepted client, whose connection has this id.
pub fn lease(shared: &Shared, context: &Context, route: &Route, connection: Uuid) -> Lease {
    shared.stats.holds_socket.inc();
    let lease = shared.hub.open_socket(context.form, clock::now());
    shared.set_slow(&lease, route);
    shared.connections.enter(&shared.hub, connection, lease.id());
    lease
}

/// Notes down who has answered a handshake, and how.
pub fn log_answer<T>(access: &mut Option<Access>, response: &http::Response<T>) {
    let Some(access) = access else { return };
    if let Some(Via(target)) = response.extensions().get::<Via>() {
        access.set_target(target.clone());
    }
    access.set_status(response.status().as_u16());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::socket::Form;
    use std::rc::Rc;

    use http::Method;

    fn context() -> Context {
        let mut headers = HeaderMap::new();
        handshake::ask(&mut headers, &HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        Context {
            peer: None,
            secure: false,
            method: Method::GET,
            host: "example.com".into(),
            path: "/ws".into(),
            query: None,
            headers: Rc::new(headers),
            version: Version::Http11,
            websocket: true,
            trusted: false,
            form: Form::default(),
        }
    }

    #[test]
    fn the_101_has_the_backends_headers_and_our_own() {
        let backend = http::Response::builder()
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("sec-websocket-protocol", "chat")
            .header("sec-websocket-extensions", "grip")
            .header("sec-websocket-accept", "theirs")
            .header("connection", "close")
            .header("content-length", "0")
            .body(())
            .unwrap();
        let response = switching(&context(), backend, vec![HeaderValue::from_static("grip")]);
        let lines: Vec<_> = response
            .headers()
            .iter()
            .map(|(n, v)| format!("{n}: {}", v.to_str().unwrap()))
            .collect();
        assert_eq!(response.status(), 101);
        for line in [
            "set-cookie: a=1",
            "set-cookie: b=2",
            "sec-websocket-protocol: chat",
            "upgrade: websocket",
            "connection: Upgrade",
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "sec-websocket-extensions: grip",
        ] {
            assert!(lines.contains(&line.to_owned()), "{line} of {lines:?}");
        }
        assert_eq!(lines.len(), 7);
    }

    #[test]
    fn a_rejection_keeps_what_is_the_backends() {
        let backend = http::Response::builder()
            .status(401)
            .header("www-authenticate", "Basic")
            .header("content-length", "999")
            .header("upgrade", "h2c")
            .body(Rejection::Whole(Bytes::from_static(b"no")))
            .unwrap();
        let Outcome::Rejected(response) = rejected(backend) else { panic!() };
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers().keys().collect::<Vec<_>>(), ["www-authenticate"]);
    }
}
