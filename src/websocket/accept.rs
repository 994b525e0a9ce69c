//! Opens a WebSocket: the route's targets in order (specification, WebSockets 2.2, 5.4 and 8.5).
//!
//! Called by `exchange` with a handshake that has been checked. The caller writes the answer; an
//! accepted connection then is parked or becomes a task, as `Onward` says.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::compression;
use super::echo::{self, Echo};
use super::opening::{self, Opening};
use super::over_http::Origin;
use super::passthrough;
use super::sockets::Sockets;
use super::upgrade::{Attempt, Failed, Outcome, Rejection, Via, lease, rejected, switching};
use crate::asking::choice::{Choice, Seeker, Step};
use crate::asking::onward::Onward;
use crate::asking::rules;
use crate::backend::error::Stage;
use crate::clock;
use crate::forward::context::{Context, RouteRef};
use crate::route::target::{Address, Target};

/// Opens a WebSocket for a client. Dropping the future cancels what can be cancelled: a backend
/// that was asked over HTTP and accepts nevertheless is told that the client is gone.
///
/// It takes no longer than the operator lets it, all targets together.
pub async fn open(sockets: &Rc<Sockets>, mut context: Context, route: RouteRef) -> Outcome {
    let shared = Rc::clone(sockets.shared());
    let answer = compression::agree(&shared.settings.compression, &mut context);
    let outcome = open_in_time(sockets, context, route).await;
    compression::announce(&shared.stats, outcome, answer)
}

async fn open_in_time(sockets: &Rc<Sockets>, context: Context, route: RouteRef) -> Outcome {
    let shared = sockets.shared();
    let limit_ms = shared.settings.bounds.open_ms;
    let trying = Cell::new(None);
    if limit_ms == 0 {
        return ask_targets(sockets, context, route, &trying).await;
    }
    let targets = route.clone();
    tokio::select! {
        biased;
        outcome = ask_targets(sockets, context, route, &trying) => outcome,
        () = clock::sleep_ms(limit_ms) => {
            shared.stats.socket_openings_timed_out.inc();
            let failed = Failed::Other(format!("no decision within {limit_ms} ms"));
            match trying.get().and_then(|place: usize| targets.targets.get(place)) {
                Some(target) => via(Outcome::Failed(failed), shown(target)),
                None => Outcome::Failed(failed),
            }
        }
    }
}

/// `trying` is told which target is asked.
async fn ask_targets(
    sockets: &Rc<Sockets>,
    context: Context,
    route: RouteRef,
    trying: &Cell<Option<usize>>,
) -> Outcome {
    let connection_id = Uuid::new_v4();
    let shared = Rc::clone(sockets.shared());
    let seeker = Seeker { shared: &shared, context: &context, route: &route };
    let mut choice = Choice::default();
    while let Some(place) = choice.next(&seeker) {
        let target = &route.targets[place];
        trying.set(Some(place));
        let attempt = match target.address {
            Address::Test => {
                Attempt::Decided(open_test(sockets, &context, &route, place, connection_id))
            }
            _ if target.over_http => {
                let origin = Origin::new(context.clone(), route.clone(), place, connection_id);
                open_over_http(sockets, Rc::new(origin), choice.connect_ms(&seeker)).await
            }
            _ => {
                let means = (choice.load(place), choice.connect_ms(&seeker));
                passthrough::open(&shared, &context, &route, target, connection_id, means).await
            }
        };
        match attempt {
            Attempt::Broken(error, twice) => {
                let failed = match choice.failed(&seeker, place, &error, twice, true) {
                    Step::GoOn => continue,
                    Step::Exhausted => break,
                    Step::Stop if error.is_ours() => Failed::NoRoom,
                    Step::Stop if error.stage == Stage::Policy => Failed::Forbidden,
                    Step::Stop => Failed::Broken,
                };
                return via(Outcome::Failed(failed), shown(target));
            }
            Attempt::Decided(outcome) => return via(outcome, shown(target)),
        }
    }
    Outcome::Failed(Failed::Unreachable(choice.tried(&route)))
}

/// A target as the access line has it.
fn shown(target: &Target) -> String {
    let suffix = if target.over_http { "[http]" } else { "" };
    format!("{target}{suffix}")
}

fn via(mut outcome: Outcome, target: String) -> Outcome {
    match &mut outcome {
        Outcome::Accepted { response, .. } => drop(response.extensions_mut().insert(Via(target))),
        Outcome::Rejected(response) => drop(response.extensions_mut().insert(Via(target))),
        Outcome::Failed(failed) => {
            let why = std::mem::replace(failed, Failed::Forbidden);
            *failed = Failed::At(Via(target), Box::new(why));
        }
    }
    outcome
}

fn open_test(
    sockets: &Rc<Sockets>,
    context: &Context,
    route: &RouteRef,
    place: usize,
    connection_id: Uuid,
) -> Outcome {
    if let Some(refusal) = echo::refuse(context, route) {
        return rejected(refusal.map(Rejection::Whole));
    }
    let shared = sockets.shared();
    let lease = lease(shared, context, route, connection_id);
    sockets.add_echo(lease.id(), Echo::open(shared, context, route, lease.id()));
    if let Some(target) = route.targets.get(place) {
        rules::subscribe_implicitly(&shared.hub, (context, route), lease.id(), target);
    }
    let response = switching(context, http::Response::new(()), Vec::new());
    Outcome::Accepted { response, onward: Onward::Park(lease) }
}

async fn open_over_http(sockets: &Rc<Sockets>, origin: Rc<Origin>, connect_ms: u64) -> Attempt {
    let (mut answer, wait) = oneshot::channel();
    let sockets = Rc::clone(sockets);
    // A task of its own: what the backend has been asked is seen through when the client leaves.
    tokio::task::spawn_local(async move {
        let opening = opening::open(sockets.shared(), &origin, connect_ms, answer.closed()).await;
        if answer.is_closed() {
            if let Opening::Accepted(_) = opening
                && let Some(_farewell) = sockets.absent.admit(sockets.shared())
            {
                opening::withdraw(sockets.shared(), &origin).await;
            }
            return;
        }
        if let Err(Attempt::Decided(Outcome::Accepted { onward: Onward::Park(lease), .. })) =
            answer.send(decide(&sockets, &origin, opening))
        {
            sockets.gone(lease.id());
        }
    });
    wait.await.unwrap_or_else(|_| decided_other("the opening was cut short".into()))
}

fn decided_other(why: String) -> Attempt {
    Attempt::Decided(Outcome::Failed(Failed::Other(why)))
}

fn decide(sockets: &Rc<Sockets>, origin: &Rc<Origin>, opening: Opening) -> Attempt {
    let accepted = match opening {
        Opening::Accepted(accepted) => *accepted,
        Opening::Rejected(response) => {
            return Attempt::Decided(rejected(response.map(Rejection::Whole)));
        }
        Opening::Broken(error) => {
            // An OPEN that a backend was silent about until its time was up goes elsewhere.
            let twice = error.next_target();
            return Attempt::Broken(error, twice);
        }
        Opening::Failed(why) => return decided_other(why),
        Opening::Left => return decided_other("the client left".into()),
    };
    let shared = sockets.shared();
    let lease = lease(shared, &origin.context(), &origin.route, origin.connection_id());
    if let Some(target) = origin.target() {
        let whose = (&*origin.context(), &*origin.route);
        rules::subscribe_implicitly(&shared.hub, whose, lease.id(), target);
    }
    let mut accepted = accepted;
    let head = std::mem::replace(&mut accepted.response, http::Response::new(()));
    let relayed = std::mem::take(&mut accepted.negotiated.relayed);
    let mut response = switching(&origin.context(), head, relayed);
    // The backend's reason phrase belongs to its 200.
    response.extensions_mut().clear();
    sockets.add_over_http(lease.id(), origin, accepted);
    Attempt::Decided(Outcome::Accepted { response, onward: Onward::Park(lease) })
}
