//! The kinds of servers that are compared, and where one of them runs. Knows how each is treated,
//! not how it is started; that is `server.rs`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::dialect::Dialect;
use crate::nchan;
use crate::pushpin;
use crate::transport::Transport;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// The binary that `--linchpin` names.
    Linchpin,
    /// The Pushpin that is installed.
    Pushpin,
    /// The nginx with nchan that is installed, one worker.
    Nchan,
    /// A plain loop of write(2).
    Bare,
}

impl Peer {
    /// In the order in which they are reported.
    pub const ALL: [Peer; 4] = [Peer::Linchpin, Peer::Bare, Peer::Nchan, Peer::Pushpin];

    /// As tables and messages call it.
    pub fn title(self) -> &'static str {
        match self {
            Peer::Linchpin => "linchpin",
            Peer::Pushpin => "pushpin",
            Peer::Nchan => "nchan",
            Peer::Bare => "bare write(2)",
        }
    }

    /// How it is asked and published to.
    pub fn dialect(self) -> Dialect {
        match self {
            Peer::Linchpin | Peer::Pushpin => Dialect::Grip,
            Peer::Nchan => Dialect::Nchan,
            Peer::Bare => Dialect::Bare,
        }
    }

    /// Why it cannot take part on this machine, if it cannot.
    pub fn missing(self) -> Option<String> {
        match self {
            Peer::Pushpin => pushpin::missing(),
            Peer::Nchan => nchan::missing(),
            Peer::Linchpin | Peer::Bare => None,
        }
    }

    /// How often it may try before a measurement of it is given up. Pushpin 1.36 now and then
    /// ends or cancels requests under load; it is here to be compared with, not to be tested.
    pub fn chances(self) -> u32 {
        if self == Peer::Pushpin { 3 } else { 1 }
    }

    /// Whether a measurement of it that fails is a failure of the run.
    pub fn is_ours(self) -> bool {
        matches!(self, Peer::Linchpin | Peer::Bare)
    }
}

/// Where a server runs: all that a client needs to know, also one in another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Site {
    /// What it is.
    pub peer: Peer,
    /// Where subscribers connect.
    pub http: SocketAddr,
    /// Where messages are published.
    pub control: SocketAddr,
    /// All its processes.
    pub processes: Vec<u32>,
}

impl Site {
    /// For how long all its threads must sleep until it has surely done what it was asked.
    /// Pushpin's processes now and then hand requests on by timers of 10 to 20 ms.
    pub fn calm(&self) -> Duration {
        match self.peer {
            Peer::Pushpin => Duration::from_millis(60),
            Peer::Linchpin | Peer::Nchan | Peer::Bare => Duration::from_millis(5),
        }
    }

    /// For how long to wait after the first subscription to a channel. One second after it,
    /// Pushpin asks the backend again on behalf of every long-poll on that channel; what is
    /// published meanwhile is not for them, and doing it for many at once makes it fail.
    pub fn settling(&self, transport: Transport) -> Duration {
        match (self.peer, transport) {
            (Peer::Pushpin, Transport::Longpoll) => Duration::from_millis(2500),
            _ => Duration::ZERO,
        }
    }
}
