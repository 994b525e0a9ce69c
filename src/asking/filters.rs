//! HTTP filters: a backend is asked whether an item is to be delivered to a connection, and what of
//! it (specification, GRIP 6.4).
//!
//! The roof hands over what the hub says ([`begin`]: an item waits); the answer goes back to the
//! hub. Whoever subscribes a session says before on whose behalf its filters ask ([`remember`]).

mod asking;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use url::Url;

use super::answer::Answer;
use super::errand;
use super::errand::Home;
use crate::clock;
use crate::forward::askers::{Asker, Askers, Turn};
use crate::forward::shared::Shared;
use crate::grip::filter::Filters;
use crate::hub::Hub;
use crate::hub::asking::{FilterAnswer, FilterRequest};
use crate::hub::slab::SessionId;
use crate::limits;
use asking::NetworkFilterError;

/// A session is about to be subscribed with `filters`: if one of them asks, then on behalf of a
/// request from `home`, and seen from `base`.
pub fn remember(
    (askers, hub): (&Askers, &Hub),
    id: SessionId,
    filters: &Filters,
    home: &Home,
    base: impl FnOnce() -> Option<Url>,
) {
    if filters.iter().any(|filter| filter.asks_network()) {
        let Home { route, target, secure, host } = home.clone();
        let asker = Asker { route, target, secure, host, base: base() };
        askers.remember(hub, id, asker);
    }
}

/// An item for this session waits for a filter's answer.
pub fn begin(shared: &Rc<Shared>, id: SessionId) {
    let Some(request) = shared.hub.with(|registry| registry.filter_request(id)) else { return };
    let url = match url(shared.askers.of(id).as_deref(), &request) {
        Ok(url) => url,
        Err(error) => return fail(shared, id, error),
    };
    if !shared.askers.wait(id, url) {
        shared.stats.filter_requests_refused.inc();
        return fail(shared, id, NetworkFilterError::Overloaded);
    }
    if shared.askers.take_the_lead() {
        tokio::task::spawn_local(drive(Rc::clone(shared)));
    }
}

/// Where the filter is asked.
fn url(asker: Option<&Asker>, request: &FilterRequest) -> Result<Url, NetworkFilterError> {
    asking::url(asker.and_then(|asker| asker.base.as_ref()), request)
}

/// Gives out turns until nobody waits.
async fn drive(shared: Rc<Shared>) {
    loop {
        match shared.askers.next(&shared.hub, clock::now()) {
            Turn::Of((id, url)) => {
                tokio::task::spawn_local(ask(Rc::clone(&shared), id, url));
            }
            Turn::At(at) => clock::sleep_until(at).await,
            Turn::None => return shared.askers.step_down(),
        }
    }
}

async fn ask(shared: Rc<Shared>, id: SessionId, url: Url) {
    let Some(request) = shared.hub.with(|registry| registry.filter_request(id)) else { return };
    let Some(asker) = shared.askers.of(id) else { return };
    shared.stats.filter_requests.inc();
    let home = home(&asker);
    match asking::ask(&shared, &home, &url, &request, limits::HTTP_FILTER_MS).await {
        Ok(answer) => answered(&shared, id, answer),
        Err(error) => fail(&shared, id, error),
    }
}

fn home(asker: &Asker) -> Home {
    let (route, host) = (asker.route.clone(), Rc::clone(&asker.host));
    Home { route, target: asker.target, secure: asker.secure, host }
}

fn answered(shared: &Shared, id: SessionId, answer: FilterAnswer) {
    shared.hub.with_outlet(|registry, outlet| {
        registry.filter_answer(id, answer, clock::now(), outlet);
    });
}

/// The item is discarded; in debug the client is told why. A WebSocket is closed for it, so that
/// only its own route says so (specification, WebSockets 8.4).
fn fail(shared: &Shared, id: SessionId, error: NetworkFilterError) {
    shared.stats.filter_failures.inc();
    let asker = shared.askers.of(id);
    let socket = shared.hub.with(|registry| registry.is_socket(id));
    let debug = match &asker {
        Some(asker) if socket => asker.route.options.debug,
        Some(asker) => home(asker).debug(shared),
        None => shared.settings.debug && !socket,
    };
    let message = format!("filter error: {error}");
    tracing::warn!("an item is not delivered: {message}");
    answered(shared, id, FilterAnswer::Failed(debug.then_some(message)));
}
