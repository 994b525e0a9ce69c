//! A request on its way out over one connection: its head, then its body as it comes.
//!
//! Made by `exchange`; if the answer comes before the body's end, `body` goes on with it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Method;
use http_body::Body as _;

use super::connection::Connection;
use super::request::RequestHead;
use super::upload::{BodyError, RequestBody};

/// See the module.
pub struct Outbound {
    head: RequestHead,
    body: RequestBody,
    /// Bytes of the body that are still owed; `None` when they are sent in chunks.
    owed: Option<u64>,
    written: u64,
    /// What is to be written: the head or what stands before a chunk, then `data`, then `tail`.
    front: Front,
    data: Bytes,
    tail: &'static [u8],
    ended: bool,
}

#[derive(Clone, Copy)]
enum Front {
    Head { at: usize },
    Size { line: [u8; 18], at: usize, length: usize },
}

/// Why a request could not be sent.
#[derive(Debug)]
pub enum OutboundError {
    /// The connection does not take it.
    Connection(io::Error),
    /// Its body cannot be had.
    Body(BodyError),
}

impl Outbound {
    /// A request whose head is whole and framed by `body`.
    #[must_use]
    pub fn new(head: RequestHead, body: RequestBody) -> Outbound {
        let ended = body.is_end_stream();
        let owed = if ended { Some(0) } else { body.size_hint().exact() };
        Outbound {
            head,
            body,
            owed,
            written: 0,
            front: Front::Head { at: 0 },
            data: Bytes::new(),
            tail: b"",
            ended,
        }
    }

    /// What its answer is read by: the method, and whether it is to say how names were written.
    #[must_use]
    pub fn asked(&self) -> (&Method, bool) {
        (self.head.method(), self.head.asks_for_names())
    }

    /// Nothing has been written: no backend can have seen any of it.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.written == 0
    }

    /// Sends on; ready when all is sent.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<Result<(), OutboundError>> {
        loop {
            // The first bytes of a body leave with its head.
            while self.data.is_empty() && self.tail.is_empty() && !self.ended {
                match self.poll_body(cx) {
                    Poll::Ready(more) => more.map_err(OutboundError::Body)?,
                    Poll::Pending => break,
                }
            }
            connection.set_owed(self.is_written() && !self.ended);
            if self.is_written() {
                let flushed = connection.poll_flush(cx).map_err(OutboundError::Connection);
                return match self.ended {
                    true => flushed,
                    false => {
                        let _ = flushed?;
                        Poll::Pending
                    }
                };
            }
            ready!(self.poll_write(cx, connection)).map_err(OutboundError::Connection)?;
        }
    }

    fn front(&self) -> &[u8] {
        match &self.front {
            Front::Head { at } => self.head.as_bytes().get(*at..).unwrap_or_default(),
            Front::Size { line, at, length } => line.get(*at..*length).unwrap_or_default(),
        }
    }

    fn is_written(&self) -> bool {
        self.front().is_empty() && self.data.is_empty() && self.tail.is_empty()
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<io::Result<()>> {
        let whole = [self.front(), &self.data, self.tail];
        let mut pieces = [io::IoSlice::new(&[]); 3];
        let mut count = 0;
        for piece in whole.into_iter().filter(|piece| !piece.is_empty()) {
            if let Some(place) = pieces.get_mut(count) {
                *place = io::IoSlice::new(piece);
                count += 1;
            }
        }
        let written = ready!(connection.poll_write(cx, pieces.get(..count).unwrap_or_default()))?;
        if self.written > 0 {
            connection.progressed();
        }
        self.advance(written);
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        self.written = self.written.saturating_add(written as u64);
        let front = written.min(self.front().len());
        match &mut self.front {
            Front::Head { at } | Front::Size { at, .. } => *at = at.saturating_add(front),
        }
        let left = written.saturating_sub(front);
        let data = left.min(self.data.len());
        self.data.advance(data);
        let tail = left.saturating_sub(data);
        self.tail = self.tail.get(tail..).unwrap_or_default();
    }

    /// Takes the next bytes of the body.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?;
        let Some(frame) = frame else { return Poll::Ready(self.end()) };
        // Trailers are not forwarded.
        let Ok(mut data) = frame.into_data() else { return Poll::Ready(Ok(())) };
        match &mut self.owed {
            Some(owed) => {
                data.truncate(usize::try_from(*owed).unwrap_or(usize::MAX));
                *owed = owed.saturating_sub(data.len() as u64);
                self.ended = *owed == 0;
            }
            None if data.is_empty() => {}
            None => {
                self.announce(data.len());
                self.tail = b"\r\n";
            }
        }
        self.data = data;
        Poll::Ready(Ok(()))
    }

    fn end(&mut self) -> Result<(), BodyError> {
        self.ended = true;
        match self.owed {
            None => self.tail = b"0\r\n\r\n",
            Some(0) => {}
            Some(owed) => return Err(format!("{owed} bytes are missing").into()),
        }
        Ok(())
    }

    /// Puts a chunk's size before it. Behind the head, if that has not left yet.
    fn announce(&mut self, size: usize) {
        let mut line = [0_u8; 18];
        let mut out = &mut line[..];
        // 16 digits and a line end fit.
        let _ = io::Write::write_fmt(&mut out, format_args!("{size:x}\r\n"));
        let length = 18_usize.saturating_sub(out.len());
        match &self.front {
            Front::Head { at } if *at < self.head.as_bytes().len() => {
                self.head.append(line.get(..length).unwrap_or_default());
            }
            _ => self.front = Front::Size { line, at: 0, length },
        }
    }
}
