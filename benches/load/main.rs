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
mod bench;
mod control;
mod cores;
mod delegate;
mod dialect;
mod failure;
mod goal;
mod histogram;
mod inflating;
mod ledger;
mod machine;
mod meter;
mod nchan;
mod options;
mod peer;
mod phases;
mod pushpin;
mod server;
mod statistics;
mod subscriber;
mod suites;
mod swarm;
mod table;
mod transport;

use std::process::ExitCode;

use clap::Parser;

use bench::Bench;
use cores::Cores;
use failure::Failure;
use options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    let done = if let Some(transport) = options.bare {
        bare::serve(transport, options.http_address, options.control_address)
            .map(|()| ExitCode::SUCCESS)
    } else if let Some(job) = &options.delegate {
        delegate::serve(job).map(|()| ExitCode::SUCCESS)
    } else {
        options.checked().and_then(run)
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
    if !options.no_pin && !Cores::apart(1, true).apart {
        eprintln!("load: there is only one core: server and client share it");
    }
    let mut bench = Bench::new(options);
    suites::run(&mut bench)?;
    Ok(if bench.conclude()? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
