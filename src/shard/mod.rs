//! One thread: its listeners, connections, hub, lot and pools, and the loop that drives them.
//!
//! Nothing that a shard owns is shared. Work comes in from its listeners, from its parked sockets and
//! through its mailbox; the loop does what is ready, then what follows from it (notices of the lot,
//! effects of the hub), then sleeps until the next deadline.

pub mod connection;
pub mod mailbox;
pub mod parked;

use std::cell::{Cell, RefCell};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::backend::{self, Backend};
use crate::clock::{self, Tick};
use crate::http;
use crate::hub::{Hub, registry};
use crate::listen::Listener;
use crate::parking::poll::Poll;
use crate::parking::{self, Lot};
use crate::proxy::shared::{self, Shared};
use crate::proxy::{Proxy, signing};
use crate::route::Table;
use crate::stats::Stats;
use crate::tls::certificates::Certificates;
use crate::tls::client::ClientTls;
use crate::tls::server::ServerTls;
use mailbox::{Command, Inbox};

/// What every shard is told.
#[derive(Clone)]
pub struct Settings {
    /// Client connections of one shard; at the cap further ones wait in the kernel.
    pub connections_max: usize,
    /// Stopping: what is in flight gets this long.
    pub drain_ms: u64,
    /// Of the HTTP side.
    pub http: http::Settings,
    /// Of the hub.
    pub hub: registry::Settings,
    /// Of the lot.
    pub parking: parking::Settings,
    /// Of the proxy.
    pub proxy: shared::Settings,
    /// Of the way to backends.
    pub backend: backend::Settings,
    /// TLS towards backends.
    pub client_tls: ClientTls,
}

/// What one shard is given to begin with.
pub struct Start {
    /// Its listening sockets, each with its TLS configuration if it has one.
    pub listeners: Vec<(std::net::TcpListener, Option<Arc<Certificates>>)>,
    /// Its mailbox.
    pub inbox: Inbox,
    /// The routes.
    pub table: Arc<Table>,
    /// The rest.
    pub settings: Settings,
}

/// One shard's parts, for its connections.
pub struct Shard {
    /// The held connections.
    pub hub: Hub,
    /// Their sockets.
    pub lot: Rc<RefCell<Lot>>,
    /// What requests go through.
    pub proxy: Rc<Proxy>,
    /// The counters.
    pub stats: Rc<Stats>,
    /// The rest.
    pub settings: Settings,
    serving: Cell<usize>,
    gate: Notify,
    stop: Rc<Notify>,
    stopping: Cell<bool>,
}

/// Runs a shard to its end on the thread that this is called on.
///
/// # Errors
/// When the runtime or the readiness set cannot be made.
pub fn run(start: Start) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, serve(start))
}

async fn serve(start: Start) -> io::Result<()> {
    let Start { listeners, mut inbox, table, settings } = start;
    let set = Rc::new(Poll::new()?);
    let bell = Rc::new(Notify::new());
    let shard = Rc::new(Shard::new(settings, table, set.clone(), bell.clone())?);
    let mut accepting = Vec::new();
    for (bound, certificates) in listeners {
        let port = bound.local_addr()?.port();
        let tls = certificates.map(|found| ServerTls::new(found, port)).transpose();
        let tls = tls.map_err(io::Error::other)?;
        let listener = Listener::new(bound, shard.stats.clone())?;
        accepting.push(tokio::task::spawn_local(accept(shard.clone(), listener, tls)));
    }
    let mut ready = Vec::new();
    let mut scratch = vec![0; parked::READ_BYTES_MAX];
    let mut deadline: Option<Tick> = None;
    let mut end: Option<Tick> = None;
    loop {
        let next = deadline.into_iter().chain(end).min();
        tokio::select! {
            command = inbox.recv() => match command {
                Some(Command::Drain) if end.is_none() => {
                    end = Some(shard.begin_stopping(&mut accepting));
                }
                Some(command) => shard.obey(command),
                // The control thread is gone: the process is ending.
                None if end.is_none() => end = Some(shard.begin_stopping(&mut accepting)),
                None => clock::sleep_ms(10).await,
            },
            waited = set.wait(&mut ready) => waited?,
            () = bell.notified() => {}
            () = clock::sleep_until(next.unwrap_or_default()), if next.is_some() => {}
        }
        for (id, readiness) in ready.drain(..) {
            parked::ready(&shard, id, readiness, &mut scratch);
        }
        let now = clock::now();
        deadline = shard.hub.tick(now);
        parked::settle(&shard, &mut scratch);
        if end.is_some_and(|end| now >= end || shard.is_empty()) {
            return Ok(());
        }
    }
}

async fn accept(shard: Rc<Shard>, listener: Listener, tls: Option<ServerTls>) {
    loop {
        while shard.connections() >= shard.settings.connections_max {
            shard.gate.notified().await;
        }
        let socket = listener.accept().await;
        let config = tls.as_ref().map(|tls| tls.config(clock::now().0));
        tokio::task::spawn_local(connection::run(shard.clone(), socket, config));
    }
}

impl Shard {
    fn new(
        settings: Settings,
        table: Arc<Table>,
        set: Rc<Poll>,
        bell: Rc<Notify>,
    ) -> io::Result<Shard> {
        let stats = Rc::new(Stats::default());
        let lot = Lot::new(set, settings.parking.clone(), bell.clone(), stats.clone());
        let lot = Rc::new(RefCell::new(lot));
        let alarm = bell.clone();
        let alarm: Rc<dyn Fn()> = Rc::new(move || alarm.notify_one());
        let hub = Hub::new(settings.hub.clone(), lot.clone(), alarm);
        let backend = Backend::new(settings.backend.clone(), settings.client_tls.clone());
        let shared = Rc::new(Shared {
            hub: hub.clone(),
            backend,
            stats: stats.clone(),
            settings: settings.proxy.clone(),
            keys: signing::Keys::new(PathBuf::new()),
        });
        Ok(Shard {
            hub,
            lot,
            proxy: Rc::new(Proxy::new(shared, table)),
            stats,
            settings,
            serving: Cell::new(0),
            gate: Notify::new(),
            stop: Rc::new(Notify::new()),
            stopping: Cell::new(false),
        })
    }

    fn obey(&self, command: Command) {
        match command {
            Command::Publish(items) => {
                let now = clock::now();
                self.stats.items_received.add(items.len() as u64);
                for item in items.iter() {
                    let receivers = self.hub.publish(item, now);
                    self.stats.deliveries.add(receivers.delivered);
                    tracing::debug!(
                        "publish channel={} receivers={}",
                        item.channel.as_str(),
                        receivers.matched
                    );
                }
            }
            Command::Routes(table) => self.proxy.set_table(table),
            Command::Snapshot(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.stats.snapshot());
            }
            Command::Drain => {}
        }
    }

    /// Stops accepting, ends what is held as its protocol asks, and lets requests in flight finish;
    /// the moment at which patience ends.
    fn begin_stopping(&self, accepting: &mut Vec<JoinHandle<()>>) -> Tick {
        for task in accepting.drain(..) {
            task.abort();
        }
        self.stopping.set(true);
        self.stop.notify_waiters();
        self.hub.with_outlet(|registry, outlet| registry.drain(outlet));
        self.proxy.sockets().drain();
        clock::now().plus_ms(self.settings.drain_ms)
    }

    /// Whether the shard is on its way out.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Resolves when the shard begins to stop.
    pub async fn stopped(&self) {
        while !self.stopping.get() {
            self.stop.notified().await;
        }
    }

    fn connections(&self) -> usize {
        self.serving.get() + self.hub.with(|registry| registry.len())
    }

    fn is_empty(&self) -> bool {
        self.connections() == 0
    }

    /// A connection is being served while the ticket lives.
    pub fn ticket(self: &Rc<Shard>) -> Ticket {
        self.serving.set(self.serving.get() + 1);
        Ticket(self.clone())
    }

    /// A held connection has ended: another one may come in.
    pub fn made_room(&self) {
        self.gate.notify_one();
    }
}

/// One connection that is being served.
pub struct Ticket(Rc<Shard>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.serving.set(self.0.serving.get() - 1);
        self.0.made_room();
    }
}
