//! What a client gets for which there is no room: `503` in clear text, the end of its connection
//! with TLS (a handshake would cost more than the refusal is worth).
//!
//! Called by whoever accepts. Knows no HTTP but this one answer.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::socket::Socket;
use crate::clock;

/// The answer.
pub const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: text/plain\r\nConnection: close\r\nContent-Length: 25\r\n\r\n\
    Too many connections now\n";
/// Bytes of a request that are read and thrown away after the answer.
const DISCARD_BYTES_MAX: usize = 64 * 1024;

/// Answers and closes. What the client sends is read for at most `linger_ms` and thrown away: a
/// socket that is closed with unread input resets the connection, and the answer is lost with it.
pub async fn refuse(mut socket: Socket, linger_ms: u64) {
    let exchange = async {
        if socket.write_all(ANSWER).await.is_err() || socket.shutdown().await.is_err() {
            return;
        }
        let mut scratch = [0; 1024];
        let mut seen = 0;
        while seen < DISCARD_BYTES_MAX {
            match socket.read(&mut scratch).await {
                Ok(n) if n > 0 => seen += n,
                _ => return,
            }
        }
    };
    tokio::select! {
        () = exchange => {}
        () = clock::sleep_ms(linger_ms) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[tokio::test]
    async fn the_answer_is_whole_and_the_last() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = tokio::net::UnixStream::from_std(ours).unwrap();
        refuse(Socket::Unix(ours), 1).await;
        let mut text = String::new();
        theirs.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{text}");
    }
}
