//! Requests to backends: connect, pool, exchange. The roof, [`Backend`], is a shard's handle;
//! `proxy` holds it, and tries a route's targets in order with it. Knows nothing of GRIP or of
//! routes.

pub mod body;
pub mod builtin;
pub mod connect;
pub mod connection;
pub mod error;
pub mod exchange;
pub mod head;
pub mod outbound;
pub mod policy;
pub mod pool;
#[cfg(test)]
mod tests;
pub mod upload;

use std::rc::Rc;

use http::{Request, Response};

use crate::limits;
use crate::tls::ClientTls;
use body::{AnswerBody, RequestBody};
use connect::{Destination, To};
use connection::Connection;
use error::Error;
use exchange::{Failed, Opened};
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

    /// A pooled connection, or a new one. All that lets the next target be tried without harm fails
    /// here, while the caller still has its request (and a streamed body is untouched).
    pub async fn ready(&self, to: To<'_>) -> Result<Ready, Error> {
        if let Some(connection) = self.0.pool.take(&to) {
            return Ok(Ready { backend: self.clone(), connection, reused: true });
        }
        // Boxed: what is rare makes the future of every request no larger.
        let connection = Box::pin(self.open(Rc::new(to.to_destination()))).await?;
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
        self.ready(to.as_to()).await?.send(head, request.into_body()).await
    }

    /// Sends a WebSocket handshake over a connection of its own. `request` has all its headers.
    pub async fn upgrade(
        &self,
        to: &Destination,
        request: Request<RequestBody>,
    ) -> Result<Opened, Error> {
        let connection = self.open(Rc::new(to.clone())).await?;
        let outbound = Outbound::new(RequestHead::of(&request), request.into_body());
        exchange::upgrade(connection, outbound, &self.0.pool, self.head_bytes_max()).await
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
    pub async fn send(
        self,
        head: RequestHead,
        body: RequestBody,
    ) -> Result<Response<AnswerBody>, Error> {
        let Ready { backend, connection, reused } = self;
        let replay = if reused { body.replay() } else { None };
        let destination = Rc::clone(&connection.link().destination);
        let (pool, limit) = (&backend.0.pool, backend.head_bytes_max());
        let outbound = Outbound::new(head, body);
        let failed = match exchange::exchange(connection, outbound, pool, limit).await {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        let Failed { mut error, request, silent } = *failed;
        error.reused = reused;
        let written = !request.is_untouched();
        let again = match (reused && silent, written, replay) {
            (true, false, _) => request,
            (true, true, Some(body)) => request.again(body),
            _ => return Err(error),
        };
        Box::pin(async {
            let connection = match backend.open(destination).await {
                Ok(connection) => connection,
                // The backend may have seen the request: the fresh connection's error would say
                // that the next target may be tried.
                Err(_) if written => return Err(error),
                Err(fresh) => return Err(fresh),
            };
            let exchange = exchange::exchange(connection, again, pool, limit);
            exchange.await.map_err(|failed| failed.error)
        })
        .await
    }
}
