//! Sessions that clients may resume: one set of keys and one store for all threads, since a client
//! that comes back may be accepted by another one.
//!
//! Tickets are encrypted with keys that only this process has, and that change every six hours; a
//! ticket is good for twelve. What says how clients were checked when a session began (its
//! *terms*) is written into it: a session is not resumed under others, so that nobody gets past a
//! check by an older ticket. Clients of TLS 1.2 that know no tickets have sessions by id, which are
//! kept here, the oldest forgotten first.

use std::fmt;
use std::sync::Arc;

use rustls::Error;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};

/// Sessions by id that are kept.
const SESSIONS_MAX: usize = 4096;

/// How clients are checked: a digest of all that it depends on.
pub type Terms = [u8; 20];

/// The keys and the store. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    tickets: Arc<dyn ProducesTickets>,
    stored: Arc<dyn StoresServerSessions>,
}

impl Sessions {
    /// New keys, and an empty store.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new() -> Result<Sessions, Error> {
        let tickets = rustls::crypto::ring::Ticketer::new()?;
        Ok(Sessions { tickets, stored: ServerSessionMemoryCache::new(SESSIONS_MAX) })
    }

    /// The tickets that are good under these terms.
    #[must_use]
    pub fn tickets(&self, terms: Terms) -> Arc<dyn ProducesTickets> {
        Arc::new(Under { terms, of: Arc::clone(&self.tickets) })
    }

    /// The stored sessions that are good under these terms.
    #[must_use]
    pub fn stored(&self, terms: Terms) -> Arc<dyn StoresServerSessions> {
        Arc::new(Under { terms, of: Arc::clone(&self.stored) })
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

#[derive(Debug)]
struct Under<T: ?Sized> {
    terms: Terms,
    of: Arc<T>,
}

impl<T: ?Sized> Under<T> {
    fn mark(&self, bytes: &[u8]) -> Vec<u8> {
        [&self.terms, bytes].concat()
    }
}

impl ProducesTickets for Under<dyn ProducesTickets> {
    fn enabled(&self) -> bool {
        self.of.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.of.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.of.encrypt(&self.mark(plain))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let plain = self.of.decrypt(cipher)?;
        plain.strip_prefix(&self.terms).map(<[u8]>::to_vec)
    }
}

impl StoresServerSessions for Under<dyn StoresServerSessions> {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.of.put(self.mark(&key), value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.of.get(&self.mark(key))
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.of.take(&self.mark(key))
    }

    fn can_cache(&self) -> bool {
        self.of.can_cache()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_good_under_their_own_terms_only() {
        let sessions = Sessions::new().unwrap();
        let [open, closed] = [[0; 20], [1; 20]];
        let ticket = sessions.tickets(open).encrypt(b"secret").unwrap();
        assert_eq!(
            sessions.clone().tickets(open).decrypt(&ticket).as_deref(),
            Some(&b"secret"[..])
        );
        assert_eq!(sessions.tickets(closed).decrypt(&ticket), None);
        assert_eq!(Sessions::new().unwrap().tickets(open).decrypt(&ticket), None, "other keys");
        assert!(sessions.stored(open).put(b"id".to_vec(), b"secret".to_vec()));
        assert_eq!(sessions.stored(closed).get(b"id"), None);
        assert_eq!(sessions.stored(open).get(b"id").as_deref(), Some(&b"secret"[..]));
        assert_eq!(sessions.stored(closed).take(b"id"), None);
        assert!(sessions.stored(open).take(b"id").is_some());
    }

    #[test]
    fn what_is_no_ticket_is_none() {
        let tickets = Sessions::new().unwrap().tickets([0; 20]);
        for cipher in [&b""[..], b"x", &[0; 100]] {
            assert_eq!(tickets.decrypt(cipher), None);
        }
        assert!(tickets.enabled() && tickets.lifetime() <= 12 * 3600);
    }
}
