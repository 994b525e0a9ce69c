//! The upper bound: a server that does nothing but write(2). Runs in a child process of the
//! harness, accepts subscribers, and on command writes the bytes of the command to every one of
//! them in a plain loop. What a real server adds to this is its own cost.
//!
//! It speaks no more HTTP than its own client needs.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};

use crate::failure::{Context, Failure};
use crate::transport::{Transport, header};

const LISTENER: u64 = u64::MAX;
const CONTROL: u64 = u64::MAX - 1;
const PUBLISHER: u64 = u64::MAX - 2;

struct Held {
    socket: TcpStream,
    /// A long-poll is written to only when it has asked.
    asks: bool,
    /// It had not asked (again) when the last payload was written: on a busy
    /// machine its request may still be on its way. It gets that payload when it asks.
    owed: bool,
}

struct Bare {
    epoll: OwnedFd,
    transport: Transport,
    opening: Vec<u8>,
    held: Vec<Option<Held>>,
    publisher: Option<TcpStream>,
    command: Vec<u8>,
    last: Vec<u8>,
}

/// Serves until the process is ended.
pub fn serve(transport: Transport, http: SocketAddr, control: SocketAddr) -> Result<(), Failure> {
    let epoll = epoll::create(CreateFlags::CLOEXEC).during(|| "creating an epoll".to_owned())?;
    let listener = listen(http)?;
    let control = listen(control)?;
    watch(&epoll, &listener, LISTENER)?;
    watch(&epoll, &control, CONTROL)?;
    let mut bare = Bare {
        epoll,
        transport,
        opening: transport.opening(),
        held: Vec::new(),
        publisher: None,
        command: Vec::new(),
        last: Vec::new(),
    };
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        match epoll::wait(&bare.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).during(|| "waiting".to_owned()),
        }
        for event in &events {
            match event.data.u64() {
                LISTENER => bare.accept(&listener)?,
                CONTROL => bare.accept_publisher(&control)?,
                PUBLISHER => bare.obey()?,
                number => bare.hear(number as usize)?,
            }
        }
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).during(|| format!("listening on {address}"))?;
    listener.set_nonblocking(true).during(|| "setting up a listener".to_owned())?;
    Ok(listener)
}

fn watch(epoll: &OwnedFd, socket: impl AsFd, token: u64) -> Result<(), Failure> {
    epoll::add(epoll, socket, EventData::new_u64(token), EventFlags::IN)
        .during(|| "watching a socket".to_owned())
}

fn accept(listener: &TcpListener) -> Result<Option<TcpStream>, Failure> {
    let socket = match listener.accept() {
        Ok((socket, _)) => socket,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error).during(|| "accepting".to_owned()),
    };
    // Like every server here, it does not let a message wait for the last one's acknowledgement.
    socket
        .set_nodelay(true)
        .and_then(|()| socket.set_nonblocking(true))
        .during(|| "setting up a connection".to_owned())?;
    Ok(Some(socket))
}

impl Bare {
    fn accept(&mut self, listener: &TcpListener) -> Result<(), Failure> {
        while let Some(socket) = accept(listener)? {
            watch(&self.epoll, &socket, self.held.len() as u64)?;
            self.held.push(Some(Held { socket, asks: false, owed: false }));
        }
        Ok(())
    }

    fn accept_publisher(&mut self, listener: &TcpListener) -> Result<(), Failure> {
        while let Some(socket) = accept(listener)? {
            watch(&self.epoll, &socket, PUBLISHER)?;
            self.publisher = Some(socket);
            self.command.clear();
        }
        Ok(())
    }

    /// A subscriber asked or left. Its request is small and comes in one piece.
    fn hear(&mut self, number: usize) -> Result<(), Failure> {
        let Some(place) = self.held.get_mut(number) else { return Ok(()) };
        let Some(held) = place else { return Ok(()) };
        let mut buffer = [0; 1024];
        match held.socket.read(&mut buffer) {
            Ok(0) | Err(_) => *place = None,
            Ok(_) if buffer.starts_with(b"GET / ") => {
                // The harness asks whether the server is up.
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                held.socket.write_all(answer).during(|| "answering".to_owned())?;
            }
            Ok(_) if held.owed => {
                held.owed = false;
                held.socket.write_all(&self.last).during(|| "writing what is owed".to_owned())?;
            }
            Ok(_) => {
                held.asks = true;
                held.socket.write_all(&self.opening).during(|| "opening".to_owned())?;
            }
        }
        Ok(())
    }

    /// The publisher sent something: when the command is whole, answer and write.
    fn obey(&mut self) -> Result<(), Failure> {
        let Some(publisher) = &mut self.publisher else { return Ok(()) };
        let mut buffer = [0; 64 * 1024];
        match publisher.read(&mut buffer) {
            Ok(0) | Err(_) => {
                self.publisher = None;
                return Ok(());
            }
            Ok(count) => self.command.extend_from_slice(&buffer[..count]),
        }
        let Some(end) = memmem::find(&self.command, b"\r\n\r\n").map(|at| at + 4) else {
            return Ok(());
        };
        let length: usize = header(&self.command[..end], "content-length")
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| Failure::Control("a command without a length".to_owned()))?;
        if self.command.len() < end + length {
            return Ok(());
        }
        publisher
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .during(|| "answering the publisher".to_owned())?;
        let command = std::mem::take(&mut self.command);
        self.write_to_all(&command[end..end + length])
    }

    /// The loop that gives the bound.
    fn write_to_all(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let asks_once = self.transport == Transport::Longpoll;
        for held in self.held.iter_mut().flatten() {
            if !held.asks {
                held.owed = asks_once;
                continue;
            }
            held.asks = !asks_once;
            held.socket.write_all(payload).during(|| "writing to a subscriber".to_owned())?;
        }
        if asks_once {
            self.last = payload.to_vec();
        }
        Ok(())
    }
}
