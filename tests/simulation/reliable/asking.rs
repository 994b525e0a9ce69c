//! The backend of the reliable simulation: it knows the true history; its answers come late, from
//! an older state, or not at all. And what a proxy does with them.

use std::rc::Rc;

use bytes::Bytes;
use linchpin::grip::instruction::Response;
use linchpin::hub::fanout::{Delivery, Effect, Outlet, Then};
use linchpin::hub::interest::Interest;
use linchpin::hub::slab::SessionId;
use linchpin::hub::updates::{Resumed, Standing};
use linchpin::session::http::{Next, ResponseHold, StreamFraming, StreamHold};
use linchpin::wire::http1::Version;

use crate::forms::FORMS;

use super::people::Kind;
use super::wire::{Mark, encoded, id, name, number};
use super::{CHANNELS, World};

/// A request is repeated so often when it conflicts with what is known.
const AGAIN_MAX: u8 = 2;

/// On whose behalf the backend is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A client comes (back).
    Come,
    /// The registry wants to know more about a session.
    Update(SessionId),
    /// A WebSocket has missed something of a channel.
    Missed(SessionId, u8),
}

/// A request to the backend.
pub struct Request {
    client: usize,
    what: What,
    begun: bool,
    again: u8,
    /// What its client had when it was made: the answer is about what comes after.
    has: [Option<u32>; CHANNELS],
    /// What the backend knew when it made its answer; `None` until then.
    view: Option<[u32; CHANNELS]>,
}

impl World {
    /// Takes up what the registry asks for.
    pub fn take_effects(&mut self) {
        while let Some(effect) = self.registry.poll_effect() {
            match effect {
                Effect::Update { id, .. } => {
                    // It may have ended meanwhile.
                    if let Some(&client) = self.owners.get(&id) {
                        self.ask(client, What::Update(id));
                    }
                }
                Effect::Missed { id, channel, prev_id } => {
                    let Some(&client) = self.owners.get(&id) else { continue };
                    let channel: u8 = channel.parse().expect("a channel without its prefix");
                    let person = &mut self.clients[client];
                    let sent = person.sent[usize::from(channel)];
                    assert_eq!(Some(number(channel, &prev_id)), sent, "what it has");
                    assert!(!person.missed.contains(&channel), "told twice");
                    person.missed.push(channel);
                    self.ask(client, What::Missed(id, channel));
                }
                Effect::Ended(id) => {
                    assert!(self.told.remove(&id), "its end was told twice, or to nobody");
                }
                other => panic!("{other:?} was not expected"),
            }
        }
    }

    pub fn ask(&mut self, client: usize, what: What) {
        let has = match what {
            What::Come => self.clients[client].got,
            _ => self.clients[client].sent,
        };
        self.requests.push(Request { client, what, begun: false, again: 0, has, view: None });
    }

    /// Nobody waits for this any more.
    pub fn withdraw(&mut self, what: What) {
        self.requests.retain(|request| request.what != what);
    }

    /// One request gets on: it is made, its answer is made, its answer arrives.
    pub fn get_on(&mut self, exact: bool) {
        if self.requests.is_empty() {
            return;
        }
        let at = self.rng.usize(0..self.requests.len());
        let mut request = self.requests.swap_remove(at);
        if !request.begun {
            if !self.begins(&mut request) {
                return;
            }
            if self.rng.bool() {
                return self.requests.push(request);
            }
        }
        let Some(view) = request.view else {
            let mut view = self.history;
            for view in &mut view {
                let lag = if exact || self.rng.bool() { 0 } else { self.rng.u32(0..3) };
                *view = view.saturating_sub(lag);
            }
            request.view = Some(view);
            return self.requests.push(request);
        };
        let failed = !exact && self.rng.u8(0..6) == 0;
        match request.what {
            What::Come if failed => self.clients[request.client].asking = false,
            What::Come => self.come(request, view),
            What::Update(id) => self.update(request, id, view, failed),
            What::Missed(id, channel) => self.make_good(&request, id, channel, view, failed),
        }
    }

    fn begins(&mut self, request: &mut Request) -> bool {
        request.begun = true;
        let What::Update(id) = request.what else { return true };
        let Some(begun) = self.registry.begin_update(id) else { return false };
        let client = &self.clients[request.client];
        let mut lasts: Vec<Mark> = Vec::new();
        for (channel, last) in &begun.lasts {
            let channel = channel.parse().expect("a channel without its prefix");
            lasts.push((channel, number(channel, last)));
        }
        lasts.sort_unstable();
        let known = client.channels.iter().filter_map(|&channel| {
            Some((channel, client.sent[usize::from(channel)].filter(|_| client.reliable)?))
        });
        assert_eq!(lasts, known.collect::<Vec<_>>(), "what the backend is told");
        request.has = client.sent;
        if client.kind == Kind::Poll {
            // It is subscribed to nothing while it is asked about.
            self.end_seen(request.client);
        }
        true
    }

    /// What a client lacks that has these.
    fn lacks(&self, client: usize, has: &[Option<u32>], view: &[u32; CHANNELS]) -> Vec<Mark> {
        let channels = self.clients[client].channels.iter();
        let lacks = channels.flat_map(|&channel| {
            let to = view[usize::from(channel)];
            let from = has[usize::from(channel)].unwrap_or(to);
            (from + 1..=to).map(move |number| (channel, number))
        });
        lacks.collect()
    }

    fn interests(&self, client: usize, view: &[u32; CHANNELS]) -> Vec<Interest> {
        let client = &self.clients[client];
        let interest = |&channel: &u8| {
            let has = client.sent[usize::from(channel)];
            let prev =
                has.map_or(view[usize::from(channel)], |has| has.max(view[usize::from(channel)]));
            let prev_id = client.reliable.then(|| id((channel, prev)).into());
            Interest { prefix_bytes: 2, prev_id, ..Interest::plain(name(channel), false) }
        };
        client.channels.iter().map(interest).collect()
    }

    fn forget_conflicts(&mut self, interests: &[Interest]) -> bool {
        let mut any = false;
        for interest in interests {
            let Some(prev_id) = &interest.prev_id else { continue };
            if self.registry.standing(&interest.channel, prev_id) == Standing::Conflict {
                self.registry.forget_last_id(&interest.channel);
                any = true;
            }
        }
        any
    }

    /// The backend answers a client that comes: with what it lacks, and a hold.
    fn come(&mut self, mut request: Request, view: [u32; CHANNELS]) {
        let at = request.client;
        let client = &self.clients[at];
        let (kind, reliable) = (client.kind, client.reliable);
        let got = request.has;
        let lacks = if reliable { self.lacks(at, &got, &view) } else { Vec::new() };
        if kind == Kind::Poll && !lacks.is_empty() {
            self.clients[at].asking = false;
            return self.clients[at].reads(&lacks);
        }
        self.clients[at].sent = [None; CHANNELS];
        if reliable {
            for &channel in &self.clients[at].channels.clone() {
                let channel = usize::from(channel);
                let has = got[channel].unwrap_or(view[channel]);
                self.clients[at].sent[channel] = Some(has);
                self.clients[at].got[channel] = Some(has);
            }
        }
        let interests = self.interests(at, &view);
        let conflict = kind != Kind::Socket && self.forget_conflicts(&interests);
        if conflict && kind == Kind::Poll && request.again < AGAIN_MAX {
            (request.again, request.view) = (request.again + 1, None);
            return self.requests.push(request);
        }
        let session = self.open(kind);
        let client = &mut self.clients[at];
        (client.asking, client.session) = (false, Some(session));
        if self.rng.bool() {
            self.registry.tell_end(session);
            self.told.insert(session);
            self.clients[at].tells_end = true;
        }
        self.owners.insert(session, at);
        let slow = self.rng.u8(0..3) == 0;
        self.pipes.add(session, kind.form(), slow);
        self.send(session, &encoded(kind.form(), &lacks));
        self.subscribe(at, session, &interests);
        if conflict {
            self.registry.request_update(session, false);
        }
    }

    fn open(&mut self, kind: Kind) -> SessionId {
        match kind {
            Kind::Poll => self.registry.open_response(response_hold(self.rng.u32(5..80)), self.now),
            Kind::Socket => {
                let form = FORMS[self.rng.usize(..FORMS.len())];
                self.registry.open_socket(form, self.now)
            }
            Kind::Stream { chunked, linked } => {
                let framing = if chunked { StreamFraming::Chunked } else { StreamFraming::Raw };
                let next = linked.then(|| self.next());
                let hold = StreamHold { framing, keep_alive: None, persistent: chunked, next };
                self.registry.open_stream(hold, self.now)
            }
        }
    }

    fn next(&mut self) -> Next {
        let group = if self.rng.bool() { "/a" } else { "/b" };
        Next { timeout_ms: self.rng.u64(0..100) * 1000, group: group.into() }
    }

    /// Subscribes a session to all that its client wants.
    fn subscribe(&mut self, client: usize, session: SessionId, interests: &[Interest]) {
        if !self.clients[client].reliable {
            self.begin_seen(client);
        }
        for interest in interests {
            self.registry.subscribe_to(session, interest);
        }
        self.registry.settle(session, self.now, &mut self.pipes);
    }

    /// What the proxy itself sends. Nothing, if it is nothing.
    fn send(&mut self, id: SessionId, bytes: &Bytes) -> bool {
        let empty = bytes.is_empty() || bytes.ends_with(b"Content-Length: 0\r\n\r\n");
        let sent = empty || {
            let delivery = self.pipes.send(id, bytes);
            matches!(delivery, Delivery::Written | Delivery::Queued)
        };
        if !sent {
            self.registry.mute(id);
        }
        self.hand_over();
        sent
    }

    fn finish(&mut self, id: SessionId, bytes: &'static [u8]) {
        if bytes.is_empty() || self.pipes.send(id, &Bytes::from_static(bytes)) != Delivery::Refused
        {
            self.registry.mute(id);
            self.pipes.finish(id, Then::Reuse);
        } else {
            self.registry.mute(id);
        }
    }

    /// Whether the session is still there, and can be sent something.
    fn is_there(&mut self, client: usize, id: SessionId) -> bool {
        let there = self.clients[client].session == Some(id) && self.registry.is_live(id);
        there && self.pipes.pipe(id).is_some_and(|pipe| !pipe.finished && !pipe.refused)
    }

    /// The backend was asked about a session.
    fn update(&mut self, mut request: Request, id: SessionId, view: [u32; CHANNELS], failed: bool) {
        let at = request.client;
        if !self.is_there(at, id) {
            return;
        }
        let kind = self.clients[at].kind;
        if failed {
            match kind {
                Kind::Poll => {
                    self.finish(id, b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 1\r\n\r\nx");
                }
                _ if self.rng.bool() => {
                    request.view = None;
                    self.requests.push(request);
                }
                _ => self.registry.end_stream(id, &mut self.pipes),
            }
            return;
        }
        let reliable = self.clients[at].reliable;
        let lacks = if reliable { self.lacks(at, &request.has, &view) } else { Vec::new() };
        if kind == Kind::Poll {
            if !lacks.is_empty() {
                if self.send(id, &encoded(kind.form(), &lacks)) {
                    self.finish(id, b"");
                }
                return;
            }
            let interests = self.interests(at, &view);
            let conflict = self.forget_conflicts(&interests);
            if conflict && request.again < AGAIN_MAX {
                (request.again, request.view) = (request.again + 1, None);
                return self.requests.push(request);
            }
            let hold = response_hold(self.rng.u32(5..80));
            assert!(self.registry.resume_response(id, hold, self.now));
            self.subscribe(at, id, &interests);
            if conflict {
                self.registry.request_update(id, false);
            }
            return;
        }
        if !self.send(id, &encoded(kind.form(), &lacks)) {
            return;
        }
        let interests = self.interests(at, &view);
        let names: Vec<_> = interests.iter().map(|interest| interest.channel.clone()).collect();
        self.registry.keep_only(id, &names);
        let next = kind.linked().then(|| self.next());
        let resumed = Resumed { keep_alive: None, next };
        assert!(self.registry.resume_stream(id, resumed, self.now));
        for interest in &interests {
            self.registry.subscribe_to(id, interest);
        }
        self.registry.settle(id, self.now, &mut self.pipes);
    }

    /// The backend of a WebSocket sends what its client has missed of a channel.
    fn make_good(
        &mut self,
        request: &Request,
        id: SessionId,
        channel: u8,
        view: [u32; CHANNELS],
        failed: bool,
    ) {
        let at = request.client;
        let waits = self.clients[at].missed.contains(&channel);
        if !self.is_there(at, id) || !waits {
            return;
        }
        if failed {
            return self.hang_up(at);
        }
        self.clients[at].missed.retain(|&known| known != channel);
        let mut lacks = self.lacks(at, &request.has, &view);
        lacks.retain(|&(known, _)| known == channel);
        if self.send(id, &encoded(Kind::Socket.form(), &lacks)) {
            let mut interests = self.interests(at, &view);
            interests.retain(|interest| interest.channel == name(channel));
            for interest in &interests {
                self.registry.subscribe_to(id, interest);
            }
            self.registry.settle(id, self.now, &mut self.pipes);
        }
    }
}

fn response_hold(timeout_s: u32) -> ResponseHold {
    let body = Bytes::from_static(b"late");
    let reason = Bytes::from_static(b"OK");
    let held = Response { code: 200, reason, headers: Vec::new(), body };
    let held = Rc::new(held.into());
    let version = Version::Http11;
    ResponseHold { held, version, persistent: true, head_only: false, timeout_s }
}
