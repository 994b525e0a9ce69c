//! The command line of the harness.

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

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Modes {
    /// Messages back to back: deliveries per second, CPU time, memory.
    Throughput,
    /// Messages at a fixed rate: how long a delivery takes.
    Latency,
    /// Both, one after the other.
    All,
}

/// Which transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transports {
    /// Chunked HTTP streams.
    Stream,
    /// Long-polls.
    Longpoll,
    /// WebSockets.
    Websocket,
    /// All three.
    All,
}

/// Holds many connections at linchpin, Pushpin, nchan and a bare loop of write(2), publishes to
/// all of them, checks that each subscriber gets each message exactly once and in order, and
/// compares.
#[derive(Parser, Debug)]
#[command(name = "load")]
pub struct Options {
    /// The servers to compare; the order is the order within a round.
    #[arg(long, value_delimiter = ',', default_value = "linchpin,pushpin,nchan,bare")]
    pub peers: Vec<Peer>,
    /// The linchpin to measure.
    #[arg(long, value_name = "FILE", default_value = "target/release/linchpin")]
    pub linchpin: PathBuf,
    /// Its number of worker threads.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub workers: usize,
    /// How the subscribers are connected.
    #[arg(long, value_enum, default_value = "all")]
    pub transport: Transports,
    /// What is measured.
    #[arg(long, value_enum, default_value = "all")]
    pub mode: Modes,
    /// Every server is measured this often, in turn; the medians are reported.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub rounds: usize,
    /// Bytes of a message, at least 32.
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub size: usize,
    /// Throughput: subscribers.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub connections: usize,
    /// Throughput: messages, unless the time is up before.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub messages: u64,
    /// Throughput: no message is begun after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    pub max_seconds: u64,
    /// Throughput: messages under way at once (long-polls: always one).
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub window: usize,
    /// Latency: subscribers.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub latency_connections: usize,
    /// Latency: messages.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub latency_messages: u64,
    /// Latency: messages per second.
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    pub rate: f64,
    /// Leave it to the system which core runs what, instead of the client on the last core and
    /// the server on the first (the first N with --workers N).
    #[arg(long)]
    pub no_pin: bool,
    /// Also append one line of JSON for each measurement to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// A quick check of correctness: 100 subscribers, few messages, one round, linchpin and the
    /// bare loop only.
    #[arg(long)]
    pub smoke: bool,

    /// Be the bare loop (the harness starts itself with this).
    #[arg(long, hide = true, value_enum)]
    pub bare: Option<Transport>,
    /// The bare loop's port for subscribers.
    #[arg(long, hide = true, default_value_t = 0)]
    pub http_port: u16,
    /// The bare loop's port for commands.
    #[arg(long, hide = true, default_value_t = 0)]
    pub control_port: u16,
}

impl Options {
    /// Applies `--smoke` and refuses what cannot work.
    pub fn checked(mut self) -> Result<Options, Failure> {
        if self.smoke {
            self.peers.retain(|peer| matches!(peer, Peer::Linchpin | Peer::Bare));
            self.rounds = 1;
            (self.connections, self.messages, self.max_seconds) = (100, 50, 5);
            (self.latency_connections, self.latency_messages, self.rate) = (100, 20, 50.0);
        }
        let setup = |why: String| Err(Failure::Setup(why));
        if self.size < ledger::SHORTEST {
            return setup(format!("--size must be at least {}", ledger::SHORTEST));
        }
        if !(self.rate > 0.0 && self.rate <= 10_000.0) {
            return setup("--rate must be above 0 and at most 10000".to_owned());
        }
        let counts = [self.connections, self.latency_connections, self.window, self.rounds];
        if counts.contains(&0) || self.messages == 0 || self.latency_messages == 0 {
            return setup("connections, messages, window and rounds must be at least 1".to_owned());
        }
        let files = machine::raise_file_limit()?;
        let most = self.connections.max(self.latency_connections) as u64;
        if most + OTHER_FILES > files {
            return setup(format!(
                "{most} connections need {} open files, but the limit of a process is {files} \
                 (ulimit -Hn)",
                most + OTHER_FILES
            ));
        }
        Ok(self)
    }

    /// The transports to measure.
    pub fn transports(&self) -> Vec<Transport> {
        match self.transport {
            Transports::Stream => vec![Transport::Stream],
            Transports::Longpoll => vec![Transport::Longpoll],
            Transports::Websocket => vec![Transport::Websocket],
            Transports::All => Transport::ALL.to_vec(),
        }
    }

    /// How long after the first message no other is begun.
    pub fn longest(&self) -> Duration {
        Duration::from_secs(self.max_seconds)
    }
}

/// Which cores run what; `None` where pinning is off or there is only one core.
pub struct Cores {
    /// All that may be used.
    pub all: Vec<usize>,
    /// The server's and the client's.
    pub split: Option<(Vec<usize>, Vec<usize>)>,
}

impl Cores {
    /// Divides the cores of this machine.
    pub fn divide(options: &Options) -> Cores {
        let all = machine::cores();
        let split = match all.split_last() {
            Some((last, others)) if !options.no_pin && !others.is_empty() => {
                let server = others.iter().take(options.workers.max(1)).copied().collect();
                Some((server, vec![*last]))
            }
            _ => None,
        };
        Cores { all, split }
    }
}
