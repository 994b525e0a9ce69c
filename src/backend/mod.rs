//! Requests to backends: connect, pool, exchange. The roof, [`Backend`], is a shard's handle;
//! `proxy` holds it, and tries a route's targets with it. Knows nothing of GRIP or of routes.
//!
//! A request over a pooled connection costs one write and one read, no task and no timer. It
//! allocates its head, its `Talk`, one buffer to read into (shared with the response's fields and
//! body, which are cut out of it) and the map of the fields. A large body's bytes are those that
//! the system put into the buffer: they are not copied.

pub mod body;
pub mod builtin;
pub mod check;
pub mod connect;
pub mod connection;
mod detours;
pub mod error;
pub mod exchange;
pub mod gate;
pub mod head;
pub mod health;
pub mod journal;
#[cfg(test)]
pub mod memory;
pub mod outbound;
pub mod policy;
pub mod pool;
mod race;
pub mod request;
pub mod resolver;
#[cfg(test)]
mod tests;
pub mod unwell;
pub mod upload;

use std::future::Future;
use std::rc::Rc;

use http::{Request, Response};

use crate::clock;
use crate::limits;
use crate::stats::Stats;
use crate::tls::ClientTls;
use crate::tls::identity::Identities;
use body::{AnswerBody, RequestBody};
use connect::{Destination, To};
use connection::Connection;
use error::{Error, Kind, Remedy, Stage};
use exchange::{Heard, Opened, Talk};
use gate::{Gate, Load, Occupancy, Permit};
use health::Health;
use journal::Journal;
use outbound::Outbound;
use pool::{Bounds, Pool};
use request::RequestHead;
use resolver::Resolver;
use unwell::Check;

/// What can be set of the way to backends. Times in milliseconds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For resolving, connecting and the TLS handshakes with all targets of a request together.
    pub connect_ms: u64,
    /// A backend that makes no progress is given up after this.
    pub progress_ms: u64,
    /// The same until its response head is whole; 0: as above.
    pub head_ms: u64,
    /// A pooled connection is closed after this long without use.
    pub idle_ms: u64,
    /// A request that cannot be made twice goes over one only that was used within this.
    pub unsafe_idle_ms: u64,
    /// Idle connections kept per destination.
    pub idle_connections_max: usize,
    /// The same for all destinations together.
    pub idle_all_max: usize,
    /// Limit of a response head, in bytes.
    pub response_head_bytes_max: usize,
    /// Most attempts at one request; 0: no bound.
    pub tries_max: usize,
    /// How long the addresses of a name are used.
    pub names_known_ms: u64,
    /// Requests under way at once, relayed WebSockets counted; further ones wait.
    pub open_max: usize,
    /// How long these wait.
    pub open_wait_ms: u64,
    /// So many failures in a row and a target is asked last; 0: never.
    pub failures_max: u32,
    /// How often targets that have a `check` are asked; 0: never.
    pub check_interval_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            connect_ms: limits::BACKEND_CONNECT_MS,
            progress_ms: limits::BACKEND_PROGRESS_MS,
            head_ms: limits::BACKEND_HEAD_MS,
            idle_ms: limits::BACKEND_IDLE_MS,
            unsafe_idle_ms: limits::BACKEND_UNSAFE_IDLE_MS,
            idle_connections_max: limits::BACKEND_IDLE_CONNECTIONS_MAX,
            idle_all_max: usize::MAX,
            response_head_bytes_max: limits::RESPONSE_HEAD_BYTES_MAX,
            tries_max: limits::BACKEND_TRIES_MAX,
            names_known_ms: limits::NAMES_KNOWN_MS,
            open_max: usize::MAX,
            open_wait_ms: limits::OPEN_REQUESTS_WAIT_MS,
            failures_max: limits::HEALTH_FAILURES_MAX,
            check_interval_ms: limits::HEALTH_INTERVAL_MS,
        }
    }
}

impl Settings {
    fn bounds(&self) -> Bounds {
        Bounds {
            idle_ms: self.idle_ms,
            unsafe_idle_ms: self.unsafe_idle_ms,
            progress_ms: self.progress_ms,
            head_ms: if self.head_ms == 0 { self.progress_ms } else { self.head_ms },
            connections_max: self.idle_connections_max,
            all_max: self.idle_all_max,
        }
    }
}

struct Inner {
    settings: Settings,
    tls: Identities,
    resolver: Rc<Resolver>,
    gate: Rc<Gate>,
    health: Rc<Health>,
    journal: Rc<Journal>,
    pool: Rc<Pool>,
}

/// A shard's way to backends.
#[derive(Clone)]
pub struct Backend(Rc<Inner>);

/// A connection that is ready for one request. Dropping it closes the connection.
pub struct Ready {
    backend: Backend,
    connection: Box<Connection>,
}

/// Over which connection a request goes, and what may be done when that turns out closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// It should not be made twice: only over a connection that is open beyond doubt.
    pub once: bool,
    /// Nevertheless it may be made once more when nothing came of it.
    pub repeat: bool,
    /// A connection is made within so many milliseconds; `None` is as set for all targets of a
    /// request.
    pub connect_ms: Option<u64>,
}

impl Terms {
    /// For a request that may be made twice, or not.
    #[must_use]
    pub fn of(idempotent: bool) -> Terms {
        Terms { once: !idempotent, repeat: idempotent, connect_ms: None }
    }
}

impl Backend {
    /// A way to backends with an empty pool.
    #[must_use]
    pub fn new(settings: Settings, tls: ClientTls, stats: Rc<Stats>) -> Backend {
        let health = Rc::new(Health::new(settings.failures_max, Rc::clone(&stats)));
        let journal = Journal::new(stats);
        let pool = Pool::new(settings.bounds(), Rc::clone(&health), Rc::clone(&journal));
        Backend(Rc::new(Inner {
            resolver: Resolver::new(settings.names_known_ms),
            gate: Gate::new(settings.open_max, limits::OPEN_REQUESTS_WAITING_MAX),
            settings,
            tls: Identities::new(tls),
            health,
            journal,
            pool: Rc::new(pool),
        }))
    }

    /// What was set.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Which targets are ill.
    #[must_use]
    pub fn health(&self) -> &Rc<Health> {
        &self.0.health
    }

    /// Where failures are told.
    #[must_use]
    pub fn journal(&self) -> &Rc<Journal> {
        &self.0.journal
    }

    /// A pooled connection, if there is one and room for one more request. `once`: the request
    /// cannot be made twice.
    #[must_use]
    pub fn pooled(&self, to: To<'_>, once: bool) -> Option<Ready> {
        let permit = self.0.gate.enter()?;
        self.take(to, once, &mut Some(Occupancy { permit, load: None }))
    }

    fn take(&self, to: To<'_>, once: bool, occupancy: &mut Option<Occupancy>) -> Option<Ready> {
        let connection = self.0.pool.take(&to, once, occupancy)?;
        if !self.0.health.is_quiet() {
            self.0.health.begin(&to, clock::now());
        }
        Some(Ready { backend: self.clone(), connection })
    }

    /// A new connection within so many milliseconds, as soon as there is room for one more request;
    /// a pooled one if there is one by then and `pooled` says that it will do (`once` as there).
    ///
    /// All that lets the next target be tried without harm fails here, while the caller still has
    /// its request (and a streamed body is untouched).
    ///
    /// # Errors
    /// When there is no connection, or no room for one.
    pub async fn reach(
        &self,
        to: To<'_>,
        pooled: Option<bool>,
        within_ms: u64,
    ) -> Result<Ready, Error> {
        let permit = self.room().await?;
        let mut occupancy = Some(Occupancy { permit, load: None });
        if let Some(once) = pooled
            && let Some(ready) = self.take(to, once, &mut occupancy)
        {
            return Ok(ready);
        }
        let connection = self.open(Rc::new(to.to_destination()), occupancy, within_ms).await?;
        Ok(Ready { backend: self.clone(), connection })
    }

    async fn room(&self) -> Result<Permit, Error> {
        let Inner { gate, journal, settings, .. } = &*self.0;
        if let Some(permit) = gate.enter() {
            return Ok(permit);
        }
        journal.stats().backend_waits.inc();
        gate.wait(settings.open_wait_ms).await.map_err(|_| {
            let detail = "as many requests are under way as may be";
            let error = Error::new(Stage::Connect, Kind::NoRoom, detail);
            journal.count(&error);
            error
        })
    }

    /// Sends a request that is all here; gives the head, its body to be read. Dropping the future,
    /// or the body before its end, closes the connection. Redirects are not followed; 1xx are
    /// skipped.
    ///
    /// # Errors
    /// When no backend answers.
    pub async fn ask(
        &self,
        to: To<'_>,
        terms: Terms,
        head: RequestHead,
        body: RequestBody,
    ) -> Result<Response<AnswerBody>, Error> {
        let connect_ms = terms.connect_ms.unwrap_or(self.0.settings.connect_ms);
        let ready = match self.pooled(to, terms.once) {
            Some(ready) => ready,
            None => self.reach(to, Some(terms.once), connect_ms).await?,
        };
        if !(ready.is_reused() && terms.repeat) {
            return ready.send(head, body, None).await;
        }
        let again = body.replay().map(|body| (head.clone(), body));
        let error = match ready.send(head, body, None).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let Some((head, body)) = again.filter(|_| error.remedy(true) == Remedy::Afresh) else {
            return Err(error);
        };
        self.0.journal.stats().backend_repeats.inc();
        self.reach(to, None, connect_ms).await?.send(head, body, None).await
    }

    /// Sends a WebSocket handshake over a connection of its own, made within so many milliseconds.
    /// `request` has all its headers. `heard` hears of interim answers.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn upgrade(
        &self,
        to: &Destination,
        request: Request<RequestBody>,
        load: Option<Load>,
        within_ms: u64,
        heard: Heard<'_>,
    ) -> Result<Opened, Error> {
        let mut ready = self.reach(to.as_to(), None, within_ms).await?;
        ready.carry(load);
        let outbound = Outbound::new(RequestHead::of(&request), request.into_body());
        let talk = Talk::new(ready.connection, outbound, self.head_bytes_max());
        exchange::upgrade(talk, &self.0.pool, heard).await
    }

    /// Asks a target whether it is well; what it says, or that it does not say it in time, counts
    /// for its health.
    pub async fn check(&self, check: &Rc<Check>, within_ms: u64) {
        let Inner { resolver, tls, health, journal, pool, .. } = &*self.0;
        let failure = tokio::select! {
            biased;
            status = check::status(check, resolver, tls, pool, within_ms) => match status {
                Ok(status) if status.is_success() || status.is_redirection() => None,
                Ok(status) => Some(format!("its check is answered {}", status.as_u16())),
                Err(error) => Some(format!("its check fails: {error}")),
            },
            () = clock::sleep_ms(within_ms) => Some("its check is not answered in time".to_owned()),
        };
        journal.stats().backend_checks.inc();
        if failure.is_some() {
            journal.stats().backend_checks_failed.inc();
        }
        let failed_max = limits::HEALTH_CHECKS_FAILED_MAX;
        health.checked(check, failure.as_deref(), failed_max);
    }

    /// Connections that wait in the pool.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.0.pool.len()
    }

    fn head_bytes_max(&self) -> usize {
        self.0.settings.response_head_bytes_max
    }

    async fn open(
        &self,
        to: Rc<Destination>,
        occupancy: Option<Occupancy>,
        within_ms: u64,
    ) -> Result<Box<Connection>, Error> {
        let Inner { resolver, tls, health, journal, pool, .. } = &*self.0;
        health.begin(&to.as_to(), clock::now());
        match connect::connect(&to, resolver, tls, journal.stats(), within_ms).await {
            Ok(io) => {
                journal.stats().backend_connections.inc();
                let connection = Connection::new(io, to, occupancy, pool.patience_ms());
                pool.watch(connection.link());
                Ok(connection)
            }
            Err(error) => {
                journal.count(&error);
                health.failed(&to, &error, clock::now());
                Err(error)
            }
        }
    }
}

impl Ready {
    /// Whether the connection comes from the pool.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.connection.link().reused.get()
    }

    /// As long as the connection is in use, it is a part of its target's load.
    pub fn carry(&mut self, load: Option<Load>) {
        if let Some(occupancy) = self.connection.occupancy() {
            occupancy.load = load;
        }
    }

    /// Sends the request; its head is whole and framed by `body`. `heard` hears of interim answers.
    /// An error says what may be done about it ([`Error::remedy`]).
    pub fn send(
        self,
        head: RequestHead,
        body: RequestBody,
        heard: Heard<'_>,
    ) -> impl Future<Output = Result<Response<AnswerBody>, Error>> {
        let Ready { backend, connection } = self;
        let talk = Talk::new(connection, Outbound::new(head, body), backend.head_bytes_max());
        async move {
            let answered = exchange::exchange(talk, &backend.0.pool, heard).await;
            answered.map_err(|error| *error)
        }
    }
}
