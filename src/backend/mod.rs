//! Requests to backends: connect, pool, exchange. The roof, [`Backend`], is a shard's handle;
//! `proxy` holds it, and tries a route's targets in order with it. Knows nothing of GRIP or of
//! routes.
//!
//! A request over a pooled connection costs one write and one read, no task and no timer. It
//! allocates its head, its `Talk`, one buffer to read into (shared with the response's fields and
//! body, which are cut out of it) and the map of the fields. A large body's bytes are those that
//! the system put into the buffer: they are not copied.

pub mod body;
pub mod builtin;
pub mod connect;
pub mod connection;
pub mod error;
pub mod exchange;
pub mod head;
#[cfg(test)]
pub mod memory;
pub mod outbound;
pub mod policy;
pub mod pool;
#[cfg(test)]
mod tests;
pub mod upload;

use std::future::Future;
use std::rc::Rc;

use http::{Request, Response};

use crate::limits;
use crate::tls::ClientTls;
use body::{AnswerBody, RequestBody};
use connect::{Destination, To};
use connection::Connection;
use error::Error;
use exchange::{Failed, Opened, Talk};
use head::RequestHead;
use outbound::Outbound;
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
    connection: Box<Connection>,
    reused: bool,
}

impl Backend {
    /// A way to backends with an empty pool.
    #[must_use]
    pub fn new(settings: Settings, tls: ClientTls) -> Backend {
        let (idle_ms, progress_ms) = (settings.idle_ms, settings.progress_ms);
        let pool = Rc::new(Pool::new(idle_ms, progress_ms, settings.idle_connections_max));
        Backend(Rc::new(Inner { settings, tls, pool }))
    }

    /// A pooled connection, if there is one.
    #[must_use]
    pub fn pooled(&self, to: To<'_>) -> Option<Ready> {
        let connection = self.0.pool.take(&to)?;
        Some(Ready { backend: self.clone(), connection, reused: true })
    }

    /// A new connection. All that lets the next target be tried without harm fails here, while the
    /// caller still has its request (and a streamed body is untouched).
    pub async fn fresh(&self, to: To<'_>) -> Result<Ready, Error> {
        let connection = self.open(Rc::new(to.to_destination())).await?;
        Ok(Ready { backend: self.clone(), connection, reused: false })
    }

    /// Sends a request; gives the head, its body to be read. Dropping the future, or the body
    /// before its end, closes the connection. Redirects are not followed; 1xx are skipped.
    pub async fn send(
        &self,
        to: &Destination,
        request: Request<RequestBody>,
    ) -> Result<Response<AnswerBody>, Error> {
        let head = RequestHead::of(&request);
        let ready = match self.pooled(to.as_to()) {
            Some(ready) => ready,
            None => self.fresh(to.as_to()).await?,
        };
        ready.send(head, request.into_body()).await
    }

    /// Sends a WebSocket handshake over a connection of its own. `request` has all its headers.
    pub async fn upgrade(
        &self,
        to: &Destination,
        request: Request<RequestBody>,
    ) -> Result<Opened, Error> {
        let connection = self.open(Rc::new(to.clone())).await?;
        let outbound = Outbound::new(RequestHead::of(&request), request.into_body());
        let talk = Talk::new(connection, outbound, self.head_bytes_max());
        exchange::upgrade(talk, &self.0.pool).await
    }

    /// Connections that wait in the pool.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.0.pool.len()
    }

    fn head_bytes_max(&self) -> usize {
        self.0.settings.response_head_bytes_max
    }

    async fn open(&self, to: Rc<Destination>) -> Result<Box<Connection>, Error> {
        let io = connect::connect(&to, &self.0.tls, self.0.settings.connect_ms).await?;
        let connection = Connection::new(io, to);
        self.0.pool.watch(connection.link());
        Ok(connection)
    }
}

impl Ready {
    /// Whether the connection comes from the pool.
    #[must_use]
    pub fn reused(&self) -> bool {
        self.reused
    }

    /// Sends the request; its head is whole and framed by `body`. If a pooled connection turns out
    /// closed before anything of a response came, it is sent once more over a fresh one, if it was
    /// never written or its body can be replayed (specification, routing 11).
    pub fn send(
        self,
        head: RequestHead,
        body: RequestBody,
    ) -> impl Future<Output = Result<Response<AnswerBody>, Error>> {
        let Ready { backend, connection, reused } = self;
        let replay = if reused { body.replay() } else { None };
        let talk = Talk::new(connection, Outbound::new(head, body), backend.head_bytes_max());
        async move {
            match exchange::exchange(talk, &backend.0.pool).await {
                Ok(response) => Ok(response),
                // Boxed: what is rare makes the future of every request no larger.
                Err(failed) => Box::pin(backend.again(failed, reused, replay)).await,
            }
        }
    }
}

impl Backend {
    /// Sends a request once more, if that does no harm.
    async fn again(
        self,
        failed: Box<Failed>,
        reused: bool,
        replay: Option<RequestBody>,
    ) -> Result<Response<AnswerBody>, Error> {
        let Failed { mut error, destination, request, silent } = *failed;
        error.reused = reused;
        let written = !request.is_untouched();
        let again = match (reused && silent, written, replay) {
            (true, false, _) => request,
            (true, true, Some(body)) => request.again(body),
            _ => return Err(error),
        };
        let connection = match self.open(destination).await {
            Ok(connection) => connection,
            // The backend may have seen the request: the fresh connection's error would say that
            // the next target may be tried.
            Err(_) if written => return Err(error),
            Err(fresh) => return Err(fresh),
        };
        let talk = Talk::new(connection, again, self.head_bytes_max());
        exchange::exchange(talk, &self.0.pool).await.map_err(|failed| failed.error)
    }
}
