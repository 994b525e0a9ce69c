//! What every part of the proxy reaches for, one of each a shard.

use std::rc::Rc;

use http::{HeaderName, HeaderValue};

use super::askers::Askers;
use super::connections::Connections;
use super::forwarded::{ForRule, SetProtocol};
use super::order::Peers;
use super::protocols::Protocols;
use super::recovery::Ears;
use super::routing::Routing;
use super::signing::Keys;
use super::turns::Turns;
use super::upstream::Upstream;
use crate::backend::Backend;
use crate::hub::{Hub, Lease};
use crate::limits;
use crate::route::{Route, condition};
use crate::session::outbox::Slow;
use crate::stats::Stats;
use crate::ws::meter::Limits;

/// A shard's company.
pub struct Shared {
    /// The held connections.
    pub hub: Hub,
    /// The way to backends.
    pub backend: Backend,
    /// Whose turn it is at routes that balance.
    pub turns: Turns,
    /// Which route a request takes.
    pub routing: Routing,
    /// The counters.
    pub stats: Rc<Stats>,
    /// The keys that sign requests.
    pub keys: Keys,
    /// Sessions with filters that ask, and what waits to be asked.
    pub askers: Rc<Askers>,
    /// The relays that may have to ask their backends for what a client has missed.
    pub ears: Rc<Ears>,
    /// Channels remember what was published lately: who catches up with an answer that has become
    /// old has the rest from there.
    pub remembers: bool,
    /// WebSockets by the ids that their backends know.
    pub connections: Connections,
    /// The other shards, if there are any.
    pub peers: Option<Rc<dyn Peers>>,
    /// What the operator has set.
    pub settings: Settings,
}

impl Shared {
    /// A hold's client may not read: what is then done, if its route says so.
    pub fn set_slow(&self, lease: &Lease, route: &Route) {
        if let Some(slow) = route.options.slow {
            self.hub.set_slow(lease.id(), policy(slow));
        }
    }
}

/// What the routes file and the command line say is done with clients that do not read.
#[must_use]
pub fn policy(slow: condition::Slow) -> Slow {
    match slow {
        condition::Slow::Close => Slow::Close,
        condition::Slow::DropOldest => Slow::DropOldest,
        condition::Slow::Conflate => Slow::Conflate,
    }
}

/// What an operator may set of the proxy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Informative error bodies on every route.
    pub debug: bool,
    /// `iss` of `Grip-Sig` where a route names none.
    pub sig_iss: String,
    /// The signing key as written, where a route names none.
    pub sig_key: Option<String>,
    /// The key of GRIP proxies in front that are trusted.
    pub upstream: Option<Upstream>,
    /// Largest request body, in bytes; bodies stream, so this is policy and not memory.
    pub request_body_bytes_max: u64,
    /// Requests that one shard makes at once about holds whose backends are asked again.
    pub updates_at_once: usize,
    /// How long the return of a held request is waited for before its backend is told that it is
    /// gone, in milliseconds; 0 tells at once.
    pub gone_delay_ms: u64,
    /// Bytes that may wait for one client.
    pub outbox_bytes_max: usize,
    /// Backends of WebSockets over HTTP that one shard tells at once that their clients are gone.
    pub disconnects_max: usize,
    /// Operators may ask for connections by their ids.
    pub commands: bool,
    /// Log lines are JSON.
    pub json_log: bool,
    /// Requests that HTTP filters make in a second.
    pub filter_requests_per_s: u32,
    /// Whether and what is compressed on WebSockets.
    pub compression: Compression,
    /// What a WebSocket may do, and for how long nothing.
    pub bounds: Bounds,
    /// SockJS.
    pub sockjs: SockJs,
    /// What backends are told of clients.
    pub forwarding: Forwarding,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            debug: false,
            sig_iss: "pushpin".to_owned(),
            sig_key: None,
            upstream: None,
            request_body_bytes_max: u64::MAX,
            updates_at_once: limits::UPDATES_AT_ONCE,
            gone_delay_ms: 0,
            outbox_bytes_max: limits::OUTBOX_BYTES_MAX,
            disconnects_max: 100,
            commands: false,
            json_log: false,
            filter_requests_per_s: limits::HTTP_FILTER_REQUESTS_PER_S,
            compression: Compression::default(),
            bounds: Bounds::default(),
            sockjs: SockJs::default(),
            forwarding: Forwarding::default(),
        }
    }
}

/// What backends are told of clients, and which pages are served.
#[derive(Clone, Debug, Default)]
pub struct Forwarding {
    /// Pages of other origins are served on every route (CORS and JSON-P).
    pub cross_origin: bool,
    /// A client may say that its connection is secure (`X-Forwarded-Proto`).
    pub accept_protocol: bool,
    /// Who says so to backends.
    pub set_protocol: SetProtocol,
    /// What is done with `X-Forwarded-For`.
    pub for_rule: ForRule,
    /// The same, for clients that are trusted.
    pub for_rule_trusted: ForRule,
    /// Fields that the route option `orig_headers` does not mirror.
    pub need_mark: Vec<HeaderName>,
    /// Our token in `CDN-Loop`.
    pub cdn_loop: Option<HeaderValue>,
    /// A client may name its route (`Pushpin-Route`).
    pub accept_route: bool,
    /// Other protocols that clients may change to.
    pub protocols: Protocols,
    /// A client of whose upload nothing has come for so long has left. Milliseconds; 0 is no bound.
    pub upload_ms: u64,
    /// A client that takes nothing of an answer for so long has left. Milliseconds; 0 is no bound.
    pub download_ms: u64,
    /// Interim answers of backends are left out.
    pub drop_interim: bool,
    /// Access lines have the client's address.
    pub log_from: bool,
    /// Access lines have the client's `User-Agent`.
    pub log_user_agent: bool,
}

impl Forwarding {
    /// The rule for `X-Forwarded-For` of such a client.
    #[must_use]
    pub fn for_rule(&self, trusted: bool) -> &ForRule {
        if trusted { &self.for_rule_trusted } else { &self.for_rule }
    }

    /// Whether what is said of the client's protocol is ours to say.
    #[must_use]
    pub fn owns_protocol(&self) -> bool {
        self.accept_protocol || self.set_protocol != SetProtocol::Leave
    }
}

/// Whether and what is compressed on WebSockets (permessage-deflate).
#[derive(Clone, Debug)]
pub struct Compression {
    /// It is negotiated with clients and backends.
    pub allowed: bool,
    /// Shorter messages are sent as they are.
    pub bytes_min: usize,
}

/// What a WebSocket may do, and for how long nothing. 0 is no bound.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Largest message of a client, in bytes; over HTTP the queue's bound comes first.
    pub message_bytes_max: u64,
    /// Largest frame of a client, in bytes.
    pub frame_bytes_max: u64,
    /// Frames of one message, of a client or of a WebSocket backend.
    pub fragments_max: u64,
    /// Bytes that a client may send before its handshake is answered. `http` sees to it.
    pub early_bytes_max: usize,
    /// A handshake that no backend has answered for so long has failed. Milliseconds.
    pub open_ms: u64,
    /// Nothing is heard or said for so long: it is closed. Milliseconds. `shard` sees to it where
    /// the connection is parked.
    pub idle_ms: u64,
}

impl Bounds {
    /// What a client may send that is relayed.
    #[must_use]
    pub fn of_clients(&self) -> Limits {
        Limits {
            message_bytes: bound(self.message_bytes_max),
            frame_bytes: bound(self.frame_bytes_max),
            fragments: bound(self.fragments_max),
        }
    }

    /// What a client may send whose messages are collected.
    #[must_use]
    pub fn of_collected(&self) -> Limits {
        let relayed = self.of_clients();
        let queue = limits::EVENTS_QUEUE_BYTES_MAX as u64;
        Limits { message_bytes: relayed.message_bytes.min(queue), ..relayed }
    }

    /// What a WebSocket backend may send.
    #[must_use]
    pub fn of_backends(&self) -> Limits {
        Limits { fragments: bound(self.fragments_max), ..Limits::NONE }
    }
}

/// 0 is none.
fn bound(number: u64) -> u64 {
    if number == 0 { u64::MAX } else { number }
}

/// SockJS.
#[derive(Clone, Debug)]
pub struct SockJs {
    /// The client library, for the iframe page.
    pub url: String,
    /// A receiver that has got nothing for so long gets a heartbeat, in milliseconds.
    pub heartbeat_ms: u64,
    /// A session without a receiver for so long is over, in milliseconds.
    pub disconnect_ms: u64,
    /// Bytes of messages that may wait for one client.
    pub queue_bytes_max: usize,
    /// Sessions of the HTTP transports that one shard may have.
    pub sessions_max: usize,
}

impl SockJs {
    /// The same for each of so many shards, who share the sessions.
    #[must_use]
    pub fn of_each(&self, shards: usize) -> SockJs {
        SockJs { sessions_max: self.sessions_max.div_ceil(shards.max(1)), ..self.clone() }
    }
}

impl Default for SockJs {
    fn default() -> SockJs {
        SockJs {
            url: limits::SOCKJS_URL.to_owned(),
            heartbeat_ms: limits::SOCKJS_HEARTBEAT_MS,
            disconnect_ms: limits::SOCKJS_DISCONNECT_MS,
            queue_bytes_max: limits::SOCKJS_QUEUE_BYTES_MAX,
            sessions_max: limits::SOCKJS_SESSIONS_MAX,
        }
    }
}

impl Default for Compression {
    fn default() -> Compression {
        Compression { allowed: false, bytes_min: limits::COMPRESSION_BYTES_MIN }
    }
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            message_bytes_max: limits::WEBSOCKET_MESSAGE_BYTES_MAX,
            frame_bytes_max: limits::WEBSOCKET_FRAME_BYTES_MAX,
            fragments_max: limits::WEBSOCKET_FRAGMENTS_MAX,
            early_bytes_max: limits::WEBSOCKET_EARLY_BYTES_MAX,
            open_ms: limits::WEBSOCKET_OPEN_S * 1000,
            idle_ms: limits::WEBSOCKET_IDLE_S * 1000,
        }
    }
}
