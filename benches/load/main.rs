//! The load harness: linchpin beside Pushpin, nchan and a bare loop of write(2), the same
//! subscribers and the same messages for each, in turn. `benches/README.md` tells what the
//! figures mean; `--help` tells the options.
//!
//! ```text
//! cargo build --release && cargo run --release --example load
//! ```
// The wall clock is what this program is about, and its threads serve nobody while they wait.
#![allow(clippy::disallowed_methods)]

mod bare;
mod control;
mod dialect;
mod failure;
mod histogram;
mod ledger;
mod machine;
mod nchan;
mod options;
mod peer;
mod phases;
mod pushpin;
mod report;
mod subscriber;
mod swarm;
mod transport;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use failure::{Context, Failure};
use options::{Cores, Modes, Options};
use peer::Peer;
use phases::{Measurement, Mode, Run};

/// How often Pushpin may try before a measurement of it is given up.
const PUSHPIN_CHANCES: u32 = 3;

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match options.bare {
        Some(transport) => bare::serve(transport, options.http_port, options.control_port)
            .map(|()| ExitCode::SUCCESS),
        None => options.checked().and_then(run),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("load: {failure}");
        ExitCode::FAILURE
    })
}

fn run(mut options: Options) -> Result<ExitCode, Failure> {
    options.peers.retain(|peer| match peer.missing() {
        Some(why) => {
            eprintln!("load: {} is left out: {why}", peer.title());
            false
        }
        None => true,
    });
    let cores = Cores::divide(&options);
    if cores.split.is_none() && !options.no_pin {
        eprintln!("load: there is only one core: server and client share it");
    }
    let mut measured = Vec::new();
    let mut failed = Vec::new();
    for round in 1..=options.rounds {
        for transport in options.transports() {
            for &mode in modes(&options) {
                for &peer in &options.peers {
                    let run = Run { peer, transport, mode, round };
                    match attempt(run, &options, &cores) {
                        Some(measurement) => {
                            progress(&measurement);
                            record(options.json.as_deref(), &measurement)?;
                            measured.push(measurement);
                        }
                        None => failed.push(run),
                    }
                }
            }
        }
    }
    for transport in options.transports() {
        for &mode in modes(&options) {
            print!("{}", report::table(&measured, transport, mode));
        }
    }
    if options.connections == 10_000 && options.size == 100 && options.workers == 1 {
        print!("{}", report::goals(&measured));
    }
    for run in &failed {
        println!(
            "\nround {}, {}, {}, {:?}: FAILED, see above",
            run.round,
            run.peer.title(),
            run.transport.title(),
            run.mode
        );
    }
    if failed.iter().any(|run| run.peer != Peer::Pushpin) {
        return Ok(ExitCode::FAILURE);
    }
    println!("\nIn all that is reported every subscriber got every message once and in order.");
    Ok(ExitCode::SUCCESS)
}

/// One measurement. Pushpin 1.36 now and then ends or cancels requests under load; as it is here
/// to be compared with, not to be tested, it gets more than one chance, and the rest is told.
fn attempt(run: Run, options: &Options, cores: &Cores) -> Option<Measurement> {
    let chances = if run.peer == Peer::Pushpin { PUSHPIN_CHANCES } else { 1 };
    for chance in 1..=chances {
        match phases::measure(run, options, cores) {
            Ok(measurement) => return Some(measurement),
            Err(failure) => eprintln!(
                "load: round {}, {}, {}, {:?}, attempt {chance} of {chances}: {failure}",
                run.round,
                run.peer.title(),
                run.transport.title(),
                run.mode
            ),
        }
    }
    None
}

fn modes(options: &Options) -> &'static [Mode] {
    match options.mode {
        Modes::Throughput => &[Mode::Throughput],
        Modes::Latency => &[Mode::Latency],
        Modes::All => &[Mode::Throughput, Mode::Latency],
    }
}

fn progress(row: &Measurement) {
    eprintln!(
        "round {}, {:<13} {:<11} {:?}: {} messages to {} in {:.2} s, {:.0} deliveries/s, \
         p50 {:.2} ms, p99 {:.2} ms, CPU {:.2} s/M, {:.2} KB/conn",
        row.round,
        row.peer.title(),
        row.transport.title(),
        row.mode,
        row.messages,
        row.connections,
        row.seconds,
        row.deliveries_per_second,
        row.p50_micros as f64 / 1000.0,
        row.p99_micros as f64 / 1000.0,
        row.cpu_seconds_per_million,
        row.bytes_per_connection / 1024.0,
    );
}

fn record(file: Option<&Path>, measurement: &Measurement) -> Result<(), Failure> {
    let Some(path) = file else { return Ok(()) };
    let line = serde_json::to_string(measurement)
        .map_err(|error| Failure::Setup(format!("a measurement as JSON: {error}")))?;
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| writeln!(file, "{line}"))
        .during(|| format!("writing {}", path.display()))
}
