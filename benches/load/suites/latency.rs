//! Messages at fixed rates to a thousand subscribers: how long a delivery takes.

use std::time::Duration;

use serde::Serialize;

use crate::bench::{Bench, with_server};
use crate::cores::Cores;
use crate::failure::Failure;
use crate::goal::Goal;
use crate::meter::Meter;
use crate::peer::{Peer, Site};
use crate::phases::{self, Outcome};
use crate::server::Plan;
use crate::statistics::{Sample, middle, ratio};
use crate::swarm::Swarm;
use crate::table::{Table, cell};
use crate::transport::Transport;

const TRANSPORTS: [Transport; 2] = [Transport::Stream, Transport::Websocket];
/// A server that is further behind than this at the end is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was measured; one line of the JSON file.
#[derive(Clone, Debug, Serialize)]
struct Row {
    peer: Peer,
    transport: Transport,
    round: usize,
    connections: usize,
    rate: f64,
    size: usize,
    workers: usize,
    pinned: bool,
    #[serde(flatten)]
    outcome: Outcome,
    cpu_s_per_million: f64,
}

/// Measures, prints, tells its goals.
pub fn run(bench: &mut Bench) -> Result<(), Failure> {
    let cores = Cores::apart(bench.options.workers, !bench.options.no_pin);
    let transports = bench.options.transports(&TRANSPORTS);
    let mut rows: Vec<Row> = Vec::new();
    for round in 1..=bench.options.rounds {
        for &transport in &transports {
            for peer in bench.options.peers.clone() {
                let name =
                    format!("latency, round {round}, {}, {}", peer.title(), transport.title());
                let measured = bench
                    .attempt(peer, name, |bench| measure(bench, &cores, peer, transport, round));
                let Some((measured, failure)) = measured else { continue };
                if let Some(what) = failure {
                    bench.fail(peer, format!("latency, round {round}, {what}"));
                }
                for row in measured {
                    row.progress();
                    bench.record("latency", &row)?;
                    rows.push(row);
                }
            }
        }
    }
    for &transport in &transports {
        for rate in bench.options.rate.clone() {
            let of = |row: &&Row| row.transport == transport && row.rate == rate;
            let group = Group(rows.iter().filter(of).collect());
            print!("{}", group.table());
            bench.show(group.goals());
        }
    }
    Ok(())
}

/// All rates in turn at one server; one that cannot keep up is not asked for the next.
fn measure(
    bench: &Bench,
    cores: &Cores,
    peer: Peer,
    transport: Transport,
    round: usize,
) -> Result<(Vec<Row>, Option<String>), Failure> {
    let options = &bench.options;
    let connections = options.latency_connections;
    let plan = Plan { workers: options.workers, ..bench.plan(peer, transport, connections) };
    with_server(plan, cores, |site: &Site| {
        let mut swarm = Swarm::connect(site, transport, "load", connections, options.size)?;
        phases::warm_up(&mut swarm)?;
        let mut rows = Vec::new();
        for &rate in &options.rate {
            let messages = ((rate * options.latency_seconds).ceil() as u64).max(1);
            let meter = Meter::start(site)?;
            let outcome = match phases::at_a_rate(&mut swarm, rate, messages, PATIENCE) {
                Ok(outcome) => outcome,
                // What others managed at a lower rate is not lost with this one.
                Err(failure) if !peer.is_ours() && !rows.is_empty() => {
                    let what =
                        format!("{}, {}, {rate}/s: {failure}", peer.title(), transport.title());
                    eprintln!("load: {what}");
                    return Ok((rows, Some(what)));
                }
                Err(failure) => return Err(failure),
            };
            let behind = outcome.undelivered > 0;
            if !behind {
                phases::nothing_more(&mut swarm)?;
            }
            let cost = meter.stop()?;
            rows.push(Row {
                peer,
                transport,
                round,
                connections,
                rate,
                size: options.size,
                workers: options.workers,
                pinned: cores.apart,
                cpu_s_per_million: cost.server * 1e6 / (outcome.deliveries as f64).max(1.0),
                outcome,
            });
            if behind {
                break;
            }
        }
        Ok((rows, None))
    })
}

impl Row {
    fn progress(&self) {
        let late = match self.outcome.undelivered {
            0 => String::new(),
            count => format!(", {count} deliveries given up"),
        };
        eprintln!(
            "latency, round {}, {:<13} {:<11} {}/s: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms{late}",
            self.round,
            self.peer.title(),
            self.transport.title(),
            self.rate,
            self.outcome.p50_ms,
            self.outcome.p99_ms,
            self.outcome.max_ms,
        );
    }
}

/// All rounds and peers of one transport and rate.
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
        let title = format!(
            "Latency: {} messages/s of {} bytes to {} {}s; medians of {} round(s)",
            first.rate,
            first.size,
            first.connections,
            first.transport.title(),
            self.0.iter().map(|row| row.round).max().unwrap_or(1),
        );
        let columns = ["p50 ms", "p99 ms", "our p99 by it", "max ms", "CPU s/M"];
        let mut table = Table::new(title, &columns);
        for peer in Peer::ALL {
            let of = |figure: fn(&Row) -> f64| middle(&self.samples(peer, figure));
            let Some(p50) = of(|row| row.outcome.p50_ms) else { continue };
            let cells = vec![
                cell(Some(p50), 2),
                cell(of(|row| row.outcome.p99_ms), 2),
                cell(self.ours_by(peer, |row| row.outcome.p99_ms), 2),
                cell(of(|row| row.outcome.max_ms), 2),
                cell(of(|row| row.cpu_s_per_million), 2),
            ];
            table.row(peer.title(), cells);
            self.note_lag(peer, &mut table);
        }
        table.text()
    }

    fn note_lag(&self, peer: Peer, table: &mut Table) {
        let behind = self.0.iter().filter(|row| row.peer == peer && row.outcome.undelivered > 0);
        let rounds = behind.count();
        if rounds > 0 {
            table.note(format!(
                "{} did not keep up in {rounds} round(s): {} s after the last message it was \
                 given up, and what was missing counts with that delay",
                peer.title(),
                PATIENCE.as_secs(),
            ));
        }
    }

    fn goals(&self) -> Vec<Option<Goal>> {
        let Some(first) = self.0.first() else { return Vec::new() };
        let name = format!("{} {}s, {}/s", first.connections, first.transport.title(), first.rate);
        let p99 = |peer| self.ours_by(peer, |row| row.outcome.p99_ms);
        let bare = Goal::at_most(format!("{name}: p99 by bare's"), p99(Peer::Bare), 1.5);
        match first.rate {
            10.0 => {
                let pushpin = p99(Peer::Pushpin);
                vec![bare, Goal::at_most(format!("{name}: p99 by Pushpin's"), pushpin, 0.4)]
            }
            100.0 => {
                let nchan = p99(Peer::Nchan);
                vec![bare, Goal::at_most(format!("{name}: p99 by nchan's"), nchan, 1.1)]
            }
            _ => Vec::new(),
        }
    }
}
