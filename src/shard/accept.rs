//! Takes connections in: as many as there is room for, in batches, and on through every shortage.
//!
//! One task for each listener of a shard, started by its loop. Who waits for what: at
//! `client_maxconn` for a connection that leaves, of whichever shard (or the client is refused, if
//! the operator wants that), at the bound of handshakes for one that gets through, without
//! descriptors for a while that grows. It never spins, and never ends.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};

use super::capacity::Place;
use super::entrance::Entrance;
use super::newcomer::Newcomer;
use super::peers::Peers;
use super::state::Shard;
use crate::clock::{self, Tick};
use crate::limits;
use crate::listen::listener::{AcceptError, Accepted, Listener};
use crate::listen::refusal::refuse;
use crate::listen::reserve::Reserve;
use crate::listen::socket::Socket;

/// One listener and what it needs to go on.
pub struct Door {
    shard: Rc<Shard>,
    listener: Listener,
    entrance: Rc<Entrance>,
    turns: Option<Turns>,
    reserve: Reserve,
    pause_ms: u64,
    logged: Option<Tick>,
    /// Refused clients that are still read from.
    lingering: Rc<Cell<usize>>,
}

/// Whose turn it is to get a connection of a listener that only one shard has.
pub struct Turns {
    /// The shards.
    pub peers: Peers,
    /// Which of the process's entrances it is.
    pub entrance: usize,
    /// The shard whose turn is next.
    pub next: usize,
}

/// What a look at the listener came to.
enum Look {
    /// A client, for whom a place is taken.
    Client(Accepted),
    /// A client for whom there is none, and who is to know it.
    Surplus(Accepted),
    /// There is no place, whether or not somebody is waiting.
    Full,
    /// See there.
    Failed(AcceptError),
}

impl Door {
    /// The door of one listener. With `turns`, what comes in is dealt out among the shards.
    #[must_use]
    pub fn new(
        shard: Rc<Shard>,
        listener: Listener,
        entrance: Rc<Entrance>,
        turns: Option<Turns>,
    ) -> Door {
        Door {
            shard,
            listener,
            entrance,
            turns,
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
            self.shard.starting.room().await;
            let look = loop {
                match self.look().await {
                    // Straight back: whoever was told of a free place takes it or passes it on.
                    Look::Full => self.shard.settings.capacity.room().await,
                    look => break look,
                }
            };
            match look {
                Look::Client(accepted) => {
                    self.pause_ms = limits::ACCEPT_BACK_OFF_MS.0;
                    self.shard.stats.connections_accepted.inc();
                    self.take(accepted);
                }
                Look::Surplus(accepted) => {
                    self.shard.stats.connections_accepted.inc();
                    self.refuse(accepted);
                }
                Look::Full => {}
                Look::Failed(error) => self.back_off(&error).await,
            }
            at_once += 1;
            if at_once >= limits::ACCEPTS_AT_ONCE {
                at_once = 0;
                // Those that are held, and those just accepted, have their turn in a storm.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits for the next client. A place is taken before it is accepted, and given back at once
    /// when nobody stands there: who waits keeps no place from others.
    async fn look(&self) -> Look {
        let settings = &self.shard.settings;
        poll_fn(|cx| {
            let place = settings.capacity.take();
            if !place && !settings.refuse_at_capacity {
                return Poll::Ready(Look::Full);
            }
            let polled = self.listener.poll_accept(cx);
            if place && !matches!(polled, Poll::Ready(Ok(_))) {
                settings.capacity.give(1);
            }
            Poll::Ready(match ready!(polled) {
                Ok(accepted) if place => Look::Client(accepted),
                Ok(accepted) => Look::Surplus(accepted),
                Err(error) => Look::Failed(error),
            })
        })
        .await
    }

    /// Serves a client here, or has another shard do so whose turn it is. One that has no room in
    /// its mailbox loses its turn.
    fn take(&mut self, accepted: Accepted) {
        let mut accepted = accepted;
        if let Some(turns) = &mut self.turns
            && !turns.is_own()
        {
            match turns.deal(accepted, Place::of(&self.shard.settings.capacity)) {
                Some((back, place)) => {
                    place.keep();
                    accepted = back;
                }
                None => return,
            }
        }
        self.shard.occupy();
        self.entrance.admit(accepted);
    }

    /// There is no room, and the client is to know it.
    fn refuse(&self, accepted: Accepted) {
        self.shard.stats.clients_refused.inc();
        if self.entrance.is_tls() {
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
        if !self.entrance.is_tls() {
            refuse(accepted.socket, self.pause_ms).await;
        }
    }

    fn log(&mut self, error: &AcceptError) {
        let now = clock::now();
        if self.logged.is_none_or(|last| now.ms_since(last) >= limits::ENTRANCE_LOG_EVERY_MS) {
            self.logged = Some(now);
            let failures = self.shard.stats.accept_failures.get();
            tracing::warn!(%error, failures, "cannot accept connections, pausing");
        }
    }
}

impl Turns {
    /// Whether it is the accepting shard's own turn; if so, the next one's is next.
    fn is_own(&mut self) -> bool {
        let own = self.next == self.peers.own();
        if own {
            self.pass();
        }
        own
    }

    fn pass(&mut self) {
        self.next = (self.next + 1) % self.peers.len().max(1);
    }

    /// Sends a client to the shard whose turn it is; gives it back when that cannot be.
    fn deal(&mut self, accepted: Accepted, place: Place) -> Option<(Accepted, Place)> {
        let Accepted { mut socket, peer } = accepted;
        let to = self.next;
        self.pass();
        if let Err(error) = socket.detach() {
            tracing::debug!(%error, "cannot pass a connection on");
            return None;
        }
        let Socket::Detached(socket) = socket else { return None };
        let newcomer = Newcomer { socket, peer, entrance: self.entrance, place };
        let back = self.peers.welcome(to, Box::new(newcomer)).err()?;
        let Newcomer { socket, peer, place, .. } = *back;
        let mut socket = Socket::Detached(socket);
        socket.attach().ok()?;
        Some((Accepted { socket, peer }, place))
    }
}
