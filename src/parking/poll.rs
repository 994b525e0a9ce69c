//! A shard's readiness set: one epoll for all parked sockets, itself watched by the runtime.
//!
//! A parked socket costs its place in the kernel's set and nothing in the runtime. Level-triggered:
//! what is not read now is reported again. The only user of epoll; used by the lot.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use tokio::io::unix::AsyncFd;

use crate::hub::slab::SessionId;

/// Events taken from the kernel at once.
const EVENTS_AT_ONCE: usize = 256;

/// What a parked socket waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Bytes from the client. Without it only its leaving is reported.
    pub read: bool,
    /// Room for bytes to the client.
    pub write: bool,
}

/// What is reported of a parked socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// There is something to read; the end counts.
    pub read: bool,
    /// There is room to write.
    pub write: bool,
    /// The client has left or the connection is broken.
    pub left: bool,
}

/// The readiness set.
pub struct Poll {
    set: AsyncFd<OwnedFd>,
    /// Room for what the kernel says at once.
    events: RefCell<Vec<Event>>,
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::RDHUP;
    flags.set(EventFlags::IN, interest.read);
    flags.set(EventFlags::OUT, interest.write);
    flags
}

fn data(id: SessionId) -> EventData {
    EventData::new_u64(u64::from(id.generation) << 32 | u64::from(id.index))
}

fn session(data: EventData) -> SessionId {
    let data = data.u64();
    // Both halves are what `data` put there.
    SessionId { index: (data & 0xffff_ffff) as u32, generation: (data >> 32) as u32 }
}

impl Poll {
    /// An empty set, watched by the runtime that this is called in.
    ///
    /// # Errors
    /// When the system gives no descriptor.
    pub fn new() -> io::Result<Poll> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        // Deprecated because of descriptors that may be closed behind the runtime's back. An
        // `OwnedFd` that lives inside is not one of them, and the successor is an `unsafe fn`.
        #[allow(deprecated)]
        let set = AsyncFd::with_interest(set, tokio::io::Interest::READABLE)?;
        Ok(Poll { set, events: RefCell::new(Vec::with_capacity(EVENTS_AT_ONCE)) })
    }

    /// Adds a socket.
    ///
    /// # Errors
    /// When the system refuses (no memory for watches).
    pub fn add(&self, socket: impl AsFd, id: SessionId, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(self.set.get_ref(), socket, data(id), flags(interest))?)
    }

    /// Changes what a socket waits for.
    ///
    /// # Errors
    /// When it is not in the set.
    pub fn modify(&self, socket: impl AsFd, id: SessionId, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(self.set.get_ref(), socket, data(id), flags(interest))?)
    }

    /// Removes a socket that lives on; one that is closed leaves by itself.
    ///
    /// # Errors
    /// When it is not in the set.
    pub fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(self.set.get_ref(), socket)?)
    }

    /// Waits until something is ready, then appends what is to `ready`. May append nothing.
    ///
    /// # Errors
    /// When the set itself is broken.
    pub async fn wait(&self, ready: &mut Vec<(SessionId, Readiness)>) -> io::Result<()> {
        drop(self.set.readable().await?);
        self.take(ready)
    }

    /// Appends what is ready now to `ready`. Costs no system call while the runtime knows of
    /// nothing.
    ///
    /// # Errors
    /// When the set itself is broken.
    pub fn take(&self, ready: &mut Vec<(SessionId, Readiness)>) -> io::Result<()> {
        // With nothing there (and only then: the runtime watches the set for edges, and a socket
        // that stays ready makes no new one) the runtime is told to wait for the next edge.
        let mut events = self.events.borrow_mut();
        let collected = |set: &OwnedFd| collect(set, &mut events, ready);
        match self.set.try_io(tokio::io::Interest::READABLE, collected) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            taken => taken,
        }
    }
}

/// Appends what is ready in `set`; `WouldBlock` when nothing is.
fn collect(
    set: &OwnedFd,
    events: &mut Vec<Event>,
    ready: &mut Vec<(SessionId, Readiness)>,
) -> io::Result<()> {
    events.clear();
    let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    match epoll::wait(set, spare_capacity(events), Some(&none)) {
        Ok(0) => return Err(io::ErrorKind::WouldBlock.into()),
        Ok(_) => {}
        // Nothing is known of it: it is asked again.
        Err(rustix::io::Errno::INTR) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    for event in events.iter() {
        let flags = event.flags;
        let left = flags.intersects(EventFlags::ERR | EventFlags::HUP | EventFlags::RDHUP);
        ready.push((
            session(event.data),
            Readiness {
                read: flags.contains(EventFlags::IN),
                write: flags.contains(EventFlags::OUT),
                left,
            },
        ));
    }
    Ok(())
}
