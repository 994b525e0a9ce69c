//! The command line of the harness.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::failure::Failure;
use crate::ledger;
use crate::machine;
use crate::peer::Peer;
use crate::transport::Transport;

/// Files that either side needs besides the connections.
const OTHER_FILES: u64 = 200;

/// A part of the whole, with figures of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// All of the following.
    Full,
    /// Messages back to back: deliveries per second, CPU time.
    FanOut,
    /// Messages at fixed rates: how long a delivery takes.
    Latency,
    /// A small channel's latency, alone and while a large channel is written to.
    Small,
    /// What an idle connection takes.
    Memory,
    /// Two cores against one.
    Shards,
    /// WebSockets with permessage-deflate against WebSockets without it.
    Deflate,
    /// Many servers that hold very many connections between them.
    Many,
}

/// Holds many connections at linchpin, Pushpin, nchan and a bare loop of write(2), publishes to
/// all of them, checks that each subscriber gets each message exactly once and in order, and
/// compares.
#[derive(Parser, Debug)]
#[command(name = "load")]
pub struct Options {
    /// What is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "full")]
    pub suite: Vec<Suite>,
    /// The servers to compare; the order is the order within a round.
    #[arg(long, value_delimiter = ',', default_value = "linchpin,bare,nchan,pushpin")]
    pub peers: Vec<Peer>,
    /// The linchpin to measure.
    #[arg(long, value_name = "FILE", default_value = "target/release/linchpin")]
    pub linchpin: PathBuf,
    /// How the subscribers are connected; each suite has a choice of its own.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub transport: Vec<Transport>,
    /// Every server is measured this often, in turn; the medians are reported.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub rounds: usize,
    /// Bytes of a message, at least 32.
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub size: usize,
    /// Fan-out and latency: linchpin's number of worker threads.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub workers: usize,
    /// Fan-out: subscribers.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1000,10000,18000")]
    pub connections: Vec<usize>,
    /// Fan-out: messages under way at once at most (long-polls: always one).
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "4,1")]
    pub window: Vec<usize>,
    /// Fan-out: deliveries in all, but at least ten messages.
    #[arg(long, value_name = "N", default_value_t = 300_000)]
    pub deliveries: u64,
    /// Fan-out: no message is begun after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 8)]
    pub max_seconds: u64,
    /// Latency: subscribers.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub latency_connections: usize,
    /// Latency: messages per second.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "10,100")]
    pub rate: Vec<f64>,
    /// Latency: for so many seconds at each rate.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub latency_seconds: f64,
    /// Small: subscribers of the large channel. Memory: connections held.
    #[arg(long, value_name = "N", default_value_t = 18_000)]
    pub most: usize,
    /// Small: seconds alone, and seconds beside the large channel.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub small_seconds: f64,
    /// Shards: subscribers, who do not read before all is written.
    #[arg(long, value_name = "N", default_value_t = 8000)]
    pub shards_connections: usize,
    /// Shards: messages.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub shards_messages: u64,
    /// Deflate: subscribers.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub deflate_connections: usize,
    /// Deflate: bytes of a message, JSON but for its first 26.
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    pub deflate_size: usize,
    /// Many: servers, each with a client process of its own.
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub servers: usize,
    /// Many: connections in all.
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub total: usize,
    /// Leave it to the system which core runs what, instead of the client on the last core and
    /// the server on the first (the first N with N workers).
    #[arg(long)]
    pub no_pin: bool,
    /// Also append one line of JSON for each measurement to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// A quick check of correctness: a hundred subscribers, few messages, one round, linchpin and
    /// the bare loop only, every suite.
    #[arg(long)]
    pub smoke: bool,

    /// Be the bare loop (the harness starts itself with this).
    #[arg(long, hide = true, value_enum)]
    pub bare: Option<Transport>,
    /// Where the bare loop listens for subscribers.
    #[arg(long, hide = true, default_value = "127.0.0.1:0")]
    pub http_address: SocketAddr,
    /// Where the bare loop listens for commands.
    #[arg(long, hide = true, default_value = "127.0.0.1:0")]
    pub control_address: SocketAddr,
    /// Be a client in a process of its own (the harness starts itself with this).
    #[arg(long, hide = true)]
    pub delegate: Option<String>,
}

impl Options {
    /// Applies `--smoke` and refuses what cannot work.
    pub fn checked(mut self) -> Result<Options, Failure> {
        if self.smoke {
            self.make_small();
        }
        let setup = |why: String| Err(Failure::Setup(why));
        if self.size.min(self.deflate_size) < ledger::SHORTEST {
            return setup(format!("a size must be at least {}", ledger::SHORTEST));
        }
        if !self.rate.iter().all(|rate| *rate > 0.0 && *rate <= 10_000.0) {
            return setup("--rate must be above 0 and at most 10000".to_owned());
        }
        let counts = [self.latency_connections, self.most, self.rounds, self.servers, self.workers];
        let all = counts.iter().chain(&self.window).chain(&self.connections);
        if all
            .chain(&[self.shards_connections, self.deflate_connections, self.total])
            .any(|count| *count == 0)
        {
            return setup("no number of the options may be 0".to_owned());
        }
        let files = machine::raise_file_limit()?;
        for (suite, most) in self.needs() {
            let needed = most as u64 + OTHER_FILES;
            if self.runs(suite) && needed > files {
                return setup(format!(
                    "{most} connections need {needed} open files, but the limit of a process is \
                     {files} (ulimit -Hn)"
                ));
            }
        }
        Ok(self)
    }

    fn make_small(&mut self) {
        self.peers.retain(|peer| peer.is_ours());
        (self.rounds, self.connections, self.deliveries) = (1, vec![100], 5000);
        (self.latency_connections, self.latency_seconds, self.rate) = (100, 0.4, vec![50.0]);
        (self.most, self.small_seconds) = (200, 0.5);
        (self.shards_connections, self.shards_messages) = (100, 50);
        self.deflate_connections = 100;
        (self.servers, self.total) = (2, 200);
    }

    /// The most connections that one process holds in each suite.
    fn needs(&self) -> [(Suite, usize); 7] {
        [
            (Suite::FanOut, self.connections.iter().copied().max().unwrap_or(0)),
            (Suite::Latency, self.latency_connections),
            (Suite::Small, self.most),
            (Suite::Memory, self.most),
            (Suite::Shards, self.shards_connections),
            (Suite::Deflate, self.deflate_connections),
            (Suite::Many, self.total.div_ceil(self.servers.max(1))),
        ]
    }

    /// Whether this suite is to be run.
    pub fn runs(&self, suite: Suite) -> bool {
        self.suite.iter().any(|chosen| *chosen == suite || *chosen == Suite::Full)
    }

    /// The transports that were asked for, or else a suite's own choice.
    pub fn transports(&self, otherwise: &[Transport]) -> Vec<Transport> {
        if self.transport.is_empty() { otherwise.to_vec() } else { self.transport.clone() }
    }

    /// How long after the first message no other is begun.
    pub fn longest(&self) -> Duration {
        Duration::from_secs(self.max_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_can_be_chosen() {
        let options = Options::parse_from(["load", "--suite", "small,many", "--window", "1"]);
        assert!(options.runs(Suite::Small) && options.runs(Suite::Many));
        assert!(!options.runs(Suite::FanOut));
        assert_eq!(options.window, [1]);
        assert!(Options::parse_from(["load"]).runs(Suite::Shards));
    }

    #[test]
    fn refuses_nonsense() {
        let checked = |words: &[&str]| {
            Options::parse_from(std::iter::once("load").chain(words.iter().copied())).checked()
        };
        assert!(checked(&["--rate", "0"]).is_err());
        assert!(checked(&["--size", "10"]).is_err());
        assert!(checked(&["--connections", "0"]).is_err());
        assert!(checked(&["--smoke"]).is_ok_and(|options| options.total == 200));
    }
}
