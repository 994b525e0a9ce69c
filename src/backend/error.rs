//! Why a backend did not answer: at which stage, and whether another try is safe.

/// How far a request had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Resolving the host.
    Resolve,
    /// The address policy of an `untrusted` target.
    Policy,
    /// Connecting.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Sending the request, before all of it was taken.
    Send,
    /// All sent, no (whole) response head.
    Head,
    /// Within the response's body.
    Body,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No such host.
    NotFound,
    /// Refused.
    Refused,
    /// Unreachable, and other errors of the network.
    Network,
    /// It took too long.
    TimedOut,
    /// The certificate does not do.
    Certificate,
    /// Closed or reset.
    Closed,
    /// What came is not HTTP, or over a limit.
    Malformed,
    /// The address is not allowed.
    Forbidden,
}

/// A backend did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{stage:?}: {kind:?}: {detail}")]
pub struct Error {
    /// How far it had come.
    pub stage: Stage,
    /// What went wrong.
    pub kind: Kind,
    /// The request went over a pooled connection that may have been closed under us.
    pub reused: bool,
    /// The system's words, for the log.
    pub detail: String,
}

impl Error {
    /// Whether the next target may be tried: the backend cannot have seen the request, or was silent
    /// until its time was up (specification, routing 2.8 and 11).
    #[must_use]
    pub fn next_target(&self) -> bool {
        matches!(self.stage, Stage::Resolve | Stage::Connect | Stage::Tls)
            || (self.stage == Stage::Head && self.kind == Kind::TimedOut)
    }
}
