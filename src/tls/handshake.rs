//! Why a client's handshake came to nothing, in the few kinds that an operator tells apart. Called
//! by `shard`, which counts them.

use std::io;

use rustls::Error;

/// The kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// What came is not TLS.
    NotTls,
    /// There is no certificate for the name that the client asked for.
    NoCertificate,
    /// The client knows no version, or no way of encryption, that is allowed here.
    Incompatible,
    /// The client showed no certificate where one is required, or one that does not do.
    ClientCertificate,
    /// The client refused, most likely our certificate.
    Refused,
    /// The client left.
    Left,
    /// Anything else.
    Other,
}

impl Reason {
    /// What an error of a handshake means.
    #[must_use]
    pub fn of(error: &io::Error) -> Reason {
        let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe => Reason::Left,
                _ => Reason::Other,
            };
        };
        match inner {
            Error::InvalidMessage(_)
            | Error::PeerSentOversizedRecord
            | Error::InappropriateMessage { .. } => Reason::NotTls,
            // rustls has no name for it.
            Error::General(_) => Reason::NoCertificate,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Reason::Incompatible,
            Error::InvalidCertificate(_) | Error::NoCertificatesPresented => {
                Reason::ClientCertificate
            }
            Error::AlertReceived(_) => Reason::Refused,
            _ => Reason::Other,
        }
    }
}
