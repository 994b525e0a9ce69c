//! How hyper's server is told to write the names of a response (`wire::names`).
//!
//! hyper takes spellings only in a form that it makes itself. So [`for_hyper`] lets it read a
//! response with these names, once for each set of names that backends use. Called by `backend`.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hashbrown::HashMap;
use http::{Extensions, Request};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Sets of names that are remembered; beyond that all are made again.
const SETS_MAX: usize = 256;

/// What makes hyper's server write the names of a response so. `names` each end with a colon.
#[must_use]
pub fn for_hyper(names: &[u8]) -> Extensions {
    thread_local! {
        static MADE: RefCell<HashMap<Box<[u8]>, Extensions, ahash::RandomState>> =
            RefCell::default();
    }
    MADE.with_borrow_mut(|made| {
        if let Some(extensions) = made.get(names) {
            return extensions.clone();
        }
        if made.len() >= SETS_MAX {
            made.clear();
        }
        let extensions = read_by_hyper(names);
        made.insert(names.into(), extensions.clone());
        extensions
    })
}

/// Lets hyper's client read a response with these names. Nothing in it waits.
fn read_by_hyper(names: &[u8]) -> Extensions {
    let mut answer = b"HTTP/1.1 204 No Content\r\n".to_vec();
    for name in names.split_inclusive(|byte| *byte == b':') {
        answer.extend_from_slice(name);
        answer.extend_from_slice(b" x\r\n");
    }
    answer.extend_from_slice(b"\r\n");
    let mut cx = Context::from_waker(Waker::noop());
    let io = TokioIo::new(Script { answer: answer.into(), asked: false });
    let mut builder = hyper::client::conn::http1::Builder::new();
    let handshake = pin!(builder.preserve_header_case(true).handshake(io));
    let Poll::Ready(Ok((mut sender, connection))) = handshake.poll(&mut cx) else {
        return Extensions::new();
    };
    let mut connection = pin!(connection);
    let mut response = pin!(sender.send_request(Request::new(Empty::<Bytes>::new())));
    // It writes, it reads, it ends.
    for _ in 0..3 {
        let _ = connection.as_mut().poll(&mut cx);
        if let Poll::Ready(response) = response.as_mut().poll(&mut cx) {
            return response.map(|response| response.into_parts().0.extensions).unwrap_or_default();
        }
    }
    Extensions::new()
}

/// A stream that answers the first thing that is written to it.
struct Script {
    answer: Bytes,
    asked: bool,
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            return Poll::Pending;
        }
        let length = self.answer.len().min(buf.remaining());
        buf.put_slice(&self.answer.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.asked = true;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyper_understands_every_set_of_names() {
        for names in
            ["ETag:", "x:X:Content-length:CONTENT-LENGTH:Transfer-encoding:connection:Upgrade:"]
        {
            let spelled = for_hyper(names.as_bytes());
            assert!(!spelled.is_empty(), "{names}");
            assert!(!for_hyper(names.as_bytes()).is_empty(), "{names}");
        }
        for number in 0..2 * SETS_MAX {
            assert!(!for_hyper(format!("x-{number}:").as_bytes()).is_empty());
        }
    }
}
