//! What the parts of one backend connection share: its clockings, and the way back to the pool.
//!
//! A connection is driven by one task (`drive`); the request that uses it holds a `Lease`. Both
//! hold the same [`Link`]. Single-threaded: cells, no locks.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::client::conn::http1::SendRequest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;

use super::connect::{BackendStream, Destination};
use super::upload::RequestBody;
use crate::clock::{self, Tick};

/// hyper's end through which requests are sent.
pub type Sender = SendRequest<RequestBody>;

/// One backend connection, as all who deal with it see it.
pub struct Link {
    /// Where it leads.
    pub destination: Rc<Destination>,
    /// When a byte last went either way, or when it was last taken into use.
    pub progress: Cell<Tick>,
    /// Since when it is in the pool.
    pub idle_since: Cell<Option<Tick>>,
    /// Bytes that the backend has sent.
    pub received: Cell<u64>,
    /// It was dropped for its silence.
    pub timed_out: Cell<bool>,
    /// The exchange is over but hyper is not ready for the next: the driving task puts this into
    /// the pool once it is.
    pub returning: RefCell<Option<Sender>>,
    task: RefCell<Option<AbortHandle>>,
}

impl Link {
    /// A connection that was just made.
    #[must_use]
    pub fn new(destination: Rc<Destination>) -> Rc<Link> {
        Rc::new(Link {
            destination,
            progress: Cell::new(clock::now()),
            idle_since: Cell::new(None),
            received: Cell::new(0),
            timed_out: Cell::new(false),
            returning: RefCell::new(None),
            task: RefCell::new(None),
        })
    }

    /// Says which task drives it.
    pub fn driven_by(&self, task: AbortHandle) {
        self.task.replace(Some(task));
    }

    /// Takes it into use.
    pub fn begin(&self) {
        self.idle_since.set(None);
        self.progress.set(clock::now());
    }

    /// Closes it now, whatever hyper is doing.
    pub fn close(&self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// The socket, noting in the link what passes.
pub struct Watched {
    /// The socket.
    pub io: BackendStream,
    /// Where to note it.
    pub link: Rc<Link>,
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.io).poll_read(cx, buf);
        let read = buf.filled().len().saturating_sub(before) as u64;
        if read > 0 {
            this.link.received.set(this.link.received.get().saturating_add(read));
            this.link.progress.set(clock::now());
        }
        polled
    }
}

impl Watched {
    fn wrote(&self, polled: &Poll<io::Result<usize>>) {
        if matches!(polled, Poll::Ready(Ok(1..))) {
            self.link.progress.set(clock::now());
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write(cx, buf);
        this.wrote(&polled);
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
