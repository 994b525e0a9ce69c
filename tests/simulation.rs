//! Deterministic simulations of the hub: operations drawn from a seed, a virtual clock, clients
//! that take bytes in parts, refuse or are gone.
//!
//! One compares, after each operation, the registry with a plain model, byte by byte. The other
//! (`simulation/reliable`) has clients that follow ids, publishers that lose items and backends
//! that are late: 100,000 seeds of 60 operations each, all processors together. A seed that fails
//! is printed; `SEED=n cargo test --test simulation nothing_is_lost` replays it.

#[path = "simulation/forms.rs"]
mod forms;
#[path = "simulation/model.rs"]
mod model;
#[path = "simulation/outlet.rs"]
mod outlet;
#[path = "simulation/reliable/mod.rs"]
mod reliable;
#[path = "simulation/sends.rs"]
mod sends;

use std::collections::HashSet;
use std::rc::Rc;

use bytes::Bytes;
use fastrand::Rng;
use linchpin::clock::Tick;
use linchpin::grip::channel::ChannelName;
use linchpin::grip::control::SocketKeepAlive;
use linchpin::grip::instruction::{Field, KeepAlive, KeepAliveMode, Response};
use linchpin::grip::message::{Message, MessageKind};
use linchpin::hub::registry::{Receivers, Registry, Settings, Subscribed};
use linchpin::hub::slab::SessionId;
use linchpin::session::http::{ResponseHold, StreamFraming, StreamHold};
use linchpin::wire::http1::Version;

use forms::{DEFLATE_BYTES_MIN, FORMS};
use model::{Expected, HELD, KEEP_ALIVE, Kind, Session, Window, frame};
use outlet::Clients;
use sends::check;

const SEEDS: u64 = 2000;
const OPERATIONS: usize = 150;
const RELIABLE_SEEDS: u64 = 100_000;
const CHANNELS: u8 = 5;
const SUBSCRIPTIONS_MAX: usize = 3;

#[test]
fn the_registry_does_what_the_model_does() {
    play("the_registry", SEEDS, |seed| Simulation::new(seed).run());
}

#[test]
fn nothing_is_lost_where_ids_are_followed() {
    play("nothing_is_lost", RELIABLE_SEEDS, reliable::run);
    if std::env::var("SEED").is_err() {
        let operations = reliable::OPERATIONS;
        reliable::REACHED.report(&format!("{RELIABLE_SEEDS} seeds of {operations} operations"));
    }
}

/// Plays the histories of so many seeds, on all processors; or of the one that `SEED` names.
fn play(test: &'static str, seeds: u64, run: fn(u64)) {
    if let Ok(seed) = std::env::var("SEED") {
        return run(seed.parse().expect("SEED is a number"));
    }
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let play = move |first: u64| {
        for seed in (first..seeds).step_by(threads as usize) {
            if std::panic::catch_unwind(|| run(seed)).is_err() {
                panic!("seed {seed} failed: SEED={seed} cargo test --test simulation {test}");
            }
        }
    };
    let threads: Vec<_> = (0..threads).map(|n| std::thread::spawn(move || play(n))).collect();
    let failed = threads.into_iter().map(|thread| thread.join()).filter(Result::is_err).count();
    assert_eq!(failed, 0, "the seeds that failed are printed above");
}

struct Simulation {
    rng: Rng,
    slice: usize,
    now: Tick,
    registry: Registry,
    clients: Clients,
    sessions: Vec<Session>,
    ever: HashSet<SessionId>,
    dead: Vec<SessionId>,
    items: usize,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let mut rng = Rng::with_seed(seed);
        let slice = rng.usize(1..7);
        let settings = Settings {
            subscriptions_max: SUBSCRIPTIONS_MAX,
            slice,
            seed: Some(seed),
            linger_ms: 0,
            ring_items_max: 0,
            update_on_first_subscription: false,
            deflate_bytes_min: DEFLATE_BYTES_MIN,
            ..Settings::default()
        };
        Simulation {
            rng,
            slice,
            now: Tick(0),
            registry: Registry::new(settings),
            clients: Clients::default(),
            sessions: Vec::new(),
            ever: HashSet::new(),
            dead: Vec::new(),
            items: 0,
        }
    }

    fn run(mut self) {
        for step in 0..OPERATIONS {
            match self.rng.u8(0..26) {
                0..=3 => self.open(),
                4..=6 => self.subscribe(),
                7 => self.unsubscribe(),
                8..=11 => self.publish(),
                12 | 13 => self.time_moves(),
                14 => self.close_one(),
                15..=17 => self.socket_control(),
                18 => self.client_changes(),
                19..=23 => self.deliver(),
                24 => {
                    while self.registry.is_delivering() {
                        self.deliver();
                    }
                }
                _ => self.poke_the_dead(),
            }
            self.compare();
            if step % 8 == 0 {
                self.registry.verify();
            }
        }
        if self.rng.bool() {
            self.drain();
        }
        while !self.sessions.is_empty() {
            self.close_one();
        }
        // Turns of lists that are gone come to nothing.
        while self.registry.is_delivering() {
            self.deliver();
        }
        self.registry.verify();
        assert!(self.registry.is_empty() && self.registry.next_deadline().is_none());
        assert_eq!(self.registry.load(), (0, 0));
        self.poke_the_dead();
    }

    fn compare(&mut self) {
        assert_eq!(self.registry.len(), self.sessions.len());
        assert_eq!(self.registry.poll_effect(), None, "an effect that nobody expected");
        let log = self.clients.take_log();
        assert!(log.sends.is_empty() && log.finishes.is_empty());
        for channel in 0..CHANNELS {
            let is_on = |s: &&Session| s.channels.iter().any(|&(c, _)| c == channel);
            let count = self.sessions.iter().filter(is_on).count();
            assert_eq!(self.registry.subscribers(&name(channel)), count);
        }
    }

    fn any(&mut self) -> Option<usize> {
        (!self.sessions.is_empty()).then(|| self.rng.usize(0..self.sessions.len()))
    }

    fn open(&mut self) {
        let persistent = self.rng.bool();
        let timeout_s = self.rng.u32(1..80);
        let mode = if self.rng.bool() { KeepAliveMode::Idle } else { KeepAliveMode::Interval };
        let due = self.now.plus_ms(u64::from(timeout_s) * 1000);
        let kind = match self.rng.u8(0..5) {
            0 => Kind::Response { persistent, due },
            1 => Kind::Chunked { persistent },
            2 => Kind::Raw,
            3 => Kind::Silent,
            _ => Kind::Socket(FORMS[self.rng.usize(..FORMS.len())]),
        };
        let mut keep_alive = None;
        let mut stream = |framing, keep: bool| {
            let data = Bytes::from_static(KEEP_ALIVE.as_bytes());
            if keep && framing != StreamFraming::Silent {
                keep_alive = Some(Window::new(mode, timeout_s, self.now));
            }
            let keep_alive = keep.then_some(KeepAlive { data, mode, timeout_s });
            StreamHold { framing, keep_alive, persistent, next: None }
        };
        let keep = self.rng.bool();
        let id = match kind {
            Kind::Response { .. } => {
                let hold = response_hold(persistent, timeout_s);
                self.registry.open_response(hold, self.now)
            }
            Kind::Socket(form) => self.registry.open_socket(form, self.now),
            Kind::Chunked { .. } => {
                self.registry.open_stream(stream(StreamFraming::Chunked, keep), self.now)
            }
            Kind::Raw => self.registry.open_stream(stream(StreamFraming::Raw, keep), self.now),
            Kind::Silent => {
                self.registry.open_stream(stream(StreamFraming::Silent, keep), self.now)
            }
        };
        assert!(self.ever.insert(id), "{id:?} was given before");
        self.clients.client(id).slow = self.rng.u8(0..4) == 0;
        self.sessions.push(Session {
            id,
            kind,
            channels: Vec::new(),
            muted: false,
            keep_alive,
            delayed: None,
            backend: None,
            due: Vec::new(),
        });
    }

    fn subscribe(&mut self) {
        let Some(at) = self.any() else { return };
        let (channel, implicit) = (self.rng.u8(0..CHANNELS), self.rng.u8(0..5) == 0);
        let session = &mut self.sessions[at];
        let explicit = session.channels.iter().filter(|&&(_, implicit)| !implicit).count();
        let known = session.channels.iter_mut().find(|(known, _)| *known == channel);
        let expected = if session.muted {
            Subscribed::Gone
        } else if let Some((_, known_implicit)) = known {
            *known_implicit |= implicit;
            Subscribed::Replaced
        } else if !implicit && explicit >= SUBSCRIPTIONS_MAX {
            Subscribed::TooMany
        } else {
            session.channels.push((channel, implicit));
            Subscribed::Added
        };
        assert_eq!(self.registry.subscribe(session.id, &name(channel), implicit), expected);
    }

    fn unsubscribe(&mut self) {
        let Some(at) = self.any() else { return };
        let channel = self.rng.u8(0..CHANNELS);
        let session = &mut self.sessions[at];
        session.leave(channel);
        self.registry.unsubscribe(session.id, &name(channel));
    }

    fn socket_control(&mut self) {
        let Some(at) = self.any() else { return };
        let (now, registry) = (self.now, &mut self.registry);
        let session = &mut self.sessions[at];
        let id = session.id;
        let takes = session.is_socket() && !session.muted;
        let seconds = self.rng.u32(1..60);
        let message = |text: &str| Message {
            kind: MessageKind::Text,
            content: Bytes::copy_from_slice(text.as_bytes()),
        };
        let mut expected = None;
        match self.rng.u8(0..8) {
            0 | 1 => {
                let mode =
                    if self.rng.bool() { KeepAliveMode::Idle } else { KeepAliveMode::Interval };
                let on = self.rng.u8(0..4) != 0;
                let message = message(KEEP_ALIVE);
                let setting = on.then_some(SocketKeepAlive { message, mode, timeout_s: seconds });
                registry.set_keep_alive(id, setting, now);
                if takes {
                    session.keep_alive = on.then(|| Window::new(mode, seconds, now));
                }
            }
            2 | 3 => {
                self.items += 1;
                let text = format!("d{};", self.items);
                registry.send_delayed(id, message(&text), seconds, now, &mut self.clients);
                if takes {
                    expected = session.delayed.take();
                    let due = now.plus_ms(u64::from(seconds) * 1000);
                    session.delayed = Some((frame(0x81, text.as_bytes()), due));
                }
            }
            4 => {
                registry.flush_delayed(id, now, &mut self.clients);
                expected = session.delayed.take();
            }
            5 => {
                let at = self.rng.bool().then(|| now.plus_ms(self.rng.u64(0..60_000)));
                registry.set_backend_timer(id, at);
                if session.is_socket() {
                    session.backend = at;
                }
            }
            6 => {
                registry.touched(id, now);
                session.touched(now);
            }
            _ => {
                if self.rng.u8(0..4) == 0 {
                    registry.mute(id);
                    session.mute();
                }
            }
        }
        if expected.is_some() {
            session.touched(now);
        }
        let log = self.clients.take_log();
        let expected = expected.map(|(bytes, _)| Expected { bytes, then: None, effect: None });
        check(session, expected, &log, &mut Receivers::default(), &mut Vec::new());
    }

    fn client_changes(&mut self) {
        let Some(at) = self.any() else { return };
        let id = self.sessions[at].id;
        match self.rng.u8(0..4) {
            0 => self.clients.client(id).gone = true,
            1 => self.clients.client(id).slow = true,
            _ => self.clients.read(id, self.rng.usize(0..400)),
        }
    }

    fn close_one(&mut self) {
        let Some(at) = self.any() else { return };
        let id = self.sessions.swap_remove(at).id;
        self.registry.close(id);
        self.clients.close(id);
        self.dead.push(id);
    }

    fn poke_the_dead(&mut self) {
        for &id in &self.dead {
            assert!(!self.registry.is_live(id));
        }
        let Some(&id) = self.dead.last() else { return };
        assert_eq!(self.registry.subscribe(id, &name(0), false), Subscribed::Gone);
        self.registry.unsubscribe(id, &name(0));
        self.registry.set_backend_timer(id, Some(self.now));
        self.registry.touched(id, self.now);
        self.registry.flush_delayed(id, self.now, &mut self.clients);
        self.registry.mute(id);
        self.registry.close(id);
    }
}

fn name(channel: u8) -> ChannelName {
    ChannelName::new(&format!("channel-{channel}"))
}

fn response_hold(persistent: bool, timeout_s: u32) -> ResponseHold {
    let field = Field { name: Bytes::from_static(b"A"), value: Bytes::from_static(b"b") };
    let held = Response {
        code: 200,
        reason: Bytes::from_static(b"OK"),
        headers: vec![field],
        body: Bytes::from_static(HELD.as_bytes()),
    };
    let version = Version::Http11;
    ResponseHold { held: Rc::new(held.into()), version, persistent, head_only: false, timeout_s }
}
