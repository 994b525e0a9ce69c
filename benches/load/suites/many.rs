//! Very many connections on one machine: several servers of one kind, each with a client process
//! of its own, since one process may open only so many files. Publishes to all and tells what all
//! of it takes, kernel included.

use std::net::Ipv4Addr;
use std::time::Instant;

use serde::Serialize;

use crate::bench::Bench;
use crate::cores::Cores;
use crate::delegate::{Delegate, Job, Order, Priority};
use crate::failure::Failure;
use crate::machine;
use crate::peer::Peer;
use crate::server::{Plan, Server};
use crate::table::Table;
use crate::transport::Transport;

/// Messages to every subscriber.
const MESSAGES: u64 = 3;

/// What was measured; one line of the JSON file.
#[derive(Clone, Debug, Serialize)]
struct Row {
    peer: Peer,
    transport: Transport,
    servers: usize,
    connections: usize,
    /// From the start of the first client until the last connection was held.
    connect_seconds: f64,
    messages: u64,
    deliveries: u64,
    /// From the first publish until the last client had checked everything.
    seconds: f64,
    deliveries_per_s: f64,
    p99_ms: f64,
    /// Of the servers' processes, above their idle state.
    bytes_per_connection: f64,
    /// Of the clients' processes, all of it.
    client_bytes_per_connection: f64,
    /// What is no longer available and is not in any process; both ends.
    kernel_bytes_per_connection: f64,
    slab_bytes_per_connection: f64,
    /// Of the servers' processes, all of it.
    servers_bytes: u64,
    clients_bytes: u64,
    kernel_bytes: u64,
    /// What all of it takes: memory that is no longer available.
    total_bytes: u64,
}

/// Measures and prints; there is no bound to meet.
pub fn run(bench: &mut Bench) -> Result<(), Failure> {
    let peers: Vec<Peer> =
        bench.options.peers.iter().copied().filter(|peer| *peer == Peer::Linchpin).collect();
    for transport in bench.options.transports(&[Transport::Stream]) {
        for &peer in &peers {
            let name = format!("many, {}, {}", peer.title(), transport.title());
            let Some(row) = bench.attempt(peer, name, |bench| measure(bench, peer, transport))
            else {
                continue;
            };
            bench.record("many", &row)?;
            print!("{}", row.text());
        }
    }
    Ok(())
}

fn measure(bench: &Bench, peer: Peer, transport: Transport) -> Result<Row, Failure> {
    let options = &bench.options;
    machine::pin(&machine::cores())?;
    let before = machine::system_memory()?;
    let each = options.total.div_ceil(options.servers);
    let mut servers = Vec::new();
    for number in 0..options.servers {
        // An address of its own for each, so that the clients' ports suffice in any case.
        let host = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 2)) + number as u32 % 200);
        let plan = Plan { host, ..bench.plan(peer, transport, each) };
        servers.push(Server::start(plan, &Cores::shared())?);
    }
    measure_at(&servers, bench, transport, before).map_err(|failure| match servers.first() {
        Some(server) => server.blame(failure),
        None => failure,
    })
}

fn weight(servers: &[Server]) -> Result<u64, Failure> {
    servers.iter().map(|server| machine::memory(&server.site.processes)).sum()
}

fn measure_at(
    servers: &[Server],
    bench: &Bench,
    transport: Transport,
    before: machine::Memory,
) -> Result<Row, Failure> {
    let options = &bench.options;
    let idle = weight(servers)?;
    let began = Instant::now();
    let mut clients = Vec::new();
    let mut left = options.total;
    for (number, server) in servers.iter().enumerate() {
        let connections = left.div_ceil(servers.len() - number);
        left -= connections;
        let job = Job {
            site: server.site.clone(),
            transport,
            channel: "load".to_owned(),
            connections,
            size: options.size,
        };
        clients.push(Delegate::start(&job, Priority::Usual)?);
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.held()?;
        eprintln!(
            "many: client {} of {} holds all, {:.0} s",
            number + 1,
            servers.len(),
            began.elapsed().as_secs_f64()
        );
    }
    let connect_seconds = began.elapsed().as_secs_f64();
    let held = weight(servers)?;
    let processes: Vec<u32> = clients.iter().map(Delegate::process).collect();
    let clients_bytes = machine::memory(&processes)?;
    let now = machine::system_memory()?;

    let published = Instant::now();
    for client in &mut clients {
        client.order(&Order::Burst { messages: MESSAGES })?;
    }
    let mut deliveries = 0;
    let mut p99_ms: f64 = 0.0;
    for client in &mut clients {
        let outcome = client.outcome()?;
        deliveries += outcome.deliveries;
        p99_ms = p99_ms.max(outcome.p99_ms);
    }
    let seconds = published.elapsed().as_secs_f64();
    let total = before.available.saturating_sub(now.available);
    let kernel = total.saturating_sub(held + clients_bytes);
    let by = |bytes: u64| bytes as f64 / options.total as f64;
    Ok(Row {
        peer: Peer::Linchpin,
        transport,
        servers: servers.len(),
        connections: options.total,
        connect_seconds,
        messages: MESSAGES,
        deliveries,
        seconds,
        deliveries_per_s: deliveries as f64 / seconds.max(1e-6),
        p99_ms,
        bytes_per_connection: by(held.saturating_sub(idle)),
        client_bytes_per_connection: by(clients_bytes),
        kernel_bytes_per_connection: by(kernel),
        slab_bytes_per_connection: by(now.slab.saturating_sub(before.slab)),
        servers_bytes: held,
        clients_bytes,
        kernel_bytes: kernel,
        total_bytes: total,
    })
}

impl Row {
    fn text(&self) -> String {
        let title = format!(
            "Many: {} {}s held by {} processes of {}, connected within {:.0} s",
            self.connections,
            self.transport.title(),
            self.servers,
            self.peer.title(),
            self.connect_seconds,
        );
        let mut table = Table::new(title, &["MB", "bytes per connection"]);
        let all = self.connections as f64;
        let mut row = |name: &str, bytes: f64, each: f64| {
            table.row(name, vec![format!("{:.0}", bytes / 1e6), format!("{each:.0}")]);
        };
        row("servers' processes", self.servers_bytes as f64, self.servers_bytes as f64 / all);
        row("of it above idle", self.bytes_per_connection * all, self.bytes_per_connection);
        row("clients' processes", self.clients_bytes as f64, self.client_bytes_per_connection);
        row("kernel, both ends", self.kernel_bytes as f64, self.kernel_bytes_per_connection);
        let slab = self.slab_bytes_per_connection;
        row("of it slab", slab * all, slab);
        row("all of it", self.total_bytes as f64, self.total_bytes as f64 / all);
        table.note(format!(
            "{} messages to all: {} deliveries, each exactly once and in order, within {:.1} s; \
             p99 of the slowest client {:.0} ms",
            self.messages, self.deliveries, self.seconds, self.p99_ms,
        ));
        table.text()
    }
}
