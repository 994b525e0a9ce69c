//! What the proxy keeps of holds, to ask their backends again: of a long-poll its request, of a
//! stream where it goes on, of both whom to tell when they are gone.
//!
//! One a shard. Filled by `hold` and by those who ask (`follow`, `repeat`), read by `holds`. A hold
//! of which nothing is to be asked is not here, and what holds have alike is here once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use hashbrown::HashMap;
use http::Method;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use tokio::sync::Notify;
use url::Url;

use super::ferry::Ferries;
use crate::asking::errand::{self, ErrandError, Home};
use crate::forward::context::{Context, RouteRef};
use crate::forward::kept::{Alike, Kept};
use crate::forward::shared::Shared;
use crate::forward::shelf::Shelf;
use crate::grip::instruction;
use crate::hub::slab::SessionId;
use crate::session::cross_origin::CrossOrigin;
use crate::session::http::Next;
use crate::wire::names::Spelling;

/// A request, how the names of its fields were written (if not as usual), its body, and what its
/// answers need for a page of another origin.
type Request<'r> = (&'r Context, Option<Spelling>, &'r Bytes, Option<Rc<CrossOrigin>>);

/// A long-poll's request, to be made again.
#[derive(PartialEq, Eq, Hash)]
pub struct Repeat {
    /// Where it goes.
    pub home: Rc<Home>,
    /// Its body.
    pub body: Bytes,
    /// What its answers need for a page of another origin.
    pub page: Option<Rc<CrossOrigin>>,
    /// How the names of its header fields were written, if not as usual.
    pub spelling: Option<Spelling>,
    method: Method,
    kept: Kept,
    personal: bool,
}

impl Repeat {
    fn new(
        shared: &Shared,
        (context, spelling, body, page): Request<'_>,
        home: Rc<Home>,
        alike: &Alike,
    ) -> Repeat {
        let told = shared.settings.forwarding.for_rule(context.trusted).append;
        let personal = [COOKIE, AUTHORIZATION, PROXY_AUTHORIZATION];
        Repeat {
            home,
            page,
            spelling,
            // A copy: they may be a part of a much larger buffer.
            body: Bytes::copy_from_slice(body),
            method: context.method.clone(),
            // Where backends are not told of the peer, requests are alike without it.
            kept: Kept::new(
                &Context { peer: context.peer.filter(|_| told), ..context.clone() },
                alike,
            ),
            personal: personal.iter().any(|name| context.headers.contains_key(name)),
        }
    }

    /// The request as it was.
    #[must_use]
    pub fn context(&self) -> Context {
        Context { method: self.method.clone(), websocket: false, ..self.kept.context() }
    }

    /// Whether one answer may do for all whose requests are equal to this one.
    #[must_use]
    pub fn is_shareable(&self) -> bool {
        self.method == Method::GET && self.body.is_empty() && !self.personal
    }
}

/// Where a stream goes on.
#[derive(PartialEq, Eq, Hash)]
pub struct Link {
    /// The URL, absolute.
    pub url: Box<str>,
    /// The same without its query: streams of one group are asked for together.
    pub group: Rc<str>,
}

/// A stream's next link, and what the hub is told of it.
pub type NextLink = (Rc<Link>, Next);

/// What is kept of one hold.
#[derive(Clone)]
pub struct Entry {
    /// What its backend is asked.
    pub kind: Kind,
    /// Whom to tell of its end.
    pub gone: Option<Rc<str>>,
}

/// What the backend of a hold is asked.
#[derive(Clone)]
pub enum Kind {
    /// A long-poll's request once more.
    Poll(Rc<Repeat>),
    /// A stream's next link.
    Stream {
        /// On whose behalf.
        home: Rc<Home>,
        /// The link, if there is one.
        next: Option<Rc<Link>>,
    },
}

impl Entry {
    /// On whose behalf errands are run.
    #[must_use]
    pub fn home(&self) -> &Rc<Home> {
        match &self.kind {
            Kind::Poll(request) => &request.home,
            Kind::Stream { home, .. } => home,
        }
    }
}

/// See the module.
pub struct Held {
    /// The shard's company.
    pub shared: Rc<Shared>,
    /// The next links that are asked for.
    pub ferries: Rc<Ferries>,
    entries: RefCell<HashMap<SessionId, Entry, ahash::RandomState>>,
    alike: Alike,
    homes: Shelf<Home>,
    requests: Shelf<Repeat>,
    links: Shelf<Link>,
    pages: Shelf<CrossOrigin>,
    texts: Shelf<str>,
    /// How many holds have each gone link; kept only if their return is waited for.
    holders: RefCell<HashMap<Rc<str>, usize, ahash::RandomState>>,
    stopping: Cell<bool>,
    /// What is to be done when a request does not count any more among those made at once.
    slot_is_free: RefCell<Option<Rc<dyn Fn()>>>,
    /// Who waits until a client has read.
    waits: RefCell<HashMap<SessionId, Rc<Notify>, ahash::RandomState>>,
}

impl Held {
    /// Nothing yet.
    #[must_use]
    pub fn new(shared: Rc<Shared>) -> Held {
        Held {
            ferries: Ferries::new(Rc::clone(&shared)),
            shared,
            entries: RefCell::default(),
            alike: Alike::default(),
            homes: Shelf::default(),
            requests: Shelf::default(),
            links: Shelf::default(),
            pages: Shelf::default(),
            texts: Shelf::default(),
            holders: RefCell::default(),
            stopping: Cell::new(false),
            slot_is_free: RefCell::default(),
            waits: RefCell::default(),
        }
    }

    /// Where a request came from, shared.
    #[must_use]
    pub fn home(&self, context: &Context, route: &RouteRef, target: usize) -> Rc<Home> {
        self.homes.share(Home::new(context, route, target))
    }

    /// What the answers to a request need, shared: most pages of an origin need the same.
    #[must_use]
    pub fn page(&self, page: &CrossOrigin) -> Rc<CrossOrigin> {
        self.pages.share(page.clone())
    }

    /// The next link that an instruction names, seen from `base`; and what the hub is told of it.
    ///
    /// # Errors
    /// When it leads nowhere.
    pub fn next(&self, base: &Url, link: &instruction::Link) -> Result<NextLink, ErrandError> {
        let mut url = errand::resolve(base, &link.uri)?;
        let text = url.as_str().into();
        url.set_query(None);
        let group = self.texts.share(url.as_str());
        let timeout_ms = u64::from(link.timeout_s) * 1000;
        let next = Next { timeout_ms, group: Rc::clone(&group) };
        Ok((self.links.share(Link { url: text, group }), next))
    }

    /// The gone link that an instruction names, seen from `base`.
    ///
    /// # Errors
    /// When it leads nowhere.
    pub fn gone(&self, base: &Url, link: &instruction::Link) -> Result<Rc<str>, ErrandError> {
        Ok(self.texts.share(errand::resolve(base, &link.uri)?.as_str()))
    }

    /// A long-poll is held.
    pub fn keep_poll(
        &self,
        id: SessionId,
        request: Request<'_>,
        home: Rc<Home>,
        gone: Option<Rc<str>>,
    ) {
        let request = Repeat::new(&self.shared, request, home, &self.alike);
        let request = self.requests.share(request);
        self.keep(id, Entry { kind: Kind::Poll(request), gone });
    }

    /// A stream is held. Without links nothing is kept of it.
    pub fn keep_stream(
        &self,
        id: SessionId,
        home: Rc<Home>,
        next: Option<Rc<Link>>,
        gone: Option<Rc<str>>,
    ) {
        if next.is_some() || gone.is_some() {
            self.keep(id, Entry { kind: Kind::Stream { home, next }, gone });
        }
    }

    fn keep(&self, id: SessionId, entry: Entry) {
        self.hold_gone(entry.gone.as_ref());
        self.entries.borrow_mut().insert(id, entry);
        self.shared.hub.with(|registry| registry.tell_end(id));
    }

    /// What is kept of a hold from now on.
    pub fn change(&self, id: SessionId, kind: Kind, gone: Option<Rc<str>>) {
        let mut entries = self.entries.borrow_mut();
        let Some(entry) = entries.get_mut(&id) else { return };
        let before = entry.gone.take();
        *entry = Entry { kind, gone };
        self.hold_gone(entry.gone.as_ref());
        self.release_gone(before.as_ref());
    }

    /// What is kept of a hold.
    #[must_use]
    pub fn entry(&self, id: SessionId) -> Option<Entry> {
        self.entries.borrow().get(&id).cloned()
    }

    /// The hold has ended.
    pub fn remove(&self, id: SessionId) -> Option<Entry> {
        let entry = self.entries.borrow_mut().remove(&id)?;
        self.release_gone(entry.gone.as_ref());
        Some(entry)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn hold_gone(&self, gone: Option<&Rc<str>>) {
        let Some(gone) = gone.filter(|_| self.shared.settings.gone_delay_ms > 0) else { return };
        *self.holders.borrow_mut().entry(Rc::clone(gone)).or_default() += 1;
    }

    fn release_gone(&self, gone: Option<&Rc<str>>) {
        let mut holders = self.holders.borrow_mut();
        let Some(gone) = gone else { return };
        if let Some(count) = holders.get_mut(gone) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                holders.remove(gone);
            }
        }
    }

    /// Whether any hold has this gone link (known only if their return is waited for).
    #[must_use]
    pub fn is_held(&self, gone: &Rc<str>) -> bool {
        self.holders.borrow().contains_key(gone)
    }

    /// The shard stops: nothing is held any more.
    pub fn stop(&self) {
        self.stopping.set(true);
    }

    /// Whether the shard stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// From now on this is done when there is room for another request.
    pub fn when_slot_is_free(&self, act: Rc<dyn Fn()>) {
        *self.slot_is_free.borrow_mut() = Some(act);
    }

    /// There is room for another request.
    pub fn slot_is_free(&self) {
        let act = self.slot_is_free.borrow().clone();
        if let Some(act) = act {
            act();
        }
    }

    /// Has `notify` told when the client of one of these has read all that it was sent.
    pub fn wait_for(&self, ids: &[SessionId], notify: &Rc<Notify>) {
        let mut waits = self.waits.borrow_mut();
        waits.extend(ids.iter().map(|id| (*id, Rc::clone(notify))));
    }

    /// Not any more.
    pub fn wait_no_more(&self, ids: &[SessionId]) {
        let mut waits = self.waits.borrow_mut();
        for id in ids {
            waits.remove(id);
        }
    }

    /// The client has read all that it was sent, or is gone.
    pub fn changed(&self, id: SessionId) {
        if let Some(notify) = self.waits.borrow().get(&id) {
            notify.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
