//! One held connection of the client side: its socket, the bytes that do not make a whole unit
//! yet, and the number of the message that it expects next. Driven by the swarm.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::failure::{Fault, excerpt};
use crate::ledger::Ledger;
use crate::transport::{GREETING, Transport, Unit};

/// What a batch of bytes brought about.
#[derive(Default)]
pub struct Progress {
    /// The subscription was answered: the connection is held now.
    pub opened: bool,
    /// A long-poll was answered: ask again.
    pub answered: bool,
}

/// One subscriber.
pub struct Subscriber {
    /// The connection, not blocking.
    pub socket: TcpStream,
    kept: Vec<u8>,
    content: Vec<u8>,
    headed: bool,
    greeted: bool,
    next: u64,
    /// The message that was due when the server last closed this connection.
    closed_at: Option<u64>,
}

impl Subscriber {
    /// Connects and asks; the answer comes later. `greeted`: no greeting is to be expected.
    pub fn connect(
        address: SocketAddr,
        transport: Transport,
        request: &[u8],
        greeted: bool,
    ) -> io::Result<Subscriber> {
        let socket = open(address, request)?;
        let headed = transport == Transport::Longpoll;
        let (kept, content) = (Vec::new(), Vec::new());
        Ok(Subscriber { socket, kept, content, headed, greeted, next: 0, closed_at: None })
    }

    /// Connects and asks again after the server closed the connection between two long-polls.
    /// Only once for each message: a server that always does is not served by that.
    pub fn reconnect(&mut self, address: SocketAddr, request: &[u8]) -> io::Result<bool> {
        if !self.kept.is_empty() || self.closed_at == Some(self.next) {
            return Ok(false);
        }
        self.closed_at = Some(self.next);
        self.socket = open(address, request)?;
        Ok(true)
    }

    /// The number of the message that is due next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Takes what was read at `now`.
    pub fn feed(
        &mut self,
        fresh: &[u8],
        transport: Transport,
        ledger: &mut Ledger,
        now: Instant,
    ) -> Result<Progress, Fault> {
        let mut progress = Progress::default();
        let mut joined = std::mem::take(&mut self.kept);
        let bytes = if joined.is_empty() {
            fresh
        } else {
            joined.extend_from_slice(fresh);
            &joined
        };
        let mut at = 0;
        while let Some((unit, used)) = transport.unit(self.headed, &bytes[at..])? {
            at += used;
            match unit {
                Unit::Nothing => {}
                Unit::Head => {
                    self.headed = true;
                    progress.opened = self.greeted;
                }
                Unit::Content(content) if transport == Transport::Stream => {
                    self.stream_content(content, &mut progress, ledger, now)?;
                }
                // A server that is behind may send a message in several frames.
                Unit::Part { content, last } => {
                    self.content.extend_from_slice(content);
                    if last {
                        let message = std::mem::take(&mut self.content);
                        ledger.receive(&mut self.next, &message, now)?;
                    }
                }
                Unit::Deflated(content) => {
                    ledger.receive_deflated(&mut self.next, content, now)?;
                }
                Unit::Content(content) if !self.content.is_empty() => {
                    let got = excerpt(content);
                    return Err(Fault::Protocol { what: "a message within another", got });
                }
                Unit::Content(content) => {
                    ledger.receive(&mut self.next, content, now)?;
                    progress.answered = transport == Transport::Longpoll;
                }
            }
        }
        if at < bytes.len() {
            self.kept = bytes[at..].to_vec();
        }
        Ok(progress)
    }

    /// A stream may cut its content into chunks as it likes, so content that is not exactly one
    /// message is joined and cut again.
    fn stream_content(
        &mut self,
        fresh: &[u8],
        progress: &mut Progress,
        ledger: &mut Ledger,
        now: Instant,
    ) -> Result<(), Fault> {
        if self.greeted && self.content.is_empty() && fresh.len() == ledger.size() {
            return ledger.receive(&mut self.next, fresh, now);
        }
        self.content.extend_from_slice(fresh);
        if !self.greeted && self.content.len() >= GREETING.len() {
            if !self.content.starts_with(GREETING) {
                let got = excerpt(&self.content);
                return Err(Fault::Protocol { what: "an unexpected start of the stream", got });
            }
            self.content.drain(..GREETING.len());
            self.greeted = true;
            progress.opened = true;
        }
        while self.greeted && self.content.len() >= ledger.size() {
            let rest = self.content.split_off(ledger.size());
            let message = std::mem::replace(&mut self.content, rest);
            ledger.receive(&mut self.next, &message, now)?;
        }
        Ok(())
    }
}

fn open(address: SocketAddr, request: &[u8]) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    // A reset instead of an orderly end, so that thousands of closed connections do not stay in
    // TIME_WAIT and make the next run slower.
    rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    socket.write_all(request)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
