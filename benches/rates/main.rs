//! The second load harness: what the edges of the server do in a second, linchpin beside Pushpin,
//! nginx and nchan in turn. `benches/README.md` tells what the figures mean; `--help` tells the
//! options.
//!
//! ```text
//! cargo build --release && cargo run --release --example rates
//! ```
// The wall clock is what this program is about, and its threads serve nobody while they wait.
#![allow(clippy::disallowed_methods)]

// Shared with the load harness; neither needs all of it.
#[allow(dead_code)]
#[path = "../load/failure.rs"]
mod failure;
#[allow(dead_code)]
#[path = "../load/machine.rs"]
mod machine;
#[allow(dead_code)]
#[path = "../load/pushpin.rs"]
mod pushpin;

mod case;
mod echo;
mod head;
mod hold;
mod item;
mod messages;
mod meter;
mod nginx;
mod options;
mod process;
mod proxy;
mod publish;
mod publisher;
mod readiness;
mod report;
mod responses;
mod server;
mod socket;
mod stream;
mod subscriber;
mod tls;
mod tls_client;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use rustls::ClientConfig;
use tempfile::TempDir;

use case::{Case, Measure, Measurement, Peer, Run};
use failure::{Context, Failure};
use options::{Cores, Options};
use server::Server;

/// How often Pushpin may try before a measurement of it is given up.
const PUSHPIN_CHANCES: u32 = 3;

/// What all measurements share.
struct Setting {
    options: Options,
    cores: Cores,
    certificates: TempDir,
    tls: Arc<ClientConfig>,
}

fn main() -> ExitCode {
    Options::parse().checked().and_then(prepare).and_then(|setting| run(&setting)).unwrap_or_else(
        |failure| {
            eprintln!("rates: {failure}");
            ExitCode::FAILURE
        },
    )
}

/// Leaves out who is not installed, divides the cores, makes a certificate.
fn prepare(mut options: Options) -> Result<Setting, Failure> {
    let absent = [
        (Peer::Pushpin, pushpin::missing()),
        (Peer::Nginx, nginx::missing()),
        (Peer::Nchan, nginx::nchan_missing()),
    ];
    for (peer, why) in absent {
        if let Some(why) = why.filter(|_| options.peers.contains(&peer)) {
            eprintln!("rates: {} is left out: {why}", peer.title());
            options.peers.retain(|other| *other != peer);
        }
    }
    if options.cases().iter().any(|case| case.has_backend())
        && let Some(why) = nginx::missing()
    {
        return Err(Failure::Setup(format!("the backend is missing: {why}")));
    }
    let cores = Cores::divide(&options);
    if !cores.pinned && !options.no_pin {
        eprintln!("rates: there is only one core: server and client share it");
    }
    // What is started from here on, and this thread, stay on the client's.
    machine::pin(&cores.client)?;
    let certificates = tempfile::tempdir().during(|| "creating a folder".to_owned())?;
    let tls = tls_client::certificate(certificates.path())?;
    Ok(Setting { options, cores, certificates, tls })
}

fn run(setting: &Setting) -> Result<ExitCode, Failure> {
    let options = &setting.options;
    let mut measured = Vec::new();
    let mut failed = Vec::new();
    for round in 1..=options.rounds {
        for case in options.cases() {
            let peers = options.peers.iter().filter(|peer| case.peers().contains(peer));
            for &peer in peers {
                let run = Run { case, peer, round };
                match attempt(run, setting) {
                    Some(row) => {
                        eprintln!("round {round}, {}", report::progress(&row));
                        record(options.json.as_deref(), &row)?;
                        measured.push(row);
                    }
                    None => failed.push(run),
                }
            }
        }
    }
    for case in options.cases() {
        print!("{}", report::table(&measured, case, options));
    }
    // A handful of connections says nothing about them.
    if !options.smoke {
        print!("{}", report::goals(&measured));
    }
    for Run { case, peer, round } in &failed {
        println!("\nround {round}, {}, {}: FAILED, see above", peer.title(), case.title());
    }
    if failed.iter().any(|run| run.peer == Peer::Linchpin) {
        return Ok(ExitCode::FAILURE);
    }
    println!("\nIn all that is reported every message and every body came once and unaltered.");
    Ok(ExitCode::SUCCESS)
}

/// One measurement. Pushpin 1.36 now and then ends or cancels requests under load; as it is here
/// to be compared with, not to be tested, it gets more than one chance, and the rest is told.
fn attempt(run: Run, setting: &Setting) -> Option<Measurement> {
    let chances = if run.peer == Peer::Pushpin { PUSHPIN_CHANCES } else { 1 };
    for chance in 1..=chances {
        match measure(run, setting) {
            Ok(row) => return Some(row),
            Err(failure) => eprintln!(
                "rates: round {}, {}, {}, attempt {chance} of {chances}: {failure}",
                run.round,
                run.peer.title(),
                run.case.title(),
            ),
        }
    }
    None
}

/// Starts a server, measures it, ends it.
fn measure(run: Run, setting: &Setting) -> Result<Measurement, Failure> {
    let Setting { options, cores, certificates, tls } = setting;
    let server = Server::start(run, options, cores, certificates.path())?;
    let measured = match run.case {
        Case::TlsHandshakes => tls::handshakes(run, &server, options, tls),
        Case::TlsMemory => tls::memory(run, &server, options, tls),
        case => match case.measure() {
            Measure::Hold => hold::measure(run, &server, options),
            Measure::Publish => publish::measure(run, &server, options),
            Measure::Socket => socket::measure(run, &server, options),
            Measure::Proxy | Measure::Tls => proxy::measure(run, &server, options),
        },
    };
    measured.map(|row| Measurement { pinned: cores.pinned, ..row }).map_err(|failure| Failure::At {
        failure: Box::new(failure),
        last_words: server.last_words(),
    })
}

fn record(file: Option<&Path>, row: &Measurement) -> Result<(), Failure> {
    let Some(path) = file else { return Ok(()) };
    let line = serde_json::to_string(row)
        .map_err(|error| Failure::Setup(format!("a measurement as JSON: {error}")))?;
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| writeln!(file, "{line}"))
        .during(|| format!("writing {}", path.display()))
}
