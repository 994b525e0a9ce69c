//! Reads what a proxy in front says of its client before the client's first byte.
//!
//! Called by the shard with a connection that was just accepted, before TLS; the time is the
//! caller's to bound. Nothing is read twice: what came behind the head stays with the socket.

use std::io;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use super::socket::{Behind, Socket};
use crate::limits::{PROXY_HEADER_BYTES_MAX, PROXY_HEADER_BYTES_USUAL};
use crate::wire::proxy_protocol::{Invalid, Progress, Source, read as parse};

/// Why the connection is of no use.
#[derive(Debug, thiserror::Error)]
pub enum PreambleError {
    /// What came is no such head.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It ended before.
    #[error("the connection ended in its PROXY protocol header")]
    Ended,
    /// The system's words.
    #[error(transparent)]
    Lost(#[from] io::Error),
}

/// Reads the head. The socket that it gives knows the client.
///
/// # Errors
/// See [`PreambleError`].
pub async fn read(mut socket: Socket) -> Result<Socket, PreambleError> {
    let mut bytes = BytesMut::with_capacity(PROXY_HEADER_BYTES_USUAL);
    let head = loop {
        match parse(&bytes, PROXY_HEADER_BYTES_MAX)? {
            Progress::Whole(head) => break head,
            // Not much more than it may need: what is read here beyond it is kept aside.
            Progress::Needs(count) => {
                let room = count.max(PROXY_HEADER_BYTES_USUAL).saturating_sub(bytes.len());
                bytes.reserve(room);
                if (&mut socket).take(room as u64).read_buf(&mut bytes).await? == 0 {
                    return Err(PreambleError::Ended);
                }
            }
        }
    };
    let ahead = bytes.split_off(head.bytes).freeze();
    let client = match head.source {
        Source::Connection if ahead.is_empty() => return Ok(socket),
        Source::Connection => socket.client(),
        Source::Client(address) => Some(address),
        Source::Unix => None,
    };
    Ok(Socket::Behind(Box::new(Behind { socket, client, ahead })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    async fn sent(bytes: &[u8]) -> (Result<Socket, PreambleError>, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(bytes).await.unwrap();
        theirs.shutdown().await.unwrap();
        (read(Socket::Unix(ours)).await, theirs)
    }

    async fn all(socket: &mut Socket) -> String {
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn what_comes_behind_is_not_lost() {
        let text = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(3 * PROXY_HEADER_BYTES_USUAL));
        let line = format!("PROXY TCP4 192.0.2.1 192.0.2.2 7 80\r\n{text}");
        let (socket, _theirs) = sent(line.as_bytes()).await;
        let mut socket = socket.unwrap();
        assert_eq!(socket.client(), Some("192.0.2.1:7".parse().unwrap()));
        assert_eq!(all(&mut socket).await, text);
    }

    #[tokio::test]
    async fn who_is_detached_still_has_its_client() {
        let (socket, _theirs) = sent(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 7 80\r\n").await;
        let mut socket = socket.unwrap();
        assert_eq!(socket.peer(), Some([192, 0, 2, 1].into()));
        socket.detach().unwrap();
        assert_eq!(socket.peer(), Some([192, 0, 2, 1].into()));
        socket.attach().unwrap();
        assert_eq!(socket.peer(), Some([192, 0, 2, 1].into()));
        assert_eq!(all(&mut socket).await, "");
    }

    #[tokio::test]
    async fn the_proxy_itself_has_no_other_address() {
        let (socket, _theirs) = sent(b"PROXY UNKNOWN\r\n").await;
        assert!(matches!(socket.unwrap(), Socket::Unix(_)));
        let (socket, _theirs) = sent(b"PROXY UNKNOWN\r\nmore").await;
        assert_eq!(all(&mut socket.unwrap()).await, "more");
    }

    #[tokio::test]
    async fn what_is_none_is_an_error() {
        let (socket, _theirs) = sent(b"GET / HTTP/1.1\r\n\r\n").await;
        assert!(matches!(socket, Err(PreambleError::Invalid(Invalid::Missing))));
        let (socket, _theirs) = sent(b"PROXY TCP4 192").await;
        assert!(matches!(socket, Err(PreambleError::Ended)));
        let (socket, _theirs) = sent(b"").await;
        assert!(matches!(socket, Err(PreambleError::Ended)));
    }
}
