//! The signals that ask the process to end: the first one politely, a second one at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// See the module.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on these signals are heard; until then they end the process.
    ///
    /// # Errors
    /// When they cannot be heard.
    pub fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The process is ending; who asks once more does not want to wait for that.
    pub fn end_at_once(mut self) {
        tokio::task::spawn_local(async move {
            self.next().await;
            tracing::warn!("stopping at once");
            std::process::exit(1);
        });
    }
}
