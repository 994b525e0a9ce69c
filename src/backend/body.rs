//! Bodies towards and from a backend.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::error::{Error, Stage};
use super::lease::Lease;
use super::link::Link;
pub use super::upload::{BodyError, RequestBody, UploadFailed};

/// A backend's response body, as it comes; trailers are left out (specification, routing 3.11).
///
/// It holds the connection: read to its end, the connection is kept for the next request; dropped
/// before, the connection is closed at once. An error is an [`Error`] with `Stage::Body`: the body
/// is not whole, and whoever relays it must not end it as if it were.
pub struct AnswerBody {
    incoming: Incoming,
    link: Rc<Link>,
    lease: Option<Lease>,
}

impl AnswerBody {
    /// The body of a response that came over `lease`'s connection.
    #[must_use]
    pub fn new(incoming: Incoming, lease: Lease) -> AnswerBody {
        let mut body = AnswerBody { incoming, link: Rc::clone(lease.link()), lease: Some(lease) };
        body.finish_if_ended();
        body
    }

    fn finish_if_ended(&mut self) {
        if self.incoming.is_end_stream() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.finish();
        }
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
        loop {
            match ready!(Pin::new(&mut this.incoming).poll_frame(cx)) {
                Some(Ok(frame)) if frame.is_data() => {
                    this.finish_if_ended();
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Ok(_trailers)) => {}
                Some(Err(error)) => {
                    this.lease = None;
                    let error = Error::from_hyper(&error, Stage::Body, this.link.timed_out.get());
                    return Poll::Ready(Some(Err(Box::new(error))));
                }
                None => {
                    this.finish();
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
