//! What can go wrong in a load run, with the words that are shown for it. Every other file of the
//! harness returns these; only `main.rs` prints them.

use std::io;

/// A measurement that could not be made, or that the server failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A system call of the harness itself.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The options or the machine do not allow the run.
    #[error("{0}")]
    Setup(String),
    /// A server ended or stayed silent at its start.
    #[error("{peer} was not ready within {seconds} s ({why}); the end of its output:\n{tail}")]
    NotReady {
        /// Which server.
        peer: String,
        /// How long it was waited for.
        seconds: u64,
        /// What the last attempt ran into.
        why: String,
        /// The last lines of its output.
        tail: String,
    },
    /// A failure while a server was running, with what that server had to say.
    #[error("{failure}{}{last_words}", if last_words.is_empty() { "" } else { "; the server:\n" })]
    At {
        /// What went wrong.
        failure: Box<Failure>,
        /// The last lines of its output and logs.
        last_words: String,
    },
    /// A subscriber saw something that it must not see.
    #[error("subscriber {subscriber}: {fault}")]
    Delivery {
        /// Its number, from 0 in the order of connecting.
        subscriber: usize,
        /// What it saw.
        fault: Fault,
    },
    /// The control API refused a message or broke off.
    #[error("control API: {0}")]
    Control(String),
    /// A client in a process of its own could not do its part.
    #[error("a client in a process of its own: {0}")]
    Delegate(String),
    /// Nothing moved any more.
    #[error("nothing moved for {seconds} s: {waiting}")]
    Stalled {
        /// The bound that was exceeded.
        seconds: u64,
        /// What was being waited for.
        waiting: String,
    },
}

/// How the bytes that one subscriber got differ from what was published.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A message is missing.
    #[error("got message {got} where {expected} was due: {} lost", got.saturating_sub(*expected))]
    Gap {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// A message came again, or late.
    #[error("got message {got} again or out of order: {expected} was due")]
    Repeated {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// The right number, but not the bytes that were published.
    #[error("message {expected} arrived altered: {got:?}")]
    Altered {
        /// The number that was due.
        expected: u64,
        /// The start of what came.
        got: String,
    },
    /// Content that is no message of this run.
    #[error("unexpected content where message {expected} was due: {got:?}")]
    Alien {
        /// The number that was due.
        expected: u64,
        /// The start of what came.
        got: String,
    },
    /// The protocol around the messages is broken.
    #[error("{what}: {got:?}")]
    Protocol {
        /// What was wrong.
        what: &'static str,
        /// The start of what came.
        got: String,
    },
    /// The server ended the connection.
    #[error("the server closed the connection where message {expected} was due")]
    Closed {
        /// The number that was due.
        expected: u64,
    },
}

/// The start of `bytes` as text for an error message.
pub fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..120).unwrap_or(bytes)).into_owned()
}

/// Names the system call that failed.
pub trait Context<T> {
    /// Turns the error into a [`Failure`] that says what was being done.
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::Io { what: what(), source: error.into() })
    }
}
