//! A client's connection and its backend's as one, after both have changed to a protocol that is
//! none of ours (RFC 9110, 7.8).
//!
//! `exchange` asks for it where the operator allows the protocol (`protocols`). Until the backend
//! has answered 101, a request for an upgrade is a request like any other: what it answers instead
//! is the answer. Then a task carries bytes both ways, each side as fast as the other reads, until
//! both have ended or nothing has come for too long. An idle tunnel holds no buffer.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context as Waiting, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::asking::answer::Answer;
use crate::asking::choice::{Choice, Seeker, Step};
use crate::asking::failure::Failure;
use crate::asking::onward::Onward;
use crate::backend::body::RequestBody;
use crate::backend::error::Stage;
use crate::backend::exchange::{Heard, Opened};
use crate::clock;
use crate::forward::context::{Context, RouteRef};
use crate::forward::fields;
use crate::forward::outgoing::{self, Kind};
use crate::forward::protocols::is_among;
use crate::forward::shared::Shared;
use crate::limits::TUNNEL_BUFFER_BYTES;
use crate::listen::stream::Stream;
use crate::route::target::{Address, Target};
use crate::stats::Stats;

/// What came of a request for another protocol.
pub enum Tunnel {
    /// The backend changes to it: the client gets this 101, and then its connection goes on.
    Open(Box<Response<()>>, Onward),
    /// The target of this number gave an ordinary answer.
    Declined(usize, Box<Response<Answer>>),
    /// The next target is built in: it is asked in the ordinary way.
    BuiltIn,
}

/// Offers these protocols to the route's targets, in order, until one answers. `heard` hears of
/// interim answers.
///
/// # Errors
/// What the client is to be told when none has answered.
pub async fn open(
    shared: &Rc<Shared>,
    context: &Context,
    route: &RouteRef,
    offered: &HeaderValue,
    heard: Heard<'_>,
    mut trying: impl FnMut(&Target),
) -> Result<Tunnel, Failure> {
    let seeker = Seeker { shared, context, route };
    let mut choice = Choice::default();
    while let Some(index) = choice.next(&seeker) {
        let target = &route.targets[index];
        if target.address == Address::Test {
            return Ok(Tunnel::BuiltIn);
        }
        trying(target);
        let made = outgoing::request(shared, context, route, target, Kind::Http);
        let mut outgoing = made.map_err(|error| {
            tracing::error!(%target, %error, "the request cannot be put to this target");
            Failure::Backend
        })?;
        let headers = outgoing.request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, offered.clone());
        let request = outgoing.request.map(|()| RequestBody::empty());
        let (load, connect_ms) = (choice.load(index), choice.connect_ms(&seeker));
        let asked = shared.backend.upgrade(&outgoing.destination, request, load, connect_ms, heard);
        let error = match asked.await {
            Ok(Opened::Answered(answer)) => {
                return Ok(Tunnel::Declined(index, Box::new(answer.map(Answer::Backend))));
            }
            Ok(Opened::Switched { response, io, read_ahead, occupancy }) => {
                if !is_among(response.headers(), offered) {
                    tracing::warn!(%target, "the backend changes to a protocol nobody offered");
                    return Err(Failure::Backend);
                }
                shared.stats.tunnels.inc();
                let task = Task {
                    idle_ms: shared.settings.bounds.idle_ms,
                    stats: Rc::clone(&shared.stats),
                    shown: context.url(),
                };
                let run = move |client: Stream, early: Bytes| {
                    Box::pin(async move {
                        task.run((client, early), (io, read_ahead)).await;
                        drop(occupancy);
                    }) as Pin<Box<dyn Future<Output = ()>>>
                };
                return Ok(Tunnel::Open(
                    Box::new(switching(response)),
                    Onward::Task(Box::new(run)),
                ));
            }
            Err(error) => error,
        };
        match choice.failed(&seeker, index, &error, context.method.is_idempotent(), true) {
            Step::GoOn => {}
            Step::Exhausted => break,
            Step::Stop => {
                shared.stats.backend_failures.inc();
                return Err(match error.stage {
                    _ if error.is_ours() => Failure::NoRoom,
                    Stage::Policy => Failure::AddressPolicy,
                    _ => Failure::Backend,
                });
            }
        }
    }
    shared.stats.backend_failures.inc();
    Err(Failure::NoTarget(choice.tried(route)))
}

/// The backend's 101 as the client gets it.
fn switching(response: Response<()>) -> Response<()> {
    let (mut parts, ()) = response.into_parts();
    parts.headers = fields::response_headers(parts.status, parts.headers);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    Response::from_parts(parts, ())
}

/// What a tunnel knows of itself.
struct Task {
    /// Nothing has come for so long: it is closed. 0 is no bound.
    idle_ms: u64,
    stats: Rc<Stats>,
    /// The client's URL.
    shown: String,
}

impl Task {
    /// Carries until both sides have ended. Dropping the future drops both connections.
    async fn run<C, B>(self, client: (C, Bytes), backend: (B, Bytes))
    where
        C: AsyncRead + AsyncWrite + Unpin,
        B: AsyncRead + AsyncWrite + Unpin,
    {
        let ((mut client, early), (mut backend, read_ahead)) = (client, backend);
        let (mut up, mut down) = (Way::new(&early), Way::new(&read_ahead));
        drop((early, read_ahead));
        let active = Cell::new(clock::now());
        let mut carrying = pin!(poll_fn(|cx| {
            let moved = up.moved + down.moved;
            let up_over = up.poll(cx, &mut client, &mut backend)?;
            let down_over = down.poll(cx, &mut backend, &mut client)?;
            if up.moved + down.moved != moved {
                active.set(clock::now());
            }
            if up_over.is_ready() && down_over.is_ready() {
                return Poll::Ready(Ok::<(), io::Error>(()));
            }
            Poll::Pending
        }));
        loop {
            let idle = async {
                match self.idle_ms {
                    0 => std::future::pending().await,
                    ms => clock::sleep_until(active.get().plus_ms(ms)).await,
                }
            };
            tokio::select! {
                biased;
                ended = &mut carrying => {
                    if let Err(error) = ended {
                        tracing::debug!("{}: tunnel broken: {error}", self.shown);
                    }
                    return;
                }
                () = idle => {}
            }
            if clock::now() >= active.get().plus_ms(self.idle_ms) {
                self.stats.tunnels_idle.inc();
                tracing::info!("{}: tunnel closed: idle for too long", self.shown);
                return;
            }
        }
    }
}

/// One direction.
struct Way {
    /// Read, and not written yet.
    waiting: BytesMut,
    /// Bytes that have been read in all, modulo what fits.
    moved: usize,
    unflushed: bool,
    ended: bool,
    shut: bool,
}

impl Way {
    /// With what was read ahead.
    fn new(ahead: &[u8]) -> Way {
        let waiting = BytesMut::from(ahead);
        Way { waiting, moved: 0, unflushed: false, ended: false, shut: false }
    }

    /// Carries as much as goes now; ready when one side has ended and the other has been told.
    fn poll(
        &mut self,
        cx: &mut Waiting<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.waiting.is_empty() {
                match ready!(Pin::new(&mut *to).poll_write(cx, &self.waiting))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => self.waiting.advance(written),
                }
                self.moved = self.moved.wrapping_add(1);
                self.unflushed = true;
                continue;
            }
            if self.ended {
                if !self.shut {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            self.waiting.reserve(TUNNEL_BUFFER_BYTES);
            match pin!(from.read_buf(&mut self.waiting)).poll(cx)? {
                Poll::Ready(0) => self.ended = true,
                Poll::Ready(_) => {}
                Poll::Pending => {
                    self.waiting = BytesMut::new();
                    if self.unflushed {
                        ready!(Pin::new(&mut *to).poll_flush(cx))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
            self.moved = self.moved.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests;
