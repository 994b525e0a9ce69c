//! What a request carries along: who asks, for what, by which route.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::route::{Route, Table};
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
}

/// A route of a table that may have been replaced since.
#[derive(Clone)]
pub struct RouteRef {
    table: Arc<Table>,
    index: usize,
}

impl RouteRef {
    /// The route at `index` of `table`.
    #[must_use]
    pub fn new(table: Arc<Table>, index: usize) -> RouteRef {
        RouteRef { table, index }
    }
}

impl std::ops::Deref for RouteRef {
    type Target = Route;

    fn deref(&self) -> &Route {
        &self.table.routes()[self.index]
    }
}
