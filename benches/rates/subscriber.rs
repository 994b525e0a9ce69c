//! One held stream of the client side, plain: its socket and what came of it. Used by the
//! measurements that hold and that publish.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::case::Peer;
use crate::failure::{Context, Failure, Fault};
use crate::messages::Inbox;
use crate::nginx::{CHANNEL, GREETING};
use crate::readiness::connect;
use crate::server::Server;
use crate::stream::Stream;

/// What the `test` target says at the start of a stream.
pub const TEST_GREETING: &[u8] = b"[stream opened]\n";

/// A subscriber.
pub struct Subscriber {
    /// The connection, not blocking.
    pub socket: TcpStream,
    stream: Stream,
    /// The messages that came.
    pub inbox: Inbox,
}

impl Subscriber {
    /// Connects and asks for a stream of messages of so many publishers, without a backend.
    pub fn connect(server: &Server, publishers: usize) -> Result<Subscriber, Failure> {
        let (path, greeting) = match server.peer {
            // nchan sends chunks only to clients that say that they take them.
            Peer::Nchan => ("/subscribe HTTP/1.1\r\nTE: chunked".to_owned(), &b""[..]),
            _ => (format!("/stream?channel={CHANNEL} HTTP/1.1"), TEST_GREETING),
        };
        let request = format!("GET {path}\r\nHost: {}\r\n\r\n", server.http);
        Subscriber::ask(server.http, &request, Inbox::new(publishers, greeting))
    }

    /// Connects and asks for what the backend says is to be held.
    pub fn hold(http: SocketAddr) -> Result<Subscriber, Failure> {
        let request = format!("GET /hold HTTP/1.1\r\nHost: {http}\r\n\r\n");
        Subscriber::ask(http, &request, Inbox::new(1, GREETING.as_bytes()))
    }

    fn ask(http: SocketAddr, request: &str, inbox: Inbox) -> Result<Subscriber, Failure> {
        let mut socket = connect(http)?;
        socket.write_all(request.as_bytes()).during(|| "asking".to_owned())?;
        Ok(Subscriber { socket, stream: Stream::default(), inbox })
    }

    /// Whether the stream has begun, with all that it begins with.
    pub fn opened(&self) -> bool {
        self.stream.opened() && self.inbox.greeted()
    }

    /// Reads what is there.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        let closed = Fault::Closed { expected: self.inbox.received };
        let count = match self.socket.read(buffer) {
            Ok(0) => return Err(closed),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(closed),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        self.stream.feed(bytes, |content| self.inbox.feed(content))
    }
}
