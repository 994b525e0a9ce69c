//! Two cores against one. The client takes neither: subscribers do not read before everything is
//! written, so few messages that fit the sockets' buffers are written to many. The bare loop, once
//! and twice, shows what the machine itself makes of its second core.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::bench::Bench;
use crate::cores::Cores;
use crate::failure::Failure;
use crate::goal::Goal;
use crate::machine;
use crate::peer::Peer;
use crate::phases;
use crate::server::{Plan, Server};
use crate::statistics::{Sample, middle, ratio};
use crate::swarm::Swarm;
use crate::table::{Table, cell};
use crate::transport::Transport;

/// Between two looks at whether the server rests: seldom, since each takes time of its cores.
const LOOK: Duration = Duration::from_millis(5);

/// What was measured; one line of the JSON file.
#[derive(Clone, Debug, Serialize)]
struct Row {
    peer: Peer,
    transport: Transport,
    round: usize,
    connections: usize,
    /// Cores, and worker threads or processes on them.
    workers: usize,
    messages: u64,
    size: usize,
    /// From the first publish until all threads of the server rest.
    seconds: f64,
    deliveries: u64,
    deliveries_per_s: f64,
    cpu_s_per_million: f64,
}

/// Measures, prints, tells its goals.
pub fn run(bench: &mut Bench) -> Result<(), Failure> {
    if machine::cores().len() < 2 || bench.options.no_pin {
        eprintln!("load: shards are left out: that needs two cores, and pinning");
        return Ok(());
    }
    let transports = bench.options.transports(&[Transport::Stream]);
    // A long-poll gets one message only before its client must be heard again.
    let transports: Vec<Transport> =
        transports.into_iter().filter(|kind| *kind != Transport::Longpoll).collect();
    let peers: Vec<Peer> =
        bench.options.peers.iter().copied().filter(|peer| peer.is_ours()).collect();
    let mut rows: Vec<Row> = Vec::new();
    for round in 1..=bench.options.rounds {
        for &transport in &transports {
            for &peer in &peers {
                for workers in [1, 2] {
                    let name = format!(
                        "shards, round {round}, {}, {}, {workers} core(s)",
                        peer.title(),
                        transport.title()
                    );
                    let measured =
                        bench.attempt(peer, name, |bench| measure(bench, peer, transport, workers));
                    if let Some(row) = measured {
                        let row = Row { round, ..row };
                        row.progress();
                        bench.record("shards", &row)?;
                        rows.push(row);
                    }
                }
            }
        }
    }
    for &transport in &transports {
        let group = Group(rows.iter().filter(|row| row.transport == transport).collect());
        print!("{}", group.table());
        bench.show([group.goal()]);
    }
    machine::pin(&machine::cores())?;
    Ok(())
}

/// One linchpin with so many workers, or so many bare loops with a core each.
fn start(plan: Plan<'_>, workers: usize) -> Result<Vec<Server>, Failure> {
    let cores = Cores::first(workers, true);
    if plan.peer != Peer::Bare {
        return Ok(vec![Server::start(Plan { workers, ..plan }, &cores)?]);
    }
    let own = |core: usize| Cores { server: vec![core], ..cores.clone() };
    cores.server.iter().map(|core| Server::start(plan, &own(*core))).collect()
}

fn measure(
    bench: &Bench,
    peer: Peer,
    transport: Transport,
    workers: usize,
) -> Result<Row, Failure> {
    let connections = bench.options.shards_connections;
    let servers = start(bench.plan(peer, transport, connections), workers)?;
    measure_at(&servers, bench, peer, transport, workers).map_err(|failure| match servers.first() {
        Some(server) => server.blame(failure),
        None => failure,
    })
}

fn measure_at(
    servers: &[Server],
    bench: &Bench,
    peer: Peer,
    transport: Transport,
    workers: usize,
) -> Result<Row, Failure> {
    let options = &bench.options;
    let each = options.shards_connections / servers.len().max(1);
    let mut swarms = Vec::new();
    for server in servers {
        let mut swarm = Swarm::connect(&server.site, transport, "load", each, options.size)?;
        phases::warm_up(&mut swarm)?;
        swarm.ledger.restart();
        swarms.push(swarm);
    }
    let processes: Vec<u32> =
        servers.iter().flat_map(|server| server.site.processes.iter().copied()).collect();
    let before = machine::cpu_seconds(&processes)?;
    let began = Instant::now();
    for _ in 0..options.shards_messages {
        for swarm in &mut swarms {
            swarm.publish_unread()?;
        }
    }
    let mut rested = began;
    for swarm in &swarms {
        rested = rested.max(swarm.rest_unread(LOOK)?);
    }
    let cpu_seconds = machine::cpu_seconds(&processes)? - before;
    let mut deliveries = 0;
    for swarm in &mut swarms {
        swarm.finish()?;
        phases::nothing_more(swarm)?;
        deliveries += swarm.ledger.delivered;
    }
    let seconds = rested.duration_since(began).as_secs_f64();
    Ok(Row {
        peer,
        transport,
        round: 1,
        connections: each * servers.len(),
        workers,
        messages: options.shards_messages,
        size: options.size,
        seconds,
        deliveries,
        deliveries_per_s: deliveries as f64 / seconds.max(1e-6),
        cpu_s_per_million: cpu_seconds * 1e6 / (deliveries as f64).max(1.0),
    })
}

impl Row {
    fn progress(&self) {
        eprintln!(
            "shards, round {}, {:<13} {}, {} core(s): {:.0} deliveries/s, CPU {:.2} s/M",
            self.round,
            self.peer.title(),
            self.transport.title(),
            self.workers,
            self.deliveries_per_s,
            self.cpu_s_per_million,
        );
    }
}

/// All rounds, peers and numbers of cores of one transport.
struct Group<'a>(Vec<&'a Row>);

impl Group<'_> {
    fn samples(&self, peer: Peer, workers: usize, figure: fn(&Row) -> f64) -> Vec<Sample> {
        let rows = self.0.iter().filter(|row| row.peer == peer && row.workers == workers);
        rows.map(|row| (row.round, figure(row))).collect()
    }

    fn gain(&self, peer: Peer) -> Option<f64> {
        let speed = |row: &Row| row.deliveries_per_s;
        ratio(&self.samples(peer, 2, speed), &self.samples(peer, 1, speed))
    }

    fn table(&self) -> String {
        let Some(first) = self.0.first() else { return String::new() };
        let title = format!(
            "Shards: {} messages of {} bytes to {} {}s that do not read meanwhile",
            first.messages,
            first.size,
            first.connections,
            first.transport.title(),
        );
        let columns =
            ["one core deliveries/s", "CPU s/M", "two cores deliveries/s", "CPU s/M", "times"];
        let mut table = Table::new(title, &columns);
        for peer in Peer::ALL {
            let of = |workers, figure| middle(&self.samples(peer, workers, figure));
            let Some(one) = of(1, |row: &Row| row.deliveries_per_s) else { continue };
            let cells = vec![
                cell(Some(one), 0),
                cell(of(1, |row| row.cpu_s_per_million), 2),
                cell(of(2, |row| row.deliveries_per_s), 0),
                cell(of(2, |row| row.cpu_s_per_million), 2),
                cell(self.gain(peer), 2),
            ];
            table.row(peer.title(), cells);
        }
        table.text()
    }

    fn goal(&self) -> Option<Goal> {
        let first = self.0.first()?;
        let what = format!("{}s: deliveries/s of two cores by one's", first.transport.title());
        Goal::at_least(what, self.gain(Peer::Linchpin), 1.7)
    }
}
