//! A shard's parts, and what it does with commands: shared by its loop and its connections.
//!
//! Built by the roof, which drives it; `connection` and `parked` work on it.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::capacity::Capacity;
use super::mailbox::Command;
use super::peers::Peers;
use super::starting::Starting;
use crate::backend::{self, Backend};
use crate::clock::{self, Tick};
use crate::forward::askers::Askers;
use crate::forward::connections::Connections;
use crate::forward::shared::{self, Shared};
use crate::forward::signing;
use crate::http;
use crate::hub::{Hub, registry};
use crate::limits;
use crate::parking::poll::Poll;
use crate::parking::{self, Lot};
use crate::proxy::Proxy;
use crate::route::Table;
use crate::stats::{Snapshot, Stats};
use crate::tls::client::ClientTls;

/// What every shard is told.
#[derive(Clone)]
pub struct Settings {
    /// Client connections of all shards; at the cap further ones wait in the kernel.
    pub capacity: Arc<Capacity>,
    /// At the cap further ones are refused instead.
    pub refuse_at_capacity: bool,
    /// Clients of one shard at once that have not sent their first request head.
    pub handshakes_max: usize,
    /// How long a client may take to its first whole request head, in milliseconds.
    pub handshake_ms: u64,
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
    /// Backends are told which certificate a client has shown.
    pub client_cert_header: bool,
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
    /// Clients that have not asked for anything yet.
    pub starting: Rc<Starting>,
    /// The rest.
    pub settings: Settings,
    serving: Cell<usize>,
    /// Places of the capacity that its connections have.
    places: Cell<usize>,
    gate: Notify,
    storm: Notify,
    bell: Rc<Notify>,
    stop: Rc<Notify>,
    stopping: Cell<bool>,
}

impl Shard {
    /// A shard without connections, in the runtime that this is called in.
    pub(super) fn new(
        settings: Settings,
        table: Arc<Table>,
        peers: Option<Peers>,
        set: Rc<Poll>,
        bell: Rc<Notify>,
    ) -> Shard {
        let stats = Rc::new(Stats::default());
        let lot = Lot::new(set, settings.parking.clone(), bell.clone(), stats.clone());
        let lot = Rc::new(RefCell::new(lot));
        let (alarm, ring) = (bell.clone(), bell);
        let alarm: Rc<dyn Fn()> = Rc::new(move || alarm.notify_one());
        let hub = Hub::new(settings.hub.clone(), lot.clone(), alarm);
        let backend =
            Backend::new(settings.backend.clone(), settings.client_tls.clone(), stats.clone());
        let shared = Rc::new(Shared {
            hub: hub.clone(),
            routing: Default::default(),
            backend,
            turns: Default::default(),
            stats: stats.clone(),
            askers: Rc::new(Askers::new(settings.proxy.filter_requests_per_s)),
            settings: settings.proxy.clone(),
            ears: Rc::default(),
            connections: Connections::new(settings.proxy.commands),
            remembers: settings.hub.ring_items_max > 0,
            peers: peers.map(|peers| Rc::new(peers) as _),
            keys: signing::Keys::new(PathBuf::new()),
        });
        let starting = Starting::new(settings.handshakes_max, settings.handshake_ms, stats.clone());
        Shard {
            hub,
            lot,
            proxy: Rc::new(Proxy::new(shared, table)),
            stats,
            starting,
            settings,
            serving: Cell::new(0),
            places: Cell::new(0),
            gate: Notify::new(),
            storm: Notify::new(),
            bell: ring,
            stop: Rc::new(Notify::new()),
            stopping: Cell::new(false),
        }
    }

    /// Delivers a slice of what waits.
    pub(super) fn deliver(&self, now: Tick) {
        let receivers = self.hub.deliver(now);
        self.stats.deliveries.add(receivers.delivered);
    }

    /// Does what the control thread asks.
    pub(super) fn obey(&self, command: Command) {
        match command {
            Command::Publish(items) => {
                self.hub.publish(&items, clock::now(), None);
            }
            Command::PublishCounted(items, reply) => {
                let mut receipts = Vec::with_capacity(items.len());
                self.hub.publish(&items, clock::now(), Some(&mut receipts));
                // Whoever asked may have gone, or waited long enough.
                let _ = reply.send(receipts);
            }
            Command::Recover => self.hub.with(|registry| registry.recover()),
            Command::Fly(order) => self.proxy.holds().order(*order),
            Command::Visit(visit) => self.proxy.sessions().take(visit),
            Command::Routes(table) => self.proxy.set_table(table),
            Command::Ask(question, reply) => {
                let _ = reply.send(self.proxy.ask(&question));
            }
            Command::Snapshot(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.snapshot());
            }
            // The loop has taken these.
            Command::Welcome(_) | Command::Edge(_) | Command::Drain => {}
        }
    }

    /// The counters, with those that the hub keeps itself.
    fn snapshot(&self) -> Snapshot {
        let (tally, (order, _)) = self.hub.with(|registry| (registry.tally(), registry.order()));
        let lost = order.discarded
            + order.dropped_duplicate_prev
            + order.dropped_pending_full
            + order.dropped_pending_bytes;
        Snapshot {
            ring_deliveries: tally.from_ring,
            ring_misses: tally.missed,
            items_lost_asking: tally.dropped_queue,
            variables_refused: tally.variables_refused,
            deliveries_filtered: tally.filtered,
            messages_deflated: tally.deflated,
            messages_deflated_bytes_before: tally.deflated_bytes_before,
            messages_deflated_bytes_after: tally.deflated_bytes_after,
            items_held_back: order.held_back,
            items_released_late: order.released_late,
            items_lost_waiting: lost,
            ring_dropped: order.ring_evicted + order.ring_expired + order.ring_cleared,
            ..self.stats.snapshot()
        }
    }

    /// Stops accepting, ends what is held as its protocol asks, and lets requests in flight finish;
    /// the moment at which patience ends.
    pub(super) fn begin_stopping(&self, accepting: &mut Vec<JoinHandle<()>>) -> Tick {
        for task in accepting.drain(..) {
            task.abort();
        }
        self.stopping.set(true);
        self.stop.notify_waiters();
        // What was accepted is delivered before its receivers are let go.
        while self.hub.is_delivering() {
            self.deliver(clock::now());
        }
        self.hub.with_outlet(|registry, outlet| registry.drain(outlet));
        self.proxy.sockets().drain();
        let bell = self.bell.clone();
        let ring: Rc<dyn Fn()> = Rc::new(move || bell.notify_one());
        self.proxy.sessions().drain(Rc::clone(&ring));
        self.proxy.holds().drain(ring);
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
        self.serving.get() + self.lot.borrow().parked()
    }

    /// How many connections are served: neither parked nor gone.
    pub(super) fn serving(&self) -> usize {
        self.serving.get()
    }

    /// Waits until so many connections are served at once that it is a storm.
    pub(super) async fn storm(&self) {
        self.storm.notified().await;
    }

    /// A place of the capacity is one of this shard's connections' from now on.
    pub(super) fn occupy(&self) {
        self.places.set(self.places.get() + 1);
    }

    /// Gives back the places of those that have left.
    pub(super) fn vacate(&self) {
        let (places, connections) = (self.places.get(), self.connections());
        if places > connections {
            self.places.set(connections);
            self.settings.capacity.give(places - connections);
        }
    }

    /// Waits until a connection leaves.
    pub(super) async fn left(&self) {
        self.gate.notified().await;
    }

    /// Whether nobody is connected, nobody waits to hear that a client is gone, and no client of
    /// another shard waits for a session of this one.
    pub(super) fn is_empty(&self) -> bool {
        let idle = self.proxy.holds().is_idle() && self.proxy.sessions().is_idle();
        self.connections() == 0 && idle
    }

    /// A connection is being served while the ticket lives.
    pub fn ticket(self: &Rc<Shard>) -> Ticket {
        self.serving.set(self.serving.get() + 1);
        if self.serving.get() == limits::STORM_CONNECTIONS {
            self.storm.notify_one();
        }
        Ticket(self.clone())
    }

    /// A held connection has ended: another one may come in.
    pub fn made_room(&self) {
        self.vacate();
        // All listeners: the one that is told alone may have nobody waiting.
        self.gate.notify_waiters();
        if self.stopping.get() {
            // The loop ends when nobody is left, and sleeps meanwhile.
            self.bell.notify_one();
        }
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
