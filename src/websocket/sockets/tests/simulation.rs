//! Random histories of one WebSocket over HTTP: its client, its backend and a publisher do what
//! they like, at any moment; time is moved by hand and nothing touches the system. All of the
//! shard's side is real: `sockets`, `courier`, the conversation, the hub, the way to backends.
//!
//! Whatever happens: every message of the client reaches the backend once and in order, however
//! little of it the backend accepts at a time; there are never two requests at once; every message
//! of the backend reaches the client once and in order; nothing follows a CLOSE; the backend is
//! told of the end exactly once, and as 5.11 has it; what waits is bounded; nothing is left.
//!
//! A seed that fails is printed; `SEED=n cargo test --lib histories` replays it.

mod backend_side;
mod client;
mod client_side;
pub mod peer;

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fastrand::Rng;

use super::*;
use crate::backend::memory;
use crate::clock::Tick;
use crate::forward::tests::{Company, context, route};
use crate::grip::channel::ChannelName;
use crate::grip::message::Message;
use crate::hub::fanout::Outlet;
use client::Person;
use peer::{Ask, Peer};

const SEEDS: u64 = 2000;
const OPERATIONS: usize = 60;
/// Everybody who can go on has done so after so many turns of the runtime.
const TURNS: usize = 10;

/// What all histories reached together.
const REACHED: [&str; 12] = [
    "accepted in part",
    "accepted nothing",
    "put-off closes given up",
    "requests lost",
    "retries",
    "unreachable",
    "backend errors",
    "backend closes",
    "detaches",
    "published closes",
    "pauses",
    "stops",
];
static SUMS: [AtomicU64; REACHED.len()] = [const { AtomicU64::new(0) }; REACHED.len()];

#[test]
fn random_histories() {
    if let Ok(seed) = std::env::var("SEED") {
        return play(seed.parse().expect("SEED is a number"));
    }
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let some = move |first: u64| {
        for seed in (first..SEEDS).step_by(threads as usize) {
            if std::panic::catch_unwind(|| play(seed)).is_err() {
                panic!("seed {seed} failed: SEED={seed} cargo test --lib random_histories");
            }
        }
    };
    let threads: Vec<_> = (0..threads).map(|n| std::thread::spawn(move || some(n))).collect();
    let failed = threads.into_iter().map(|thread| thread.join()).filter(Result::is_err).count();
    assert_eq!(failed, 0, "the seeds that failed are printed above");
    let sums = SUMS.iter().map(|sum| sum.load(Ordering::Relaxed));
    let sums: Vec<_> = REACHED.into_iter().zip(sums).collect();
    println!("{SEEDS} seeds of {OPERATIONS} operations: {sums:?}");
    assert!(sums.iter().all(|(_, sum)| *sum > 0), "something is never reached");
}

fn play(seed: u64) {
    fastrand::seed(seed);
    clock::by_hand::take();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        History::open(seed).await.run().await;
    });
}

/// How the connection stands, as 5.11 counts it.
#[derive(Debug, Default)]
struct Stands {
    /// The client's CLOSE has arrived, while it meant something: its code and reason.
    client_closed: Option<Option<(u16, Bytes)>>,
    /// A published CLOSE or a detach has parted the client from the backend.
    severed: bool,
    /// A detach has.
    detached: bool,
    backend_closed: bool,
    /// The client's connection has ended.
    gone: bool,
    /// Nothing more may be said to the backend.
    over: bool,
    stopped: bool,
    subscribed: bool,
    interval: bool,
    /// So often in a row the backend took nothing of what came before a CLOSE.
    put_off: usize,
    /// The end was told as unclean for that.
    given_up: bool,
    /// The request that came last was lost: it may come again.
    lost: Option<Lost>,
    /// Since when the backend cannot be reached, for this request.
    down_since: Option<Tick>,
    was_down: bool,
    /// Not all that the backend said is known to reach the client.
    blurred: bool,
}

/// The body of a request.
struct Lost(Bytes);

impl std::fmt::Debug for Lost {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} bytes", self.0.len())
    }
}

struct History {
    rng: Rng,
    one_event: bool,
    /// The backend likes to leave what it is offered.
    reluctant: bool,
    company: Company,
    sockets: Rc<Sockets>,
    id: SessionId,
    peer: Peer,
    /// The request that waits for its answer.
    asked: Option<Ask>,
    person: Person,
    stands: Stands,
    /// What the client has said while its conversation was open.
    said: Vec<Message>,
    /// Numbers of messages that must be heard.
    from_backend: Vec<usize>,
    published: Vec<usize>,
    numbers: usize,
}

impl History {
    async fn open(seed: u64) -> History {
        let mut rng = Rng::with_seed(seed);
        let one_event = rng.u8(0..4) == 0;
        let reluctant = rng.u8(0..5) == 0;
        let loud = rng.u8(0..12) == 0;
        // Little may wait for a client, so that its backend waits often.
        let company = Company::with(|settings| settings.outbox_bytes_max = 40);
        let sockets = Sockets::new(Rc::clone(&company.shared));
        let mut peer = Peer::new();
        peer.up();
        let option = if one_event { ",one_event" } else { "" };
        let line = format!("* {}:1,over_http{option}", memory::HOST);
        let opening = open(&sockets, context("/ws", None), route(&line));
        let answer = async {
            loop {
                tokio::task::yield_now().await;
                if let Some(ask) = peer.next() {
                    return ask.answer(events("Sec-WebSocket-Extensions: grip\r\n", OPEN));
                }
            }
        };
        let (outcome, ()) = tokio::join!(opening, answer);
        let id = accepted(outcome).park();
        let mut history = History {
            rng,
            one_event,
            reluctant,
            company,
            sockets,
            id,
            peer,
            asked: None,
            person: Person::new(loud),
            stands: Stands::default(),
            said: Vec::new(),
            from_backend: Vec::new(),
            published: Vec::new(),
            numbers: 0,
        };
        history.settle().await;
        history
    }

    async fn run(mut self) {
        let replays = std::env::var("SEED").is_ok();
        for _ in 0..OPERATIONS {
            let operation = self.rng.u8(0..40);
            if replays {
                println!("{operation} at {:?}: {:?}", clock::now(), self.stands);
            }
            match operation {
                0..=7 => self.client_speaks(),
                8..=16 => self.client_is_read(),
                17..=26 => self.backend_answers(),
                27 if self.rng.u8(0..4) == 0 => self.backend_is_lost(),
                27 => self.backend_answers(),
                28..=31 => self.publish(),
                32 | 33 => self.time_passes(),
                34 => self.stall(),
                35 => self.read_all(),
                36 => self.client_closes(),
                37 => {
                    if self.rng.u8(0..6) == 0 {
                        self.client_leaves();
                    }
                }
                38 => self.backend_is_back(),
                _ => {
                    if self.rng.u8(0..12) == 0 {
                        self.stop();
                    }
                }
            }
            self.settle().await;
        }
        self.finish().await;
    }

    fn reach(&self, what: &str) {
        let at = REACHED.iter().position(|name| *name == what).expect("it is counted");
        SUMS[at].fetch_add(1, Ordering::Relaxed);
    }

    /// Lets everybody go on until nobody can; then looks whether all is as it must be.
    async fn settle(&mut self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
            self.effects();
            if let Some(ask) = self.peer.next() {
                self.receives(ask);
            }
        }
        self.shard_follows();
        self.check();
    }

    fn effects(&mut self) {
        while let Some(effect) = self.company.shared.hub.with(|registry| registry.poll_effect()) {
            if let Effect::SocketClosed(_) = effect {
                self.stands.severed |= !self.stands.stopped;
                // What the client was to be given next it is not given.
                self.stands.blurred |= self.stalled();
            }
            self.sockets.effect(&effect);
        }
    }

    /// What the shard does with a connection whose last byte is out.
    fn shard_follows(&mut self) {
        let mut clients = self.company.clients.borrow_mut();
        let (bytes, closed) = clients.take(self.id);
        self.person.hears(&bytes);
        let done = clients.client(self.id).finished == Some(Then::Close);
        let drained = clients.backlog(self.id) == 0;
        drop(clients);
        if !self.stands.gone && (closed || (done && drained)) {
            self.ends();
        }
    }

    /// The client's connection ends.
    fn ends(&mut self) {
        self.stands.gone = true;
        self.company.shared.hub.close(self.id);
        self.sockets.gone(self.id);
    }

    fn subscribers(&self) -> usize {
        self.company.shared.hub.with(|registry| registry.subscribers(&ChannelName::new("c")))
    }

    fn stalled(&self) -> bool {
        self.company.clients.borrow_mut().client(self.id).stalled
    }

    fn check(&mut self) {
        self.peer.compare(&self.said);
        let stands = &self.stands;
        let told_bytes: usize = self.peer.told.iter().map(|message| message.content.len()).sum();
        let said_bytes: usize = self.said.iter().map(|message| message.content.len()).sum();
        assert!(said_bytes - told_bytes < 2 * limits::EVENTS_QUEUE_BYTES_MAX, "too much waits");
        let in_order = |heard: &[usize], all: &[usize]| heard == &all[..heard.len().min(all.len())];
        assert!(in_order(&self.person.from_backend, &self.from_backend), "{stands:?}");
        assert!(in_order(&self.person.published, &self.published), "{stands:?}");
        if !stands.gone && !self.stalled() {
            assert_eq!(self.person.published, self.published, "{stands:?}");
            if !stands.blurred {
                assert_eq!(self.person.from_backend, self.from_backend, "{stands:?}");
            }
        }
        if stands.subscribed && self.is_open() && stands.lost.is_none() {
            assert_eq!(self.subscribers(), 1, "{stands:?}");
        }
        assert!(self.person.delayed.is_sorted_by(|a, b| a < b));
        if self.rng.u8(0..8) == 0 {
            self.company.shared.hub.with(|registry| registry.verify());
        }
    }

    /// Everybody leaves, and is given the time for it.
    async fn finish(mut self) {
        self.read_all();
        self.settle().await;
        let closes = self.rng.bool();
        if closes && !self.stands.gone && !self.person.closed {
            self.person.closes(&mut self.rng);
        }
        for round in 0..80 {
            self.client_is_read();
            self.settle().await;
            if !self.stands.gone && (round == 40 || !closes) {
                let waits = closes && self.stands.lost.is_none() && self.person.on_the_way() > 0;
                assert!(!waits, "what the client says is not read any more");
                self.client_leaves();
            }
            if self.asked.is_none() && self.sockets.is_empty() && self.sockets.absent.count() == 0 {
                break;
            }
            match self.asked.take() {
                Some(ask) if self.reluctant && round < 30 => self.answers(ask),
                Some(ask) => self.answer_plainly(ask),
                None => {
                    self.backend_is_back();
                    self.pass(1000);
                }
            }
        }
        // What the hub remembers of channels goes too.
        self.pass(200_000);
        self.settle().await;
        let retries = self.company.shared.stats.events_retries.get();
        (0..retries).for_each(|_| self.reach("retries"));
        let stands = &self.stands;
        assert!(self.sockets.is_empty() && self.asked.is_none(), "{stands:?}");
        self.company.shared.hub.with(|registry| {
            assert!(registry.is_empty() && registry.next_deadline().is_none());
        });
        assert_eq!(self.sockets.absent.count(), 0, "a farewell is never over");
        let ends = (self.peer.close.is_some(), self.peer.disconnects);
        // A request that was lost may be the end; a backend that failed hears nothing more.
        let failed = stands.over || stands.lost.is_some();
        if stands.stopped || failed && !stands.given_up && ends == (false, 0) {
            return;
        }
        let closes = stands.client_closed.is_some() || stands.severed;
        let expected = if closes && !stands.given_up { (true, 0) } else { (false, 1) };
        assert_eq!(ends, expected, "{stands:?}");
        if let (Some(told), false) = (&self.peer.close, stands.severed) {
            assert_eq!(Some(told), stands.client_closed.as_ref());
        }
        if closes && !stands.given_up && !stands.backend_closed {
            assert_eq!(self.peer.whole(), self.said.len(), "not all was told before CLOSE");
        }
    }
}

/// An answer with events.
pub fn events(headers: &str, body: &str) -> String {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/websocket-events\r\n";
    format!("{head}{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn text_event(content: &str) -> String {
    format!("TEXT {:x}\r\n{content}\r\n", content.len())
}
