//! The addresses of names: the system's resolver, asked for a name once at a time.
//!
//! Called by `connect`. A lookup occupies a thread for as long as the resolver takes, so there are
//! few at once; who asks for a name that is being looked up waits for that. What was found is used
//! for a moment (the resolver does not say for how long it is valid), what was not found is not
//! remembered.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use hashbrown::HashMap;
use tokio::sync::Notify;

use super::detours::Detours;
use super::error::{Error, Kind, Stage};
use super::gate::Gate;
use crate::clock::{self, Tick};
use crate::limits;

/// Most addresses of one name that are tried (specification, routing 3.9).
const ADDRESSES_MAX: usize = 16;

/// What a lookup came to; the port is to be set.
type Found = Result<Rc<[SocketAddr]>, String>;

enum Name {
    Asked(Rc<Lookup>),
    Known { since: Tick, addresses: Rc<[SocketAddr]> },
}

/// A lookup under way, for all who wait for it.
#[derive(Default)]
struct Lookup {
    found: RefCell<Option<Found>>,
    done: Notify,
}

/// One shard's.
pub struct Resolver {
    names: RefCell<HashMap<String, Name, ahash::RandomState>>,
    gate: Rc<Gate>,
    known_ms: u64,
    lookups: Cell<u64>,
    detours: Detours,
}

impl Resolver {
    /// A resolver that uses what it has found for so long, in milliseconds.
    #[must_use]
    pub fn new(known_ms: u64) -> Rc<Resolver> {
        let gate = Gate::new(limits::LOOKUPS_AT_ONCE, limits::LOOKUPS_WAITING_MAX);
        let (names, lookups) = (RefCell::default(), Cell::new(0));
        Rc::new(Resolver { names, gate, known_ms, lookups, detours: Detours::default() })
    }

    /// The addresses of `host`; a literal address (IPv6 with or without brackets) is taken as it
    /// is.
    ///
    /// # Errors
    /// When there is none.
    pub async fn resolve(
        self: &Rc<Resolver>,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, Error> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let found = match self.begin(bare) {
            Ok(addresses) => Ok(addresses),
            Err(lookup) => lookup.wait().await,
        };
        let not_found = |why| Error::new(Stage::Resolve, Kind::NotFound, format!("{bare}: {why}"));
        let addresses = found.map_err(not_found)?;
        let with_port = addresses.iter().map(|address| {
            let mut address = *address;
            address.set_port(port);
            address
        });
        Ok(with_port.collect())
    }

    /// Which of the addresses that were found led nowhere.
    #[must_use]
    pub fn detours(&self) -> &Detours {
        &self.detours
    }

    /// For tests: a name has these addresses, whatever the system says.
    #[cfg(test)]
    pub fn set(&self, name: &str, addresses: &[SocketAddr]) {
        let known = Name::Known { since: clock::now(), addresses: addresses.into() };
        self.names.borrow_mut().insert(name.to_owned(), known);
    }

    /// What is known of a name, or the lookup to wait for.
    fn begin(self: &Rc<Resolver>, name: &str) -> Result<Rc<[SocketAddr]>, Rc<Lookup>> {
        let now = clock::now();
        let mut names = self.names.borrow_mut();
        match names.get(name) {
            Some(Name::Asked(lookup)) => return Err(Rc::clone(lookup)),
            Some(Name::Known { since, addresses }) if now.ms_since(*since) < self.known_ms => {
                return Ok(Rc::clone(addresses));
            }
            _ => {}
        }
        if names.len() >= limits::NAMES_KNOWN_MAX {
            names.retain(|_, name| matches!(name, Name::Asked(_)));
        }
        let lookup = Rc::new(Lookup::default());
        names.insert(name.to_owned(), Name::Asked(Rc::clone(&lookup)));
        // A task of its own: whoever asked first may leave, the others still wait.
        let (resolver, name, under_way) = (Rc::clone(self), name.to_owned(), Rc::clone(&lookup));
        tokio::task::spawn_local(async move {
            let found = resolver.ask(&name).await;
            resolver.end(name, &under_way, found);
        });
        Err(lookup)
    }

    async fn ask(&self, name: &str) -> Found {
        let _permit = self
            .gate
            .wait(limits::BACKEND_CONNECT_MS)
            .await
            .map_err(|_| "too many names are being looked up".to_owned())?;
        self.lookups.set(self.lookups.get().wrapping_add(1));
        let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| error.to_string())?;
        let addresses: Rc<[SocketAddr]> = found.take(ADDRESSES_MAX).collect();
        if addresses.is_empty() { Err("no address".to_owned()) } else { Ok(addresses) }
    }

    fn end(&self, name: String, lookup: &Lookup, found: Found) {
        let mut names = self.names.borrow_mut();
        match &found {
            Ok(addresses) if self.known_ms > 0 => {
                let (since, addresses) = (clock::now(), Rc::clone(addresses));
                names.insert(name, Name::Known { since, addresses });
            }
            _ => drop(names.remove(&name)),
        }
        *lookup.found.borrow_mut() = Some(found);
        lookup.done.notify_waiters();
    }
}

impl Lookup {
    async fn wait(&self) -> Found {
        loop {
            let done = self.done.notified();
            if let Some(found) = &*self.found.borrow() {
                return found.clone();
            }
            done.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn literal_addresses_are_not_looked_up() {
        shard(async {
            let resolver = Resolver::new(1000);
            for (host, address) in
                [("127.0.0.1", "127.0.0.1:5"), ("::1", "[::1]:5"), ("[::1]", "[::1]:5")]
            {
                let found = resolver.resolve(host, 5).await.unwrap();
                assert_eq!(found, [address.parse().unwrap()]);
            }
            assert_eq!(resolver.lookups.get(), 0);
        });
    }

    #[test]
    fn equal_lookups_are_one_and_what_was_found_is_used_again() {
        shard(async {
            let resolver = Resolver::new(60_000);
            let asking: Vec<_> = (1..100)
                .map(|port| {
                    let resolver = Rc::clone(&resolver);
                    tokio::task::spawn_local(async move {
                        let found = resolver.resolve("localhost", port).await.unwrap();
                        assert!(found.iter().all(|address| address.port() == port));
                    })
                })
                .collect();
            for one in asking {
                one.await.unwrap();
            }
            resolver.resolve("localhost", 1).await.unwrap();
            assert_eq!(resolver.lookups.get(), 1);
        });
    }

    #[test]
    fn what_was_not_found_is_asked_again() {
        shard(async {
            let resolver = Resolver::new(60_000);
            for lookups in 1..3 {
                let error = resolver.resolve("none.invalid", 1).await.unwrap_err();
                assert_eq!((error.stage, error.kind), (Stage::Resolve, Kind::NotFound));
                assert_eq!(resolver.lookups.get(), lookups);
            }
            assert!(resolver.names.borrow().is_empty());
        });
    }

    #[test]
    fn who_asked_first_may_leave() {
        shard(async {
            let resolver = Resolver::new(0);
            let first = resolver.begin("localhost").unwrap_err();
            let second = resolver.begin("localhost").unwrap_err();
            drop(first);
            assert!(second.wait().await.is_ok());
            assert!(resolver.names.borrow().is_empty(), "nothing is kept for 0 ms");
        });
    }
}
