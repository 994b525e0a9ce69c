//! Why a backend did not answer: at which stage, and whether another try is safe.
//!
//! Made by every file of this folder; `proxy` decides by it on the next target and on what the
//! client is shown.

use std::io;

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
    /// The request's own body failed: the client left or broke its framing.
    Upload,
}

/// A backend did not answer.
#[derive(Clone, Debug, thiserror::Error)]
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
    /// An error on a connection that was made for this request, or before there was one.
    #[must_use]
    pub fn new(stage: Stage, kind: Kind, detail: impl Into<String>) -> Error {
        Error { stage, kind, reused: false, detail: detail.into() }
    }

    /// Whether the next target may be tried: the backend cannot have seen the request, or was
    /// silent until its time was up (specification, routing 2.8 and 11).
    #[must_use]
    pub fn next_target(&self) -> bool {
        matches!(self.stage, Stage::Resolve | Stage::Connect | Stage::Tls)
            || (self.stage == Stage::Head && self.kind == Kind::TimedOut)
    }

    /// What an error of a connection in use means.
    #[must_use]
    pub fn from_io(error: &io::Error, stage: Stage) -> Error {
        match error.kind() {
            io::ErrorKind::TimedOut => {
                Error::new(stage, Kind::TimedOut, "the backend made no progress")
            }
            // TLS that is none.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Error::new(stage, Kind::Malformed, error.to_string())
            }
            _ => Error::new(stage, Kind::Closed, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_target_is_tried_only_where_nothing_was_seen() {
        let next = |stage, kind| Error::new(stage, kind, "").next_target();
        assert!(next(Stage::Connect, Kind::Refused));
        assert!(next(Stage::Resolve, Kind::NotFound));
        assert!(next(Stage::Tls, Kind::Certificate));
        assert!(next(Stage::Head, Kind::TimedOut));
        assert!(!next(Stage::Head, Kind::Closed));
        assert!(!next(Stage::Head, Kind::Malformed));
        assert!(!next(Stage::Policy, Kind::Forbidden));
        assert!(!next(Stage::Body, Kind::TimedOut));
    }
}
