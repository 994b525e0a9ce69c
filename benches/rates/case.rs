//! What is measured, at whom, and the record of one measurement. The vocabulary of the harness:
//! knows no socket and no process.

use clap::ValueEnum;
use serde::Serialize;

use crate::meter::Spent;

/// One of the edges; `--only` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// Connections accepted, asked of the backend and held.
    Hold,
    /// Messages that the control API accepts.
    Publish,
    /// Requests that are passed through.
    Proxy,
    /// WebSocket messages that are passed through, both ways.
    Socket,
    /// Handshakes, and memory of what is held behind TLS.
    Tls,
}

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// The binary that `--linchpin` names.
    Linchpin,
    /// The Pushpin that is installed, with zurl where there is a backend.
    Pushpin,
    /// nginx: `proxy_pass`, or TLS.
    Nginx,
    /// nginx with the module nchan.
    Nchan,
}

impl Peer {
    /// As tables and messages call it.
    pub fn title(self) -> &'static str {
        match self {
            Peer::Linchpin => "linchpin",
            Peer::Pushpin => "pushpin",
            Peer::Nginx => "nginx",
            Peer::Nchan => "nchan",
        }
    }
}

/// One table of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Case {
    /// New connections, each asked of the backend and held as a stream.
    Hold,
    /// Publishing, one message a request, the next after the answer.
    Publish,
    /// The same, several requests under way on each connection.
    PublishPipelined,
    /// As the one before, to a channel that has ids, and a ring of what was delivered lately.
    PublishIds,
    /// Publishing many items a request.
    PublishBatches,
    /// Small bodies to few clients.
    Proxy,
    /// Small bodies to many clients.
    ProxyMany,
    /// Large bodies.
    ProxyLarge,
    /// Messages of few WebSockets to a backend that sends them back.
    Socket,
    /// The same with many WebSockets.
    SocketMany,
    /// New TLS sessions.
    TlsHandshakes,
    /// Idle TLS connections.
    TlsMemory,
}

impl Case {
    /// All of them, in the order in which they are measured and reported.
    pub const ALL: [Case; 12] = [
        Case::Hold,
        Case::Publish,
        Case::PublishPipelined,
        Case::PublishIds,
        Case::PublishBatches,
        Case::Proxy,
        Case::ProxyMany,
        Case::ProxyLarge,
        Case::Socket,
        Case::SocketMany,
        Case::TlsHandshakes,
        Case::TlsMemory,
    ];

    /// What it belongs to.
    pub fn measure(self) -> Measure {
        match self {
            Case::Hold => Measure::Hold,
            Case::Publish | Case::PublishPipelined | Case::PublishIds | Case::PublishBatches => {
                Measure::Publish
            }
            Case::Proxy | Case::ProxyMany | Case::ProxyLarge => Measure::Proxy,
            Case::Socket | Case::SocketMany => Measure::Socket,
            Case::TlsHandshakes | Case::TlsMemory => Measure::Tls,
        }
    }

    /// Who can do it. Pushpin's control API closes the connection after each answer, so nothing
    /// can be pipelined to it, and its proxy answers a thousand clients with 502 now and then.
    /// nchan's publisher takes one message a request.
    pub fn peers(self) -> &'static [Peer] {
        match self {
            Case::Hold | Case::PublishBatches => &[Peer::Linchpin, Peer::Pushpin],
            Case::Publish => &[Peer::Linchpin, Peer::Pushpin, Peer::Nchan],
            Case::PublishPipelined => &[Peer::Linchpin, Peer::Nchan],
            Case::PublishIds => &[Peer::Linchpin],
            Case::Proxy | Case::ProxyLarge => &[Peer::Linchpin, Peer::Nginx, Peer::Pushpin],
            Case::ProxyMany
            | Case::Socket
            | Case::SocketMany
            | Case::TlsHandshakes
            | Case::TlsMemory => &[Peer::Linchpin, Peer::Nginx],
        }
    }

    /// Whether nginx stands behind the server.
    pub fn has_backend(self) -> bool {
        matches!(self.measure(), Measure::Hold | Measure::Proxy)
    }

    /// As messages call it.
    pub fn title(self) -> &'static str {
        match self {
            Case::Hold => "hold",
            Case::Publish => "publish",
            Case::PublishPipelined => "publish, pipelined",
            Case::PublishIds => "publish with ids, pipelined",
            Case::PublishBatches => "publish, in batches",
            Case::Proxy => "proxy",
            Case::ProxyMany => "proxy, many clients",
            Case::ProxyLarge => "proxy, 1 MB",
            Case::Socket => "WebSocket echo",
            Case::SocketMany => "WebSocket echo, many",
            Case::TlsHandshakes => "TLS handshakes",
            Case::TlsMemory => "TLS memory",
        }
    }
}

/// What is to be measured.
#[derive(Clone, Copy)]
pub struct Run {
    /// What.
    pub case: Case,
    /// At whom.
    pub peer: Peer,
    /// From 1.
    pub round: usize,
}

/// What was measured; one line of the JSON file.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// What was measured.
    pub case: Case,
    /// The server.
    pub peer: Peer,
    /// From 1.
    pub round: usize,
    /// Whether the server had a core of its own.
    pub pinned: bool,
    /// Client connections: held, publishing, asking, or being opened at once (handshakes).
    pub connections: usize,
    /// How often it was done: connections held, messages accepted, requests, messages that came
    /// back, handshakes.
    pub operations: u64,
    /// From the first to the last of these.
    pub seconds: f64,
    /// Operations by seconds.
    pub per_second: f64,
    /// CPU time that the server used, in seconds, until it had come to rest.
    pub cpu_seconds: f64,
    /// The same for one operation, in microseconds.
    pub cpu_micros_each: f64,
    /// How much of a core the server was busy.
    pub server_busy: f64,
    /// How much of a core the client and the backend were busy.
    pub client_busy: f64,
    /// Publish: messages by the time until every subscriber had the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_per_second: Option<f64>,
    /// Proxy: bytes of the bodies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Memory of what is held: what one connection adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_connection: Option<f64>,
    /// The same after a message to all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_connection_after: Option<f64>,
}

/// How much was done in what time; becomes a [`Measurement`].
pub struct Figures {
    /// Client connections.
    pub connections: usize,
    /// How often it was done.
    pub operations: u64,
    /// From the first to the last.
    pub seconds: f64,
    /// CPU time.
    pub spent: Spent,
}

impl Measurement {
    /// The figures that every measurement has.
    pub fn new(run: Run, figures: &Figures) -> Measurement {
        let operations = figures.operations.max(1) as f64;
        Measurement {
            case: run.case,
            peer: run.peer,
            round: run.round,
            pinned: false,
            connections: figures.connections,
            operations: figures.operations,
            seconds: figures.seconds,
            per_second: operations / figures.seconds.max(1e-9),
            cpu_seconds: figures.spent.server,
            cpu_micros_each: figures.spent.server * 1e6 / operations,
            server_busy: figures.spent.server_busy,
            client_busy: figures.spent.client_busy,
            delivered_per_second: None,
            bytes: None,
            bytes_per_connection: None,
            bytes_per_connection_after: None,
        }
    }
}
