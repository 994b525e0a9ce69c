//! The command line, what it comes to, and which cores run what. Read by every measurement.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::case::{Case, Measure, Peer};
use crate::failure::Failure;
use crate::machine;
use crate::messages::PUBLISHERS_MAX;

/// Files that either side needs besides the connections.
const OTHER_FILES: u64 = 300;

/// Measures what the edges of linchpin do in a second (holding, publishing, passing through,
/// WebSocket echoes, TLS) beside Pushpin, nginx and nchan, and checks every byte of it.
#[derive(Parser, Debug)]
#[command(name = "rates")]
pub struct Options {
    /// What is measured; all of it if not given.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Measure>,
    /// The servers to compare; the order is the order within a round.
    #[arg(long, value_delimiter = ',', default_value = "linchpin,pushpin,nginx,nchan")]
    pub peers: Vec<Peer>,
    /// The linchpin to measure; it gets one worker.
    #[arg(long, value_name = "FILE", default_value = "target/release/linchpin")]
    pub linchpin: PathBuf,
    /// Every server is measured this often, in turn; the medians are reported.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub rounds: usize,
    /// Publish, proxy, socket: seconds of a measurement.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    pub seconds: f64,
    /// Hold: connections.
    #[arg(long, value_name = "N", default_value_t = 8000)]
    pub connections: usize,
    /// Hold, tls: connections that are being opened at once.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub opening: usize,
    /// Publish: subscribers of the channel.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub subscribers: usize,
    /// Publish: connections to the control API.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub publishers: usize,
    /// Publish, pipelined: requests under way on each of these at once.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub depth: usize,
    /// Publish, in batches: items of one request.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub batch: usize,
    /// Publish: no more is published once so many messages are accepted but not delivered.
    #[arg(long, value_name = "N", default_value_t = 25_000)]
    pub backlog: u64,
    /// Proxy, socket: clients.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub clients: usize,
    /// Proxy, socket: clients of the second case.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub many_clients: usize,
    /// Proxy: clients that fetch bodies of 1 MB.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub large_clients: usize,
    /// Tls: handshakes of one measurement.
    #[arg(long, value_name = "N", default_value_t = 4000)]
    pub handshakes: usize,
    /// Tls: connections at which the memory is first looked at.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub tls_few: usize,
    /// Tls: connections at which it is looked at again.
    #[arg(long, value_name = "N", default_value_t = 8000)]
    pub tls_many: usize,
    /// Leave it to the system which core runs what, instead of the server on the first core and
    /// the client and the backend on the last.
    #[arg(long)]
    pub no_pin: bool,
    /// Also append one line of JSON for each measurement to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// A quick check of correctness: linchpin alone, small numbers, one round.
    #[arg(long)]
    pub smoke: bool,
}

impl Options {
    /// Applies `--smoke` and refuses what cannot work.
    pub fn checked(mut self) -> Result<Options, Failure> {
        if self.smoke {
            self.peers.retain(|peer| *peer == Peer::Linchpin);
            self.rounds = 1;
            self.seconds = 0.2;
            (self.connections, self.handshakes) = (200, 50);
            (self.clients, self.many_clients, self.large_clients) = (16, 100, 4);
            (self.tls_few, self.tls_many) = (20, 100);
        }
        if self.only.is_empty() {
            self.only = Measure::value_variants().to_vec();
        }
        let counts = [
            self.rounds,
            self.connections,
            self.opening,
            self.subscribers,
            self.publishers,
            self.depth,
            self.batch,
            self.clients,
            self.many_clients,
            self.large_clients,
            self.handshakes,
            self.tls_few,
        ];
        if counts.contains(&0) {
            return setup("every number must be at least 1");
        }
        if self.tls_many <= self.tls_few {
            return setup("--tls-many must be more than --tls-few");
        }
        if self.publishers > PUBLISHERS_MAX {
            return setup(&format!("--publishers must be at most {PUBLISHERS_MAX}"));
        }
        if !(self.seconds > 0.0 && self.seconds <= 600.0) {
            return setup("--seconds must be above 0 and at most 600");
        }
        let files = machine::raise_file_limit()?;
        // A proxy has a connection to its backend for each that is being asked about.
        let most = self.connections.max(self.tls_many).max(2 * self.many_clients) as u64;
        if most + OTHER_FILES > files {
            return setup(&format!(
                "{most} connections need {} open files, but the limit of a process is {files} \
                 (ulimit -Hn)",
                most + OTHER_FILES
            ));
        }
        Ok(self)
    }

    /// What is to be measured, in this order within a round.
    pub fn cases(&self) -> Vec<Case> {
        Case::ALL.into_iter().filter(|case| self.only.contains(&case.measure())).collect()
    }

    /// How long a measurement that is bound by time takes.
    pub fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

fn setup(why: &str) -> Result<Options, Failure> {
    Err(Failure::Setup(why.to_owned()))
}

/// Which cores run what.
pub struct Cores {
    /// All processes of the server that is measured.
    pub server: Vec<usize>,
    /// This program and the backend.
    pub client: Vec<usize>,
    /// Whether these differ.
    pub pinned: bool,
}

impl Cores {
    /// Divides the cores of this machine.
    pub fn divide(options: &Options) -> Cores {
        let all = machine::cores();
        match (all.first(), all.last()) {
            (Some(first), Some(last)) if !options.no_pin && first != last => {
                Cores { server: vec![*first], client: vec![*last], pinned: true }
            }
            _ => Cores { server: all.clone(), client: all, pinned: false },
        }
    }
}
