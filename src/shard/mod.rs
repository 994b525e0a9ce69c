//! One thread: its listeners, connections, hub, lot and pools, and the loop that drives them.
//!
//! Nothing that a shard owns is shared. Work comes in from its listeners, from its parked sockets
//! and through its mailbox; the loop does what is ready, delivers a slice of what was published,
//! then does what follows from it (notices of the lot, effects of the hub), and sleeps until the
//! next deadline unless there is more to deliver.

pub mod accept;
pub mod capacity;
pub mod client;
pub mod connection;
mod encryption;
pub mod entrance;
pub mod idle;
mod lingering;
pub mod mailbox;
pub mod newcomer;
pub mod parked;
pub mod peers;
pub mod starting;
pub mod state;
pub mod thrift;

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::clock::{self, Tick};
use crate::limits;
use crate::listen::listener::{Bound, Listener};
use crate::listen::network::Network;
use crate::listen::socket::Socket;
use crate::parking::poll::Poll;
use crate::route::Table;
use crate::tls::{Edge, ServerTls};
use accept::{Door, Turns};
use entrance::Entrance;
use mailbox::{Command, Inbox};
use newcomer::Newcomer;
use peers::Peers;
use state::{Settings, Shard};

/// What one shard is given to begin with.
pub struct Start {
    /// Where clients come in: the same for every shard, in the same order.
    pub entrances: Vec<Opening>,
    /// Its mailbox.
    pub inbox: Inbox,
    /// The other shards.
    pub peers: Option<Peers>,
    /// The routes.
    pub table: Arc<Table>,
    /// The rest.
    pub settings: Settings,
}

/// Where clients come in, as one shard is to have it.
pub struct Opening {
    /// What it accepts from. Where there is one socket for all shards only one of them has it, and
    /// deals connections out.
    pub listener: Option<Bound>,
    /// Whether it is such a one.
    pub shared: bool,
    /// The port, by which certificates may be chosen; 0 for a Unix socket.
    pub port: u16,
    /// TLS is spoken, like this.
    pub tls: Option<Edge>,
    /// Each connection begins with a header of the PROXY protocol, and is from one of these
    /// networks.
    pub proxies: Option<Arc<[Network]>>,
}

/// Runs a shard to its end on the thread that this is called on.
///
/// # Errors
/// When the runtime or the readiness set cannot be made.
pub fn run(start: Start) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, serve(start))
}

/// Where clients come in, and the tasks that accept them.
type Doors = (Vec<Rc<Entrance>>, Vec<JoinHandle<()>>);

/// Opens the doors: the tasks that accept, and where their clients come in.
fn open(shard: &Rc<Shard>, openings: Vec<Opening>, peers: Option<&Peers>) -> io::Result<Doors> {
    let (mut entrances, mut accepting) = (Vec::new(), Vec::new());
    for (place, opening) in openings.into_iter().enumerate() {
        let Opening { listener, shared, port, tls, proxies } = opening;
        let tls = tls.map(|edge| ServerTls::new(&edge, port)).transpose();
        let tls = tls.map_err(io::Error::other)?;
        let entrance = Rc::new(Entrance::new(shard.clone(), tls, proxies));
        entrances.push(entrance.clone());
        let Some(bound) = listener else { continue };
        let turns = peers.filter(|_| shared);
        let turns =
            turns.map(|peers| Turns { peers: peers.clone(), entrance: place, next: peers.own() });
        let door = Door::new(shard.clone(), Listener::new(bound)?, entrance, turns);
        accepting.push(tokio::task::spawn_local(door.run()));
    }
    Ok((entrances, accepting))
}

fn welcome(entrances: &[Rc<Entrance>], newcomer: Newcomer) {
    let Newcomer { socket, peer, entrance, place } = newcomer;
    // All shards have the same entrances.
    let Some(entrance) = entrances.get(entrance) else { return };
    place.keep();
    entrance.receive(Socket::Detached(socket), peer);
}

async fn serve(start: Start) -> io::Result<()> {
    let Start { entrances, mut inbox, peers, table, settings } = start;
    let set = Rc::new(Poll::new()?);
    let bell = Rc::new(Notify::new());
    let shard = Shard::new(settings, table, peers.clone(), set.clone(), bell.clone());
    let shard = Rc::new(shard);
    let (entrances, mut accepting) = open(&shard, entrances, peers.as_ref())?;
    let starting = shard.starting.clone();
    accepting.push(tokio::task::spawn_local(async move { starting.watch().await }));
    accepting.push(tokio::task::spawn_local(thrift::run(shard.clone())));
    accepting.push(tokio::task::spawn_local(idle::run(shard.clone())));
    let mut ready = Vec::new();
    let mut scratch = vec![0; parked::READ_BYTES_MAX];
    let mut deadline: Option<Tick> = None;
    let mut end: Option<Tick> = None;
    let mut hearing = true;
    let mut had_room = true;
    loop {
        let next = deadline.into_iter().chain(end).min();
        let mut first = None;
        if shard.hub.is_delivering() {
            // Between two slices everybody else has a turn: connections, timers, sockets.
            tokio::task::yield_now().await;
            set.take(&mut ready)?;
        } else {
            tokio::select! {
                command = inbox.recv(), if hearing => match command {
                    Some(command) => first = Some(command),
                    // The control thread is gone: the process is ending.
                    None => {
                        hearing = false;
                        first = Some(Command::Drain);
                    }
                },
                waited = set.wait(&mut ready) => waited?,
                () = bell.notified() => {}
                () = clock::sleep_until(next.unwrap_or_default()), if next.is_some() => {}
            }
        }
        for _ in 0..limits::COMMANDS_AT_ONCE_MAX {
            let room = hearing && shard.hub.has_room();
            let Some(command) = first.take().or_else(|| room.then(|| inbox.try_recv())?) else {
                break;
            };
            match command {
                Command::Drain if end.is_none() => {
                    end = Some(shard.begin_stopping(&mut accepting));
                }
                Command::Drain => {}
                Command::Welcome(newcomer) if end.is_none() => welcome(&entrances, *newcomer),
                Command::Edge(edge) => entrances.iter().for_each(|entrance| entrance.renew(&edge)),
                command => shard.obey(command),
            }
        }
        let has_room = shard.hub.has_room();
        if had_room && !has_room {
            shard.stats.publishers_held_back.inc();
        }
        had_room = has_room;
        for (id, readiness) in ready.drain(..) {
            parked::ready(&shard, id, readiness, &mut scratch);
        }
        let now = clock::now();
        shard.deliver(now);
        deadline = shard.hub.tick(now);
        parked::settle(&shard, &mut scratch);
        shard.vacate();
        if end.is_some_and(|end| now >= end || shard.is_empty()) {
            return Ok(());
        }
    }
}
