//! The end of a connection whose client may still be sending: closing it at once would take back
//! what it was told last. Called where a client is refused, or closed for what it sent.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::clock;
use crate::listen::stream::Stream;

/// Says that nothing more comes, and reads what the client still sends, for so long at most.
pub async fn linger(mut stream: Stream, limit_ms: u64) {
    let discard = async {
        // The client may be gone: then there is nothing to read either.
        let _ = stream.shutdown().await;
        let mut scratch = [0; 4096];
        while matches!(stream.read(&mut scratch).await, Ok(1..)) {}
    };
    tokio::select! {
        () = Box::pin(discard) => {}
        () = clock::sleep_ms(limit_ms) => {}
    }
}
