//! The options of the way to backends; part of the command line.

use clap::Args;

use crate::config::backends::Backends;
use crate::limits;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[proxy]")]
pub struct BackendsArgs {
    /// Requests under way at backends at once, relayed WebSockets counted, held connections not;
    /// each worker has its part of them. Further ones wait. As many as --client-maxconn unless
    /// given, and at most as many.
    #[arg(long, env = "LINCHPIN_MAX_OPEN_REQUESTS", value_name = "N")]
    pub max_open_requests: Option<usize>,

    /// How many milliseconds such a request waits before it is answered 503.
    #[arg(
        long,
        env = "LINCHPIN_MAX_OPEN_REQUESTS_WAIT",
        default_value_t = limits::OPEN_REQUESTS_WAIT_MS,
        value_name = "MS"
    )]
    pub max_open_requests_wait: u64,

    /// How many milliseconds a request may take to be connected to a backend: looking its name up,
    /// connecting and the TLS handshake, with all targets of its route together. Each target that
    /// is left has an equal share of what is left.
    #[arg(
        long,
        env = "LINCHPIN_BACKEND_CONNECT_TIMEOUT",
        default_value_t = limits::BACKEND_CONNECT_MS,
        value_name = "MS"
    )]
    pub backend_connect_timeout: u64,

    /// A backend from which nothing comes and that takes nothing for so many milliseconds is given
    /// up: before its response head the next target is tried if that does no harm, after it the
    /// client's connection is closed.
    #[arg(
        long,
        env = "LINCHPIN_BACKEND_TIMEOUT",
        default_value_t = limits::BACKEND_PROGRESS_MS,
        value_name = "MS"
    )]
    pub backend_timeout: u64,

    /// The same for the time before the response head is whole, in milliseconds. 0: as
    /// --backend-timeout.
    #[arg(
        long,
        env = "LINCHPIN_BACKEND_HEAD_TIMEOUT",
        default_value_t = limits::BACKEND_HEAD_MS,
        value_name = "MS"
    )]
    pub backend_head_timeout: u64,

    /// An idle connection to a backend is closed after so many milliseconds; earlier if the backend
    /// says (Keep-Alive: timeout=) or shows that it does not keep them as long. 0 keeps none.
    #[arg(
        long,
        env = "LINCHPIN_BACKEND_IDLE_TIMEOUT",
        default_value_t = limits::BACKEND_IDLE_MS,
        value_name = "MS"
    )]
    pub backend_idle_timeout: u64,

    /// A request that must not be made twice (POST, PATCH) goes over an idle connection only that
    /// was used within so many milliseconds: if the backend closed it just then, nobody could say
    /// whether it took the request. 0: always over a new one.
    #[arg(
        long,
        env = "LINCHPIN_BACKEND_UNSAFE_IDLE_TIMEOUT",
        default_value_t = limits::BACKEND_UNSAFE_IDLE_MS,
        value_name = "MS"
    )]
    pub backend_unsafe_idle_timeout: u64,

    /// Most attempts at one request, all targets together. 0: each target is tried once, and one of
    /// them once more.
    #[arg(
        long,
        env = "LINCHPIN_BACKEND_TRIES",
        default_value_t = limits::BACKEND_TRIES_MAX,
        value_name = "N"
    )]
    pub backend_tries: usize,

    /// How many milliseconds the addresses of a backend's name are used before it is looked up
    /// again, for a new connection. 0: it is looked up for each.
    #[arg(
        long,
        env = "LINCHPIN_BACKEND_DNS_TTL",
        default_value_t = limits::NAMES_KNOWN_MS,
        value_name = "MS"
    )]
    pub backend_dns_ttl: u64,

    /// A target that fails so often in a row is asked only when the other targets of the route have
    /// failed too, until it answers again. 0: that is never held against a target.
    #[arg(
        long,
        env = "LINCHPIN_BACKEND_FAILS",
        default_value_t = limits::HEALTH_FAILURES_MAX,
        value_name = "N"
    )]
    pub backend_fails: u32,

    /// How many milliseconds there are between two requests for the path that a target's option
    /// `check` names, from each worker. 0: none are made.
    #[arg(
        long,
        env = "LINCHPIN_HEALTH_INTERVAL",
        default_value_t = limits::HEALTH_INTERVAL_MS,
        value_name = "MS"
    )]
    pub health_interval: u64,
}

impl BackendsArgs {
    /// The same, as meant.
    #[must_use]
    pub fn backends(&self) -> Backends {
        Backends {
            open_max: self.max_open_requests.unwrap_or(usize::MAX).max(1),
            open_wait_ms: self.max_open_requests_wait,
            connect_ms: self.backend_connect_timeout.max(1),
            progress_ms: self.backend_timeout.max(1),
            head_ms: self.backend_head_timeout,
            idle_ms: self.backend_idle_timeout,
            unsafe_idle_ms: self.backend_unsafe_idle_timeout,
            tries_max: self.backend_tries,
            names_known_ms: self.backend_dns_ttl,
            failures_max: self.backend_fails,
            check_interval_ms: self.health_interval,
            ..Backends::default()
        }
    }
}
