//! The publisher's side: one connection to the control API, not blocking, one request at a time.
//! Stays connected where the server allows it and connects anew where it does not. Driven by the
//! swarm's readiness loop.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fd::OwnedFd;

use crate::failure::{Context, Failure, excerpt};
use crate::transport::{Unit, header, response};

/// What epoll says when the control connection is ready.
pub const TOKEN: u64 = u64::MAX;

/// A connection to the control API.
pub struct Control {
    address: SocketAddr,
    socket: Option<TcpStream>,
    answer: Vec<u8>,
    waiting: bool,
}

impl Control {
    /// Connects at the first message.
    pub fn new(address: SocketAddr) -> Control {
        Control { address, socket: None, answer: Vec::new(), waiting: false }
    }

    /// Whether the next message may be sent: the last one was answered.
    pub fn ready(&self) -> bool {
        !self.waiting
    }

    /// Sends one request.
    pub fn send(&mut self, epoll: &OwnedFd, request: &[u8]) -> Result<(), Failure> {
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.connect(epoll)?,
        };
        // One message fits the socket's buffer, so this neither blocks nor stops half-way.
        socket.write_all(request).during(|| "sending to the control API".to_owned())?;
        self.socket = Some(socket);
        self.waiting = true;
        Ok(())
    }

    fn connect(&self, epoll: &OwnedFd) -> Result<TcpStream, Failure> {
        let socket = TcpStream::connect(self.address)
            .during(|| format!("connecting to the control API at {}", self.address))?;
        socket
            .set_nodelay(true)
            .and_then(|()| socket.set_nonblocking(true))
            .during(|| "setting up the control connection".to_owned())?;
        epoll::add(epoll, &socket, epoll::EventData::new_u64(TOKEN), epoll::EventFlags::IN)
            .during(|| "watching the control connection".to_owned())?;
        Ok(socket)
    }

    /// Waits for the answer.
    pub fn wait(&mut self, patience: Duration) -> Result<(), Failure> {
        let until = Instant::now() + patience;
        while self.waiting {
            let left = until.saturating_duration_since(Instant::now());
            let Some(socket) = self.socket.as_ref().filter(|_| !left.is_zero()) else {
                return Err(Failure::Control("did not answer".to_owned()));
            };
            let timeout = Timespec { tv_sec: 1, tv_nsec: 0 };
            let mut ready = [PollFd::new(socket, PollFlags::IN)];
            match poll(&mut ready, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).during(|| "waiting for an answer".to_owned()),
            }
            self.readable()?;
        }
        Ok(())
    }

    /// Reads what came; an answer that is not 200, 201 or 202 is an error.
    pub fn readable(&mut self) -> Result<(), Failure> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        let mut buffer = [0; 4096];
        let ended = match socket.read(&mut buffer) {
            Ok(0) => true,
            Ok(count) => {
                self.answer.extend_from_slice(&buffer[..count]);
                false
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if self.waiting => {
                return Err(Failure::Control(format!("broke off: {error}")));
            }
            Err(_) => true,
        };
        let whole = response(&self.answer, "HTTP/1.1 20").map_err(|_| {
            Failure::Control(format!("refused a message: {}", excerpt(&self.answer)))
        })?;
        let closes = match &whole {
            Some((Unit::Content(_), used)) => header(&self.answer[..*used], "connection")
                .is_some_and(|value| value.eq_ignore_ascii_case("close")),
            _ => false,
        };
        if whole.is_some() {
            self.waiting = false;
            self.answer.clear();
        } else if ended && self.waiting {
            return Err(Failure::Control("closed the connection without an answer".to_owned()));
        }
        if closes || ended {
            self.socket = None;
        }
        Ok(())
    }
}
