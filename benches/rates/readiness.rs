//! The client side's one readiness set, and the bound on waiting for a server. Used by every
//! measurement; knows nothing of what the sockets carry.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};

use crate::failure::{Context, Failure};

/// Without any event for this long a measurement is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one wait takes at most.
const WAIT: Duration = Duration::from_millis(500);

/// An epoll, and how long it has been silent.
pub struct Readiness {
    epoll: OwnedFd,
    events: Vec<Event>,
    /// For how long nothing came while it was waited for.
    idle: Duration,
}

impl Readiness {
    /// An empty one.
    pub fn new() -> Result<Readiness, Failure> {
        let epoll =
            epoll::create(CreateFlags::CLOEXEC).during(|| "creating an epoll".to_owned())?;
        Ok(Readiness { epoll, events: Vec::with_capacity(1024), idle: Duration::ZERO })
    }

    /// Tells from now on when `socket` can be read, until it is closed.
    pub fn watch(&self, socket: impl AsFd, token: usize) -> Result<(), Failure> {
        epoll::add(&self.epoll, socket, EventData::new_u64(token as u64), EventFlags::IN)
            .during(|| "watching a socket".to_owned())
    }

    /// Waits until something can be read, and adds its tokens to `ready`. After [`PATIENCE`]
    /// without anything it is an error that says what was `waiting`.
    pub fn wait(
        &mut self,
        ready: &mut Vec<usize>,
        waiting: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        self.look(ready, WAIT)?;
        if !ready.is_empty() {
            self.idle = Duration::ZERO;
            return Ok(());
        }
        self.idle += WAIT;
        if self.idle > PATIENCE {
            return Err(Failure::Stalled { seconds: PATIENCE.as_secs(), waiting: waiting() });
        }
        Ok(())
    }

    /// The tokens of what can be read within `timeout`, replacing what is in `ready`.
    pub fn look(&mut self, ready: &mut Vec<usize>, timeout: Duration) -> Result<(), Failure> {
        ready.clear();
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).during(|| "waiting for the server".to_owned()),
        }
        ready.extend(self.events.iter().map(|event| event.data.u64() as usize));
        Ok(())
    }
}

/// A connection that does not block and does not wait for more to send.
pub fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let socket = TcpStream::connect(address).during(|| format!("connecting to {address}"))?;
    socket
        .set_nodelay(true)
        .and_then(|()| socket.set_nonblocking(true))
        .during(|| "setting up a connection".to_owned())?;
    Ok(socket)
}
