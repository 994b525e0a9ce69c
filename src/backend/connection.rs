//! One connection to a backend, driven by whoever uses it: no task and no timer of its own.
//!
//! A request's future (`exchange`) and then its answer's body (`body`) read and write it; between
//! requests it lies in the pool without a buffer. What must happen while nothing happens (silence,
//! idleness) is seen to by the pool's keeper, through the [`Link`].

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::connect::{BackendStream, Destination};
use super::gate::Occupancy;
use crate::clock::{self, Tick};

/// Read at once at first, and at most. What fills its buffer makes the next one larger.
const READ_BYTES: (usize, usize) = (4 * 1024, 128 * 1024);

/// What the keeper knows of a connection in use.
pub struct Link {
    /// Where it leads.
    pub destination: Rc<Destination>,
    /// When bytes last went either way, or when it was last taken into use.
    pub progress: Cell<Tick>,
    /// A request uses it: silence counts.
    pub busy: Cell<bool>,
    /// Somebody waits for it; not, for one, while the client takes nothing of its answer.
    awaited: Cell<bool>,
    /// All that there was of its request has been written, and the client owes the rest.
    owed: Cell<bool>,
    /// How long it may be silent while it is in use, in milliseconds.
    pub patience_ms: Cell<u64>,
    /// It was idle before it was taken into use.
    pub reused: Cell<bool>,
    /// It was given up for its silence.
    timed_out: Cell<bool>,
    user: RefCell<Option<Waker>>,
}

impl Link {
    /// Gives the connection up for its silence.
    pub fn time_out(&self) {
        self.timed_out.set(true);
        if let Some(user) = self.user.take() {
            user.wake();
        }
    }

    /// Whether it was given up for its silence.
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        self.timed_out.get()
    }

    /// Whether its silence is the backend's.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.busy.get() && self.awaited.get() && !self.owed.get()
    }

    /// Somebody waits for it from now on, or not any more. The backend's time begins with that.
    fn set_awaited(&self, awaited: bool) {
        if self.awaited.replace(awaited) != awaited && awaited {
            self.progress.set(clock::now());
        }
    }

    /// Who is to be woken then.
    fn attend(&self, cx: &Context<'_>) {
        let mut user = self.user.borrow_mut();
        if !user.as_ref().is_some_and(|user| user.will_wake(cx.waker())) {
            *user = Some(cx.waker().clone());
        }
    }
}

/// See the module. Dropping it closes it.
pub struct Connection {
    io: BackendStream,
    /// What has been read and not been used.
    pub read: BytesMut,
    read_bytes: usize,
    /// For how long its backend keeps it idle, as far as it has said so; in milliseconds.
    pub idle_ms: u64,
    link: Rc<Link>,
    /// While it is in use.
    occupancy: Option<Occupancy>,
}

impl Connection {
    /// A connection that was just made.
    #[must_use]
    pub fn new(
        io: BackendStream,
        destination: Rc<Destination>,
        occupancy: Option<Occupancy>,
        patience_ms: u64,
    ) -> Box<Connection> {
        let link = Rc::new(Link {
            destination,
            progress: Cell::new(clock::now()),
            busy: Cell::new(true),
            awaited: Cell::new(false),
            owed: Cell::new(false),
            patience_ms: Cell::new(patience_ms),
            reused: Cell::new(false),
            timed_out: Cell::new(false),
            user: RefCell::new(None),
        });
        Box::new(Connection {
            io,
            read: BytesMut::new(),
            read_bytes: READ_BYTES.0,
            idle_ms: u64::MAX,
            link,
            occupancy,
        })
    }

    /// What the keeper knows of it.
    #[must_use]
    pub fn link(&self) -> &Rc<Link> {
        &self.link
    }

    /// Takes it into use.
    pub fn begin(&mut self, now: Tick, occupancy: Occupancy, patience_ms: u64) {
        self.occupancy = Some(occupancy);
        self.link.busy.set(true);
        self.link.reused.set(true);
        self.link.progress.set(now);
        self.link.patience_ms.set(patience_ms);
    }

    /// What it takes up while it is in use.
    pub fn occupancy(&mut self) -> &mut Option<Occupancy> {
        &mut self.occupancy
    }

    /// Puts it out of use: it keeps no buffer and wakes nobody.
    pub fn rest(&mut self) {
        self.read = BytesMut::new();
        self.read_bytes = READ_BYTES.0;
        self.occupancy = None;
        self.link.busy.set(false);
        self.link.awaited.set(false);
        self.link.owed.set(false);
        self.link.user.take();
    }

    /// Whether an idle connection is of no more use: the backend closed it, or said something that
    /// nobody had asked for. Costs no system call while nothing has come.
    pub fn is_stale(&mut self) -> bool {
        let mut scratch = [0_u8; 1];
        let mut cx = Context::from_waker(Waker::noop());
        let mut into = ReadBuf::new(&mut scratch);
        Pin::new(&mut self.io).poll_read(&mut cx, &mut into).is_ready()
    }

    /// Whether the system knows that an idle connection is of no more use: what is to be asked
    /// before a request that cannot be made twice. Costs a system call.
    #[must_use]
    pub fn is_closed_now(&self) -> bool {
        self.io.is_closed_now()
    }

    /// Reads once; 0 is the end.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.link.attend(cx);
        if self.link.is_timed_out() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if self.read.capacity().saturating_sub(self.read.len()) < self.read_bytes / 2 {
            self.read.reserve(self.read_bytes);
        }
        let room = self.read.capacity().saturating_sub(self.read.len());
        let read = pin!(self.io.read_buf(&mut self.read)).poll(cx);
        self.link.set_awaited(read.is_pending());
        let read = ready!(read)?;
        if read >= room {
            self.read_bytes = self.read_bytes.saturating_mul(2).min(READ_BYTES.1);
        }
        self.link.progress.set(clock::now());
        Poll::Ready(Ok(read))
    }

    /// Writes some of these.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.link.attend(cx);
        let written = match pieces {
            [piece] => Pin::new(&mut self.io).poll_write(cx, piece),
            pieces => Pin::new(&mut self.io).poll_write_vectored(cx, pieces),
        };
        if written.is_pending() {
            self.link.set_awaited(true);
        }
        let written = ready!(written)?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Poll::Ready(Ok(written))
    }

    /// Says that bytes have gone out, where that takes long enough to matter.
    pub fn progressed(&self) {
        self.link.progress.set(clock::now());
    }

    /// Says whether the client owes what is to be sent next. The backend's time begins when it does
    /// not any more.
    pub fn set_owed(&self, owed: bool) {
        if self.link.owed.replace(owed) && !owed {
            self.progressed();
        }
    }

    /// Gives what was written to the system, where something lies between (TLS).
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// The stream, and what was read from it ahead.
    #[must_use]
    pub fn into_parts(self) -> (BackendStream, Bytes, Option<Occupancy>) {
        (self.io, self.read.freeze(), self.occupancy)
    }
}
