//! What becomes of connections that came through one listener, whichever shard accepted them: TLS
//! or not, behind a proxy or not, and counted from the first moment.
//!
//! Each shard has the same entrances in the same order; its doors and its mailbox bring connections
//! here.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::connection::{self, Guest};
use super::state::Shard;
use crate::clock::{self, Tick};
use crate::limits::ENTRANCE_LOG_EVERY_MS;
use crate::listen::listener::Accepted;
use crate::listen::network::Network;
use crate::listen::socket::Socket;
use crate::tls::server::{Edge, ServerTls};

/// See the module.
pub struct Entrance {
    shard: Rc<Shard>,
    tls: Option<ServerTls>,
    /// Whom to believe who the client is; `None` where nobody says it.
    proxies: Option<Arc<[Network]>>,
    logged: Cell<Option<Tick>>,
}

impl Entrance {
    /// An entrance of this shard.
    #[must_use]
    pub fn new(
        shard: Rc<Shard>,
        tls: Option<ServerTls>,
        proxies: Option<Arc<[Network]>>,
    ) -> Entrance {
        Entrance { shard, tls, proxies, logged: Cell::new(None) }
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// TLS, where it is spoken, is like this from the next handshake on.
    pub fn renew(&self, edge: &Edge) {
        if let Some(tls) = &self.tls {
            tls.renew(edge);
        }
    }

    /// Takes a connection in for which the shard has a place.
    pub fn admit(&self, accepted: Accepted) {
        let shard = &self.shard;
        let Accepted { socket, peer } = accepted;
        // Counted from here on: the task itself runs only later.
        let ticket = shard.ticket();
        if !self.believes(peer) {
            return;
        }
        let now = clock::now();
        let tls = self.tls.as_ref().map(|tls| tls.config());
        let behind = self.proxies.is_some();
        shard.starting.begin(now, |start| {
            let guest = Guest { socket, peer, behind, tls, start };
            tokio::task::spawn_local(connection::run(shard.clone(), guest, ticket)).abort_handle()
        });
    }

    /// Takes a connection in that another shard has accepted, place and all.
    pub fn receive(&self, socket: Socket, peer: Option<IpAddr>) {
        let mut socket = socket;
        self.shard.stats.connections_dealt.inc();
        self.shard.occupy();
        match socket.attach() {
            Ok(()) => self.admit(Accepted { socket, peer }),
            Err(error) => {
                tracing::debug!(%error, "cannot take a connection over");
                self.shard.made_room();
            }
        }
    }

    /// Whether the peer may say who the client is, where one must. Who reaches a Unix socket was
    /// let in by its permissions.
    fn believes(&self, peer: Option<IpAddr>) -> bool {
        let (Some(proxies), Some(peer)) = (&self.proxies, peer) else { return true };
        if proxies.iter().any(|network| network.contains(peer)) {
            return true;
        }
        self.shard.stats.proxies_not_trusted.inc();
        let now = clock::now();
        if self.logged.get().is_none_or(|last| now.ms_since(last) >= ENTRANCE_LOG_EVERY_MS) {
            self.logged.set(Some(now));
            tracing::warn!(%peer, "closed: not in --proxy-protocol-from");
        }
        false
    }
}
