//! Backends of tests that are reached without the system: connections are pipes in memory.
//!
//! Where the host is [`HOST`], `connect` comes here. Each thread has its own.

use std::cell::RefCell;

use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// The host of such backends.
pub const HOST: &str = "memory";
/// What a pipe holds.
const PIPE_BYTES: usize = 2 * 1024 * 1024;

thread_local! {
    static LISTENER: RefCell<Option<mpsc::UnboundedSender<DuplexStream>>> =
        const { RefCell::new(None) };
}

/// From now on connections of this thread come here; nobody is reached once it is dropped.
pub fn listen() -> mpsc::UnboundedReceiver<DuplexStream> {
    let (sender, receiver) = mpsc::unbounded_channel();
    LISTENER.set(Some(sender));
    receiver
}

/// A connection; `None` when nobody is reached.
pub fn connect() -> Option<DuplexStream> {
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    let reached = LISTENER.with_borrow(|listener| Some(listener.as_ref()?.send(far).is_ok()));
    reached.filter(|reached| *reached).map(|_| near)
}
