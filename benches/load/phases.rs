//! One measurement: a fresh server, its subscribers, a warm-up message, and then messages back to
//! back or at a fixed rate. Called by `main.rs` for each round; gives what the report shows.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::failure::Failure;
use crate::machine;
use crate::options::{Cores, Options};
use crate::peer::{Peer, Server};
use crate::swarm::{PATIENCE, Swarm};
use crate::transport::Transport;

/// After the last delivery nothing more may come for this long.
const QUIET: Duration = Duration::from_millis(100);

/// How messages follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Back to back.
    Throughput,
    /// At a fixed rate.
    Latency,
}

/// What was measured; one line of the JSON file.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// The server.
    pub peer: Peer,
    /// How the subscribers were connected.
    pub transport: Transport,
    /// How messages followed each other.
    pub mode: Mode,
    /// From 1.
    pub round: usize,
    /// Subscribers.
    pub connections: usize,
    /// Messages published.
    pub messages: u64,
    /// Bytes of a message.
    pub size: usize,
    /// Messages under way at once at most (throughput).
    pub window: usize,
    /// Worker threads of linchpin.
    pub workers: usize,
    /// Whether server and client had cores of their own.
    pub pinned: bool,
    /// From the first publish to the last delivery; long-polls: until all have asked again.
    pub seconds: f64,
    /// Deliveries.
    pub deliveries: u64,
    /// Deliveries by seconds.
    pub deliveries_per_second: f64,
    /// Half of the deliveries took at most this, in microseconds.
    pub p50_micros: u64,
    /// 99 % of the deliveries took at most this, in microseconds.
    pub p99_micros: u64,
    /// The longest, in microseconds.
    pub max_micros: u64,
    /// CPU time that the server used, in seconds.
    pub cpu_seconds: f64,
    /// The same for a million deliveries.
    pub cpu_seconds_per_million: f64,
    /// Connections that the server closed between two long-polls, so that the client had to
    /// open them anew.
    pub reconnects: u64,
    /// The server's memory after its start.
    pub idle_bytes: u64,
    /// With all connections held.
    pub held_bytes: u64,
    /// After the last message, all connections still held.
    pub after_bytes: u64,
    /// What one held connection adds to the idle server.
    pub bytes_per_connection: f64,
    /// The same after the messages.
    pub bytes_per_connection_after: f64,
}

/// What is to be measured.
#[derive(Clone, Copy)]
pub struct Run {
    /// The server.
    pub peer: Peer,
    /// How the subscribers are connected.
    pub transport: Transport,
    /// How messages follow each other.
    pub mode: Mode,
    /// From 1.
    pub round: usize,
}

/// Starts a server, measures it, ends it.
pub fn measure(run: Run, options: &Options, cores: &Cores) -> Result<Measurement, Failure> {
    let connections = match run.mode {
        Mode::Throughput => options.connections,
        Mode::Latency => options.latency_connections,
    };
    let server = Server::start(run.peer, run.transport, connections, options, cores)?;
    measure_at(&server, run, connections, options)
        .map(|row| Measurement { pinned: cores.split.is_some(), ..row })
        .map_err(|failure| Failure::At {
            failure: Box::new(failure),
            last_words: server.last_words(),
        })
}

fn measure_at(
    server: &Server,
    Run { peer, transport, mode, round }: Run,
    connections: usize,
    options: &Options,
) -> Result<Measurement, Failure> {
    let idle_bytes = machine::memory(&server.processes)?;
    let mut swarm = Swarm::connect(server, transport, connections, options.size)?;
    let held_bytes = machine::memory(&server.processes)?;

    swarm.publish(Instant::now())?;
    swarm.finish()?;
    swarm.rest()?;
    swarm.ledger.restart();

    let before = machine::cpu_seconds(&server.processes)?;
    let (messages, took) = match (mode, transport) {
        (Mode::Throughput, Transport::Longpoll) => one_by_one(&mut swarm, options)?,
        (Mode::Throughput, _) => back_to_back(&mut swarm, options)?,
        (Mode::Latency, _) => at_a_rate(&mut swarm, options)?,
    };
    swarm.rest()?;
    let cpu_seconds = machine::cpu_seconds(&server.processes)? - before;
    // Whatever comes now was delivered twice; reading it is the error.
    swarm.quiet(QUIET)?;
    let after_bytes = machine::memory(&server.processes)?;

    let ledger = &swarm.ledger;
    let deliveries = ledger.delivered;
    let reconnects = swarm.reconnects;
    let each = |bytes: u64| bytes.saturating_sub(idle_bytes) as f64 / connections as f64;
    Ok(Measurement {
        peer,
        transport,
        mode,
        round,
        connections,
        messages,
        size: options.size,
        window: if transport == Transport::Longpoll { 1 } else { options.window },
        workers: options.workers,
        pinned: false,
        seconds: took.as_secs_f64(),
        deliveries,
        deliveries_per_second: deliveries as f64 / took.as_secs_f64(),
        p50_micros: ledger.latency.quantile(0.5),
        p99_micros: ledger.latency.quantile(0.99),
        max_micros: ledger.latency.longest(),
        cpu_seconds,
        cpu_seconds_per_million: cpu_seconds * 1e6 / deliveries as f64,
        reconnects,
        idle_bytes,
        held_bytes,
        after_bytes,
        bytes_per_connection: each(held_bytes),
        bytes_per_connection_after: each(after_bytes),
    })
}

/// Keeps a window of messages under way.
fn back_to_back(swarm: &mut Swarm, options: &Options) -> Result<(u64, Duration), Failure> {
    let began = Instant::now();
    let mut moved = began;
    let mut sent = 0;
    while sent < options.messages && began.elapsed() < options.longest() {
        if swarm.may_publish() && swarm.ledger.outstanding() < options.window {
            swarm.publish(Instant::now())?;
            sent += 1;
        }
        if swarm.poll(Duration::from_secs(1))? {
            moved = Instant::now();
        } else if moved.elapsed() > PATIENCE {
            // Waits no longer, and says who lacks what.
            break;
        }
    }
    swarm.finish()?;
    Ok((sent, swarm.ledger.last.saturating_duration_since(began)))
}

/// Long-polls: the next message only when all have asked again and the server holds them, since
/// what is published between two polls is not for them. The time of making sure is not counted.
fn one_by_one(swarm: &mut Swarm, options: &Options) -> Result<(u64, Duration), Failure> {
    let began = Instant::now();
    let mut took = Duration::ZERO;
    let mut sent = 0;
    while sent < options.messages && began.elapsed() < options.longest() {
        let published = Instant::now();
        swarm.publish(published)?;
        sent += 1;
        swarm.finish()?;
        took += swarm.rest()?.saturating_duration_since(published);
    }
    Ok((sent, took))
}

/// One message each time that it is due, whether the last one has arrived or not. A message that
/// must wait for the control API, or for long-polls to be asked again, counts from the moment at
/// which it was due, so that a slow server does not look fast by slowing the publisher down.
fn at_a_rate(swarm: &mut Swarm, options: &Options) -> Result<(u64, Duration), Failure> {
    let began = Instant::now();
    let interval = Duration::from_secs_f64(1.0 / options.rate);
    for number in 0..options.latency_messages {
        let due = began + interval.mul_f64(number as f64);
        if swarm.transport() == Transport::Longpoll {
            swarm.finish()?;
            swarm.rest()?;
        }
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() && swarm.may_publish() {
                break;
            }
            // The last millisecond is spent looking, so that a coarse timer delays nothing.
            let wait = left.saturating_sub(Duration::from_millis(1));
            swarm.poll(if left.is_zero() { Duration::from_millis(1) } else { wait })?;
        }
        swarm.publish(due)?;
    }
    swarm.finish()?;
    Ok((options.latency_messages, swarm.ledger.last.saturating_duration_since(began)))
}
