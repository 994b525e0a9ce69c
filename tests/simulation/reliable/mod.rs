//! Clients that follow ids, beside others that do not: publishers whose items are lost on their
//! way, come twice or out of order, a backend that answers late or fails, clients that do not read,
//! leave and come back. Whatever happens, what a client got from here and what its backend gave it
//! is the true history without a hole; where nobody follows ids, all get the same, and every item
//! is accounted for.

mod asking;
mod people;
mod pipes;
mod reached;
mod traffic;
mod wire;

use std::collections::{HashMap, HashSet};

use fastrand::Rng;
use linchpin::clock::Tick;
use linchpin::hub::interest::Interest;
use linchpin::hub::registry::{Registry, Settings};
use linchpin::hub::slab::SessionId;
use linchpin::session::http::{StreamFraming, StreamHold};

use crate::forms::DEFLATE_BYTES_MIN;

use asking::{Request, What};
use people::{Client, Kind, Seen};
use pipes::Pipes;
pub use reached::REACHED;
use wire::{Form, Mark, id, name};

/// Channels; the last has a publisher that makes mistakes, and nobody follows its ids.
const CHANNELS: usize = 3;
const WILD: u8 = 2;
pub const OPERATIONS: usize = 60;
const CLIENTS_MAX: usize = 6;

struct World {
    rng: Rng,
    now: Tick,
    /// Items are lost on their way, or come twice.
    lossy: bool,
    registry: Registry,
    pipes: Pipes,
    clients: Vec<Client>,
    owners: HashMap<SessionId, usize>,
    requests: Vec<Request>,
    /// How many items each channel has had, as the backend knows.
    history: [u32; CHANNELS],
    /// Items on their way here.
    flight: Vec<Mark>,
    /// Sessions whose end is to be told.
    told: HashSet<SessionId>,
    /// Streams that follow no ids, read at once and never leave: one for each channel, or none.
    observers: Vec<SessionId>,
    observed: [Vec<u32>; CHANNELS],
    /// Items that arrived here.
    arrived: u64,
    /// What clients that follow no ids saw while they were subscribed.
    over: Vec<(u8, Seen)>,
}

/// Plays one history.
pub fn run(seed: u64) {
    let mut world = World::new(seed);
    for step in 0..OPERATIONS {
        world.operate();
        if step % 32 == 0 {
            world.registry.verify();
        }
    }
    world.finale();
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::with_seed(seed);
        let pick = |rng: &mut Rng, from: &[usize]| from[rng.usize(0..from.len())];
        let mut settings = Settings {
            slice: rng.usize(1..6),
            seed: Some(seed),
            message_wait_ms: pick(&mut rng, &[500, 5000]) as u64,
            linger_ms: pick(&mut rng, &[0, 3000, 60_000]) as u64,
            update_on_first_subscription: rng.u8(0..4) == 0,
            deflate_bytes_min: DEFLATE_BYTES_MIN,
            ..Settings::default()
        };
        if rng.bool() {
            settings.ring_items_max = pick(&mut rng, &[0, 1, 3, 8]);
            settings.ring_bytes_max = pick(&mut rng, &[1500, 5000, 1_000_000]);
            settings.ring_age_ms = pick(&mut rng, &[2000, 10_000, 60_000]) as u64;
            settings.ring_total_bytes_max = pick(&mut rng, &[2000, 8000, 1_000_000]);
        }
        let mut pipes = Pipes::default();
        pipes.room = pick(&mut rng, &[100, 300, 3000]);
        let lossy = rng.bool();
        let mut world = World {
            now: Tick(0),
            lossy,
            registry: Registry::new(settings),
            pipes,
            clients: Vec::new(),
            owners: HashMap::new(),
            requests: Vec::new(),
            history: [0; CHANNELS],
            flight: Vec::new(),
            told: HashSet::new(),
            observers: Vec::new(),
            observed: Default::default(),
            arrived: 0,
            over: Vec::new(),
            rng,
        };
        if world.rng.u8(0..3) == 0 {
            world.observe();
        }
        world
    }

    fn observe(&mut self) {
        for channel in 0..CHANNELS as u8 {
            let framing = StreamFraming::Raw;
            let hold = StreamHold { framing, keep_alive: None, persistent: false, next: None };
            let id = self.registry.open_stream(hold, self.now);
            self.pipes.add(id, Form::Raw, false);
            self.registry.subscribe_to(id, &Interest::plain(name(channel), false));
            self.observers.push(id);
        }
    }

    fn operate(&mut self) {
        match self.rng.u8(0..40) {
            0..=4 => self.somebody_comes(),
            5..=9 => self.publish(),
            10..=15 => self.arrive(),
            16 if self.lossy => self.lose(),
            17 if self.lossy => self.arrive_again(),
            16 | 17 => self.arrive(),
            18 => self.wild(),
            19..=23 => self.deliver(),
            24 | 25 => self.deliver_all(),
            26..=31 => self.get_on(false),
            32 | 33 => self.somebody_reads(),
            34 => self.somebody_leaves(),
            35 => self.somebody_changes(),
            36 | 37 => self.time_moves(),
            38 => self.hang_up_the_gone(),
            _ => match self.rng.u8(0..4) {
                0 => self.registry.recover(),
                1 | 2 => self.hint(),
                _ => self.time_moves(),
            },
        }
        self.look_around();
    }

    /// What was sent and read reaches the clients, what ended is closed, what is asked is heard.
    fn look_around(&mut self) {
        loop {
            self.hand_over();
            self.take_effects();
            let over = self.pipes.over();
            for id in &over {
                if let Some(&client) = self.owners.get(id) {
                    self.hang_up(client);
                }
            }
            if over.is_empty() {
                return;
            }
        }
    }

    fn hand_over(&mut self) {
        for (id, marks) in std::mem::take(&mut self.pipes.taken) {
            if let Some(channel) = self.observers.iter().position(|&known| known == id) {
                let numbers = marks.iter().map(|&(known, number)| {
                    assert_eq!(usize::from(known), channel);
                    number
                });
                self.observed[channel].extend(numbers);
            } else {
                self.clients[self.owners[&id]].is_sent(&marks);
            }
        }
        for (id, marks) in std::mem::take(&mut self.pipes.read) {
            if let Some(&client) = self.owners.get(&id) {
                self.clients[client].reads(&marks);
            }
        }
    }

    fn somebody_comes(&mut self) {
        let away = |client: &Client| client.session.is_none() && !client.asking;
        let away = self.clients.iter().position(away);
        let at = match away {
            Some(at) if self.rng.bool() => at,
            _ if self.clients.len() < CLIENTS_MAX => {
                let kind = match self.rng.u8(0..6) {
                    0 | 1 => Kind::Poll,
                    2 => Kind::Stream { chunked: self.rng.bool(), linked: false },
                    3 => Kind::Stream { chunked: self.rng.bool(), linked: true },
                    _ => Kind::Socket,
                };
                let reliable = self.rng.u8(0..4) != 0;
                let count = if reliable { WILD } else { WILD + 1 };
                let mut channels: Vec<u8> = (0..count).filter(|_| self.rng.bool()).collect();
                if channels.is_empty() {
                    channels.push(0);
                }
                self.clients.push(Client::new(kind, reliable, channels));
                self.clients.len() - 1
            }
            _ => return,
        };
        self.clients[at].asking = true;
        self.ask(at, What::Come);
    }

    /// A client's connection ends, and both sides know.
    fn hang_up(&mut self, at: usize) {
        let Some(session) = self.clients[at].session.take() else { return };
        self.registry.close(session);
        self.pipes.remove(session);
        self.end_seen(at);
        self.take_effects();
        let client = &mut self.clients[at];
        assert!(!std::mem::take(&mut client.tells_end) || !self.told.contains(&session));
        client.missed.clear();
        self.owners.remove(&session);
        assert!(!self.registry.is_live(session));
    }

    fn somebody(&mut self) -> Option<usize> {
        let there = |at: &usize| self.clients[*at].session.is_some();
        let there: Vec<usize> = (0..self.clients.len()).filter(there).collect();
        (!there.is_empty()).then(|| there[self.rng.usize(0..there.len())])
    }

    fn somebody_reads(&mut self) {
        let bytes = if self.rng.bool() { usize::MAX } else { self.rng.usize(0..200) };
        let at = self.somebody();
        if let Some(id) = at.and_then(|at| self.clients[at].session)
            && self.pipes.read(id, bytes)
        {
            self.registry.drained(id);
        }
    }

    fn somebody_leaves(&mut self) {
        let Some(at) = self.somebody() else { return };
        match self.clients[at].session.and_then(|id| self.pipes.pipe(id)) {
            Some(pipe) if self.rng.bool() => pipe.gone = true,
            _ => self.hang_up(at),
        }
    }

    fn hang_up_the_gone(&mut self) {
        for at in 0..self.clients.len() {
            let session = self.clients[at].session;
            if session.and_then(|id| self.pipes.pipe(id)).is_some_and(|pipe| pipe.gone) {
                self.hang_up(at);
            }
        }
    }

    /// A WebSocket leaves a channel or comes back to it; others begin or stop to read.
    fn somebody_changes(&mut self) {
        let Some(at) = self.somebody() else { return };
        let client = &mut self.clients[at];
        let Some(session) = client.session else { return };
        if client.kind != Kind::Socket || !client.reliable {
            if let Some(pipe) = self.pipes.pipe(session) {
                pipe.slow = !pipe.slow || self.registry.is_socket(session);
            }
            return;
        }
        let channel = self.rng.u8(0..WILD);
        if let Some(nth) = client.channels.iter().position(|&known| known == channel) {
            if client.channels.len() > 1 {
                client.channels.remove(nth);
                client.missed.retain(|&known| known != channel);
                self.registry.unsubscribe(session, &name(channel));
                self.withdraw(What::Missed(session, channel));
            }
            return;
        }
        let Some(has) = client.sent[usize::from(channel)] else { return };
        client.channels.push(channel);
        client.channels.sort_unstable();
        let prev_id = Some(id((channel, has)).into());
        let interest =
            Interest { prefix_bytes: 2, prev_id, ..Interest::plain(name(channel), false) };
        self.registry.subscribe_to(session, &interest);
        self.registry.settle(session, self.now, &mut self.pipes);
    }

    fn begin_seen(&mut self, at: usize) {
        // What was released before is not for it.
        if !self.observers.is_empty() {
            self.deliver_all();
        }
        self.end_seen(at);
        let channels = self.clients[at].channels.clone();
        self.clients[at].seen = channels
            .into_iter()
            .map(|channel| {
                let from = self.observed[usize::from(channel)].len();
                (channel, Seen { from, numbers: Vec::new() })
            })
            .collect();
    }

    fn end_seen(&mut self, at: usize) {
        self.over.append(&mut self.clients[at].seen);
    }
}
