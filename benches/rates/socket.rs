//! WebSockets through a proxy to a backend that sends everything back: each client sends its next
//! message when the last one is there. Every byte is compared. Called by `main.rs`.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::case::{Case, Figures, Measurement, Run};
use crate::failure::{Context, Failure, Fault};
use crate::head::{Head, protocol};
use crate::meter::Meter;
use crate::options::Options;
use crate::readiness::{Readiness, connect};
use crate::server::Server;

/// Everybody sends for this long before it counts.
const WARM_UP: Duration = Duration::from_millis(300);
/// Of a message: so its length is in the second byte of a frame.
const MESSAGE_BYTES: usize = 100;
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x88];

/// The handshake of a client.
pub fn handshake(host: impl std::fmt::Display) -> Vec<u8> {
    format!(
        "GET /echo HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// One client.
struct Client {
    socket: TcpStream,
    number: usize,
    open: bool,
    /// Messages that it has sent.
    sent: u64,
    /// It waits for the answer.
    waits: bool,
    /// Bytes of a head or a frame that is not all there.
    input: Vec<u8>,
    /// What has come of its message.
    message: Vec<u8>,
}

struct Crowd {
    readiness: Readiness,
    ready: Vec<usize>,
    buffer: Vec<u8>,
    clients: Vec<Client>,
    waiting: usize,
    answered: u64,
}

/// Measures it.
pub fn measure(run: Run, server: &Server, options: &Options) -> Result<Measurement, Failure> {
    let count = match run.case {
        Case::SocketMany => options.many_clients,
        _ => options.clients,
    };
    let mut crowd = Crowd {
        readiness: Readiness::new()?,
        ready: Vec::new(),
        buffer: vec![0; 64 * 1024],
        clients: Vec::with_capacity(count),
        waiting: 0,
        answered: 0,
    };
    crowd.connect(server, count, options.opening)?;
    crowd.echo_for(WARM_UP)?;
    let meter = Meter::start(server)?;
    crowd.answered = 0;
    let seconds = crowd.echo_for(options.time())?.as_secs_f64();
    let spent = meter.stop(server)?;
    let figures = Figures { connections: count, operations: crowd.answered, seconds, spent };
    Ok(Measurement::new(run, &figures))
}

impl Crowd {
    /// Opens so many, of which so many at once wait for their 101.
    fn connect(&mut self, server: &Server, count: usize, opening: usize) -> Result<(), Failure> {
        let handshake = handshake(server.http);
        while self.clients.len() < count || self.waiting > 0 {
            while self.clients.len() < count && self.waiting < opening {
                let number = self.clients.len();
                let mut socket = connect(server.http)?;
                self.readiness.watch(&socket, number)?;
                socket.write_all(&handshake).during(|| format!("opening client {number}"))?;
                self.clients.push(Client {
                    socket,
                    number,
                    open: false,
                    sent: 0,
                    waits: true,
                    input: Vec::new(),
                    message: Vec::new(),
                });
                self.waiting += 1;
            }
            self.read(false)?;
        }
        Ok(())
    }

    /// All send again and again for this long; until the last answer.
    fn echo_for(&mut self, time: Duration) -> Result<Duration, Failure> {
        let began = Instant::now();
        for client in &mut self.clients {
            client.send()?;
        }
        self.waiting = self.clients.len();
        while self.waiting > 0 {
            let again = began.elapsed() < time;
            self.read(again)?;
        }
        Ok(began.elapsed())
    }

    /// Reads whatever is there; who is answered sends `again`.
    fn read(&mut self, again: bool) -> Result<(), Failure> {
        let (waiting, all) = (self.waiting, self.clients.len());
        self.readiness
            .wait(&mut self.ready, || format!("{waiting} of {all} clients are not answered"))?;
        let ready = std::mem::take(&mut self.ready);
        for &number in &ready {
            let Some(client) = self.clients.get_mut(number) else { continue };
            let answered = client
                .read(&mut self.buffer)
                .map_err(|fault| Failure::Delivery { subscriber: number, fault })?;
            if answered {
                self.answered += 1;
                if again {
                    client.send()?;
                } else {
                    self.waiting -= 1;
                }
            }
        }
        self.ready = ready;
        Ok(())
    }
}

impl Client {
    /// Its message of that number: no two clients and no two messages have the same.
    fn text(&self) -> Vec<u8> {
        let mut text = format!("client {} says {:09}", self.number, self.sent).into_bytes();
        text.resize(MESSAGE_BYTES, b'.');
        text
    }

    fn send(&mut self) -> Result<(), Failure> {
        self.sent += 1;
        let mut frame = vec![0x81, 0x80 | MESSAGE_BYTES as u8];
        frame.extend_from_slice(&MASK);
        frame.extend(self.text().iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
        self.socket.write_all(&frame).during(|| format!("sending as client {}", self.number))?;
        self.waits = true;
        Ok(())
    }

    /// Reads once; whether it is answered now.
    fn read(&mut self, buffer: &mut [u8]) -> Result<bool, Fault> {
        let count = match self.socket.read(buffer) {
            Ok(0) => return Err(protocol("the server closed the connection", b"")),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(_) => return Err(protocol("the server broke off", b"")),
        };
        self.input.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if !self.open {
            return self.take_head();
        }
        let mut answered = false;
        while self.take_frame()? {
            if answered || !self.waits || self.message != self.text() {
                return Err(protocol("not what was sent", &self.message));
            }
            self.message.clear();
            self.waits = false;
            answered = true;
        }
        Ok(answered)
    }

    fn take_head(&mut self) -> Result<bool, Fault> {
        let Some(head) = Head::parse(&self.input)? else { return Ok(false) };
        if head.status != 101 || head.size != self.input.len() {
            return Err(protocol("no handshake", &self.input));
        }
        self.input.clear();
        self.open = true;
        self.waits = false;
        Ok(true)
    }

    /// Takes frames of its message off the input; whether the message is whole.
    fn take_frame(&mut self) -> Result<bool, Fault> {
        while let [first, length, rest @ ..] = &*self.input {
            let (last, length) = (first & 0x80 != 0, usize::from(*length));
            let opcode = if self.message.is_empty() { 1 } else { 0 };
            if first & 0x7f != opcode || length > MESSAGE_BYTES {
                return Err(protocol("no frame of its message", &self.input));
            }
            let Some(payload) = rest.get(..length) else { return Ok(false) };
            self.message.extend_from_slice(payload);
            self.input.drain(..2 + length);
            if last {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
