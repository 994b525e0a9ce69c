//! The stream as hyper sees it: bytes read ahead come first, framing that is in doubt never comes,
//! interim answers (`interim`) go before what it writes, and it is known whether all has left.
//!
//! hyper accepts some requests that are dangerous behind a proxy (both `Content-Length` and
//! `Transfer-Encoding`, for one). `wire::framing` reads along; from the first byte of an offending
//! request on nothing is passed to hyper. Those bytes are kept: if the request before them turns
//! out to be an upgrade, they were never HTTP and belong to whoever takes the connection over.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::state::{Doubt, EdgeState};
use crate::wire::framing::HeadGuard;

/// The stream.
pub struct Edge<S> {
    stream: S,
    first: Bytes,
    guard: HeadGuard,
    retained: BytesMut,
    /// Bytes kept from an offending request on; past it the client has to wait.
    retained_bytes_max: usize,
    state: Rc<EdgeState>,
}

impl<S> Edge<S> {
    pub(super) fn new(
        stream: S,
        first: Bytes,
        (head_bytes_max, retained_bytes_max): (usize, usize),
        state: Rc<EdgeState>,
    ) -> Edge<S> {
        let guard = HeadGuard::new(head_bytes_max);
        Edge { stream, first, guard, retained: BytesMut::new(), retained_bytes_max, state }
    }

    /// The stream, and the bytes that were read from it and not passed on.
    pub(super) fn into_parts(self) -> (S, Bytes) {
        let Edge { stream, first, mut retained, .. } = self;
        retained.extend_from_slice(&first);
        (stream, retained.freeze())
    }

    /// Lets the guard read what was added to `buf` after `start`; keeps back what must not pass.
    /// Whether anything may be passed on.
    fn inspect(&mut self, buf: &mut ReadBuf<'_>, start: usize) -> bool {
        let fresh = &buf.filled()[start..];
        if fresh.is_empty() {
            return true; // the end of the stream
        }
        let fed = self.guard.feed(fresh);
        let spelled = self.guard.spelled();
        if !spelled.is_empty() {
            self.state.set_spellings(spelled);
        }
        let Err(violation) = fed else { return true };
        let offset = violation.offset.min(fresh.len());
        self.retained.extend_from_slice(&fresh[offset..]);
        self.state.set_violation(Doubt {
            status: violation.status(),
            text: violation.to_string(),
            in_body: violation.in_body,
        });
        buf.set_filled(start + offset);
        offset > 0
    }
}

impl<S: AsyncRead + Unpin> Edge<S> {
    /// Reads on behind an offending request, only to see the client leave (or to keep what an
    /// upgrade will want).
    fn poll_retain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.retained.len() < self.retained_bytes_max {
            let mut scratch = [0_u8; 1024];
            let room = self.retained_bytes_max.saturating_sub(self.retained.len());
            let mut into = ReadBuf::new(scratch.get_mut(..room.min(1024)).unwrap_or_default());
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut into))?;
            if into.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.retained.extend_from_slice(into.filled());
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Edge<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state.is_doubtful() {
            return this.poll_retain(cx);
        }
        let start = buf.filled().len();
        if this.first.is_empty() {
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        } else {
            let n = this.first.len().min(buf.remaining());
            buf.put_slice(&this.first[..n]);
            this.first.advance(n);
        }
        if this.inspect(buf, start) { Poll::Ready(Ok(())) } else { this.poll_retain(cx) }
    }
}

impl<S: AsyncWrite + Unpin> Edge<S> {
    /// Writes what goes before hyper's next bytes; mostly nothing.
    fn poll_interims(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.state.interims.is_waiting() {
            return Poll::Ready(Ok(()));
        }
        self.state.set_flushed(false);
        let written = self.state.interims.poll_write(cx, &mut self.stream);
        self.state.note_write(&written);
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Edge<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_interims(cx))?;
        this.state.set_writing();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.state.note_write(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_interims(cx))?;
        this.state.set_writing();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.state.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes us only after its own buffer has been written whole.
        let this = self.get_mut();
        this.state.interims.set_midway(false);
        ready!(this.poll_interims(cx))?;
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.state.note_write(&flushed);
        ready!(flushed)?;
        this.state.set_flushed(true);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
