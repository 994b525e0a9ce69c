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
    /// What came is not HTTP.
    Malformed,
    /// What came is over a limit.
    TooLarge,
    /// The address is not allowed.
    Forbidden,
    /// As many requests are under way as may be, and as many wait.
    NoRoom,
    /// The process has no descriptor left.
    NoDescriptor,
    /// The request's own body failed: the client left or broke its framing.
    Upload,
}

/// How much of a request its backend may have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing: not a byte was written.
    Nothing,
    /// Some or all of it; not a byte of an answer came.
    Some,
    /// The answer had begun.
    Answered,
}

/// What may be done about an error without harm (RFC 9110, 9.2.2; specification, routing 2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The next target.
    NextTarget,
    /// The same target once more, over a new connection: the pooled one had been closed.
    Afresh,
    /// Once more, to another target if there is one.
    Elsewhere,
    /// Nothing: the client is told.
    Nothing,
}

/// A backend did not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {detail}", self.reason().word())]
pub struct Error {
    /// How far it had come.
    pub stage: Stage,
    /// What went wrong.
    pub kind: Kind,
    /// The request went over a pooled connection that may have been closed under us.
    pub reused: bool,
    /// What the backend may have seen of the request.
    pub taken: Taken,
    /// The system's words, for the log.
    pub detail: String,
}

impl Error {
    /// An error on a connection that was made for this request, or before there was one.
    #[must_use]
    pub fn new(stage: Stage, kind: Kind, detail: impl Into<String>) -> Error {
        let taken = match stage {
            Stage::Resolve | Stage::Policy | Stage::Connect | Stage::Tls => Taken::Nothing,
            Stage::Send | Stage::Head => Taken::Some,
            Stage::Body => Taken::Answered,
        };
        Error { stage, kind, reused: false, taken, detail: detail.into() }
    }

    /// The word for it, in the log and for its counter.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match (self.stage, self.kind) {
            (_, Kind::Upload) => Reason::RequestBody,
            (_, Kind::NoRoom) => Reason::NoRoom,
            (_, Kind::NoDescriptor) => Reason::NoDescriptor,
            (Stage::Policy, _) => Reason::Policy,
            (Stage::Resolve, Kind::TimedOut) => Reason::DnsTimeout,
            (Stage::Resolve, _) => Reason::Dns,
            (Stage::Connect, Kind::Refused) => Reason::ConnectRefused,
            (Stage::Connect, Kind::TimedOut) => Reason::ConnectTimeout,
            (Stage::Connect, _) => Reason::Unreachable,
            (Stage::Tls, Kind::Certificate) => Reason::TlsCertificate,
            (Stage::Tls, Kind::TimedOut) => Reason::TlsTimeout,
            (Stage::Tls, _) => Reason::Tls,
            (Stage::Send | Stage::Head, Kind::TimedOut) => Reason::HeadTimeout,
            (Stage::Send | Stage::Head, Kind::TooLarge) => Reason::HeadTooLarge,
            (Stage::Send | Stage::Head, Kind::Malformed) => Reason::HeadMalformed,
            (Stage::Send | Stage::Head, _) if self.taken == Taken::Answered => Reason::HeadCutShort,
            (Stage::Send | Stage::Head, _) => Reason::ResetBeforeHead,
            (Stage::Body, Kind::TimedOut) => Reason::BodyTimeout,
            (Stage::Body, Kind::Malformed) => Reason::BodyMalformed,
            (Stage::Body, _) => Reason::BodyCutShort,
        }
    }

    /// Whether the next target may be tried whatever the request is: the backend cannot have seen
    /// it, or was silent until its time was up (specification, routing 2.8 and 11).
    #[must_use]
    pub fn next_target(&self) -> bool {
        let unseen = matches!(self.stage, Stage::Resolve | Stage::Connect | Stage::Tls);
        (unseen && !self.is_ours()) || self.is_silence()
    }

    /// What may be done about it, for a request that may be made twice (`idempotent`) or not.
    #[must_use]
    pub fn remedy(&self, idempotent: bool) -> Remedy {
        let harmless = idempotent || self.taken == Taken::Nothing;
        match self.reason() {
            _ if !harmless => Remedy::Nothing,
            _ if self.next_target() => Remedy::NextTarget,
            Reason::ResetBeforeHead if self.reused => Remedy::Afresh,
            Reason::ResetBeforeHead => Remedy::Elsewhere,
            _ => Remedy::Nothing,
        }
    }

    /// Whether it is no backend's failure: we have no room.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::NoRoom | Kind::NoDescriptor)
    }

    /// Whether it tells against the target's health: not an answer that is wrong, and not a pooled
    /// connection that was closed.
    #[must_use]
    pub fn is_illness(&self) -> bool {
        self.next_target() || (self.reason() == Reason::ResetBeforeHead && !self.reused)
    }

    fn is_silence(&self) -> bool {
        self.stage == Stage::Head && self.kind == Kind::TimedOut && self.taken != Taken::Answered
    }

    /// What an error of connecting to `address` means.
    #[must_use]
    pub fn from_connect(error: &io::Error, address: &dyn std::fmt::Display) -> Error {
        let kind = match error.kind() {
            // A unix socket is refused, or is not there any more.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Kind::Refused,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Kind::TimedOut,
            // ENFILE and EMFILE, which std does not name; the numbers are the same on every Linux.
            _ if matches!(error.raw_os_error(), Some(23 | 24)) => Kind::NoDescriptor,
            _ => Kind::Network,
        };
        Error::new(Stage::Connect, kind, format!("{address}: {error}"))
    }

    /// What an error of a connection in use means.
    #[must_use]
    pub fn from_io(error: &io::Error, stage: Stage) -> Error {
        if crate::tls::client::is_refused_by_alert(error) {
            // The handshake was over for us only: TLS 1.3 has no word for accepting a certificate.
            return Error::new(Stage::Tls, Kind::Certificate, error.to_string());
        }
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

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// What went wrong at which stage, as the log has it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Reason] = &[$(Reason::$name,)+];

            /// The word for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Reason::$name => $word,)+
                }
            }
        }
    };
}

reasons! {
    /// The name has no address.
    Dns = "dns",
    /// The resolver did not answer in time.
    DnsTimeout = "dns timeout",
    /// The address is not allowed.
    Policy = "address policy",
    /// Nobody listens there.
    ConnectRefused = "connect refused",
    /// Nobody answered.
    ConnectTimeout = "connect timeout",
    /// There is no way there.
    Unreachable = "connect unreachable",
    /// The certificate does not do.
    TlsCertificate = "tls: certificate",
    /// The handshake took too long.
    TlsTimeout = "tls: timeout",
    /// Anything else about the handshake.
    Tls = "tls: handshake",
    /// Too many requests are under way.
    NoRoom = "no room",
    /// The process has no descriptor left.
    NoDescriptor = "no descriptor",
    /// Closed or reset without a byte of an answer.
    ResetBeforeHead = "reset before head",
    /// No progress before the head was whole.
    HeadTimeout = "timeout in head",
    /// Closed within the head.
    HeadCutShort = "head cut short",
    /// The head is not HTTP/1.
    HeadMalformed = "head malformed",
    /// The head is over its limit.
    HeadTooLarge = "head too large",
    /// Closed within the body.
    BodyCutShort = "body cut short",
    /// No progress within the body.
    BodyTimeout = "timeout in body",
    /// The body's framing is broken.
    BodyMalformed = "body malformed",
    /// The client did not send its request's body.
    RequestBody = "request body",
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
        assert!(!next(Stage::Connect, Kind::NoRoom));
        assert!(!next(Stage::Connect, Kind::NoDescriptor));
        assert!(!next(Stage::Head, Kind::Closed));
        assert!(!next(Stage::Head, Kind::Malformed));
        assert!(!next(Stage::Policy, Kind::Forbidden));
        assert!(!next(Stage::Body, Kind::TimedOut));
    }

    #[test]
    fn what_may_be_done_by_method_stage_and_connection() {
        let broken = |reused, taken| Error {
            reused,
            taken,
            ..Error::new(Stage::Head, Kind::Closed, "closed")
        };
        use Remedy::{Afresh, Elsewhere, NextTarget, Nothing};
        for (error, idempotent, other) in [
            (broken(true, Taken::Some), Afresh, Nothing),
            (broken(true, Taken::Nothing), Afresh, Afresh),
            (broken(true, Taken::Answered), Nothing, Nothing),
            (broken(false, Taken::Some), Elsewhere, Nothing),
            (broken(false, Taken::Nothing), Elsewhere, Elsewhere),
            (broken(false, Taken::Answered), Nothing, Nothing),
            (Error::new(Stage::Head, Kind::TimedOut, ""), NextTarget, Nothing),
            (Error::new(Stage::Head, Kind::Malformed, ""), Nothing, Nothing),
            (Error::new(Stage::Connect, Kind::Refused, ""), NextTarget, NextTarget),
            (Error::new(Stage::Connect, Kind::NoRoom, ""), Nothing, Nothing),
            (Error::new(Stage::Tls, Kind::Closed, ""), NextTarget, NextTarget),
            (Error::new(Stage::Policy, Kind::Forbidden, ""), Nothing, Nothing),
            (Error::new(Stage::Body, Kind::Closed, ""), Nothing, Nothing),
        ] {
            assert_eq!((error.remedy(true), error.remedy(false)), (idempotent, other), "{error}");
        }
    }

    #[test]
    fn the_words_of_the_log() {
        let word = |stage, kind| Error::new(stage, kind, "").reason().word();
        assert_eq!(word(Stage::Connect, Kind::Refused), "connect refused");
        assert_eq!(word(Stage::Head, Kind::Closed), "reset before head");
        assert_eq!(word(Stage::Head, Kind::TimedOut), "timeout in head");
        assert_eq!(word(Stage::Tls, Kind::Certificate), "tls: certificate");
        assert_eq!(word(Stage::Head, Kind::TooLarge), "head too large");
        assert_eq!(word(Stage::Body, Kind::Closed), "body cut short");
        let full = io::Error::from_raw_os_error(24);
        assert_eq!(Error::from_connect(&full, &"a:1").reason().word(), "no descriptor");
        let error = Error::new(Stage::Resolve, Kind::NotFound, "no.such: failed");
        assert_eq!(error.to_string(), "dns: no.such: failed");
    }
}
