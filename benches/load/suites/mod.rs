//! The parts of the whole: each measures one kind of figure for the peers in turn, prints its
//! table, and hands its goals to the bench. `main.rs` runs them.

mod deflate;
mod fan_out;
mod latency;
mod many;
mod memory;
mod shards;
mod small;

use crate::bench::Bench;
use crate::failure::Failure;
use crate::options::Suite;

/// A suite's way of being run.
type Run = fn(&mut Bench) -> Result<(), Failure>;

/// Runs those that were chosen.
pub fn run(bench: &mut Bench) -> Result<(), Failure> {
    let all: [(Suite, Run); 7] = [
        (Suite::FanOut, fan_out::run),
        (Suite::Latency, latency::run),
        (Suite::Small, small::run),
        (Suite::Memory, memory::run),
        (Suite::Shards, shards::run),
        (Suite::Deflate, deflate::run),
        (Suite::Many, many::run),
    ];
    for (suite, run) in all {
        if bench.options.runs(suite) {
            run(bench)?;
        }
    }
    Ok(())
}
