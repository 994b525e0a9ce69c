//! Waits with a deadline; what is late fails the test by name.

use std::future::Future;
use std::time::Duration;

/// What must happen at once is given this long, because test machines may be busy. No default time
/// of the server that a test sets to a shorter one is to be between that and this.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future`, at most [`PATIENCE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    within_seconds(what, PATIENCE.as_secs(), future).await
}

/// Waits for `future`, at most `seconds`.
pub async fn within_seconds<T>(what: &str, seconds: u64, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(seconds), future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {seconds} s for {what}"),
    }
}

/// Whether `future` is ready within `milliseconds`; for the knocks of the publisher only.
pub async fn soon(milliseconds: u64, future: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(Duration::from_millis(milliseconds), future).await.is_ok()
}
