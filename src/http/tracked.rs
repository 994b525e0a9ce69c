//! A response body that tells when the request it answers is over.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::state::EdgeState;

/// A request is in flight while this lives.
pub struct Busy(Rc<EdgeState>);

impl Busy {
    pub(super) fn begin(state: Rc<EdgeState>) -> Busy {
        state.begin();
        Busy(state)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// `body`, and the mark of its request.
pub struct Tracked<B> {
    body: Pin<Box<B>>,
    _busy: Busy,
}

impl<B> Tracked<B> {
    pub(super) fn new(body: B, busy: Busy) -> Tracked<B> {
        Tracked { body: Box::pin(body), _busy: busy }
    }
}

impl<B: Body<Data = Bytes>> Body for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.body.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
