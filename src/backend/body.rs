//! Bodies towards and from a backend.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use super::connection::Connection;
use super::error::{Error, Kind, Stage};
use super::head::Length;
use super::outbound::{Outbound, OutboundError};
use super::pool::Pool;
pub use super::upload::{BodyError, RequestBody};
use crate::wire::framing::unchunk::{Piece, Unchunk};

/// A backend's response body, as it comes; trailers are left out (specification, routing 3.11).
///
/// It holds the connection and drives it: read to its end, the connection is kept for the next
/// request; dropped before, the connection is closed at once. Its bytes are shares of the buffer
/// that they were read into. An error is an [`Error`] with `Stage::Body`: the body is not whole,
/// and whoever relays it must not end it as if it were.
pub struct AnswerBody {
    connection: Option<Box<Connection>>,
    coming: Coming,
    /// What was taken in before the head went on, at most [`AHEAD_BYTES`] and one more piece.
    ahead: VecDeque<Bytes>,
    /// What is still to be sent of the request: backends may answer before its end.
    request: Option<Box<Outbound>>,
    persistent: bool,
    /// Whoever reads it tells if it breaks off.
    told_by_reader: bool,
    pool: Weak<Pool>,
}

/// Of a body that has come so much with its head, its beginning is relayed at once.
const AHEAD_BYTES: usize = 16 * 1024;
/// The same in pieces.
const AHEAD_PIECES: usize = 16;

/// What of a body is still to come.
enum Coming {
    Bytes(u64),
    Chunks(Unchunk),
    All,
    Nothing,
}

impl AnswerBody {
    /// The body of a response whose head has been taken off `connection`.
    #[must_use]
    pub fn new(
        connection: Box<Connection>,
        length: Length,
        persistent: bool,
        request: Option<Box<Outbound>>,
        pool: &Rc<Pool>,
    ) -> AnswerBody {
        let coming = match length {
            Length::Exact(0) => Coming::Nothing,
            Length::Exact(bytes) => Coming::Bytes(bytes),
            Length::Chunked => Coming::Chunks(Unchunk::default()),
            Length::UntilClose => Coming::All,
        };
        let connection = Some(connection);
        let (ahead, pool) = (VecDeque::new(), Rc::downgrade(pool));
        let told_by_reader = false;
        let mut body =
            AnswerBody { connection, coming, ahead, request, persistent, told_by_reader, pool };
        body.finish_if_ended();
        body
    }

    /// The bytes that are here; `None` when more must be read.
    fn next(&mut self, read: &mut BytesMut) -> Result<Option<Bytes>, Error> {
        let bytes = match &mut self.coming {
            Coming::Nothing => return Ok(None),
            Coming::Bytes(left) => {
                let length = read.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left = left.saturating_sub(length as u64);
                let bytes = read.split_to(length).freeze();
                if *left == 0 {
                    self.coming = Coming::Nothing;
                }
                bytes
            }
            Coming::All => read.split().freeze(),
            Coming::Chunks(chunks) => match chunks.next(read) {
                Ok(Piece::Data(bytes)) => bytes,
                Ok(Piece::Wanting) => Bytes::new(),
                Ok(Piece::End) => {
                    self.coming = Coming::Nothing;
                    Bytes::new()
                }
                Err(kind) => {
                    let detail = format!("not a chunked body: {kind:?}");
                    return Err(Error::new(Stage::Body, Kind::Malformed, detail));
                }
            },
        };
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    /// From now on whoever reads it tells if it breaks off, or not any more.
    pub fn set_told_by_reader(&mut self, told: bool) {
        self.told_by_reader = told;
    }

    /// Takes in what is here already, without waiting for more.
    ///
    /// # Errors
    /// When the body breaks off within it; it is for the caller to tell of that.
    pub fn look_ahead(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let here = self.connection.as_ref().map_or(0, |connection| connection.read.len() as u64);
        if matches!(self.coming, Coming::Bytes(left) if left <= here) {
            return Ok(());
        }
        let (mut bytes, mut pieces) = (0_usize, VecDeque::new());
        while bytes < AHEAD_BYTES && pieces.len() < AHEAD_PIECES {
            match self.poll_next(cx, false) {
                Poll::Ready(Some(piece)) => {
                    let piece = piece?;
                    bytes = bytes.saturating_add(piece.len());
                    pieces.push_back(piece);
                }
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        self.ahead = pieces;
        Ok(())
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        begun: bool,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(mut connection) = self.connection.take() else { return Poll::Ready(None) };
        let polled = self.poll_on(cx, &mut connection);
        if let Poll::Ready(Some(Err(error))) = &polled {
            if let Some(pool) = self.pool.upgrade() {
                pool.broke_off(&connection, error, begun);
            }
        } else {
            self.connection = Some(connection);
            self.finish_if_ended();
        }
        polled
    }

    fn poll_on(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(request) = &mut self.request {
            match request.poll(cx, connection) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.request = None,
                // The backend need not read what it has answered.
                Poll::Ready(Err(OutboundError::Connection(_))) => {
                    self.request = None;
                    self.persistent = false;
                }
                Poll::Ready(Err(OutboundError::Body(error))) => {
                    let detail = error.to_string();
                    return Poll::Ready(Some(Err(Error::new(Stage::Body, Kind::Upload, detail))));
                }
            }
        }
        loop {
            if let Some(bytes) = self.next(&mut connection.read).transpose() {
                return Poll::Ready(Some(bytes));
            }
            if matches!(self.coming, Coming::Nothing) {
                return Poll::Ready(None);
            }
            match ready!(connection.poll_fill(cx)) {
                Ok(0) if matches!(self.coming, Coming::All) => self.coming = Coming::Nothing,
                Ok(0) => {
                    let detail = "closed within the body";
                    return Poll::Ready(Some(Err(Error::new(Stage::Body, Kind::Closed, detail))));
                }
                Ok(_) => {}
                Err(error) => {
                    return Poll::Ready(Some(Err(Error::from_io(&error, Stage::Body))));
                }
            }
        }
    }

    fn finish_if_ended(&mut self) {
        if matches!(self.coming, Coming::Nothing)
            && let Some(connection) = self.connection.take()
            && let Some(pool) = self.pool.upgrade()
            && self.persistent
        {
            match self.request.take() {
                None => pool.put(connection),
                // As long as the backend reads, the client is let finish.
                Some(request) => {
                    tokio::task::spawn_local(finish(*request, connection, pool));
                }
            }
        }
    }
}

/// Sends the rest of a request that has been answered.
async fn finish(mut request: Outbound, mut connection: Box<Connection>, pool: Rc<Pool>) {
    let sent = std::future::poll_fn(|cx| {
        if connection.link().is_timed_out() {
            return Poll::Ready(false);
        }
        request.poll(cx, &mut connection).map(|sent| sent.is_ok())
    });
    if sent.await {
        pool.put(connection);
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(piece) = this.ahead.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let polled = this.poll_next(cx, !this.told_by_reader);
        polled.map(|next| next.map(|bytes| bytes.map(Frame::data).map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && matches!(self.coming, Coming::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        let ahead: u64 = self.ahead.iter().map(|piece| piece.len() as u64).sum();
        match self.coming {
            Coming::Bytes(left) => SizeHint::with_exact(left.saturating_add(ahead)),
            Coming::Nothing => SizeHint::with_exact(ahead),
            Coming::Chunks(_) | Coming::All => SizeHint::default(),
        }
    }
}
