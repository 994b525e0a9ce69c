//! Carries a WebSocket-over-HTTP conversation: its requests to the backend, the answers to the
//! client (specification, WebSockets 5.3, 5.6, 5.10).
//!
//! A [`Link`] is plain data as long as nothing has to be said; `sockets` runs [`run`] as a task
//! when the conversation wants a request, and the task ends when it wants no more.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use tokio::sync::Notify;

use super::compression::Hop;
use super::conversation::{Close, Conversation, Reply, Request, Then};
use super::over_http::{self, Origin, collect, is_events};
use super::retries::{RANDOM_MS_MAX, Retries};
use crate::asking::rules::{self, Consequence, Subject, Verdict};
use crate::backend::body::AnswerBody;
use crate::backend::journal::Deed;
use crate::clock::{self, Tick};
use crate::forward::absent::Farewell;
use crate::forward::shared::Shared;
use crate::grip::events::Event;
use crate::hub::fanout::{self, Delivery};
use crate::hub::slab::SessionId;
use crate::limits;
use crate::wire::frame::{self, Opcode, close_payload, server_frame};
use crate::ws::messages::{Incoming, Messages};
use crate::ws::reader::{DataKind, Violation};
use crate::ws::writer;

/// While a client does not read, its session is looked at so often, should nobody say that it died.
const LOOK_MS: u64 = 5_000;

/// How the client's side stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// It talks and listens.
    Open,
    /// The same, but its backend has parted from it: what it says is discarded.
    Detached,
    /// It sent CLOSE and waits for the answer.
    Closed,
    /// It was sent CLOSE; its answer is awaited.
    Awaited,
    /// Nothing more is sent to it, and what it sends means nothing.
    Ended,
}

/// One client connection with a WebSocket-over-HTTP backend.
pub struct Link {
    /// The client's session; stale once the client has ended.
    pub id: SessionId,
    /// What its requests have in common.
    pub origin: Origin,
    /// The prefix of ordinary messages, when GRIP is spoken.
    pub prefix: Option<Box<[u8]>>,
    /// What is to be said.
    pub conversation: RefCell<Conversation>,
    /// What the client sends.
    pub incoming: RefCell<Messages>,
    /// How its side stands.
    pub client: Cell<Client>,
    /// It is not read from until the queue has room.
    pub paused: Cell<bool>,
    /// [`run`] runs.
    pub running: Cell<bool>,
    /// Its client is gone, and its backend is still to be told so.
    pub farewell: Cell<Option<Farewell>>,
    /// It broke the protocol and waits for the answer to what it said before: the code that it is
    /// closed with, whatever its backend says.
    pub broken: Cell<Option<u16>>,
    /// The client has read, or is gone.
    pub changed: Notify,
}

/// What a client has said.
pub enum Heard {
    /// All of it is queued for the backend.
    All,
    /// The queue is full: the rest waits where it is, and the client is not read from.
    Enough,
    /// It ends with its CLOSE.
    Close(Close),
    /// It breaks the protocol.
    Broken(Violation),
}

/// Takes what has come from the client, as long as the queue has room: what is deflated may become
/// far more than was read.
pub fn hear(shared: &Shared, link: &Link) -> Heard {
    let limits = shared.settings.bounds.of_collected();
    let mut incoming = link.incoming.borrow_mut();
    loop {
        let is_open = link.client.get() == Client::Open;
        if is_open && link.conversation.borrow().is_full() {
            link.paused.set(true);
            return Heard::Enough;
        }
        match incoming.next(limits) {
            Ok(None) => return Heard::All,
            Ok(Some(Incoming::Message(message))) if is_open => {
                link.conversation.borrow_mut().client_message(message);
            }
            Ok(Some(Incoming::Message(_))) => {}
            Ok(Some(Incoming::Close(close))) => return Heard::Close(close),
            Err(violation) => return Heard::Broken(violation),
        }
    }
}

/// Says all that there is to say; `first` is what came with the first answer. `resume` is called
/// when the queue has room again for what the client has said.
pub async fn run(shared: &Shared, link: &Link, first: Option<Reply>, resume: impl Fn()) {
    if let Some(reply) = first {
        deliver(shared, link, reply).await;
    }
    loop {
        if link.conversation.borrow().wants_request() {
            // A client that does not read makes its backend wait (5.3).
            let _ = room(shared, link, 0).await;
        }
        let request = link.conversation.borrow_mut().begin();
        let Some(request) = request else {
            let again = link.conversation.borrow().again_ms();
            let Some(delay_ms) = again else { break };
            clock::sleep_ms(delay_ms).await;
            link.conversation.borrow_mut().timer_due();
            continue;
        };
        set_interval(shared, link, None);
        let reply = exchange(shared, link, &request).await;
        if link.paused.get() && !link.conversation.borrow().is_full() {
            link.paused.set(false);
            resume();
        }
        if let Some(reply) = reply {
            deliver(shared, link, reply).await;
        }
    }
    let seconds = link.conversation.borrow().timer_s();
    set_interval(shared, link, seconds.map(|s| clock::now().plus_ms(u64::from(s) * 1000)));
}

/// The session's timer is the keep-alive interval's until its client is closed; then it bounds
/// that.
fn set_interval(shared: &Shared, link: &Link, at: Option<Tick>) {
    if matches!(link.client.get(), Client::Open | Client::Closed) {
        shared.hub.with(|registry| registry.set_backend_timer(link.id, at));
    }
}

/// Makes a request, and again if it may be made again.
async fn exchange(shared: &Shared, link: &Link, request: &Request) -> Option<Reply> {
    let mut retries = Retries::default();
    let target = link.origin.target()?;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let error = match link.origin.post(shared, target, request, None).await {
            Ok(response) => return receive(shared, link, response).await,
            Err(error) => error,
        };
        let random_ms = fastrand::u64(0..=RANDOM_MS_MAX);
        let again = error.backend().and_then(|error| retries.next_ms(error, random_ms));
        link.origin.tell(shared, &error, attempt, Deed::of_retry(again.is_some()));
        let Some(delay_ms) = again else { return fail(link, &error) };
        shared.stats.events_retries.inc();
        clock::sleep_ms(delay_ms).await;
        if link.conversation.borrow().is_moot() {
            link.conversation.borrow_mut().abandon();
            return None;
        }
    }
}

async fn receive(
    shared: &Shared,
    link: &Link,
    response: http::Response<AnswerBody>,
) -> Option<Reply> {
    if !is_events(&response) {
        return fail(link, &format_args!("status {} or another content type", response.status()));
    }
    let (head, body) = response.into_parts();
    let body = match collect(body, limits::EVENTS_RESPONSE_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return fail(link, &error),
    };
    match link.origin.read(&head.headers, &body) {
        Ok(answer) => {
            for (name, value) in over_http::variables(&head.headers) {
                shared.hub.with(|registry| registry.set_meta(link.id, name, value.as_deref()));
            }
            Some(link.conversation.borrow_mut().answered(answer))
        }
        Err(error) => fail(link, &error),
    }
}

fn fail(link: &Link, why: &dyn std::fmt::Display) -> Option<Reply> {
    let uri = rules::uri(&link.origin.context());
    if !link.conversation.borrow_mut().failed() {
        tracing::debug!("{uri}: {why}");
        return None;
    }
    tracing::warn!("{uri}: client dropped: {why}");
    Some(Reply { deliver: Vec::new(), then: Then::Drop })
}

/// Gives the client what an answer holds for it.
async fn deliver(shared: &Shared, link: &Link, reply: Reply) {
    for event in reply.deliver {
        if !matches!(link.client.get(), Client::Open | Client::Detached | Client::Closed) {
            return;
        }
        let frame = match event {
            Event::Text(content) => message(shared, link, DataKind::Text, content).await,
            Event::Binary(content) => message(shared, link, DataKind::Binary, content).await,
            Event::Ping(content) => Some(control_frame(Opcode::Ping, &content)),
            Event::Pong(content) => Some(control_frame(Opcode::Pong, &content)),
            Event::Open | Event::Close(_) | Event::Disconnect => None,
        };
        if let Some(frame) = frame {
            send(shared, link, &frame).await;
        }
    }
    match reply.then {
        Then::Continue => {}
        // What the backend says after it was parted from means nothing.
        _ if link.client.get() == Client::Detached => {}
        Then::Close(close) => {
            let payload = relayed_close(&close);
            close_client(shared, link, &payload).await;
        }
        Then::Drop => drop_client(shared, link),
    }
}

/// A longer payload than a control frame's is cut.
fn control_frame(opcode: Opcode, content: &[u8]) -> Bytes {
    let end = content.len().min(frame::CONTROL_BYTES_MAX);
    server_frame(opcode, &content[..end])
}

/// A reason is text: what of it is not is left out.
fn relayed_close(close: &Close) -> Bytes {
    let Some((code, reason)) = close else { return close_payload(None, "") };
    let text = reason.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    close_payload(Some(*code), text)
}

/// A message through the rules of GRIP: the frame that the client gets, if any.
async fn message(shared: &Shared, link: &Link, kind: DataKind, content: Bytes) -> Option<Bytes> {
    match rules::judge(link.prefix.as_deref(), kind == DataKind::Text, &content) {
        Verdict::Relay(skip) => {
            let hop = Hop::of_client(link.origin.form(), &shared.settings.compression);
            Some(writer::whole(hop.deflation, kind, content.get(skip..)?))
        }
        Verdict::Drop => None,
        Verdict::Control(skip) => {
            let context = &link.origin.context();
            let subject = Subject {
                hub: &shared.hub,
                id: link.id,
                context,
                route: &link.origin.route,
                target: link.origin.target_index(),
                askers: &shared.askers,
            };
            match rules::carry_out(subject, content.get(skip..)?, clock::now()) {
                Consequence::None => {}
                Consequence::Settled { channel, .. } => {
                    link.conversation.borrow_mut().settled(&channel);
                }
                Consequence::Detach => detach(shared, link).await,
                Consequence::Close(reason) => {
                    link.conversation.borrow_mut().sever();
                    close_client(shared, link, &close_payload(Some(1011), &reason)).await;
                }
            }
            None
        }
    }
}

async fn detach(shared: &Shared, link: &Link) {
    link.conversation.borrow_mut().sever();
    match link.client.get() {
        Client::Open => {
            set_interval(shared, link, None);
            link.client.set(Client::Detached);
        }
        // Nobody else answers its CLOSE.
        Client::Closed => close_client(shared, link, &close_payload(None, "")).await,
        Client::Detached | Client::Awaited | Client::Ended => {}
    }
}

/// Waits until the client's queue takes `bytes` more. `false` when the client is gone.
async fn room(shared: &Shared, link: &Link, bytes: usize) -> bool {
    loop {
        if link.client.get() == Client::Ended || !shared.hub.with(|r| r.is_live(link.id)) {
            return false;
        }
        let backlog = shared.hub.backlog(link.id);
        let most = shared.settings.outbox_bytes_max.min(limits::OUTBOX_BYTES_MAX);
        if backlog == 0 || backlog + bytes < most {
            return true;
        }
        tokio::select! {
            () = link.changed.notified() => {}
            () = clock::sleep_ms(LOOK_MS) => {}
        }
    }
}

async fn send(shared: &Shared, link: &Link, frame: &Bytes) -> Delivery {
    if !room(shared, link, frame.len()).await {
        return Delivery::Gone;
    }
    if link.client.get() == Client::Awaited {
        // A published CLOSE came first.
        return Delivery::Gone;
    }
    shared.hub.send(link.id, frame, clock::now())
}

/// Sends CLOSE. If the client has sent its own, that is all; else its answer is awaited.
pub async fn close_client(shared: &Shared, link: &Link, payload: &[u8]) {
    if matches!(link.client.get(), Client::Awaited | Client::Ended) {
        return;
    }
    let frame = verdict(link).unwrap_or_else(|| server_frame(Opcode::Close, payload));
    send(shared, link, &frame).await;
    let (then, state) = match link.client.get() {
        Client::Open | Client::Detached => (fanout::Then::AwaitClose, Client::Awaited),
        Client::Closed => (fanout::Then::Close, Client::Ended),
        Client::Awaited | Client::Ended => return,
    };
    link.client.set(state);
    finish(shared, link.id, then);
}

/// The CLOSE for a client that broke the protocol.
fn verdict(link: &Link) -> Option<Bytes> {
    link.broken.get().map(|code| server_frame(Opcode::Close, &close_payload(Some(code), "")))
}

/// Ends the client's connection without CLOSE, when all that was sent to it before has gone out.
fn drop_client(shared: &Shared, link: &Link) {
    if link.client.get() == Client::Closed
        && let Some(frame) = verdict(link)
    {
        shared.hub.send(link.id, &frame, clock::now());
    }
    match link.client.replace(Client::Ended) {
        Client::Ended => {}
        Client::Awaited => shared.hub.close(link.id),
        Client::Open | Client::Detached | Client::Closed => {
            finish(shared, link.id, fanout::Then::Close);
        }
    }
}

/// The last that a client is sent: CLOSE, with 1000 if no code is given.
pub fn dismiss(shared: &Shared, id: SessionId, code: Option<u16>, then: fanout::Then) {
    let frame = server_frame(Opcode::Close, &close_payload(code, ""));
    shared.hub.send(id, &frame, clock::now());
    finish(shared, id, then);
}

/// No more is sent to a client; whatever is awaited from it, it has a bound.
pub fn finish(shared: &Shared, id: SessionId, then: fanout::Then) {
    shared.hub.finish(id, then);
    let bound = clock::now().plus_ms(limits::WEBSOCKET_CLOSE_MS);
    shared.hub.with(|registry| registry.set_backend_timer(id, Some(bound)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_and_pings_are_cut_to_what_a_frame_holds() {
        assert_eq!(&relayed_close(&None)[..], b"\x03\xe8");
        let close = Some((3001, Bytes::from_static(b"bye\xff!")));
        assert_eq!(&relayed_close(&close)[..], b"\x0b\xb9bye");
        let ping = control_frame(Opcode::Ping, &[b'p'; 200]);
        assert_eq!((ping.len(), ping[1]), (127, 125));
    }
}
