//! What a request carries along: who asks, for what, by which route.

use std::net::IpAddr;
use std::rc::Rc;

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Method};

pub use crate::route::reference::RouteRef;
use crate::session::socket::Form;
use crate::wire::http1::Version;

/// A request as the client sent it, without its body.
#[derive(Clone)]
pub struct Context {
    /// The TCP peer; `None` for Unix sockets.
    pub peer: Option<IpAddr>,
    /// The client's scheme is https or wss.
    pub secure: bool,
    /// The method.
    pub method: Method,
    /// Host and port as in the URL: lower case, without the scheme's default port.
    pub host: Rc<str>,
    /// The path, percent-encoded, dot segments resolved (specification, routing 3.2).
    pub path: Rc<str>,
    /// What follows `?`, if there is one.
    pub query: Option<Rc<str>>,
    /// The client's header fields, in order.
    pub headers: Rc<HeaderMap>,
    /// The client's HTTP version.
    pub version: Version,
    /// A WebSocket handshake.
    pub websocket: bool,
    /// The client is a GRIP proxy that we trust.
    pub trusted: bool,
    /// For a WebSocket: in which form the client gets what is published.
    pub form: Form,
}

impl Context {
    /// The URL as the client asked for it.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = match (self.websocket, self.secure) {
            (false, false) => "http://",
            (false, true) => "https://",
            (true, false) => "ws://",
            (true, true) => "wss://",
        };
        let (mark, query) = self.query.as_deref().map_or(("", ""), |query| ("?", query));
        [scheme, &self.host, &self.path, mark, query].concat()
    }

    /// Copies the header values together, for whoever keeps the context: as they were read, each of
    /// them keeps the whole buffer alive that the request was read into.
    pub fn compact(&mut self) {
        let length = self.headers.values().map(HeaderValue::len).sum();
        let mut all = BytesMut::with_capacity(length);
        for value in self.headers.values() {
            all.extend_from_slice(value.as_bytes());
        }
        let mut all = all.freeze();
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in self.headers.iter() {
            let copied = all.split_to(value.len());
            // What was a value before is one now.
            let copied = HeaderValue::from_maybe_shared(copied).unwrap_or_else(|_| value.clone());
            headers.append(name.clone(), copied);
        }
        self.headers = Rc::new(headers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compacting_changes_nothing_that_can_be_seen() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("a", "1"), ("b", ""), ("a", "\u{fc}2"), ("cookie", "x=y")] {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let before = headers.clone();
        let mut context = Context {
            peer: None,
            secure: false,
            method: Method::GET,
            host: "a".into(),
            path: "/".into(),
            query: None,
            headers: Rc::new(headers),
            version: Version::Http11,
            websocket: true,
            trusted: false,
            form: Form::Plain,
        };
        context.compact();
        assert_eq!(*context.headers, before);
    }
}
