//! Takes connections in: as many as there is room for, in batches, and on through every shortage.
//!
//! One task for each listener of a shard, started by its loop. Who waits for what: at
//! `client_maxconn` for a connection that leaves (or the client is refused, if the operator wants
//! that), at the bound of handshakes for one that gets through, without descriptors for a while
//! that grows. It never spins, and never ends.

use std::cell::Cell;
use std::rc::Rc;

use super::connection;
use super::state::Shard;
use crate::clock::{self, Tick};
use crate::limits;
use crate::listen::refusal::refuse;
use crate::listen::reserve::Reserve;
use crate::listen::{AcceptError, Accepted, Listener};
use crate::tls::server::ServerTls;

/// Failures are logged at most once in this time.
const LOG_EVERY_MS: u64 = 10_000;

/// One listener and what it needs to go on.
pub struct Door {
    shard: Rc<Shard>,
    listener: Listener,
    tls: Option<ServerTls>,
    reserve: Reserve,
    pause_ms: u64,
    logged: Option<Tick>,
    /// Refused clients that are still read from.
    lingering: Rc<Cell<usize>>,
}

impl Door {
    /// The door of one listener, for clients with TLS if it has a configuration.
    #[must_use]
    pub fn new(shard: Rc<Shard>, listener: Listener, tls: Option<ServerTls>) -> Door {
        Door {
            shard,
            listener,
            tls,
            reserve: Reserve::new(),
            pause_ms: limits::ACCEPT_BACK_OFF_MS.0,
            logged: None,
            lingering: Rc::default(),
        }
    }

    /// Accepts until the task is aborted.
    pub async fn run(mut self) {
        let mut at_once = 0;
        loop {
            if !self.shard.settings.refuse_at_capacity {
                self.shard.room().await;
            }
            self.shard.starting.room().await;
            match self.listener.accept().await {
                Ok(accepted) => {
                    self.pause_ms = limits::ACCEPT_BACK_OFF_MS.0;
                    self.take(accepted);
                }
                Err(error) => self.back_off(&error).await,
            }
            at_once += 1;
            if at_once >= limits::ACCEPTS_AT_ONCE {
                at_once = 0;
                // Those that are held, and those just accepted, have their turn in a storm.
                tokio::task::yield_now().await;
            }
        }
    }

    fn take(&self, accepted: Accepted) {
        let shard = &self.shard;
        shard.stats.connections_accepted.inc();
        if shard.settings.refuse_at_capacity && shard.is_full() {
            return self.refuse(accepted);
        }
        let Accepted { socket, peer } = accepted;
        let now = clock::now();
        let tls = self.tls.as_ref().map(|tls| tls.config(now.0));
        // Counted from here on: the task itself runs only later.
        let ticket = shard.ticket();
        shard.starting.begin(now, |start| {
            let client = connection::Newcomer { socket, peer, tls, start };
            let task = connection::run(shard.clone(), client, ticket);
            tokio::task::spawn_local(task).abort_handle()
        });
    }

    /// There is no room, and the client is to know it.
    fn refuse(&self, accepted: Accepted) {
        self.shard.stats.clients_refused.inc();
        if self.tls.is_some() {
            return;
        }
        let lingering = self.lingering.clone();
        let linger_ms = match lingering.get() {
            n if n < limits::REFUSALS_MAX => limits::REFUSAL_LINGER_MS,
            _ => 0,
        };
        lingering.set(lingering.get() + 1);
        tokio::task::spawn_local(async move {
            refuse(accepted.socket, linger_ms).await;
            lingering.set(lingering.get() - 1);
        });
    }

    /// Nobody can be accepted now: waits, longer each time, but not past the leaving of a client.
    /// Without descriptors one client is told so by means of the reserve: it need not wait for what
    /// may not come.
    async fn back_off(&mut self, error: &AcceptError) {
        self.shard.stats.accept_failures.inc();
        self.log(error);
        if matches!(error, AcceptError::NoDescriptors(_)) && self.reserve.give_up() {
            self.refuse_one().await;
            self.reserve.restore();
        }
        tokio::select! {
            () = self.shard.left() => {}
            () = clock::sleep_ms(self.pause_ms) => {}
        }
        self.reserve.restore();
        let longest = if self.shard.settings.refuse_at_capacity {
            // Who waits is to be told soon.
            limits::ACCEPT_BACK_OFF_MS.0
        } else {
            limits::ACCEPT_BACK_OFF_MS.1
        };
        self.pause_ms = (self.pause_ms * 2).min(longest);
    }

    async fn refuse_one(&self) {
        // Whoever else got the descriptor meanwhile makes this fail: the next round tries again.
        let Ok(accepted) = self.listener.accept().await else { return };
        self.shard.stats.connections_accepted.inc();
        self.shard.stats.clients_refused.inc();
        if self.tls.is_none() {
            refuse(accepted.socket, self.pause_ms).await;
        }
    }

    fn log(&mut self, error: &AcceptError) {
        let now = clock::now();
        if self.logged.is_none_or(|last| now.ms_since(last) >= LOG_EVERY_MS) {
            self.logged = Some(now);
            let failures = self.shard.stats.accept_failures.get();
            tracing::warn!(%error, failures, "cannot accept connections, pausing");
        }
    }
}
