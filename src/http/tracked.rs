//! One request from its service to the end of its response's body: it tells when it is over.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};

use super::state::EdgeState;

/// A request is in flight while this lives.
pub struct Busy(Rc<EdgeState>);

impl Busy {
    /// For a request that `state` has been told of.
    pub(super) fn new(state: Rc<EdgeState>) -> Busy {
        Busy(state)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The service's answer to one request, to come.
///
/// Boxed, because hyper wants it unpinned: the one allocation a request that this folder makes.
pub struct Serving<Fut> {
    answer: Pin<Box<Fut>>,
    busy: Option<Busy>,
}

impl<Fut> Serving<Fut> {
    pub(super) fn new(answer: Fut, busy: Busy) -> Serving<Fut> {
        Serving { answer: Box::pin(answer), busy: Some(busy) }
    }
}

impl<Fut: Future<Output = Response<B>>, B> Future for Serving<Fut> {
    type Output = Result<Response<Tracked<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let response = ready!(this.answer.as_mut().poll(cx));
        let busy = this.busy.take();
        Poll::Ready(Ok(response.map(|body| Tracked { body, _busy: busy })))
    }
}

/// `body`, and the mark of its request.
pub struct Tracked<B> {
    body: B,
    _busy: Option<Busy>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
