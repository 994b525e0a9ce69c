//! Requests to backends: connect, pool, exchange. The roof, [`Backend`], is a shard's handle;
//! `proxy` holds it, and tries a route's targets in order with it. Knows nothing of GRIP or of
//! routes.

pub mod body;
pub mod builtin;
pub mod connect;
pub mod drive;
pub mod error;
pub mod http;
pub mod lease;
pub mod link;
pub mod policy;
pub mod pool;
#[cfg(test)]
mod tests;
pub mod upload;

use std::rc::Rc;

use ::http::{Request, Response};

use crate::limits;
use crate::tls::ClientTls;
use body::{AnswerBody, RequestBody};
use connect::Destination;
use drive::{Drive, Wire};
use error::Error;
use http::{Opened, Speech};
use lease::Lease;
use link::{Link, Sender, Watched};
use pool::Pool;

/// What can be set of the way to backends.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time for resolving, connecting and the TLS handshake together, in milliseconds.
    pub connect_ms: u64,
    /// A backend that makes no progress is given up after this, in milliseconds.
    pub progress_ms: u64,
    /// A pooled connection is closed after this long without use, in milliseconds.
    pub idle_ms: u64,
    /// Idle connections kept per destination.
    pub idle_connections_max: usize,
    /// Limit of a response head, in bytes.
    pub response_head_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            connect_ms: limits::BACKEND_CONNECT_MS,
            progress_ms: limits::BACKEND_PROGRESS_MS,
            idle_ms: limits::BACKEND_IDLE_MS,
            idle_connections_max: limits::BACKEND_IDLE_CONNECTIONS_MAX,
            response_head_bytes_max: limits::RESPONSE_HEAD_BYTES_MAX,
        }
    }
}

struct Inner {
    settings: Settings,
    tls: ClientTls,
    pool: Rc<Pool>,
}

/// A shard's way to backends.
#[derive(Clone)]
pub struct Backend(Rc<Inner>);

/// A connection that is ready for one request. Dropping it closes the connection.
pub struct Ready {
    backend: Backend,
    lease: Lease,
    reused: bool,
}

impl Backend {
    /// A way to backends with an empty pool.
    #[must_use]
    pub fn new(settings: Settings, tls: ClientTls) -> Backend {
        let pool = Rc::new(Pool::new(settings.idle_ms, settings.idle_connections_max));
        Backend(Rc::new(Inner { settings, tls, pool }))
    }

    /// A pooled connection, or a new one. All that lets the next target be tried without harm fails
    /// here, while the caller still has its request (and a streamed body is untouched).
    pub async fn ready(&self, to: &Destination) -> Result<Ready, Error> {
        if let Some((sender, link)) = self.0.pool.take(to) {
            let lease = Lease::new(sender, link, Rc::downgrade(&self.0.pool));
            return Ok(Ready { backend: self.clone(), lease, reused: true });
        }
        let lease = Box::pin(self.fresh(Rc::new(to.clone()))).await?;
        Ok(Ready { backend: self.clone(), lease, reused: false })
    }

    /// Sends a request; gives the head, its body to be read. Dropping the future, or the body
    /// before its end, closes the connection. Redirects are not followed; 1xx are skipped.
    pub async fn send(
        &self,
        to: &Destination,
        request: Request<RequestBody>,
    ) -> Result<Response<AnswerBody>, Error> {
        self.ready(to).await?.send(request).await
    }

    /// Sends a WebSocket handshake over a connection of its own. `request` has all its headers.
    pub async fn upgrade(
        &self,
        to: &Destination,
        request: Request<RequestBody>,
    ) -> Result<Opened, Error> {
        let (sender, wire, link) = self.open(Rc::new(to.clone())).await?;
        http::upgrade(sender, wire, link, &self.0.pool, request, self.speech()).await
    }

    /// Connections that wait in the pool.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.0.pool.len()
    }

    fn speech(&self) -> Speech {
        Speech {
            response_head_bytes_max: self.0.settings.response_head_bytes_max,
            progress_ms: self.0.settings.progress_ms,
        }
    }

    async fn open(&self, to: Rc<Destination>) -> Result<(Sender, Wire, Rc<Link>), Error> {
        let io = connect::connect(&to, &self.0.tls, self.0.settings.connect_ms).await?;
        let link = Link::new(to);
        let (sender, wire) =
            http::speak(Watched { io, link: Rc::clone(&link) }, self.speech()).await?;
        Ok((sender, wire, link))
    }

    async fn fresh(&self, to: Rc<Destination>) -> Result<Lease, Error> {
        let (sender, wire, link) = self.open(to).await?;
        Drive::start(wire, &link, &self.0.pool, self.0.settings.progress_ms);
        Ok(Lease::new(sender, link, Rc::downgrade(&self.0.pool)))
    }
}

impl Ready {
    /// Whether the connection comes from the pool.
    #[must_use]
    pub fn reused(&self) -> bool {
        self.reused
    }

    /// Sends the request. If a pooled connection turns out closed before anything of a response
    /// came, it is sent once more over a fresh one, if it was never written or its body can be
    /// replayed (specification, routing 11).
    pub async fn send(
        self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<AnswerBody>, Error> {
        http::frame(&mut request);
        let copy = if self.reused { copy(&request) } else { None };
        let to = Rc::clone(&self.lease.link().destination);
        let failed = match http::exchange(self.lease, request, self.reused).await {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        let written = failed.unsent.is_none();
        let again = match (self.reused, failed.unsent, failed.silent) {
            (true, Some(request), _) => request,
            (true, None, true) => copy.ok_or(failed.error.clone())?,
            _ => return Err(failed.error),
        };
        let lease = match Box::pin(self.backend.fresh(to)).await {
            Ok(lease) => lease,
            // The backend may have seen the request: the fresh connection's error would say that
            // the next target may be tried.
            Err(_) if written => return Err(failed.error),
            Err(error) => return Err(error),
        };
        Box::pin(http::exchange(lease, again, false)).await.map_err(|failed| failed.error)
    }
}

/// The same request once more, if its body can be replayed.
fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let mut again = Request::new(request.body().replay()?);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    *again.extensions_mut() = request.extensions().clone();
    Some(again)
}
