//! Every socket of the process, bound (or inherited) before anything starts; what is wrong is told
//! all at once.
//!
//! Called by the roof. Knows what is listened for, not who serves it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::listening::{Place, Proxied};
use crate::config::problem::Problem;
use crate::config::settings::Settings;
use crate::limits;
use crate::listen::inherited::{self, Inherited, Purpose};
use crate::listen::listener::Bound;
use crate::listen::local::SocketFile;
use crate::listen::network::Network;
use crate::listen::tcp;
use crate::shard::Opening;
use crate::tls::Edge;

/// Where clients come in.
struct Entrance {
    sockets: Sockets,
    at: At,
    tls: bool,
    proxied: bool,
}

enum Sockets {
    /// One for each shard.
    Each(Vec<std::net::TcpListener>),
    /// One for all.
    One(Bound),
}

/// The address of a listener, as the system has it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    Tcp(SocketAddr),
    Local(PathBuf),
}

impl Entrance {
    /// Whether connections to an address come in here: it may be one of all addresses.
    fn has(&self, address: SocketAddr) -> bool {
        let At::Tcp(own) = self.at else { return false };
        let all = own.ip().is_unspecified() || address.ip().is_unspecified();
        own.port() == address.port()
            && own.is_ipv4() == address.is_ipv4()
            && (all || own.ip() == address.ip())
    }
}

/// All sockets of the process.
pub struct Binding {
    /// For clients.
    pub entrances: Entrances,
    /// Where publishers connect, if anywhere.
    pub control: Option<std::net::TcpListener>,
    /// The files of Unix sockets.
    pub files: Vec<SocketFile>,
}

/// The sockets for clients.
pub struct Entrances(Vec<Entrance>);

/// Binds what the settings say; what cannot be bound is added to `problems`.
pub fn bind(settings: &Settings, problems: &mut Vec<Problem>) -> Binding {
    let (inherited, unusable) = inherited::take();
    problems.extend(unusable.iter().map(|why| Problem::of("LISTEN_FDS", why.to_string())));
    let listening = &settings.listening;
    let unused = match &listening.proxied {
        Proxied::Everywhere => Vec::new(),
        Proxied::At(places) => places.clone(),
    };
    let (entrances, files) = (Vec::new(), Vec::new());
    let mut binder = Binder { settings, problems, entrances, files, unused };
    let mut control = None;
    let mut plain_inherited = false;
    for Inherited { purpose, socket } in inherited {
        match (purpose, socket) {
            (Purpose::Control, Bound::Tcp(socket)) => {
                if control.replace(socket).is_some() {
                    let text = "more than one descriptor is named control";
                    binder.problems.push(Problem::of("LISTEN_FDS", text));
                }
            }
            (purpose, socket) => {
                plain_inherited |= purpose == Purpose::Plain;
                binder.inherited(socket, purpose == Purpose::Tls);
            }
        }
    }
    for address in &listening.http {
        // Who hands sockets over says with them where to listen.
        let default = limits::HTTP_PORT_DEFAULT.parse().ok() == Some(address.port())
            && address.ip().is_unspecified();
        if !(plain_inherited && default) {
            binder.tcp(*address, false);
        }
    }
    listening.https.iter().for_each(|address| binder.tcp(*address, true));
    binder.local();
    if control.is_none()
        && let Some(address) = settings.control
    {
        control = binder.listen(address, 1, "--control").and_then(|mut bound| bound.pop());
    }
    let Binder { entrances, files, unused, .. } = binder;
    if entrances.is_empty() && problems.is_empty() {
        problems.push(Problem::of("--http-port", "no server ports configured"));
    }
    for place in unused {
        let text = format!("{place} is not the address of a listener");
        problems.push(Problem::of("--proxy-protocol", text));
    }
    Binding { entrances: Entrances(entrances), control, files }
}

struct Binder<'a> {
    settings: &'a Settings,
    problems: &'a mut Vec<Problem>,
    entrances: Vec<Entrance>,
    files: Vec<SocketFile>,
    /// Where the PROXY protocol is expected, but nobody listens yet.
    unused: Vec<Place>,
}

impl Binder<'_> {
    fn listen(
        &mut self,
        address: SocketAddr,
        count: usize,
        flag: &str,
    ) -> Option<Vec<std::net::TcpListener>> {
        let bound = tcp::bind(address, count, self.settings.listening.backlog);
        let problem = |error: io::Error| {
            let own = match error.kind() {
                io::ErrorKind::AddrInUse => self.entrances.iter().find(|one| one.has(address)),
                _ => None,
            };
            let text = match own {
                Some(Entrance { at: At::Tcp(own), .. }) => {
                    format!("cannot listen on {address}: listening on {own} takes it")
                }
                _ => format!("cannot listen on {address}: {error}"),
            };
            self.problems.push(Problem::of(flag, text));
        };
        bound.map_err(problem).ok()
    }

    fn tcp(&mut self, address: SocketAddr, tls: bool) {
        let handed = self.entrances.iter_mut().find(|one| one.at == At::Tcp(address));
        if let Some(handed) = handed {
            // It was inherited.
            handed.tls |= tls;
            return;
        }
        let flag = if tls { "--https-ports" } else { "--http-port" };
        let Some(bound) = self.listen(address, self.settings.workers, flag) else { return };
        let own = bound.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(address);
        self.add(Sockets::Each(bound), At::Tcp(own), tls, Place::Tcp(address));
    }

    fn add(&mut self, sockets: Sockets, at: At, tls: bool, place: Place) {
        self.unused.retain(|unused| *unused != place);
        let proxied = self.settings.listening.proxied.is_at(&place);
        self.entrances.push(Entrance { sockets, at, tls, proxied });
    }

    fn local(&mut self) {
        let listening = &self.settings.listening;
        for local in &listening.local {
            match local.bind(listening.backlog) {
                Ok((socket, file)) => {
                    self.files.push(file);
                    let sockets = Sockets::One(Bound::Local(socket));
                    let path = &local.path;
                    self.add(sockets, At::Local(path.clone()), false, Place::Local(path.clone()));
                }
                Err(error) => {
                    let text = format!("cannot listen on {}: {error}", local.path.display());
                    self.problems.push(Problem::of("--local-ports", text));
                }
            }
        }
    }

    /// A socket that was handed over keeps its address, and its file if it has one.
    fn inherited(&mut self, socket: Bound, tls: bool) {
        let at = match &socket {
            Bound::Tcp(tcp) => tcp.local_addr().map(At::Tcp),
            Bound::Local(local) => local.local_addr().map(|address| {
                At::Local(address.as_pathname().unwrap_or(Path::new("(unnamed)")).to_owned())
            }),
        };
        match at {
            Ok(at) => {
                let place = match &at {
                    At::Tcp(address) => Place::Tcp(*address),
                    At::Local(path) => Place::Local(path.clone()),
                };
                self.add(Sockets::One(socket), at, tls, place);
            }
            Err(error) => self.problems.push(Problem::of("LISTEN_FDS", error.to_string())),
        }
    }
}

impl Entrances {
    /// Whether clients may come with TLS.
    pub fn has_tls(&self) -> bool {
        self.0.iter().any(|entrance| entrance.tls)
    }

    /// What people are told: what listens where.
    pub fn lines(&self) -> String {
        let line = |entrance: &Entrance| {
            let proxied = if entrance.proxied { " (PROXY protocol)" } else { "" };
            match &entrance.at {
                At::Tcp(own) if entrance.tls => format!("listening on https://{own}{proxied}\n"),
                At::Tcp(own) => format!("listening on http://{own}{proxied}\n"),
                At::Local(path) => format!("listening on unix:{}{proxied}\n", path.display()),
            }
        };
        self.0.iter().map(line).collect()
    }

    /// The same for the log, in Pushpin's words, as lines of what accepts clients.
    pub fn log(&self) {
        for entrance in &self.0 {
            match &entrance.at {
                At::Tcp(own) => tracing::info!(target: "linchpin::listen", "listening on {own}"),
                At::Local(path) => {
                    tracing::info!(target: "linchpin::listen", "listening on {}", path.display());
                }
            }
        }
    }

    /// A port where plain HTTP is served to anybody.
    pub fn plain_port(&self) -> Option<u16> {
        self.0.iter().find_map(|entrance| match entrance.at {
            At::Tcp(own) if !entrance.tls && !entrance.proxied => Some(own.port()),
            _ => None,
        })
    }

    /// For each of `count` shards, the entrances. A socket that there is only one of is given to
    /// one of them, each to another.
    pub fn openings(
        self,
        count: usize,
        edge: Option<&Edge>,
        proxies: &Arc<[Network]>,
    ) -> Vec<Vec<Opening>> {
        let mut shards: Vec<Vec<Opening>> = (0..count).map(|_| Vec::new()).collect();
        let mut owner = 0;
        for Entrance { sockets, at, tls, proxied } in self.0 {
            let shared = matches!(sockets, Sockets::One(_));
            let mut sockets: Vec<Option<Bound>> = match sockets {
                Sockets::Each(sockets) => sockets.into_iter().map(Bound::Tcp).map(Some).collect(),
                Sockets::One(socket) => {
                    let mut one: Vec<_> = (0..count).map(|_| None).collect();
                    if let Some(place) = one.get_mut(owner % count.max(1)) {
                        *place = Some(socket);
                    }
                    owner += 1;
                    one
                }
            };
            for (shard, listener) in shards.iter_mut().zip(sockets.drain(..)) {
                shard.push(Opening {
                    listener,
                    shared,
                    port: if let At::Tcp(own) = &at { own.port() } else { 0 },
                    tls: edge.filter(|_| tls).cloned(),
                    proxies: proxied.then(|| proxies.clone()),
                });
            }
        }
        shards
    }
}
