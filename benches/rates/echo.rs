//! The WebSocket backend of all servers: a thread of this program, on the client's core, that sends
//! back whatever it gets. Started by `server.rs`; `socket.rs` has the clients.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use linchpin::wire::frame::{Opcode, Parsed, head, mask, server_frame};
use linchpin::ws::handshake::accept_value;
use memchr::memmem;

use crate::failure::{Context, Failure};
use crate::readiness::Readiness;

/// The token of the listener; connections have their place and one.
const LISTENER: usize = 0;
/// How soon the thread notices that it is to end.
const LOOK: Duration = Duration::from_millis(100);
const KEY: &[u8] = b"sec-websocket-key:";

/// The running backend; ends when dropped.
pub struct Echo {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// Listens at `address`.
    pub fn start(address: SocketAddr) -> Result<Echo, Failure> {
        let listener =
            TcpListener::bind(address).during(|| format!("listening on {address} to echo"))?;
        listener.set_nonblocking(true).during(|| "setting up the echo backend".to_owned())?;
        let ends = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ends);
        let thread = std::thread::Builder::new()
            .name("echo".to_owned())
            .spawn(move || {
                // What it ran into is seen by who waits for it.
                let _ = Backend::new(listener).and_then(|backend| backend.run(&flag));
            })
            .during(|| "starting the echo backend".to_owned())?;
        Ok(Echo { ends, thread: Some(thread) })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Backend {
    listener: TcpListener,
    readiness: Readiness,
    connections: Vec<Option<Connection>>,
}

struct Connection {
    socket: TcpStream,
    /// What has come and is not answered: a part of a frame, at most.
    input: Vec<u8>,
    open: bool,
}

impl Backend {
    fn new(listener: TcpListener) -> Result<Backend, Failure> {
        let readiness = Readiness::new()?;
        readiness.watch(&listener, LISTENER)?;
        Ok(Backend { listener, readiness, connections: Vec::new() })
    }

    fn run(mut self, ends: &AtomicBool) -> Result<(), Failure> {
        let mut ready = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        while !ends.load(Ordering::Relaxed) {
            self.readiness.look(&mut ready, LOOK)?;
            for &token in &ready {
                if token == LISTENER {
                    self.accept();
                } else if let Some(place) = self.connections.get_mut(token - 1)
                    && place.as_mut().is_some_and(|connection| !connection.serve(&mut buffer))
                {
                    *place = None;
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            let prepared = socket.set_nodelay(true).and_then(|()| socket.set_nonblocking(true));
            let token = self.connections.len() + 1;
            if prepared.is_ok() && self.readiness.watch(&socket, token).is_ok() {
                let connection = Connection { socket, input: Vec::new(), open: false };
                self.connections.push(Some(connection));
            }
        }
    }
}

impl Connection {
    /// Reads once and answers; whether it goes on.
    fn serve(&mut self, buffer: &mut [u8]) -> bool {
        let count = match self.socket.read(buffer) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        self.input.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let answer = if self.open { self.echo() } else { self.accept() };
        // Its messages are small, and its clients wait for them: there is always room.
        answer.is_some_and(|answer| answer.is_empty() || self.socket.write_all(&answer).is_ok())
    }

    fn accept(&mut self) -> Option<Vec<u8>> {
        let Some(end) = memmem::find(&self.input, b"\r\n\r\n") else { return Some(Vec::new()) };
        let lower = self.input.get(..end)?.to_ascii_lowercase();
        let at = memmem::find(&lower, KEY)? + KEY.len();
        let key = self.input.get(at..end)?.split(|&byte| byte == b'\r').next()?.trim_ascii();
        let accept = accept_value(key);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            accept.to_str().ok()?
        );
        self.input.clear();
        self.open = true;
        Some(answer.into_bytes())
    }

    /// Whole frames, as they are; `None` at a CLOSE, or where there is no sense.
    fn echo(&mut self) -> Option<Vec<u8>> {
        let mut answer = Vec::new();
        while let Ok(Parsed::Head(frame, taken)) = head(&self.input) {
            let end = taken + usize::try_from(frame.payload_bytes).ok()?;
            let Some(payload) = self.input.get_mut(taken..end) else { break };
            if frame.opcode == Opcode::Close || !frame.fin {
                return None;
            }
            mask(payload, frame.mask?, 0);
            answer.extend_from_slice(&server_frame(frame.opcode, payload));
            self.input.drain(..end);
        }
        Some(answer)
    }
}
