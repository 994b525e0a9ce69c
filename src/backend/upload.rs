//! What is sent to a backend as a request's body.
//!
//! Made by `proxy`, consumed by `outbound`. Knows nothing of connections.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// An error of a body's source.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// What is sent to a backend.
pub enum RequestBody {
    /// These bytes (sent with a `Content-Length`); `None` once taken.
    Whole(Option<Bytes>),
    /// A stream: the client's body as it comes.
    Streamed(Pin<Box<dyn Body<Data = Bytes, Error = BodyError>>>),
}

impl RequestBody {
    /// No body at all.
    #[must_use]
    pub fn empty() -> RequestBody {
        RequestBody::Whole(None)
    }

    /// A second body of the same content; `None` for a stream, which can be read only once.
    #[must_use]
    pub fn replay(&self) -> Option<RequestBody> {
        match self {
            RequestBody::Whole(bytes) => Some(RequestBody::Whole(bytes.clone())),
            RequestBody::Streamed(_) => None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            RequestBody::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            RequestBody::Streamed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            // Empty bytes are no body: the framing of both is the same.
            RequestBody::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            RequestBody::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            RequestBody::Streamed(body) => body.size_hint(),
        }
    }
}
