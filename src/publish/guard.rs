//! Stands between a publisher's socket and hyper: hyper reads one canonical request at a time.
//!
//! Heads are read by `head`; one that is refused is never shown to hyper. It is told the end of
//! input instead, finishes and flushes what it has to answer, and asks for the shutdown: there the
//! refusal is written, so that answers keep the order of their requests. Made by `http`, one for
//! each connection. Knows no endpoint.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::refusal_bytes;
use super::head::{HeadLimits, read_head};

/// Bytes asked of the socket at a time.
const READ_BYTES: usize = 8 * 1024;
/// After the last answer, input is read and dropped for this long, so that the answer is not lost
/// to a reset while the client still sends.
const LINGER_MS: u64 = 1_000;
/// See [`LINGER_MS`]: at most this much.
const LINGER_BYTES_MAX: usize = 4_000_000;

/// What the guard and its connection tell each other.
#[derive(Debug, Default)]
pub struct Signals {
    /// From the connection: no other request is wanted.
    pub stopping: Cell<bool>,
    /// From the guard: more bytes than announced came with the last request.
    pub body_exceeded: Cell<bool>,
}

/// The socket as hyper sees it.
pub struct Guard<S> {
    stream: S,
    limits: HeadLimits,
    signals: Rc<Signals>,
    stats: Rc<crate::stats::Stats>,
    /// Read from the socket, not yet looked at.
    buffer: BytesMut,
    reading: Reading,
    closing: Closing,
}

#[derive(Debug)]
enum Reading {
    /// Waiting for a head.
    Head,
    /// Handing over a request: its canonical head, then so many bytes of body.
    Request { head: Bytes, body_bytes: usize, closes: bool },
    /// Nothing more is read; this refusal is to be written first.
    End { refusal: Bytes },
}

enum Closing {
    NotYet,
    Lingering { until: Pin<Box<dyn Future<Output = ()>>>, bytes: usize },
    Done,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    /// A guard in front of `stream`.
    pub fn new(
        stream: S,
        limits: HeadLimits,
        signals: Rc<Signals>,
        stats: Rc<crate::stats::Stats>,
    ) -> Guard<S> {
        Guard {
            stream,
            limits,
            signals,
            stats,
            buffer: BytesMut::new(),
            reading: Reading::Head,
            closing: Closing::NotYet,
        }
    }

    /// Looks for a head in what was read. True when the state has moved on.
    fn take_head(&mut self) -> bool {
        match read_head(&self.buffer, self.limits) {
            Ok(None) => false,
            Ok(Some((head, taken))) => {
                self.buffer.advance(taken);
                let (body_bytes, closes) = (head.body_bytes, head.closes);
                self.reading =
                    Reading::Request { head: head.canonical().into(), body_bytes, closes };
                true
            }
            Err(refused) => {
                tracing::debug!("control request refused: {}", refused.refusal);
                self.stats.requests_malformed.inc();
                self.reading = Reading::End { refusal: refusal_bytes(refused).into() };
                true
            }
        }
    }

    /// Reads some more into the buffer; 0 at the end of input.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut chunk = [0; READ_BYTES];
        let mut chunk = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
        self.buffer.extend_from_slice(chunk.filled());
        Poll::Ready(Ok(chunk.filled().len()))
    }

    /// Hands over what is at hand of the present request; true when something was.
    fn hand_over(&mut self, out: &mut ReadBuf<'_>) -> bool {
        let Reading::Request { head, body_bytes, closes } = &mut self.reading else { return false };
        let before = out.filled().len();
        let n = head.len().min(out.remaining());
        out.put_slice(&head.split_to(n));
        if head.is_empty() {
            let n = (*body_bytes).min(self.buffer.len()).min(out.remaining());
            out.put_slice(&self.buffer.split_to(n));
            *body_bytes -= n;
            if *body_bytes == 0 {
                let closes = *closes;
                self.end_request(closes);
            }
        }
        out.filled().len() > before
    }

    fn end_request(&mut self, closes: bool) {
        if closes {
            self.signals.body_exceeded.set(!self.buffer.is_empty());
            self.reading = Reading::End { refusal: Bytes::new() };
        } else {
            self.reading = Reading::Head;
        }
    }

    /// Drops input until the client closes, or the bounds are reached.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scrap = [0; READ_BYTES];
        loop {
            let Closing::Lingering { until, bytes } = &mut self.closing else {
                return Poll::Ready(());
            };
            if *bytes > LINGER_BYTES_MAX || until.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut scrap = ReadBuf::new(&mut scrap);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut scrap)) {
                Ok(()) if !scrap.filled().is_empty() => *bytes += scrap.filled().len(),
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        loop {
            if out.remaining() == 0 || guard.hand_over(out) {
                return Poll::Ready(Ok(()));
            }
            if matches!(guard.reading, Reading::Head) {
                if guard.take_head() {
                    continue;
                }
                if guard.signals.stopping.get() && guard.buffer.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
            if matches!(guard.reading, Reading::End { .. }) {
                return Poll::Ready(Ok(()));
            }
            if ready!(guard.poll_fill(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        if matches!(guard.closing, Closing::NotYet) {
            if let Reading::End { refusal } = &mut guard.reading {
                while !refusal.is_empty() {
                    let n = ready!(Pin::new(&mut guard.stream).poll_write(cx, refusal))?;
                    if n == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    refusal.advance(n);
                }
            }
            ready!(Pin::new(&mut guard.stream).poll_shutdown(cx))?;
            // Between requests nothing is on its way here, and a pooled connection of a client may
            // stay open for long: no linger.
            guard.closing = match guard.reading {
                Reading::Head if guard.buffer.is_empty() => Closing::Done,
                _ => {
                    let until = Box::pin(crate::clock::sleep_ms(LINGER_MS));
                    Closing::Lingering { until, bytes: 0 }
                }
            };
        }
        ready!(guard.poll_linger(cx));
        guard.closing = Closing::Done;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    fn guarded() -> (DuplexStream, Guard<DuplexStream>, Rc<Signals>) {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let limits = HeadLimits { head_bytes_max: 200, body_bytes_max: 100 };
        let signals = Rc::new(Signals::default());
        let guard = Guard::new(server, limits, Rc::clone(&signals), Rc::default());
        (client, guard, signals)
    }

    async fn read(guard: &mut Guard<DuplexStream>) -> Vec<u8> {
        let mut chunk = vec![0; 1000];
        let n = guard.read(&mut chunk).await.unwrap();
        chunk.truncate(n);
        chunk
    }

    #[tokio::test]
    async fn one_request_at_a_time() {
        let (mut client, mut guard, signals) = guarded();
        let two =
            b"POST /x HTTP/1.1\r\nJunk: 1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\nzz";
        client.write_all(two).await.unwrap();
        assert_eq!(read(&mut guard).await, b"POST * HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
        assert!(!signals.body_exceeded.get());
        let second = read(&mut guard).await;
        assert_eq!(second, b"GET / HTTP/1.0\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert!(signals.body_exceeded.get());
        assert!(read(&mut guard).await.is_empty());
    }

    #[tokio::test]
    async fn a_refusal_is_written_at_the_shutdown() {
        let (mut client, mut guard, _) = guarded();
        client.write_all(b"oops\r\n\r\n").await.unwrap();
        assert!(read(&mut guard).await.is_empty());
        guard.write_all(b"before ").await.unwrap();
        let shutdown = async { guard.shutdown().await.unwrap() };
        let receive = async {
            let mut all = String::new();
            client.read_to_string(&mut all).await.unwrap();
            drop(client);
            all
        };
        let ((), all) = tokio::join!(shutdown, receive);
        assert!(all.starts_with("before HTTP/1.1 400 Bad Request\r\n"), "{all}");
        assert!(all.ends_with("\r\n\r\nFailed to parse request header.\n"), "{all}");
        assert_eq!(guard.stats.requests_malformed.get(), 1);
    }

    #[tokio::test]
    async fn bytes_may_come_one_by_one() {
        let (mut client, mut guard, _) = guarded();
        let whole = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab";
        let send = async {
            for byte in whole {
                client.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let receive = async {
            let mut all = Vec::new();
            while all.len() < whole.len() {
                all.extend(read(&mut guard).await);
            }
            all
        };
        let ((), all) = tokio::join!(send, receive);
        assert_eq!(all, whole);
    }

    #[tokio::test]
    async fn an_idle_connection_ends_when_stopping() {
        let (_client, mut guard, signals) = guarded();
        signals.stopping.set(true);
        assert!(read(&mut guard).await.is_empty());
        guard.shutdown().await.unwrap();
    }
}
