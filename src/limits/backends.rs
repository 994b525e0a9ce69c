//! The bounds of the way to backends. A part of `limits`, imported as that.

/// A backend that makes no progress is given up after this (specification, routing 3.14).
pub const BACKEND_PROGRESS_MS: u64 = 1_800_000;
/// A pooled backend connection is closed after this long without use.
pub const BACKEND_IDLE_MS: u64 = 55_000;
/// Idle connections kept per target and shard.
pub const BACKEND_IDLE_CONNECTIONS_MAX: usize = 1024;
/// Idle connections that a shard may keep whatever its part of the clients is.
pub const BACKEND_IDLE_CONNECTIONS_MIN: usize = 16;
/// Time allowed for resolving, connecting and the TLS handshakes with all targets of a request
/// together (option `--backend-connect-timeout`).
pub const BACKEND_CONNECT_MS: u64 = 30_000;
/// An address of a name that has said nothing for so long has company: the next one is tried beside
/// it, in milliseconds (RFC 8305, 8).
pub const BACKEND_NEXT_ADDRESS_MS: u64 = 250;
/// An address of a name that led nowhere while another one answered is tried last for so long, in
/// milliseconds.
pub const BACKEND_ADDRESS_AVOIDED_MS: u64 = 60_000;
/// Addresses of which one shard remembers that.
pub const ADDRESSES_AVOIDED_MAX: usize = 1024;
/// A backend whose machine is gone without a word is found out: a connection that is silent for so
/// many seconds is probed, every so many seconds, so often.
pub const BACKEND_PROBES: (u64, u64, u32) = (60, 15, 4);
/// Default time without progress before a response head is whole (option `--backend-head-timeout`);
/// 0: as within a body.
pub const BACKEND_HEAD_MS: u64 = 0;
/// A request whose method is not idempotent goes over connections only that were used within this
/// (option `--backend-unsafe-idle-timeout`).
pub const BACKEND_UNSAFE_IDLE_MS: u64 = 1_000;
/// Of the time for which a backend keeps idle connections, so much is used, in per cent.
pub const BACKEND_IDLE_SHARE: u64 = 80;
/// What is learnt of that time from connections that a backend closes is not less than this.
pub const BACKEND_LEARNT_IDLE_MS_MIN: u64 = 500;
/// What was learnt so is forgotten after this.
pub const BACKEND_LEARNT_MS: u64 = 60_000;
/// Most attempts at one request (option `--backend-tries`); 0 is no bound but that each target is
/// tried once, and one of them once more.
pub const BACKEND_TRIES_MAX: usize = 0;
/// Requests of one shard that wait because as many as may be are under way.
pub const OPEN_REQUESTS_WAITING_MAX: usize = 16_384;
/// How long they wait (option `--max-open-requests-wait`).
pub const OPEN_REQUESTS_WAIT_MS: u64 = 30_000;
/// Names that one shard looks up at once.
pub const LOOKUPS_AT_ONCE: usize = 8;
/// Lookups that wait in one shard.
pub const LOOKUPS_WAITING_MAX: usize = 1024;
/// Names whose addresses one shard remembers.
pub const NAMES_KNOWN_MAX: usize = 1024;
/// How long they are remembered (option `--backend-dns-ttl`).
pub const NAMES_KNOWN_MS: u64 = 1_000;
/// Failures in a row after which a target is set aside (option `--backend-fails`); 0 is never.
pub const HEALTH_FAILURES_MAX: u32 = 3;
/// How long it is set aside at first, and at most.
pub const HEALTH_PAUSE_MS: (u64, u64) = (1_000, 30_000);
/// A request that is to find out whether such a target is well has so long before another one may.
pub const HEALTH_PROBE_MS: u64 = 5_000;
/// How often targets with `check` are asked (option `--health-interval`); 0 is never.
pub const HEALTH_INTERVAL_MS: u64 = 5_000;
/// They have to answer within this, or the interval if that is shorter.
pub const HEALTH_CHECK_MS: u64 = 5_000;
/// Checks in a row that must fail before a target is set aside.
pub const HEALTH_CHECKS_FAILED_MAX: u32 = 2;
/// Checks that one shard makes at once.
pub const HEALTH_CHECKS_AT_ONCE: usize = 16;
/// Routes that balance whose turns one shard remembers.
pub const BALANCED_ROUTES_MAX: usize = 16_384;
/// Destinations that have failed lately of which one shard knows.
pub const TROUBLED_MAX: usize = 1024;
/// So many failures of backends are told one by one within [`FAILURES_TOLD_MS`], by each worker;
/// the others are summed up.
pub const FAILURES_TOLD_MAX: u32 = 20;
/// See [`FAILURES_TOLD_MAX`].
pub const FAILURES_TOLD_MS: u64 = 10_000;

const _: () = {
    // A pooled connection is given up before a backend with the usual 60 s closes it under us.
    assert!(BACKEND_IDLE_MS < 60_000);
    assert!(HEALTH_CHECK_MS <= HEALTH_PROBE_MS && HEALTH_PAUSE_MS.0 <= HEALTH_PAUSE_MS.1);
};
