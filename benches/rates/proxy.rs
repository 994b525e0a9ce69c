//! Requests passed through to a backend: clients that keep their connections and each ask again
//! as soon as they are answered. Every byte of every body is compared. Called by `main.rs`.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::case::{Case, Figures, Measurement, Run};
use crate::failure::{Context, Failure, Fault};
use crate::head::protocol;
use crate::meter::Meter;
use crate::nginx::{LARGE, SMALL, body};
use crate::options::Options;
use crate::readiness::{Readiness, connect};
use crate::responses::{Part, Responses};
use crate::server::Server;

/// Everybody asks for this long before it counts.
const WARM_UP: Duration = Duration::from_millis(300);

/// One client.
struct Client {
    socket: TcpStream,
    responses: Responses,
    asks: bool,
}

/// All of them.
struct Crowd {
    readiness: Readiness,
    ready: Vec<usize>,
    buffer: Vec<u8>,
    clients: Vec<Client>,
    request: Vec<u8>,
    body: Vec<u8>,
    asking: usize,
    answered: u64,
}

/// Measures it.
pub fn measure(run: Run, server: &Server, options: &Options) -> Result<Measurement, Failure> {
    let (clients, path, size) = match run.case {
        Case::ProxyLarge => (options.large_clients, "/large", LARGE),
        Case::ProxyMany => (options.many_clients, "/small", SMALL),
        _ => (options.clients, "/small", SMALL),
    };
    let mut crowd = Crowd {
        readiness: Readiness::new()?,
        ready: Vec::new(),
        buffer: vec![0; 256 * 1024],
        clients: Vec::with_capacity(clients),
        request: format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.http).into_bytes(),
        body: body(size),
        asking: 0,
        answered: 0,
    };
    crowd.connect(server, clients, options.opening)?;
    crowd.ask_for(WARM_UP)?;
    let meter = Meter::start(server)?;
    crowd.answered = 0;
    let seconds = crowd.ask_for(options.time())?.as_secs_f64();
    let spent = meter.stop(server)?;
    let operations = crowd.answered;
    let figures = Figures { connections: clients, operations, seconds, spent };
    let mut row = Measurement::new(run, &figures);
    row.bytes = Some(operations * size as u64);
    Ok(row)
}

impl Crowd {
    /// Connects so many, of which so many at once wait for their first answer.
    fn connect(&mut self, server: &Server, count: usize, opening: usize) -> Result<(), Failure> {
        while self.clients.len() < count {
            while self.clients.len() < count && self.asking < opening {
                let socket = connect(server.http)?;
                self.readiness.watch(&socket, self.clients.len())?;
                let responses = Responses::default();
                self.clients.push(Client { socket, responses, asks: false });
                self.ask(self.clients.len() - 1)?;
            }
            self.read(false)?;
        }
        while self.asking > 0 {
            self.read(false)?;
        }
        Ok(())
    }

    /// All ask again and again for this long; until the last answer.
    fn ask_for(&mut self, time: Duration) -> Result<Duration, Failure> {
        let began = Instant::now();
        for number in 0..self.clients.len() {
            self.ask(number)?;
        }
        while self.asking > 0 {
            let again = began.elapsed() < time;
            self.read(again)?;
        }
        Ok(began.elapsed())
    }

    fn ask(&mut self, number: usize) -> Result<(), Failure> {
        let Some(client) = self.clients.get_mut(number) else { return Ok(()) };
        client.socket.write_all(&self.request).during(|| format!("asking as client {number}"))?;
        client.asks = true;
        self.asking += 1;
        Ok(())
    }

    /// Reads whatever is there; who is answered asks `again`.
    fn read(&mut self, again: bool) -> Result<(), Failure> {
        let (asking, all) = (self.asking, self.clients.len());
        self.readiness
            .wait(&mut self.ready, || format!("{asking} of {all} clients are not answered"))?;
        let ready = std::mem::take(&mut self.ready);
        for &number in &ready {
            let Some(client) = self.clients.get_mut(number) else { continue };
            let answered = client
                .read(&mut self.buffer, &self.body)
                .map_err(|fault| Failure::Delivery { subscriber: number, fault })?;
            if answered {
                self.asking -= 1;
                self.answered += 1;
                if again {
                    self.ask(number)?;
                }
            }
        }
        self.ready = ready;
        Ok(())
    }
}

impl Client {
    /// Reads once; whether its request is answered now.
    fn read(&mut self, buffer: &mut [u8], body: &[u8]) -> Result<bool, Fault> {
        let count = match self.socket.read(buffer) {
            Ok(0) => return Err(protocol("the server closed the connection", b"")),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(_) => return Err(protocol("the server broke off", b"")),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        if !self.asks {
            return Err(protocol("a response to no request", bytes));
        }
        let mut answered = false;
        self.responses.feed(bytes, |part| {
            let right = match part {
                _ if answered => false,
                Part::Head(head) => {
                    head.status == 200 && head.length == Some(body.len()) && !head.closes
                }
                Part::Body { at, bytes } => body.get(at..at + bytes.len()) == Some(bytes),
                Part::End => {
                    answered = true;
                    true
                }
            };
            if right { Ok(()) } else { Err(protocol("not what the backend answers", bytes)) }
        })?;
        self.asks = !answered;
        Ok(answered)
    }
}
