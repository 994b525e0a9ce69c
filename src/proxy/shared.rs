//! What every part of the proxy reaches for, one of each a shard.

use std::rc::Rc;

use super::signing::Keys;
use super::upstream::Upstream;
use crate::backend::Backend;
use crate::hub::Hub;
use crate::stats::Stats;

/// A shard's company.
pub struct Shared {
    /// The held connections.
    pub hub: Hub,
    /// The way to backends.
    pub backend: Backend,
    /// The counters.
    pub stats: Rc<Stats>,
    /// The keys that sign requests.
    pub keys: Keys,
    /// What the operator has set.
    pub settings: Settings,
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
    /// Log lines are JSON.
    pub json_log: bool,
}
