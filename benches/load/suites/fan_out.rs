//! Messages back to back to every subscriber: deliveries per second and CPU time, by number of
//! subscribers and by messages under way at once.

use serde::Serialize;

use crate::bench::{Bench, with_server};
use crate::cores::Cores;
use crate::failure::Failure;
use crate::goal::Goal;
use crate::machine;
use crate::meter::Meter;
use crate::peer::{Peer, Site};
use crate::phases::{self, Outcome};
use crate::statistics::{Sample, middle, ratio};
use crate::swarm::Swarm;
use crate::table::{Table, cell};
use crate::transport::Transport;

const TRANSPORTS: [Transport; 2] = [Transport::Stream, Transport::Websocket];
/// Pushpin takes part at the largest size up to this, and with the first window only: it is
/// compared by CPU time, and slow enough to take most of a run otherwise.
const PUSHPIN_MOST: usize = 10_000;
/// So many messages at least, however many subscribers there are.
const FEWEST_MESSAGES: u64 = 10;

/// What was measured; one line of the JSON file.
#[derive(Clone, Debug, Serialize)]
struct Row {
    peer: Peer,
    transport: Transport,
    round: usize,
    connections: usize,
    window: usize,
    size: usize,
    workers: usize,
    pinned: bool,
    #[serde(flatten)]
    outcome: Outcome,
    cpu_s_per_million: f64,
    client_cpu_s_per_million: f64,
    /// Part of the time that the client's core was busy: near 1, it is what limits.
    client_busy: f64,
    /// Connections closed between two long-polls.
    reconnects: u64,
    /// Above the idle server, before the first message.
    bytes_per_connection: f64,
    /// The same after these messages.
    bytes_per_connection_after: f64,
}

/// Measures, prints, tells its goals.
pub fn run(bench: &mut Bench) -> Result<(), Failure> {
    let cores = Cores::apart(bench.options.workers, !bench.options.no_pin);
    let transports = bench.options.transports(&TRANSPORTS);
    let sizes = bench.options.connections.clone();
    let mut rows: Vec<Row> = Vec::new();
    for round in 1..=bench.options.rounds {
        for &transport in &transports {
            for &connections in &sizes {
                for peer in bench.options.peers.clone() {
                    let windows = windows(peer, transport, connections, bench);
                    if windows.is_empty() {
                        continue;
                    }
                    let case = Case { peer, transport, round, connections, windows };
                    let measured =
                        bench.attempt(peer, case.name(), |bench| case.measure(bench, &cores));
                    for row in measured.into_iter().flatten() {
                        row.progress();
                        bench.record("fan-out", &row)?;
                        rows.push(row);
                    }
                }
            }
        }
    }
    for &transport in &transports {
        for &connections in &sizes {
            for window in all_windows(transport, bench) {
                let of = |row: &&Row| {
                    (row.transport, row.connections, row.window) == (transport, connections, window)
                };
                let group = Group(rows.iter().filter(of).collect());
                print!("{}", group.table());
                bench.show(group.goals());
            }
        }
    }
    Ok(())
}

fn all_windows(transport: Transport, bench: &Bench) -> Vec<usize> {
    match transport {
        Transport::Longpoll => vec![1],
        _ => bench.options.window.clone(),
    }
}

fn windows(peer: Peer, transport: Transport, connections: usize, bench: &Bench) -> Vec<usize> {
    let mut windows = all_windows(transport, bench);
    if peer == Peer::Pushpin {
        let fit = bench.options.connections.iter().filter(|size| **size <= PUSHPIN_MOST);
        let most = fit.max().copied();
        windows.truncate(usize::from(most == Some(connections)));
    }
    windows
}

/// One server with its subscribers, measured with each window in turn.
struct Case {
    peer: Peer,
    transport: Transport,
    round: usize,
    connections: usize,
    windows: Vec<usize>,
}

impl Case {
    fn name(&self) -> String {
        let (peer, transport) = (self.peer.title(), self.transport.title());
        format!("fan-out, round {}, {peer}, {} {transport}s", self.round, self.connections)
    }

    fn measure(&self, bench: &Bench, cores: &Cores) -> Result<Vec<Row>, Failure> {
        let plan = bench.plan(self.peer, self.transport, self.connections);
        let plan = crate::server::Plan { workers: bench.options.workers, ..plan };
        with_server(plan, cores, |site| self.measure_at(site, bench, cores))
    }

    fn measure_at(&self, site: &Site, bench: &Bench, cores: &Cores) -> Result<Vec<Row>, Failure> {
        let options = &bench.options;
        let idle = machine::memory(&site.processes)?;
        let mut swarm =
            Swarm::connect(site, self.transport, "load", self.connections, options.size)?;
        let held = machine::memory(&site.processes)?;
        let each = |bytes: u64| bytes.saturating_sub(idle) as f64 / self.connections as f64;
        phases::warm_up(&mut swarm)?;
        let messages = (options.deliveries / self.connections as u64).max(FEWEST_MESSAGES);
        let mut rows = Vec::new();
        for &window in &self.windows {
            let meter = Meter::start(site)?;
            let outcome = phases::back_to_back(&mut swarm, window, messages, options.longest())?;
            let client = meter.stop()?.client;
            swarm.rest()?;
            let server = meter.stop()?.server;
            phases::nothing_more(&mut swarm)?;
            let millions = outcome.deliveries as f64 / 1e6;
            rows.push(Row {
                peer: self.peer,
                transport: self.transport,
                round: self.round,
                connections: self.connections,
                window,
                size: options.size,
                workers: options.workers,
                pinned: cores.apart,
                cpu_s_per_million: server / millions,
                client_cpu_s_per_million: client / millions,
                client_busy: client / outcome.seconds,
                reconnects: swarm.reconnects,
                bytes_per_connection: each(held),
                bytes_per_connection_after: each(machine::memory(&site.processes)?),
                outcome,
            });
        }
        Ok(rows)
    }
}

impl Row {
    fn progress(&self) {
        eprintln!(
            "fan-out, round {}, {:<13} {:<11} {:>6} connections, window {}: {:.0} deliveries/s, \
             CPU {:.2} s/M, client {:.0} % busy, p99 {:.1} ms",
            self.round,
            self.peer.title(),
            self.transport.title(),
            self.connections,
            self.window,
            self.outcome.deliveries_per_s,
            self.cpu_s_per_million,
            self.client_busy * 100.0,
            self.outcome.p99_ms,
        );
    }
}

/// All rounds and peers of one transport, size and window.
struct Group<'a>(Vec<&'a Row>);

impl Group<'_> {
    fn samples(&self, peer: Peer, figure: fn(&Row) -> f64) -> Vec<Sample> {
        let rows = self.0.iter().filter(|row| row.peer == peer);
        rows.map(|row| (row.round, figure(row))).collect()
    }

    fn ours_by(&self, peer: Peer, figure: fn(&Row) -> f64) -> Option<f64> {
        ratio(&self.samples(Peer::Linchpin, figure), &self.samples(peer, figure))
    }

    fn table(&self) -> String {
        let Some(first) = self.0.first() else { return String::new() };
        let columns = [
            "deliveries/s",
            "ours by it",
            "CPU s/M",
            "ours by it",
            "client busy",
            "p50 ms",
            "p99 ms",
            "bytes each",
        ];
        let mut table = Table::new(self.heading(first), &columns);
        for peer in Peer::ALL {
            let of = |figure: fn(&Row) -> f64| middle(&self.samples(peer, figure));
            let speed = |row: &Row| row.outcome.deliveries_per_s;
            let Some(deliveries) = of(speed) else { continue };
            let cells = vec![
                cell(Some(deliveries), 0),
                cell(self.ours_by(peer, speed), 2),
                cell(of(|row| row.cpu_s_per_million), 2),
                cell(self.ours_by(peer, |row| row.cpu_s_per_million), 3),
                cell(of(|row| row.client_busy), 2),
                cell(of(|row| row.outcome.p50_ms), 1),
                cell(of(|row| row.outcome.p99_ms), 1),
                cell(of(|row| row.bytes_per_connection), 0),
            ];
            table.row(peer.title(), cells);
            let closed: u64 =
                self.0.iter().filter(|row| row.peer == peer).map(|row| row.reconnects).sum();
            if closed > 0 {
                let who = peer.title();
                table.note(format!("{who} closed {closed} connections between two long-polls"));
            }
        }
        table.text()
    }

    fn heading(&self, first: &Row) -> String {
        let rounds = self.0.iter().map(|row| row.round).max().unwrap_or(1);
        format!(
            "Back to back: {} {}s, {}-byte messages, {} under way, {} worker(s); medians of \
             {rounds} round(s){}",
            first.connections,
            first.transport.title(),
            first.size,
            first.window,
            first.workers,
            if first.pinned { "; server and client on cores of their own" } else { "" },
        )
    }

    fn goals(&self) -> Vec<Option<Goal>> {
        let Some(first) = self.0.first() else { return Vec::new() };
        if first.transport == Transport::Longpoll || first.workers > 1 {
            return Vec::new();
        }
        let name = format!(
            "{} {}s, {} under way",
            first.connections,
            first.transport.title(),
            first.window
        );
        let speed = |peer| self.ours_by(peer, |row| row.outcome.deliveries_per_s);
        let cpu = |peer| self.ours_by(peer, |row| row.cpu_s_per_million);
        let mut goals = vec![
            Goal::at_least(format!("{name}: deliveries/s by bare's"), speed(Peer::Bare), 0.9),
            Goal::at_least(format!("{name}: deliveries/s by nchan's"), speed(Peer::Nchan), 1.1),
        ];
        if first.connections == 10_000 {
            let least = if first.transport == Transport::Stream { 7.0 } else { 25.0 };
            let pushpin = cpu(Peer::Pushpin);
            goals.extend([
                Goal::at_most(format!("{name}: CPU time by bare's"), cpu(Peer::Bare), 1.15),
                Goal::at_most(format!("{name}: CPU time by Pushpin's"), pushpin, 1.0 / least),
            ]);
        }
        goals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(peer: Peer, round: usize, deliveries_per_s: f64) -> Row {
        let outcome = Outcome {
            messages: 1,
            seconds: 1.0,
            deliveries: 1,
            deliveries_per_s,
            p50_ms: 1.0,
            p99_ms: 1.0,
            max_ms: 1.0,
            undelivered: 0,
        };
        Row {
            peer,
            transport: Transport::Stream,
            round,
            connections: 1000,
            window: 4,
            size: 100,
            workers: 1,
            pinned: true,
            outcome,
            cpu_s_per_million: 8.0,
            client_cpu_s_per_million: 8.0,
            client_busy: 0.5,
            reconnects: 0,
            bytes_per_connection: 500.0,
            bytes_per_connection_after: 500.0,
        }
    }

    #[test]
    fn goals_are_ratios_of_the_same_round() {
        let rows = [
            row(Peer::Linchpin, 1, 95.0),
            row(Peer::Bare, 1, 100.0),
            row(Peer::Linchpin, 2, 9.5),
            row(Peer::Bare, 2, 10.0),
        ];
        let group = Group(rows.iter().collect());
        let goals: Vec<Goal> = group.goals().into_iter().flatten().collect();
        assert_eq!(goals.len(), 1);
        assert!(goals[0].met && (goals[0].value - 0.95).abs() < 1e-9);
        assert!(group.table().contains("linchpin"));
    }

    #[test]
    fn a_row_is_flat_json() {
        let value = serde_json::to_value(row(Peer::Nchan, 1, 5.0)).unwrap();
        assert_eq!(value["peer"], "nchan");
        assert_eq!(value["deliveries_per_s"], 5.0);
    }
}
