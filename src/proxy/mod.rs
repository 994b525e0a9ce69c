//! One request's life: route, target, instruction or plain answer; or a WebSocket's handshake.
//!
//! The roof is [`Proxy`], one a shard. `shard` hands it every request that hyper has read; what comes
//! back is the response, and beside it, in the connection's hand-off, who takes the connection over.

pub mod access;
pub mod answer;
pub mod body;
pub mod context;
pub mod exchange;
pub mod failure;
pub mod fields;
pub mod forwarded;
pub mod hold;
pub mod onward;
pub mod outgoing;
pub mod request;
pub mod shared;
pub mod signing;
pub mod sockets;
pub mod upload;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderValue, Request, Response, header};

use crate::clock;
use crate::http::Incoming;
use crate::http::park::Handoff;
use crate::route::{Query, Table};
use access::Access;
use body::Body;
use context::{Context, RouteRef};
use exchange::{Exchange, failed};
use failure::Failure;
use onward::Onward;
use request::{Client, HeadError};
use shared::Shared;
use sockets::Sockets;

/// A shard's proxy.
pub struct Proxy {
    shared: Rc<Shared>,
    sockets: Rc<Sockets>,
    table: RefCell<Arc<Table>>,
}

impl Proxy {
    /// A proxy for these routes.
    #[must_use]
    pub fn new(shared: Rc<Shared>, table: Arc<Table>) -> Proxy {
        let sockets = Rc::new(Sockets::new(shared.clone()));
        Proxy { shared, sockets, table: RefCell::new(table) }
    }

    /// From now on requests go by these routes; those under way keep theirs.
    pub fn set_table(&self, table: Arc<Table>) {
        *self.table.borrow_mut() = table;
    }

    /// The WebSockets of this shard.
    #[must_use]
    pub fn sockets(&self) -> &Rc<Sockets> {
        &self.sockets
    }

    /// Answers one request. Waits for ever when the request is held: whoever takes the connection
    /// over drops this.
    pub async fn respond(
        &self,
        client: Client,
        request: Request<Incoming>,
        handoff: Handoff<Onward>,
    ) -> Response<Body> {
        self.shared.stats.requests_received.inc();
        let started = clock::now();
        let (parts, body) = request.into_parts();
        let read =
            request::context(client, &parts.method, &parts.uri, parts.version, parts.headers);
        let context = match read {
            Ok(context) => context,
            Err(HeadError::Connect) => {
                let failure = Failure::NotImplemented(HeadError::Connect.to_string());
                return failed(&failure, false, None);
            }
            Err(error) => {
                self.shared.stats.requests_malformed.inc();
                return failed(&Failure::BadHead(error.to_string()), false, None);
            }
        };
        let mut access = Access::begin(&context, started, self.shared.settings.json_log);
        if context.websocket && !crate::ws::handshake::is_valid(&context.method, &context.headers)
        {
            self.shared.stats.requests_malformed.inc();
            return self.refuse_socket(&Failure::BadHandshake, false, access);
        }
        let Some(route) = self.route(&context) else {
            let debug = self.shared.settings.debug;
            if context.websocket {
                return self.refuse_socket(&Failure::NoRoute, debug, access);
            }
            return failed(&Failure::NoRoute, debug, access);
        };
        if let Some(access) = &mut access {
            access.set_route(route.options.id.as_deref());
        }
        if context.websocket {
            return self.open_socket(context, route, handoff, access).await;
        }
        let shared = self.shared.clone();
        let extensions = parts.extensions;
        let exchange = Exchange { shared, context, route, handoff, extensions };
        match exchange.run(body, access).await {
            Some(response) => response,
            None => std::future::pending().await,
        }
    }

    fn route(&self, context: &Context) -> Option<RouteRef> {
        let table = self.table.borrow().clone();
        let host = match context.host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => &context.host,
        };
        let index = table.lookup(&Query {
            host,
            path: &context.path,
            websocket: context.websocket,
            secure: context.secure,
        })?;
        Some(RouteRef::new(table, index))
    }

    async fn open_socket(
        &self,
        context: Context,
        route: RouteRef,
        handoff: Handoff<Onward>,
        access: Option<Access>,
    ) -> Response<Body> {
        todo!()
    }

    fn refuse_socket(
        &self,
        failure: &Failure,
        debug: bool,
        access: Option<Access>,
    ) -> Response<Body> {
        let response = failure.response(debug, true);
        if let Some(access) = &access {
            access.set_status(response.status().as_u16());
        }
        response.map(|bytes| Body::whole(bytes, access))
    }
}
