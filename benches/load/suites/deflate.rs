//! The same messages to subscribers that have agreed to permessage-deflate and to subscribers that
//! have not: what a delivery costs linchpin. Each message is deflated once, so that little may be
//! added by it.

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

/// In the order within a round; every second round has it the other way round.
const FORMS: [Transport; 2] = [Transport::Websocket, Transport::Deflated];
/// A deflated delivery may cost so many times a plain one.
const MOST: f64 = 1.3;
/// Messages under way at once, with deliveries enough for a clock of 10 ms.
const WINDOWS: [usize; 2] = [4, 1];

/// What was measured; one line of the JSON file.
#[derive(Clone, Debug, Serialize)]
struct Row {
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
}

/// Measures, prints, tells its goals.
pub fn run(bench: &mut Bench) -> Result<(), Failure> {
    let cores = Cores::apart(bench.options.workers, !bench.options.no_pin);
    let mut rows: Vec<Row> = Vec::new();
    for round in 1..=bench.options.rounds {
        let mut forms = FORMS;
        if round.is_multiple_of(2) {
            forms.reverse();
        }
        for transport in forms {
            let name = format!("deflate, round {round}, {}", transport.title());
            let measured = bench
                .attempt(Peer::Linchpin, name, |bench| measure(bench, &cores, transport, round));
            for row in measured.into_iter().flatten() {
                row.progress();
                bench.record("deflate", &row)?;
                rows.push(row);
            }
        }
    }
    for window in WINDOWS {
        let group = Group(rows.iter().filter(|row| row.window == window).collect());
        print!("{}", group.table());
        bench.show([group.goal()]);
    }
    Ok(())
}

fn measure(
    bench: &Bench,
    cores: &Cores,
    transport: Transport,
    round: usize,
) -> Result<Vec<Row>, Failure> {
    let options = &bench.options;
    let (connections, size) = (options.deflate_connections, options.deflate_size);
    let plan = bench.plan(Peer::Linchpin, transport, connections);
    let plan = Plan { workers: options.workers, ..plan };
    with_server(plan, cores, |site: &Site| {
        let mut swarm = Swarm::connect(site, transport, "load", connections, size)?;
        swarm.ledger.json = true;
        phases::warm_up(&mut swarm)?;
        let messages = (options.deliveries / connections as u64).max(1);
        let mut rows = Vec::new();
        for window in WINDOWS {
            let meter = Meter::start(site)?;
            let outcome = phases::back_to_back(&mut swarm, window, messages, options.longest())?;
            swarm.rest()?;
            let server = meter.stop()?.server;
            phases::nothing_more(&mut swarm)?;
            rows.push(Row {
                transport,
                round,
                connections,
                window,
                size,
                workers: options.workers,
                pinned: cores.apart,
                cpu_s_per_million: server * 1e6 / (outcome.deliveries as f64).max(1.0),
                outcome,
            });
        }
        Ok(rows)
    })
}

impl Row {
    fn progress(&self) {
        eprintln!(
            "deflate, round {}, {:<18} window {}: {} deliveries, {:.0} a second, CPU {:.2} s/M",
            self.round,
            self.transport.title(),
            self.window,
            self.outcome.deliveries,
            self.outcome.deliveries_per_s,
            self.cpu_s_per_million,
        );
    }
}

/// All rounds of one window.
struct Group<'a>(Vec<&'a Row>);

impl Group<'_> {
    fn samples(&self, transport: Transport, figure: fn(&Row) -> f64) -> Vec<Sample> {
        let rows = self.0.iter().filter(|row| row.transport == transport);
        rows.map(|row| (row.round, figure(row))).collect()
    }

    /// A figure of the deflated by the same of the plain.
    fn by_plain(&self, figure: fn(&Row) -> f64) -> Option<f64> {
        let [plain, deflated] = FORMS.map(|transport| self.samples(transport, figure));
        ratio(&deflated, &plain)
    }

    fn table(&self) -> String {
        let Some(first) = self.0.first() else { return String::new() };
        let title = format!(
            "permessage-deflate: {} WebSockets, {}-byte messages of JSON, {} under way, {} \
             worker(s); medians of {} round(s)",
            first.connections,
            first.size,
            first.window,
            first.workers,
            self.0.iter().map(|row| row.round).max().unwrap_or(1),
        );
        let columns = ["deliveries/s", "CPU s/M", "CPU by plain", "p50 ms", "p99 ms"];
        let mut table = Table::new(title, &columns);
        for transport in FORMS {
            let of = |figure: fn(&Row) -> f64| middle(&self.samples(transport, figure));
            let cpu = |row: &Row| row.cpu_s_per_million;
            let by_plain = self.by_plain(cpu).filter(|_| transport == Transport::Deflated);
            let cells = vec![
                cell(of(|row| row.outcome.deliveries_per_s), 0),
                cell(of(cpu), 2),
                cell(by_plain, 3),
                cell(of(|row| row.outcome.p50_ms), 1),
                cell(of(|row| row.outcome.p99_ms), 1),
            ];
            table.row(transport.title(), cells);
        }
        table.text()
    }

    fn goal(&self) -> Option<Goal> {
        let first = self.0.first()?;
        let name = format!(
            "{} WebSockets, {} under way: CPU time of deflated by plain",
            first.connections, first.window
        );
        Goal::at_most(name, self.by_plain(|row| row.cpu_s_per_million), MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(transport: Transport, round: usize, cpu_s_per_million: f64) -> Row {
        let outcome = Outcome {
            messages: 1,
            seconds: 1.0,
            deliveries: 1,
            deliveries_per_s: 1.0,
            p50_ms: 1.0,
            p99_ms: 1.0,
            max_ms: 1.0,
            undelivered: 0,
        };
        Row {
            transport,
            round,
            connections: 100,
            window: 4,
            size: 1024,
            workers: 1,
            pinned: true,
            outcome,
            cpu_s_per_million,
        }
    }

    #[test]
    fn the_goal_is_a_ratio_of_the_same_round() {
        let rows = [
            row(Transport::Websocket, 1, 10.0),
            row(Transport::Deflated, 1, 12.0),
            row(Transport::Deflated, 2, 22.0),
            row(Transport::Websocket, 2, 20.0),
        ];
        let group = Group(rows.iter().collect());
        let goal = group.goal().unwrap();
        assert!(goal.met && (goal.value - 1.15).abs() < 1e-9);
        assert!(group.table().contains("deflated WebSocket"));
    }
}
