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

    /// Whether it may turn out to be larger than `kept_max` bytes, and so not to be had once more.
    #[must_use]
    pub fn may_be_lost(&self, kept_max: usize) -> bool {
        let within = |bytes| usize::try_from(bytes).is_ok_and(|bytes| bytes <= kept_max);
        match self {
            RequestBody::Whole(_) => false,
            RequestBody::Streamed(body) => !body.size_hint().upper().is_some_and(within),
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

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    #[test]
    fn what_is_too_large_to_be_kept_may_be_lost() {
        let whole = RequestBody::Whole(Some(Bytes::from_static(b"0123456789")));
        assert!(!whole.may_be_lost(9));
        let of_ten = Full::new(Bytes::from_static(b"0123456789"));
        let of_ten = RequestBody::Streamed(Box::pin(of_ten.map_err(|never| match never {})));
        assert!(!of_ten.may_be_lost(10) && of_ten.may_be_lost(9));
        let pieces = futures_util::stream::empty::<Result<Frame<Bytes>, BodyError>>();
        let unknown = RequestBody::Streamed(Box::pin(StreamBody::new(pieces)));
        assert!(unknown.may_be_lost(usize::MAX));
    }
}
