//! Where a route sends its requests, and how.

use std::borrow::Cow;
use std::fmt;

/// One target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub address: Address,
    /// https or wss to the backend.
    pub tls: bool,
    /// Refuse private and local addresses.
    pub untrusted: bool,
    /// TLS: check the certificate against the target's host, not the request's.
    pub trust_connect_host: bool,
    /// TLS: accept any certificate.
    pub insecure: bool,
    /// `host[:port]` for the URL, the Host header and SNI.
    pub host: Option<Cow<'static, str>>,
    /// Implicit subscriptions.
    pub subs: Cow<'static, [Cow<'static, str>]>,
    /// WebSocket-over-HTTP.
    pub over_http: bool,
    /// With `over_http`: at most one event a request.
    pub one_event: bool,
}

/// The address of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host name or address (IPv6 without brackets) and a port.
    Tcp(Cow<'static, str>, u16),
    /// The built-in test backend.
    Test,
}

impl fmt::Display for Target {
    /// As logs and debug bodies show it: `host:port`, `[v6]:port`, `test`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp(host, port) => write!(f, "{host}:{port}"),
            Address::Test => f.write_str("test"),
        }
    }
}
