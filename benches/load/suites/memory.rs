//! What an idle connection takes: resident memory of the server's processes, from the slope
//! between few and many connections and above the idle server; beside it what the kernel takes.

use serde::Serialize;

use crate::bench::{Bench, with_server};
use crate::cores::Cores;
use crate::failure::Failure;
use crate::goal::Goal;
use crate::machine;
use crate::peer::{Peer, Site};
use crate::phases;
use crate::statistics::{Sample, middle};
use crate::swarm::Swarm;
use crate::table::{Table, cell};
use crate::transport::Transport;

/// The lower end of the slope is this part of the upper one: 2,000 of 18,000.
const FEW_OF_MOST: usize = 9;

/// Connections that are being opened at once: few, since what a connection takes while it is being
/// served is kept by the allocator for the next one, and would count as if it were held.
const OPENING: usize = 16;

/// What was measured; one line of the JSON file.
#[derive(Clone, Debug, Serialize)]
struct Row {
    peer: Peer,
    transport: Transport,
    round: usize,
    connections: usize,
    few: usize,
    workers: usize,
    idle_bytes: u64,
    few_bytes: u64,
    held_bytes: u64,
    /// From the idle server to all connections.
    bytes_per_connection: f64,
    /// From few connections to all.
    bytes_per_connection_slope: f64,
    /// Both ends of a connection, from few to all: memory that is no longer available and is not
    /// in any process.
    kernel_bytes_per_connection: f64,
    /// The same, as the kernel's caches of objects grew.
    slab_bytes_per_connection: f64,
    /// The same, as TCP's buffers grew.
    tcp_bytes_per_connection: f64,
}

/// Measures, prints, tells its goals.
pub fn run(bench: &mut Bench) -> Result<(), Failure> {
    let cores = Cores::apart(1, !bench.options.no_pin);
    let transports = bench.options.transports(&Transport::ALL);
    let mut rows: Vec<Row> = Vec::new();
    for round in 1..=bench.options.rounds {
        for &transport in &transports {
            for peer in bench.options.peers.clone() {
                // It takes long to connect, and what it takes is far from everything else.
                if peer == Peer::Pushpin && round > 1 {
                    continue;
                }
                let name =
                    format!("memory, round {round}, {}, {}", peer.title(), transport.title());
                let measured =
                    bench.attempt(peer, name, |bench| measure(bench, &cores, peer, transport));
                if let Some(row) = measured {
                    let row = Row { round, ..row };
                    row.progress();
                    bench.record("memory", &row)?;
                    rows.push(row);
                }
            }
        }
    }
    for &transport in &transports {
        let group = Group(rows.iter().filter(|row| row.transport == transport).collect());
        print!("{}", group.table());
        bench.show(group.goals());
    }
    Ok(())
}

/// The memory of everything at one moment, in bytes.
struct Weight {
    server: u64,
    client: u64,
    system: machine::Memory,
}

impl Weight {
    fn now(site: &Site) -> Result<Weight, Failure> {
        Ok(Weight {
            server: machine::memory(&site.processes)?,
            client: machine::memory(&[std::process::id()])?,
            system: machine::system_memory()?,
        })
    }
}

fn measure(bench: &Bench, cores: &Cores, peer: Peer, transport: Transport) -> Result<Row, Failure> {
    let most = bench.options.most;
    let few = (most / FEW_OF_MOST).max(1);
    with_server(bench.plan(peer, transport, most), cores, |site| {
        let idle = Weight::now(site)?;
        let mut swarm = Swarm::connect(site, transport, "load", 1, bench.options.size)?;
        swarm.opening = OPENING;
        swarm.grow(few)?;
        let at_few = Weight::now(site)?;
        swarm.grow(most)?;
        let held = Weight::now(site)?;
        // That they are held is shown by a message to all.
        phases::warm_up(&mut swarm)?;
        phases::nothing_more(&mut swarm)?;
        Ok(row(peer, transport, (few, most), &idle, &at_few, &held))
    })
}

fn row(
    peer: Peer,
    transport: Transport,
    (few, most): (usize, usize),
    idle: &Weight,
    at_few: &Weight,
    held: &Weight,
) -> Row {
    let between = most.saturating_sub(few).max(1) as f64;
    let slope = |from: u64, to: u64| (to as f64 - from as f64) / between;
    let processes = slope(at_few.server + at_few.client, held.server + held.client);
    let gone = slope(held.system.available, at_few.system.available);
    Row {
        peer,
        transport,
        round: 1,
        connections: most,
        few,
        workers: 1,
        idle_bytes: idle.server,
        few_bytes: at_few.server,
        held_bytes: held.server,
        bytes_per_connection: (held.server as f64 - idle.server as f64) / most as f64,
        bytes_per_connection_slope: slope(at_few.server, held.server),
        kernel_bytes_per_connection: gone - processes,
        slab_bytes_per_connection: slope(at_few.system.slab, held.system.slab),
        tcp_bytes_per_connection: slope(at_few.system.tcp, held.system.tcp),
    }
}

impl Row {
    fn progress(&self) {
        eprintln!(
            "memory, round {}, {:<13} {:<11} {}: {:.0} bytes each above the idle server, slope \
             {:.0}; kernel {:.0} (slab {:.0}), both ends",
            self.round,
            self.peer.title(),
            self.transport.title(),
            self.connections,
            self.bytes_per_connection,
            self.bytes_per_connection_slope,
            self.kernel_bytes_per_connection,
            self.slab_bytes_per_connection,
        );
    }
}

/// All rounds and peers of one transport.
struct Group<'a>(Vec<&'a Row>);

impl Group<'_> {
    fn samples(&self, peer: Peer, figure: fn(&Row) -> f64) -> Vec<Sample> {
        let rows = self.0.iter().filter(|row| row.peer == peer);
        rows.map(|row| (row.round, figure(row))).collect()
    }

    fn table(&self) -> String {
        let Some(first) = self.0.first() else { return String::new() };
        let title = format!(
            "Memory: {} idle {}s; bytes of the server's processes, above the idle server and \
             from the slope since {}; the kernel's part is of both ends",
            first.connections,
            first.transport.title(),
            first.few,
        );
        let columns = ["idle MB", "above idle", "slope", "kernel", "slab", "tcp"];
        let mut table = Table::new(title, &columns);
        for peer in Peer::ALL {
            let of = |figure: fn(&Row) -> f64| middle(&self.samples(peer, figure));
            let Some(idle) = of(|row| row.idle_bytes as f64 / 1e6) else { continue };
            let cells = vec![
                cell(Some(idle), 1),
                cell(of(|row| row.bytes_per_connection), 0),
                cell(of(|row| row.bytes_per_connection_slope), 0),
                cell(of(|row| row.kernel_bytes_per_connection), 0),
                cell(of(|row| row.slab_bytes_per_connection), 0),
                cell(of(|row| row.tcp_bytes_per_connection), 0),
            ];
            table.row(peer.title(), cells);
        }
        table.text()
    }

    fn goals(&self) -> Vec<Option<Goal>> {
        let Some(first) = self.0.first() else { return Vec::new() };
        let bound = match first.transport {
            Transport::Stream => 700.0,
            Transport::Longpoll | Transport::Websocket | Transport::Deflated => 900.0,
        };
        let name =
            format!("bytes per idle {}, {} held", first.transport.title(), first.connections);
        let of = |figure| middle(&self.samples(Peer::Linchpin, figure));
        vec![
            Goal::at_most(
                format!("{name}, above the idle process"),
                of(|row| row.bytes_per_connection),
                bound,
            ),
            Goal::at_most(
                format!("{name}, slope"),
                of(|row| row.bytes_per_connection_slope),
                bound,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_has_what_no_process_has() {
        let weight = |server, client, available, slab| Weight {
            server,
            client,
            system: machine::Memory { available, slab, tcp: 0 },
        };
        let idle = weight(1000, 0, 1_000_000, 0);
        let few = weight(2000, 100, 900_000, 5000);
        let held = weight(10_000, 900, 800_000, 45_000);
        let row = row(Peer::Linchpin, Transport::Stream, (2, 18), &idle, &few, &held);
        assert_eq!(row.bytes_per_connection, 500.0);
        assert_eq!(row.bytes_per_connection_slope, 500.0);
        assert_eq!(row.slab_bytes_per_connection, 2500.0);
        assert_eq!(row.kernel_bytes_per_connection, (100_000.0 - 8800.0) / 16.0);
    }
}
