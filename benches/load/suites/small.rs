//! A small channel's latency, alone and while a large channel of the same server is written to
//! back to back. The small one's subscribers are in a process of their own that runs before the
//! large one's client, so that it is the server's delay that is seen.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::bench::{Bench, with_server};
use crate::cores::Cores;
use crate::delegate::{Delegate, Job, Order, Priority};
use crate::failure::Failure;
use crate::goal::Goal;
use crate::peer::{Peer, Site};
use crate::phases::{self, Outcome};
use crate::statistics::{Sample, middle};
use crate::swarm::Swarm;
use crate::table::{Table, cell};
use crate::transport::Transport;

const SUBSCRIBERS: usize = 10;
/// Messages per second to the small channel.
const RATE: f64 = 20.0;
/// How long the large channel is written to before the small one is looked at.
const LEAD: Duration = Duration::from_millis(500);
/// How long late messages of the small channel are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was measured; one line of the JSON file.
#[derive(Clone, Debug, Serialize)]
struct Row {
    peer: Peer,
    transport: Transport,
    round: usize,
    connections: usize,
    small_connections: usize,
    rate: f64,
    size: usize,
    window: usize,
    priority: Priority,
    messages: u64,
    alone_p50_ms: f64,
    alone_p99_ms: f64,
    alone_max_ms: f64,
    beside_p50_ms: f64,
    beside_p99_ms: f64,
    beside_max_ms: f64,
    /// The p99 beside the large channel by that alone.
    p99_ratio: f64,
    undelivered: u64,
    /// Of the large channel meanwhile.
    deliveries_per_s: f64,
}

/// Measures, prints, tells its goals.
pub fn run(bench: &mut Bench) -> Result<(), Failure> {
    let cores = Cores::apart(1, !bench.options.no_pin);
    let transports = bench.options.transports(&[Transport::Stream]);
    // Long-polls are gone from their channel while they ask again, so "back to back" means
    // nothing; and the bare loop has but one channel.
    let transports: Vec<Transport> =
        transports.into_iter().filter(|kind| *kind != Transport::Longpoll).collect();
    let peers: Vec<Peer> =
        bench.options.peers.iter().copied().filter(|peer| *peer != Peer::Bare).collect();
    let priority = Priority::highest();
    let mut rows: Vec<Row> = Vec::new();
    for round in 1..=bench.options.rounds {
        for &transport in &transports {
            for &peer in &peers {
                // Pushpin takes a minute for what the others do in seconds.
                if peer == Peer::Pushpin && round > 1 {
                    continue;
                }
                let case = Case { peer, transport, round, priority };
                let name = format!(
                    "small channel, round {round}, {}, {}",
                    peer.title(),
                    transport.title()
                );
                if let Some(row) = bench.attempt(peer, name, |bench| case.measure(bench, &cores)) {
                    row.progress();
                    bench.record("small", &row)?;
                    rows.push(row);
                }
            }
        }
    }
    for &transport in &transports {
        let of = |row: &&Row| row.transport == transport;
        let group = Group(rows.iter().filter(of).collect());
        print!("{}", group.table());
        bench.show([group.goal()]);
    }
    Ok(())
}

struct Case {
    peer: Peer,
    transport: Transport,
    round: usize,
    priority: Priority,
}

impl Case {
    fn measure(&self, bench: &Bench, cores: &Cores) -> Result<Row, Failure> {
        let large = bench.options.most.saturating_sub(SUBSCRIBERS).max(1);
        let plan = bench.plan(self.peer, self.transport, large + SUBSCRIBERS);
        with_server(plan, cores, |site| self.measure_at(site, bench, large))
    }

    fn measure_at(&self, site: &Site, bench: &Bench, large: usize) -> Result<Row, Failure> {
        let options = &bench.options;
        let window = options.window.first().copied().unwrap_or(1);
        let mut swarm = Swarm::connect(site, self.transport, "load", large, options.size)?;
        let job = Job {
            site: site.clone(),
            transport: self.transport,
            channel: "small".to_owned(),
            connections: SUBSCRIBERS,
            size: options.size,
        };
        let mut small = Delegate::start(&job, self.priority)?;
        small.held()?;
        phases::warm_up(&mut swarm)?;
        let messages = ((RATE * options.small_seconds).ceil() as u64).max(1);
        let order = Order::Rate { per_second: RATE, messages, patience_s: PATIENCE.as_secs_f64() };
        // What is done only once is done at the first messages.
        small.order(&Order::Burst { messages: 10 })?;
        small.outcome()?;

        small.order(&order)?;
        let alone = small.outcome()?;

        let lasts = LEAD * 2 + Duration::from_secs_f64(messages as f64 / RATE);
        let (large_outcome, beside) = beside(&mut swarm, &mut small, &order, window, lasts)?;
        if beside.undelivered == 0 {
            phases::nothing_more(&mut swarm)?;
        }
        Ok(Row {
            peer: self.peer,
            transport: self.transport,
            round: self.round,
            connections: large,
            small_connections: SUBSCRIBERS,
            rate: RATE,
            size: options.size,
            window,
            priority: self.priority,
            messages,
            alone_p50_ms: alone.p50_ms,
            alone_p99_ms: alone.p99_ms,
            alone_max_ms: alone.max_ms,
            beside_p50_ms: beside.p50_ms,
            beside_p99_ms: beside.p99_ms,
            beside_max_ms: beside.max_ms,
            p99_ratio: beside.p99_ms / alone.p99_ms.max(0.001),
            undelivered: beside.undelivered,
            deliveries_per_s: large_outcome.deliveries_per_s,
        })
    }
}

/// Writes to the large channel without a break for the time `lasts`, and lets the small one be
/// measured in the midst of it.
fn beside(
    swarm: &mut Swarm,
    small: &mut Delegate,
    order: &Order,
    window: usize,
    lasts: Duration,
) -> Result<(Outcome, Outcome), Failure> {
    let began = Instant::now();
    let mut ordered = false;
    let outcome = phases::back_to_back_until(swarm, window, |_| {
        if !ordered && began.elapsed() >= LEAD {
            ordered = true;
            small.order(order)?;
        }
        Ok(began.elapsed() < lasts)
    })?;
    Ok((outcome, small.outcome()?))
}

impl Row {
    fn progress(&self) {
        eprintln!(
            "small channel, round {}, {:<13} {}: p50 {:.2}, p99 {:.2}, max {:.2} ms alone; p50 \
             {:.2}, p99 {:.2}, max {:.2} ms beside {:.0} deliveries/s ({:.1} times)",
            self.round,
            self.peer.title(),
            self.transport.title(),
            self.alone_p50_ms,
            self.alone_p99_ms,
            self.alone_max_ms,
            self.beside_p50_ms,
            self.beside_p99_ms,
            self.beside_max_ms,
            self.deliveries_per_s,
            self.p99_ratio,
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
            "Small channel: {} messages/s to {} {}s, alone and while {} others are written to \
             back to back; the measuring process's priority: {:?}",
            first.rate,
            first.small_connections,
            first.transport.title(),
            first.connections,
            first.priority,
        );
        let columns = [
            "alone p50 ms",
            "p99 ms",
            "beside p50 ms",
            "p99 ms",
            "max ms",
            "times",
            "large deliveries/s",
        ];
        let mut table = Table::new(title, &columns);
        for peer in Peer::ALL {
            let of = |figure: fn(&Row) -> f64| middle(&self.samples(peer, figure));
            let Some(p50) = of(|row| row.alone_p50_ms) else { continue };
            let cells = vec![
                cell(Some(p50), 2),
                cell(of(|row| row.alone_p99_ms), 2),
                cell(of(|row| row.beside_p50_ms), 2),
                cell(of(|row| row.beside_p99_ms), 2),
                cell(of(|row| row.beside_max_ms), 2),
                cell(of(|row| row.p99_ratio), 1),
                cell(of(|row| row.deliveries_per_s), 0),
            ];
            table.row(peer.title(), cells);
        }
        table.text()
    }

    fn goal(&self) -> Option<Goal> {
        let first = self.0.first()?;
        let times = middle(&self.samples(Peer::Linchpin, |row| row.p99_ratio));
        let what = format!(
            "small channel's p99 while {} {}s are written, by that alone",
            first.connections,
            first.transport.title()
        );
        Goal::at_most(what, times, 5.0)
    }
}
