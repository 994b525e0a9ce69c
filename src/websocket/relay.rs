//! The task that relays a WebSocket between a client and a WebSocket backend (specification,
//! WebSockets 2.4 to 2.6).
//!
//! One task a connection, made by `passthrough`. Messages are relayed while they come, in whatever
//! parts they come, and each side waits for the other. What the hub sends to the client goes
//! between the backend's messages, never into one. What is said is `dialogue`'s matter. When idle
//! it holds no buffer.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::dialogue::{Dialogue, Parties};
use super::echo::count;
use super::end::End;
use crate::asking::rules;
use crate::clock::{self, Tick};
use crate::forward::shared::Bounds;
use crate::limits;
use crate::session::outbox::Outbox;
use crate::stats::Stats;
use crate::wire::frame::close_payload;
use crate::ws::reader::{Sender, Violation};

/// Towards either side so many bytes may wait; then the other side is not read from.
const WINDOW_BYTES: usize = 64 * 1024;

type Sleep = Pin<Box<dyn Future<Output = ()>>>;

/// Why the relaying is over, by what is still written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Both sides get what waits for them.
    Both,
    /// The backend is lost: the client gets what came.
    Client,
    /// The client is lost: the backend gets what came.
    Backend,
    /// Nothing more.
    Now,
}

/// See the module.
pub struct Relay<C, B> {
    dialogue: Dialogue,
    stats: Rc<Stats>,
    /// See [`Bounds::idle_ms`].
    idle_ms: u64,
    /// An answer to a CLOSE is awaited so long.
    close_ms: u64,
    client: End<C>,
    /// Absent when the connection is gone although the client's goes on.
    backend: Option<End<B>>,
    active: Tick,
    timer: Option<(Tick, Sleep)>,
}

impl<C, B> Relay<C, B>
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    /// A relay between two streams, each with what was read from it already.
    pub fn new(
        parties: Parties,
        stats: Rc<Stats>,
        bounds: &Bounds,
        client: (C, Bytes),
        backend: (B, Bytes),
    ) -> Relay<C, B> {
        let (of_clients, of_backends) = (bounds.of_clients(), bounds.of_backends());
        let client = End::new(client.0, Sender::Client, of_clients, client.1);
        let backend = End::new(backend.0, Sender::Server, of_backends, backend.1);
        let client = client.inflating(parties.client_hop.inflation);
        let backend = Some(backend.inflating(parties.backend_hop.inflation));
        Relay {
            dialogue: Dialogue::new(parties),
            stats,
            idle_ms: bounds.idle_ms,
            close_ms: limits::WEBSOCKET_CLOSE_MS,
            client,
            backend,
            active: clock::now(),
            timer: None,
        }
    }

    /// Relays until either side has ended. Dropping the future drops both connections.
    pub async fn run(mut self) {
        let ending = poll_fn(|cx| self.poll_relay(cx)).await;
        let write_client = matches!(ending, Ending::Both | Ending::Client);
        let write_backend = matches!(ending, Ending::Both | Ending::Backend);
        let Relay { dialogue, client, backend, close_ms, .. } = &mut self;
        let finish = poll_fn(|cx| {
            let client =
                write_client && client.poll_finish(cx, &mut dialogue.for_client).is_pending();
            let backend = write_backend
                && backend.as_mut().is_some_and(|backend| {
                    backend.poll_finish(cx, &mut dialogue.for_backend).is_pending()
                });
            if client || backend { Poll::Pending } else { Poll::Ready(()) }
        });
        tokio::select! {
            () = finish => {}
            () = clock::sleep_ms(*close_ms) => {}
        }
        self.backend = None;
        if write_client && self.dialogue.has_client_broken() {
            // It may still be sending: closing with unread input would reset the connection, and
            // take the CLOSE with it.
            tokio::select! {
                () = poll_fn(|cx| self.client.poll_discard(cx)) => {}
                () = clock::sleep_ms(limits::WEBSOCKET_LINGER_MS) => {}
            }
        }
    }

    fn poll_relay(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        loop {
            let mut moved = false;
            if let Some(ending) = self.write(cx, &mut moved) {
                return Poll::Ready(ending);
            }
            if let Some(ending) = self.hear_backend(cx, &mut moved) {
                return Poll::Ready(ending);
            }
            if let Some(ending) = self.hear_client(cx, &mut moved) {
                return Poll::Ready(ending);
            }
            moved |= self.dialogue.ask_for_missed(cx.waker());
            if self.dialogue.client.sent && self.dialogue.client.received {
                return Poll::Ready(Ending::Both);
            }
            if !moved {
                break;
            }
            self.active = clock::now();
        }
        if std::mem::take(&mut self.dialogue.touched) {
            let lease = &self.dialogue.parties.lease;
            lease.hub().with(|registry| registry.touched(lease.id(), self.active));
        }
        self.poll_time(cx)
    }

    fn write(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Option<Ending> {
        let dialogue = &mut self.dialogue;
        if let Poll::Ready(Err(_)) = self.client.poll_write(cx, &mut dialogue.for_client, moved) {
            return Some(Ending::Backend);
        }
        let backend = self.backend.as_mut()?;
        match backend.poll_write(cx, &mut dialogue.for_backend, moved) {
            Poll::Ready(Err(error)) => self.backend_lost(Some(&error)),
            Poll::Ready(Ok(()))
                if dialogue.severed && (dialogue.backend.sent || backend.has_ended()) =>
            {
                // Parted in good order.
                self.backend = None;
                None
            }
            _ => None,
        }
    }

    /// Takes what the backend and the hub have for the client, as long as the client takes it.
    fn hear_backend(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Option<Ending> {
        let beginning = rules::beginning_bytes(self.dialogue.parties.prefix.as_deref());
        while has_room(&self.dialogue.for_client) {
            // Before every message, so that what a control message sends keeps its place.
            if !self.dialogue.is_within_message()
                && let Some(ending) = self.hear_hub(cx, moved)
            {
                return Some(ending);
            }
            let backend = self.backend.as_mut()?;
            match backend.next(beginning) {
                Ok(Some(piece)) => {
                    *moved = true;
                    self.dialogue.backend_said(piece);
                }
                Ok(None) if backend.has_ended() => return None,
                Ok(None) => match backend.poll_read(cx) {
                    Poll::Pending => return None,
                    Poll::Ready(Ok(true)) => *moved = true,
                    Poll::Ready(Ok(false)) => return self.backend_lost(None),
                    Poll::Ready(Err(error)) => return self.backend_lost(Some(&error)),
                },
                Err(violation) => return self.backend_broke(violation),
            }
        }
        None
    }

    /// Takes what the hub has for the client.
    fn hear_hub(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Option<Ending> {
        while !self.dialogue.client.received && has_room(&self.dialogue.for_client) {
            let lease = &self.dialogue.parties.lease;
            match lease.hub().poll_next(lease.id(), cx.waker()) {
                Poll::Pending => return None,
                // The session is gone: its queue was over its bound.
                Poll::Ready(None) => return Some(Ending::Now),
                Poll::Ready(Some(frame)) => {
                    *moved = true;
                    self.dialogue.hub_said(frame);
                }
            }
        }
        None
    }

    /// Takes what the client has for the backend, as long as the backend takes it.
    fn hear_client(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Option<Ending> {
        while self.backend.is_none() || has_room(&self.dialogue.for_backend) {
            match self.client.next(0) {
                Ok(Some(piece)) => {
                    *moved = true;
                    self.dialogue.client_said(piece);
                }
                Ok(None) if self.client.has_ended() => return None,
                Ok(None) => match self.client.poll_read(cx) {
                    Poll::Pending => return None,
                    Poll::Ready(Ok(true)) => *moved = true,
                    // It has said all, and may still wait for the answer to its CLOSE.
                    Poll::Ready(Ok(false)) if self.dialogue.client.sent => return None,
                    // Gone, or it still reads: it gets what came.
                    Poll::Ready(Ok(false)) => return Some(Ending::Both),
                    Poll::Ready(Err(_)) => return Some(Ending::Backend),
                },
                Err(violation) => {
                    *moved = true;
                    return self.client_broke(violation);
                }
            }
        }
        None
    }

    /// The client broke the protocol: it is told why when the backend has answered what came
    /// before, or is gone.
    fn client_broke(&mut self, violation: Violation) -> Option<Ending> {
        if self.dialogue.client.sent {
            // What follows a CLOSE means nothing.
            return Some(Ending::Both);
        }
        count(&self.stats, violation);
        tracing::info!("{}: client dropped: {violation}", self.uri());
        self.dialogue.client_broke(violation.close_code());
        None
    }

    /// The backend broke the protocol: it is told why; the client's connection is dropped. `None`
    /// when the client's goes on.
    fn backend_broke(&mut self, violation: Violation) -> Option<Ending> {
        self.stats.socket_backend_errors.inc();
        if self.dialogue.severed {
            self.backend = None;
            return None;
        }
        tracing::warn!("{}: backend dropped: {violation}", self.uri());
        self.dialogue.close_backend(&close_payload(Some(violation.close_code()), ""));
        self.dialogue.tell_verdict();
        Some(Ending::Both)
    }

    /// The backend's connection ended. `None` when the client's goes on.
    fn backend_lost(&mut self, error: Option<&io::Error>) -> Option<Ending> {
        if self.dialogue.severed || self.dialogue.backend.sent {
            // Where only what it sends has ended, it may still be told of the client's CLOSE.
            self.backend = self.backend.take().filter(|_| error.is_none());
            return None;
        }
        match error {
            Some(error) => tracing::warn!("{}: backend lost: {error}", self.uri()),
            None => tracing::debug!("{}: backend closed without CLOSE", self.uri()),
        }
        self.dialogue.tell_verdict();
        Some(Ending::Client)
    }

    /// Ends what is silent for too long, or does not answer a CLOSE.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        loop {
            let idle = (self.idle_ms > 0).then(|| self.active.plus_ms(self.idle_ms));
            let close = self.dialogue.closing_since.map(|at| at.plus_ms(self.close_ms));
            let Some(due) = idle.into_iter().chain(close).min() else { return Poll::Pending };
            if clock::now() >= due {
                if close != Some(due) {
                    self.stats.sockets_idle.inc();
                    tracing::info!("{}: closed: idle for too long", self.uri());
                }
                self.dialogue.tell_verdict();
                let broken = self.dialogue.has_client_broken();
                return Poll::Ready(if broken { Ending::Client } else { Ending::Now });
            }
            // A timer that is too early is let run out: activity moves `due` all the time.
            let timer = match &mut self.timer {
                Some((at, timer)) if *at <= due => timer,
                timer => &mut timer.insert((due, Box::pin(clock::sleep_until(due)))).1,
            };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
    }

    fn uri(&self) -> String {
        rules::uri(&self.dialogue.parties.context)
    }
}

/// Whether more may wait in a queue.
fn has_room(queue: &Outbox) -> bool {
    queue.bytes() < WINDOW_BYTES && queue.len() < limits::RELAY_FRAMES_MAX
}

#[cfg(test)]
mod tests;
