//! What becomes of a client's connection when its response head has been written.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::hub::Lease;
use crate::listen::stream::Stream;

/// A task that owns a connection to its end; it begins with the bytes that were read ahead.
pub type Task = Box<dyn FnOnce(Stream, Bytes) -> Pin<Box<dyn Future<Output = ()>>>>;

/// Set beside a response: who takes the connection over from hyper.
pub enum Onward {
    /// The lot: the session of this lease is parked. For a WebSocket its bytes come back through
    /// `websocket::sockets`.
    Park(Lease),
    /// A task: it gets the connection and the bytes that were read ahead, and owns them to the end.
    Task(Task),
}
