//! HTTP filters: a backend is asked whether an item is to be delivered to a connection, and what of
//! it (specification, GRIP 6.4).
//!
//! The hub says that an item waits ([`begin`]); the answer goes back to it. Whoever subscribes a
//! session with such a filter says before on whose behalf it asks ([`HttpFilters::remember`]).

mod asking;
mod pace;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hashbrown::HashMap;
use url::Url;

use super::answer::Answer;
use super::context::Context;
use super::errand::{self, Home};
use super::shared::Shared;
use crate::clock;
use crate::grip::filter::Filters;
use crate::hub::Hub;
use crate::hub::asking::FilterAnswer;
use crate::hub::slab::SessionId;
use crate::limits;
use asking::NetworkFilterError;
use pace::{Pace, Turn};

/// On whose behalf filters are asked.
#[derive(Clone)]
struct Asker {
    home: Home,
    /// What `url` is seen from.
    base: Url,
}

/// Who asks HTTP filters, and who waits for its turn; one a shard.
pub struct HttpFilters {
    askers: RefCell<HashMap<SessionId, Asker, ahash::RandomState>>,
    /// How many there may be before those that have ended are looked for.
    sweep_at: Cell<usize>,
    pace: RefCell<Pace<(SessionId, Url)>>,
    /// Somebody gives out the turns.
    driven: Cell<bool>,
}

impl HttpFilters {
    /// A shard whose filters may be asked so often.
    #[must_use]
    pub fn new(requests_per_second: u32) -> HttpFilters {
        HttpFilters {
            askers: RefCell::default(),
            sweep_at: Cell::new(0),
            pace: RefCell::new(Pace::new(requests_per_second, limits::HTTP_FILTER_WAITING_MAX)),
            driven: Cell::new(false),
        }
    }

    /// A session is about to be subscribed with `filters`: if they ask, it is on behalf of this
    /// request. `base` is what a relative URL is seen from, if it is not the request's own.
    pub fn remember(
        &self,
        hub: &Hub,
        id: SessionId,
        filters: &Filters,
        (context, home, base): (&Context, &Home, Option<&Url>),
    ) {
        if !filters.iter().any(|filter| filter.asks_network()) {
            return;
        }
        let base = match base {
            Some(base) => base.clone(),
            None => match errand::url(context) {
                Ok(base) => base,
                Err(error) => {
                    tracing::warn!(%error, "no filter can be asked for this connection");
                    return;
                }
            },
        };
        let mut askers = self.askers.borrow_mut();
        if askers.len() >= self.sweep_at.get() {
            askers.retain(|id, _| hub.with(|registry| registry.is_live(*id)));
            // The next sweep is paid for by at least as many new ones as it will look at.
            self.sweep_at.set((askers.len() * 2).max(16));
        }
        askers.insert(id, Asker { home: home.clone(), base });
    }

    /// How many sessions are known that ask.
    #[must_use]
    pub fn len(&self) -> usize {
        self.askers.borrow().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An item for this session waits for a filter's answer.
pub fn begin(shared: &Rc<Shared>, id: SessionId) {
    let filters = &shared.filters;
    let Some(request) = shared.hub.with(|registry| registry.filter_request(id)) else { return };
    let asker = filters.askers.borrow().get(&id).cloned();
    let url = match &asker {
        Some(asker) => asking::url(&asker.base, &request),
        None => Err(NetworkFilterError::InvalidUrl),
    };
    let url = match url {
        Ok(url) => url,
        Err(error) => return fail(shared, id, error),
    };
    let key = url.to_string();
    let pushed = filters.pace.borrow_mut().push(&key, (id, url));
    if pushed.is_err() {
        shared.stats.filter_requests_refused.inc();
        return fail(shared, id, NetworkFilterError::Overloaded);
    }
    if !filters.driven.replace(true) {
        tokio::task::spawn_local(drive(Rc::clone(shared)));
    }
}

/// Gives out turns until nobody waits.
async fn drive(shared: Rc<Shared>) {
    let is_live = |(id, _): &(SessionId, Url)| shared.hub.with(|registry| registry.is_live(*id));
    loop {
        let turn = shared.filters.pace.borrow_mut().next(clock::now(), is_live);
        match turn {
            Turn::Of((id, url)) => {
                tokio::task::spawn_local(ask(Rc::clone(&shared), id, url));
            }
            Turn::At(at) => clock::sleep_until(at).await,
            Turn::None => {
                shared.filters.driven.set(false);
                return;
            }
        }
    }
}

async fn ask(shared: Rc<Shared>, id: SessionId, url: Url) {
    let Some(request) = shared.hub.with(|registry| registry.filter_request(id)) else { return };
    let asker = shared.filters.askers.borrow().get(&id).cloned();
    let Some(asker) = asker else { return };
    shared.stats.filter_requests.inc();
    match asking::ask(&shared, &asker.home, &url, &request).await {
        Ok(answer) => answered(&shared, id, answer),
        Err(error) => fail(&shared, id, error),
    }
}

fn answered(shared: &Shared, id: SessionId, answer: FilterAnswer) {
    shared.hub.with_outlet(|registry, outlet| {
        registry.filter_answer(id, answer, clock::now(), outlet);
    });
}

/// The item is discarded; in debug the client is told why.
fn fail(shared: &Shared, id: SessionId, error: NetworkFilterError) {
    shared.stats.filter_failures.inc();
    let asker = shared.filters.askers.borrow().get(&id).cloned();
    let debug = asker.map_or(shared.settings.debug, |asker| asker.home.debug(shared));
    let message = format!("filter error: {error}");
    tracing::warn!("an item is not delivered: {message}");
    answered(shared, id, FilterAnswer::Failed(debug.then_some(message)));
}
