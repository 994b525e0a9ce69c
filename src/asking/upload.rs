//! The client's request body on its way to a backend: collected while it is small, streamed when it
//! is not, and counted, because only a request that was small enough may be held.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::backend::body::RequestBody;
use crate::clock::{self, Alarm, Tick};
use crate::http::BodyError;
use crate::limits::{ACCEPT_REQUEST_BODY_BYTES_MAX, BODY_PREFETCH_BYTES_MAX};

/// A request body.
pub enum Upload<B> {
    /// All of it; it can be sent as often as need be.
    Whole(Bytes),
    /// More than was collected in advance.
    Partial(Rc<RefCell<Partial<B>>>),
}

/// A body of which the beginning has been collected.
pub struct Partial<B> {
    /// All that was read so far, as long as the request may still be held: then it may be made
    /// again.
    read: Option<Vec<Bytes>>,
    rest: B,
    length: Option<u64>,
    seen: usize,
    limit: u64,
    /// Rings when nothing has come for too long: the client has left.
    alarm: Alarm,
    silent_since: Option<Tick>,
    taken: bool,
    ended: bool,
    too_large: bool,
    silent: bool,
}

/// Why a client's body cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The client broke off.
    #[error("the request body broke off: {0}")]
    Broken(BodyError),
    /// The client sends nothing, but is there.
    #[error("{SILENT}")]
    Silent,
    /// It is over the operator's limit.
    #[error("the request body is larger than {0} bytes")]
    TooLarge(u64),
}

/// What came of reading the rest of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It has ended within the limit for held requests.
    WithinLimit,
    /// It is larger.
    OverLimit,
}

impl<B> Upload<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    /// Collects the beginning of `body`, so that a short upload reaches its backend only when it is
    /// complete (specification, routing 3.8).
    ///
    /// # Errors
    /// When the client breaks off, or is silent for `silence_ms` (0 is no bound), or the body is
    /// larger than `limit` bytes.
    pub async fn gather(
        mut body: B,
        limit: u64,
        silence_ms: u64,
    ) -> Result<Upload<B>, UploadError> {
        if body.is_end_stream() {
            return Ok(Upload::Whole(Bytes::new()));
        }
        if body.size_hint().lower() > limit {
            return Err(UploadError::TooLarge(limit));
        }
        let length = body.size_hint().exact();
        let mut first = Bytes::new();
        let mut more = BytesMut::new();
        while first.len() + more.len() < BODY_PREFETCH_BYTES_MAX {
            let Some(frame) = within(silence_ms, body.frame()).await? else {
                return Ok(Upload::Whole(joined(first, more)));
            };
            let frame = frame.map_err(|error| UploadError::Broken(error.into()))?;
            // Trailers are not forwarded.
            let Ok(data) = frame.into_data() else { continue };
            if first.is_empty() {
                first = data;
            } else {
                more.extend_from_slice(&data);
            }
            if (first.len() + more.len()) as u64 > limit {
                return Err(UploadError::TooLarge(limit));
            }
        }
        let first = joined(first, more);
        if body.is_end_stream() {
            return Ok(Upload::Whole(first));
        }
        let seen = first.len();
        let read = Some(vec![first]);
        Ok(Upload::Partial(Rc::new(RefCell::new(Partial {
            read,
            rest: body,
            length,
            seen,
            limit,
            alarm: Alarm::new(silence_ms),
            silent_since: None,
            taken: false,
            ended: false,
            too_large: false,
            silent: false,
        }))))
    }

    /// The body for one try; `None` when an earlier try has used up what cannot be read again.
    #[must_use]
    pub fn request_body(&self) -> Option<RequestBody> {
        match self {
            Upload::Whole(bytes) if bytes.is_empty() => Some(RequestBody::empty()),
            Upload::Whole(bytes) => Some(RequestBody::Whole(Some(bytes.clone()))),
            Upload::Partial(partial) => {
                let reader = || Box::pin(Reader { partial: Rc::clone(partial), at: 0 });
                self.is_at_hand().then(|| RequestBody::Streamed(reader()))
            }
        }
    }

    /// Whether the body can be had (once more).
    #[must_use]
    pub fn is_at_hand(&self) -> bool {
        match self {
            Upload::Whole(_) => true,
            Upload::Partial(partial) => {
                let partial = partial.borrow();
                !partial.taken || partial.read.is_some()
            }
        }
    }

    /// All of a body that has been drained, and is within the limit for held requests.
    #[must_use]
    pub fn collected(&self) -> Option<Bytes> {
        match self {
            Upload::Whole(bytes) => Some(bytes.clone()),
            Upload::Partial(partial) => {
                let partial = partial.borrow();
                let read = partial.read.as_ref().filter(|_| partial.ended)?;
                Some(read.concat().into())
            }
        }
    }

    /// Whether all of it has come.
    #[must_use]
    pub fn is_read(&self) -> bool {
        match self {
            Upload::Whole(_) => true,
            Upload::Partial(partial) => partial.borrow().ended,
        }
    }

    /// Whether the body turned out larger than its limit while a backend read it.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, Upload::Partial(partial) if partial.borrow().too_large)
    }

    /// Whether it ended because nothing came for too long.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        matches!(self, Upload::Partial(partial) if partial.borrow().silent)
    }

    /// Reads what no backend has read, so that the connection may be held.
    ///
    /// # Errors
    /// When the client breaks off.
    pub async fn drain(&self) -> Result<Rest, UploadError> {
        let Upload::Partial(partial) = self else { return Ok(Rest::WithinLimit) };
        loop {
            {
                let partial = partial.borrow();
                if partial.seen > ACCEPT_REQUEST_BODY_BYTES_MAX {
                    return Ok(Rest::OverLimit);
                }
                if partial.ended {
                    return Ok(Rest::WithinLimit);
                }
            }
            let frame = std::future::poll_fn(|cx| partial.borrow_mut().poll_rest(cx)).await;
            if let Some(Err(error)) = frame {
                return Err(UploadError::Broken(error));
            }
        }
    }
}

/// What comes, unless that takes too long; 0 ms is no bound.
async fn within<T>(ms: u64, coming: impl Future<Output = T>) -> Result<T, UploadError> {
    if ms == 0 {
        return Ok(coming.await);
    }
    tokio::select! {
        biased;
        come = coming => Ok(come),
        () = clock::sleep_ms(ms) => Err(UploadError::Silent),
    }
}

const SILENT: &str = "nothing came for too long";

fn joined(first: Bytes, more: BytesMut) -> Bytes {
    if more.is_empty() {
        return first;
    }
    let mut whole = BytesMut::with_capacity(first.len() + more.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&more);
    whole.freeze()
}

impl<B> Partial<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.rest).poll_frame(cx);
        if polled.is_pending() {
            let since = *self.silent_since.get_or_insert_with(clock::now);
            if !self.alarm.rings(since, cx) {
                return Poll::Pending;
            }
            self.silent = true;
            return Poll::Ready(Some(Err(SILENT.into())));
        }
        self.silent_since = None;
        polled.map(|frame| match frame {
            None => {
                self.ended = true;
                None
            }
            Some(Ok(frame)) => {
                self.seen += frame.data_ref().map_or(0, Bytes::len);
                if self.seen > ACCEPT_REQUEST_BODY_BYTES_MAX {
                    self.read = None;
                }
                if let (Some(read), Some(data)) = (&mut self.read, frame.data_ref()) {
                    read.push(data.clone());
                }
                if self.seen as u64 > self.limit {
                    self.too_large = true;
                    return Some(Err(UploadError::TooLarge(self.limit).into()));
                }
                self.ended = self.rest.is_end_stream();
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(error.into())),
        })
    }
}

/// Reads a partial body for a backend, from its beginning.
struct Reader<B> {
    partial: Rc<RefCell<Partial<B>>>,
    /// So many pieces were read.
    at: usize,
}

impl<B> Body for Reader<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let mut partial = this.partial.borrow_mut();
        partial.taken = true;
        let kept = partial.read.as_ref().and_then(|read| read.get(this.at)).cloned();
        let polled = match kept {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => partial.poll_rest(cx),
        };
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && frame.is_data()
        {
            this.at += 1;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let partial = self.partial.borrow();
        partial.ended && partial.read.as_ref().is_none_or(|read| self.at >= read.len())
    }

    fn size_hint(&self) -> SizeHint {
        match self.partial.borrow().length {
            // Asked before the first frame, when the length is still that of the whole.
            Some(length) if self.at == 0 => SizeHint::with_exact(length),
            _ => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests;
