//! One connection to the control API: keeps so many requests under way, connects anew where the
//! server closes it, and counts what was accepted. Driven by `publish.rs`.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::case::Peer;
use crate::failure::{Context, Failure, Fault, excerpt};
use crate::item::{Shape, Template};
use crate::readiness::{Readiness, connect};
use crate::responses::{Part, Responses};
use crate::server::Server;

/// What linchpin and Pushpin answer to what they accept.
const ACCEPTED: &[u8] = b"Published\n";

/// A publisher.
pub struct Publisher {
    address: SocketAddr,
    token: usize,
    socket: Option<TcpStream>,
    template: Template,
    responses: Responses,
    /// nchan answers with the state of its channel.
    nchan: bool,
    depth: usize,
    under_way: usize,
    sent: u64,
    stopped: bool,
    out: Vec<u8>,
    /// Messages that were accepted.
    pub accepted: u64,
}

impl Publisher {
    /// Publisher `number`, told to be readable by `token`: `depth` requests at once, of this shape.
    /// Connects when it goes on.
    pub fn new(
        server: &Server,
        number: usize,
        token: usize,
        depth: usize,
        shape: Shape,
    ) -> Publisher {
        Publisher {
            address: server.control,
            token,
            socket: None,
            template: Template::new(server, number, shape),
            responses: Responses::default(),
            nchan: server.peer == Peer::Nchan,
            depth,
            under_way: 0,
            sent: 0,
            stopped: true,
            out: Vec::new(),
            accepted: 0,
        }
    }

    /// Begins to publish, or begins again.
    pub fn go_on(&mut self, readiness: &Readiness) -> Result<(), Failure> {
        self.stopped = false;
        self.fill(readiness)
    }

    /// Sends no more requests.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether it is stopped and everything that it sent was accepted.
    pub fn done(&self) -> bool {
        self.stopped && self.under_way == 0
    }

    /// Sends as many requests as may be under way, in one write.
    fn fill(&mut self, readiness: &Readiness) -> Result<(), Failure> {
        if self.stopped || self.under_way == self.depth {
            return Ok(());
        }
        self.out.clear();
        while self.under_way < self.depth {
            self.template.write(self.sent, &mut self.out);
            self.sent += self.template.messages();
            self.under_way += 1;
        }
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = connect(self.address)?;
                readiness.watch(&socket, self.token)?;
                socket
            }
        };
        // What may be under way fits the socket's buffer, so this does not stop half-way.
        socket.write_all(&self.out).during(|| "sending to the control API".to_owned())?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Reads what is there; any answer but that a message was accepted is an error.
    pub fn read(&mut self, buffer: &mut [u8], readiness: &Readiness) -> Result<(), Failure> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        let count = match socket.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Ok(0) if self.under_way == 0 => {
                self.socket = None;
                return Ok(());
            }
            Ok(0) => return Err(Failure::Control("closed without an answer".to_owned())),
            Ok(count) => count,
            Err(error) => return Err(Failure::Control(format!("broke off: {error}"))),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        let (mut answers, mut closes) = (0, false);
        let nchan = self.nchan;
        let read = self.responses.feed(bytes, |part| {
            match part {
                Part::Head(head) if head.status == 200 || nchan && head.status == 201 => {
                    closes = head.closes;
                }
                Part::Body { .. } if nchan => {}
                Part::Body { at, bytes } if ACCEPTED.get(at..at + bytes.len()) == Some(bytes) => {}
                Part::End => answers += 1,
                Part::Head(_) | Part::Body { .. } => {
                    return Err(Fault::Protocol { what: "refused", got: String::new() });
                }
            }
            Ok(())
        });
        if read.is_err() || answers > self.under_way {
            let shown = excerpt(bytes);
            return Err(Failure::Control(format!("not an answer to a message: {shown}")));
        }
        self.under_way -= answers;
        self.accepted += answers as u64 * self.template.messages();
        if closes && answers > 0 {
            if self.under_way > 0 {
                return Err(Failure::Control("closed with requests under way".to_owned()));
            }
            self.socket = None;
        }
        self.fill(readiness)
    }
}
