//! WebSockets byte for byte, on both ends: handshakes and frames as they are on the wire.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::join;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::backend::{Backend, Request};
use super::client::Client;
use super::server::Server;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What answers [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's handshake with further header lines (each with its line end).
pub fn handshake(target: &str, lines: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{lines}\r\n"
    )
}

/// The 101 that answers a handshake, with further header lines.
pub fn switching(request: &Request, lines: &str) -> String {
    let key = request.header("sec-websocket-key").expect("a handshake");
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{lines}\r\n"
    )
}

fn head(first: u8, mask_bit: u8, length: usize) -> Vec<u8> {
    let mut frame = vec![first];
    match length {
        0..126 => frame.push(mask_bit | length as u8),
        126..65536 => {
            frame.push(mask_bit | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(mask_bit | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame
}

/// A client's frame; `first` is its first byte: FIN, reserved bits, opcode.
pub fn from_client(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = head(first, 0x80, payload.len());
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A server's frame.
pub fn from_server(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = head(first, 0, payload.len());
    frame.extend(payload);
    frame
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// The next frame: its first byte and its payload, unmasked; and whether it was masked.
    pub async fn frame(&mut self) -> (u8, Vec<u8>, bool) {
        let start = self.exactly(2).await;
        let masked = start[1] & 0x80 != 0;
        let length = match start[1] & 0x7f {
            126 => {
                let bytes = self.exactly(2).await;
                usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
            }
            127 => {
                let bytes = self.exactly(8).await;
                u64::from_be_bytes(bytes.try_into().expect("8 bytes")) as usize
            }
            length => usize::from(length),
        };
        let mask = if masked { self.exactly(4).await } else { vec![0; 4] };
        let mut payload = self.exactly(length).await;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        (start[0], payload, masked)
    }

    /// The next frame is this one, whether masked or not.
    pub async fn expect_frame(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        let (got, content, _) = self.frame().await;
        assert_eq!((got, content.as_slice()), (first, payload.as_ref()), "{got:#x}");
    }

    /// All data frames up to the end of their message, put together.
    pub async fn message(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        loop {
            let (first, payload, _) = self.frame().await;
            assert!(first & 0x0f < 3, "{first:#x} is no data");
            message.extend(payload);
            if first & 0x80 != 0 {
                return message;
            }
        }
    }
}

/// Both ends of a proxied WebSocket, as bare bytes.
pub struct Ends {
    pub server: Server,
    pub client: Client,
    pub behind: Client,
    _backend: Backend,
}

impl Ends {
    /// Behind a server with these arguments; the backend accepts with these header lines.
    pub async fn open(lines: &str, arguments: &[&str]) -> Ends {
        let mut backend = Backend::manual();
        let server = Server::start_with(&[backend.route("*", "")], arguments);
        let accept = async {
            let mut exchange = backend.next().await;
            exchange.write(switching(&exchange.request, lines)).await;
            Client::over(exchange.stream)
        };
        let connect = async {
            let mut client = Client::connect(server.http).await;
            client.send(handshake("/", "")).await;
            assert_eq!(client.head().await.status, "HTTP/1.1 101 Switching Protocols");
            client
        };
        let (behind, client) = join!(accept, connect);
        Ends { server, client, behind, _backend: backend }
    }
}
