//! The settings of one process, as meant: everything above reads these, nothing below knows them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::backends::{self, Backends};
use super::forwarding::Forwarding;
use super::listening::Listening;
use super::logging::Logs;
use super::messages::Messages;
use super::problem::{Places, Problem};
use super::tls::Tls;
use super::websocket::WebSockets;
use crate::forward::shared;
use crate::forward::signing;
use crate::forward::upstream::Upstream;
use crate::http;
use crate::hub::registry;
use crate::limits;
use crate::parking;
use crate::publish::publisher;
use crate::route::condition::Slow;
use crate::shard::capacity::Capacity;
use crate::shard::state as shard;
use crate::tls::client::ClientTls;

/// Where the routes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutesFrom {
    /// Compiled into the program.
    Compiled,
    /// A file.
    File(PathBuf),
    /// Lines of the command line.
    Lines(Vec<String>),
}

/// The settings of one process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where they were given, for what is wrong with them.
    pub places: Places,
    /// Where clients connect.
    pub listening: Listening,
    /// TLS towards clients and backends.
    pub tls: Tls,
    /// What backends are told of clients.
    pub forwarding: Forwarding,
    /// The way to backends.
    pub backends: Backends,
    /// The log.
    pub logs: Logs,
    /// Where publishers send to, if anywhere.
    pub control: Option<SocketAddr>,
    /// Where operators send commands to: a ZeroMQ address.
    pub command_spec: Option<String>,
    /// The routes.
    pub routes: RoutesFrom,
    /// A mistake in the routes prevents the start, and a reload.
    pub strict: bool,
    /// How long after a change of their file the routes are read, in milliseconds.
    pub reload_delay_ms: u64,
    /// Threads that serve, at least one.
    pub workers: usize,
    /// Signing key for `Grip-Sig`, as written.
    pub sig_key: Option<String>,
    /// Issuer for `Grip-Sig`.
    pub sig_iss: String,
    /// The key of GRIP proxies in front that are trusted, as written.
    pub upstream_key: Option<String>,
    /// Informative error bodies.
    pub debug: bool,
    /// Client connections at once, over all threads.
    pub connections_max: usize,
    /// Further ones are answered 503 instead of being left to wait in the kernel.
    pub refuse_at_capacity: bool,
    /// Clients at once that have not sent their first request head, over all threads.
    pub handshakes_max: usize,
    /// How long a client may take to its first whole request head, in milliseconds.
    pub handshake_ms: u64,
    /// Largest request head, in bytes.
    pub head_bytes_max: usize,
    /// Largest request body, in bytes.
    pub request_body_bytes_max: u64,
    /// Bytes that may wait for one client.
    pub outbox_bytes_max: usize,
    /// Messages that may wait for one client.
    pub outbox_messages_max: usize,
    /// What is done with clients for which that is not enough, where a route does not say.
    pub slow: Slow,
    /// Published items that may wait in one worker.
    pub waiting_items_max: usize,
    /// Bytes that these may keep.
    pub waiting_bytes_max: usize,
    /// Requests that one worker makes at once about holds whose backends are asked again.
    pub updates_at_once: usize,
    /// How long the return of a held request is waited for before it is gone, in milliseconds.
    pub gone_delay_ms: u64,
    /// Channels of one connection.
    pub subscriptions_max: usize,
    /// How published items are ordered, remembered and held back.
    pub messages: Messages,
    /// WebSockets and SockJS.
    pub websockets: WebSockets,
    /// Largest head of a request to the control API, in bytes.
    pub control_head_bytes_max: usize,
    /// Largest body of a publish, in bytes.
    pub control_body_bytes_max: usize,
    /// Time to finish when stopping, in milliseconds.
    pub drain_ms: u64,
}

impl Settings {
    /// What can be found out before anything starts.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let sign = self.sig_key.as_ref().and_then(|key| {
            let error = signing::Keys::new(PathBuf::new()).check(key).err()?;
            Some(Problem::of("--sig-key", error.to_string()))
        });
        let upstream = self.upstream().and_then(Result::err);
        sign.into_iter().chain(upstream).collect()
    }

    fn upstream(&self) -> Option<Result<Upstream, Problem>> {
        let read = Upstream::read(self.upstream_key.as_ref()?, Path::new(""));
        Some(read.map_err(|error| Problem::of("--upstream-key", error.to_string())))
    }

    /// What the publisher is told.
    #[must_use]
    pub fn for_publisher(&self) -> publisher::Settings {
        self.messages.for_publisher()
    }

    /// What every shard is told.
    #[must_use]
    pub fn for_shards(&self, client_tls: ClientTls) -> shard::Settings {
        shard::Settings {
            capacity: Capacity::new(self.connections_max),
            refuse_at_capacity: self.refuse_at_capacity,
            handshakes_max: self.handshakes_max.div_ceil(self.workers.max(1)),
            handshake_ms: self.handshake_ms,
            drain_ms: self.drain_ms,
            http: http::Settings {
                head_bytes_max: self.head_bytes_max,
                early_bytes_max: self.websockets.bounds.early_bytes_max,
                stuck_ms: self.forwarding.download_ms,
                ..Default::default()
            },
            hub: self.messages.for_shard(
                self.workers,
                registry::Settings {
                    subscriptions_max: self.subscriptions_max,
                    waiting_items_max: self.waiting_items_max,
                    waiting_bytes_max: self.waiting_bytes_max,
                    deflate_bytes_min: self.websockets.compression.bytes_min,
                    ..Default::default()
                },
            ),
            parking: parking::Settings {
                outbox_bytes_max: self.outbox_bytes_max,
                outbox_messages_max: self.outbox_messages_max,
                slow: shared::policy(self.slow),
                read_ahead_bytes_max: limits::READ_AHEAD_BYTES_MAX,
            },
            proxy: shared::Settings {
                debug: self.debug,
                sig_iss: self.sig_iss.clone(),
                sig_key: self.sig_key.clone(),
                // One that cannot be used has prevented the start.
                upstream: self.upstream().and_then(Result::ok),
                request_body_bytes_max: self.request_body_bytes_max,
                updates_at_once: self.updates_at_once,
                gone_delay_ms: self.gone_delay_ms,
                outbox_bytes_max: self.outbox_bytes_max,
                disconnects_max: self.connections_max.div_ceil(self.workers.max(1)),
                commands: self.command_spec.is_some(),
                json_log: self.logs.json,
                filter_requests_per_s: limits::HTTP_FILTER_REQUESTS_PER_S
                    .div_ceil(u32::try_from(self.workers.max(1)).unwrap_or(u32::MAX)),
                compression: self.websockets.compression.clone(),
                bounds: self.websockets.bounds.clone(),
                sockjs: self.websockets.sockjs.of_each(self.workers),
                forwarding: self.forwarding.clone(),
            },
            backend: backends::of_each(&self.backends, self.workers, self.connections_max),
            client_tls,
            client_cert_header: self.tls.client_cert_header,
        }
    }
}
