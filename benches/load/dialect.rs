//! What each kind of server wants to hear: how a subscriber asks it for a channel and how a
//! message is published to it. Pure bytes; the swarm sends them. What comes back is cut by
//! `transport.rs`, which is the same for all.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::transport::Transport;

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// With what a browser offers.
const UPGRADE_DEFLATED: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
     Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// A way of asking and publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// The `test` target of linchpin and Pushpin, and their control API.
    Grip,
    /// The locations that `nchan.rs` configures.
    Nchan,
    /// The bare loop: is sent the very bytes that it is to write.
    Bare,
}

impl Dialect {
    /// The request that subscribes to `channel`.
    pub fn request(self, transport: Transport, host: &str, channel: &str) -> Vec<u8> {
        let (path, more) = match transport {
            // nchan gives a plain chunked stream only to who says that it knows chunks.
            Transport::Stream if self == Dialect::Nchan => ("stream", "TE: chunked\r\n"),
            Transport::Stream => ("stream", ""),
            Transport::Longpoll => ("response", ""),
            Transport::Websocket => ("ws", UPGRADE),
            Transport::Deflated => ("ws", UPGRADE_DEFLATED),
        };
        format!("GET /{path}?channel={channel} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n").into_bytes()
    }

    /// Whether a stream begins with [`crate::transport::GREETING`].
    pub fn greets(self, transport: Transport) -> bool {
        transport == Transport::Stream && self != Dialect::Nchan
    }

    /// The HTTP request that sends `payload` to all subscribers of `channel`.
    pub fn publication(
        self,
        transport: Transport,
        host: &str,
        channel: &str,
        payload: &[u8],
    ) -> Vec<u8> {
        let (path, kind, body) = match self {
            Dialect::Grip => {
                ("/publish/".to_owned(), "application/json", item(transport, channel, payload))
            }
            Dialect::Nchan => {
                (format!("/publish?channel={channel}"), "text/plain", payload.to_vec())
            }
            Dialect::Bare => (
                format!("/publish?channel={channel}"),
                "application/octet-stream",
                transport.wire(payload),
            ),
        };
        let mut out = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        out.extend_from_slice(&body);
        out
    }
}

/// The body of `POST /publish/` with one item.
fn item(transport: Transport, channel: &str, payload: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(payload);
    let formats = match transport {
        Transport::Stream => json!({"http-stream": {"content": text}}),
        Transport::Longpoll => json!({"http-response": {"body": text}}),
        Transport::Websocket | Transport::Deflated => json!({"ws-message": {"content": text}}),
    };
    json!({"items": [{"channel": channel, "formats": formats}]}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Unit, header};

    #[test]
    fn a_publication_says_its_length() {
        for dialect in [Dialect::Grip, Dialect::Nchan, Dialect::Bare] {
            for transport in Transport::ALL {
                let all = dialect.publication(transport, "h:1", "c", b"message\n");
                let end = memchr::memmem::find(&all, b"\r\n\r\n").unwrap() + 4;
                let length = header(&all[..end], "content-length").unwrap();
                assert_eq!(length.parse::<usize>().unwrap(), all.len() - end);
            }
        }
    }

    #[test]
    fn the_bare_loop_is_sent_what_it_writes() {
        let all = Dialect::Bare.publication(Transport::Websocket, "h:1", "c", b"m\n");
        let end = memchr::memmem::find(&all, b"\r\n\r\n").unwrap() + 4;
        let unit = Transport::Websocket.unit(true, &all[end..]);
        assert_eq!(unit, Ok(Some((Unit::Content(b"m\n"), all.len() - end))));
    }

    #[test]
    fn only_nchan_leaves_out_the_greeting() {
        assert!(Dialect::Grip.greets(Transport::Stream) && Dialect::Bare.greets(Transport::Stream));
        assert!(!Dialect::Nchan.greets(Transport::Stream));
        assert!(!Dialect::Grip.greets(Transport::Websocket));
    }
}
