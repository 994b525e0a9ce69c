//! The keys of `pushpin.conf` that are no option here, and why (specification, routing 6.3); and
//! what a key that is absent from a file means where that is not what it means without a file.
//!
//! Read by `from_file`. An option that is built leaves this list by itself: options come first.

/// Why a key has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Pushpin itself ignores it by now, or it is about what there is no more.
    Obsolete,
    /// It is about how the parts of Pushpin find each other; this is one process.
    Internal,
    /// Something that is to come.
    NotBuilt,
}

impl Why {
    /// In words, after the name of the key.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Why::Obsolete => "is obsolete and has no effect",
            Why::Internal => "is about the parts of Pushpin; this is one process: no effect",
            Why::NotBuilt => "is not built yet and has no effect",
        }
    }
}

/// Section, key, why.
const KNOWN: &[(&str, &str, Why)] = &[
    ("global", "stats_connection_ttl", Why::NotBuilt),
    ("global", "stats_connection_send", Why::NotBuilt),
    ("runner", "services", Why::Internal),
    ("runner", "mongrel2_bin", Why::Obsolete),
    ("runner", "m2sh_bin", Why::Obsolete),
    ("runner", "zurl_bin", Why::Obsolete),
    ("runner", "condure_bin", Why::Obsolete),
    ("proxy", "stats_connections_max_ttl", Why::NotBuilt),
    ("proxy", "stats_report_interval", Why::NotBuilt),
    ("proxy", "prometheus_port", Why::NotBuilt),
    ("proxy", "prometheus_prefix", Why::NotBuilt),
    ("proxy", "ipc_file_mode", Why::Internal),
    ("proxy", "updates_check", Why::Obsolete),
    ("proxy", "organization_name", Why::Obsolete),
    ("handler", "ipc_file_mode", Why::NotBuilt),
    ("handler", "push_in_spec", Why::NotBuilt),
    ("handler", "push_in_sub_specs", Why::NotBuilt),
    ("handler", "push_in_sub_spec", Why::NotBuilt),
    ("handler", "push_in_sub_connect", Why::NotBuilt),
    ("handler", "stats_spec", Why::NotBuilt),
    ("handler", "stats_subscription_ttl", Why::NotBuilt),
    ("handler", "stats_report_interval", Why::NotBuilt),
    ("handler", "stats_format", Why::NotBuilt),
    ("handler", "prometheus_port", Why::NotBuilt),
    ("handler", "prometheus_prefix", Why::NotBuilt),
    ("handler", "share_all", Why::NotBuilt),
];

/// What the parts of Pushpin call the sockets between them: beginnings and ends of keys.
const PLUMBING: (&[&str], &[&str]) = (
    &["condure_", "connmgr_", "m2a_", "zurl_", "handler_", "proxy_", "intreq_"],
    &["_spec", "_specs"],
);

/// Why a key has no effect, if Pushpin knows it.
#[must_use]
pub fn why(section: &str, key: &str) -> Option<Why> {
    if let Some((.., why)) = KNOWN.iter().find(|(s, k, _)| (*s, *k) == (section, key)) {
        return Some(*why);
    }
    let (beginnings, ends) = PLUMBING;
    let plumbing = matches!(section, "proxy" | "handler")
        && beginnings.iter().any(|beginning| key.starts_with(beginning))
        && ends.iter().any(|end| key.ends_with(end));
    plumbing.then_some(Why::Internal)
}

/// All such keys with their sections.
pub fn keys() -> impl Iterator<Item = (&'static str, &'static str, Why)> {
    KNOWN.iter().copied()
}

/// Keys whose absence from a configuration file means something else than no configuration file
/// at all: as in Pushpin, a file that names no port has none.
const ABSENT: &[(&str, &str, &[&str])] = &[
    ("runner", "http_port", &[]),
    ("proxy", "set_x_forwarded_protocol", &[""]),
    ("handler", "push_in_http_port", &[]),
    ("handler", "id_cache_ttl", &["0"]),
];

/// What the absence of a key from a file means, if it is not what is the default otherwise.
#[must_use]
pub fn absent(section: &str, key: &str) -> Option<&'static [&'static str]> {
    let found = ABSENT.iter().find(|(s, k, _)| (*s, *k) == (section, key));
    found.map(|(_, _, values)| *values)
}
