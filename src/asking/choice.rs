//! Which of a route's targets a request goes to, and which one after a failure (specification,
//! routing 2.8; balancing and health are ours).
//!
//! Used by `inquiry` for HTTP and by `accept` for WebSockets, once for each request: [`Choice`].
//! It says where, and tells the log what was done about a failure; it sends nothing itself.

use std::rc::Rc;

use smallvec::SmallVec;

use super::checks;
use crate::backend::error::{Error, Remedy};
use crate::backend::gate::Load;
use crate::backend::health::Standing;
use crate::backend::journal::{Deed, Request};
use crate::clock::{self, Tick};
use crate::forward::context::Context;
use crate::forward::outgoing;
use crate::forward::shared::Shared;
use crate::forward::turns::Balanced;
use crate::route::Route;
use crate::route::balance::Balance;
use crate::route::target::{Address, Target};

/// A request that looks for a target.
#[derive(Clone, Copy)]
pub struct Seeker<'a> {
    /// The shard's company.
    pub shared: &'a Shared,
    /// The request.
    pub context: &'a Context,
    /// Its route.
    pub route: &'a Route,
}

/// What is done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// [`Choice::next`] says where the request is made again.
    GoOn,
    /// No target is left.
    Exhausted,
    /// It would do harm, or would be of no use.
    Stop,
}

/// The targets that one request has tried.
#[derive(Default)]
pub struct Choice {
    balanced: Option<Rc<Balanced>>,
    /// Where the search began, at a route that balances.
    start: usize,
    tried: SmallVec<[usize; 4]>,
    /// Until when there may be connections made.
    deadline: Option<Tick>,
    attempts: usize,
    /// The same target is asked again, over a new connection.
    afresh: Option<usize>,
    /// It was made once more although a backend may have seen it.
    repeated: bool,
}

impl Choice {
    /// The target to ask; `None` when none is left.
    pub fn next(&mut self, seeker: &Seeker<'_>) -> Option<usize> {
        self.attempts = self.attempts.saturating_add(1);
        if self.afresh.is_some() {
            return self.afresh;
        }
        let targets = &seeker.route.targets;
        let balance = seeker.route.options.balance;
        if balance != Balance::First && self.attempts == 1 && targets.len() > 1 {
            let balanced = seeker.shared.turns.of(seeker.route);
            self.start = balanced.turn();
            self.balanced = Some(balanced);
        }
        let quiet = seeker.shared.backend.health().is_quiet();
        if quiet && self.balanced.is_none() {
            return (0..targets.len()).find(|index| !self.tried.contains(index));
        }
        let now = clock::now();
        let untried = (0..targets.len()).filter(|index| !self.tried.contains(index));
        untried.min_by_key(|index| {
            let ill = !quiet && seeker.is_ill(&targets[*index], now);
            let load = match (&self.balanced, balance) {
                (Some(balanced), Balance::Least) => balanced.load(*index),
                _ => 0,
            };
            let distance = (*index + targets.len() - self.start) % targets.len();
            (ill, load, distance)
        })
    }

    /// Whether a pooled connection will do for this attempt.
    #[must_use]
    pub fn may_reuse(&self) -> bool {
        self.afresh.is_none()
    }

    /// What the target that was chosen has to bear, where that is counted.
    #[must_use]
    pub fn load(&self, index: usize) -> Option<Load> {
        self.balanced.as_ref()?.bear(index)
    }

    /// How long the chosen target may take to be connected to, in milliseconds: its share of the
    /// time that is left for all of them.
    pub fn connect_ms(&mut self, seeker: &Seeker<'_>) -> u64 {
        let now = clock::now();
        let all_ms = seeker.shared.backend.settings().connect_ms;
        let deadline = *self.deadline.get_or_insert(now.plus_ms(all_ms));
        let untried = seeker.route.targets.len().saturating_sub(self.tried.len()).max(1);
        // Whatever the others have used up, each is tried.
        (deadline.ms_since(now) / untried as u64).max(all_ms / 16).max(1)
    }

    /// The target at `index` has failed; what is done. `twice`: the request may be made twice;
    /// `whole`: its body can be had once more.
    pub fn failed(
        &mut self,
        seeker: &Seeker<'_>,
        index: usize,
        error: &Error,
        twice: bool,
        whole: bool,
    ) -> Step {
        let step = self.judge(seeker, index, error, twice && whole);
        let stats = &seeker.shared.stats;
        let deed = match (step, self.afresh) {
            (Step::GoOn, Some(_)) => {
                stats.backend_repeats.inc();
                Deed::Retried
            }
            (Step::GoOn, None) => {
                stats.backend_next_targets.inc();
                Deed::NextTarget
            }
            _ => Deed::Answered(if error.is_ours() { 503 } else { 502 }),
        };
        let target = &seeker.route.targets[index];
        let request = Request {
            target,
            route: seeker.route,
            method: &seeker.context.method,
            path: &seeker.context.path,
            attempt: self.attempts,
        };
        seeker.shared.backend.journal().tell(&request, error, deed);
        step
    }

    fn judge(&mut self, seeker: &Seeker<'_>, index: usize, error: &Error, twice: bool) -> Step {
        self.afresh = None;
        let count = seeker.route.targets.len();
        let tries_max = seeker.shared.backend.settings().tries_max;
        let more = tries_max == 0 || self.attempts < tries_max;
        match error.remedy(twice) {
            Remedy::NextTarget => {
                self.tried.push(index);
                if more && self.tried.len() < count { Step::GoOn } else { Step::Exhausted }
            }
            Remedy::Afresh if more => {
                self.afresh = Some(index);
                Step::GoOn
            }
            // Once: what makes every backend break off is not to go through all of them.
            Remedy::Elsewhere if more && !self.repeated => {
                self.repeated = true;
                if count == 1 {
                    self.afresh = Some(index);
                } else if self.tried.len() + 1 < count {
                    self.tried.push(index);
                } else {
                    // Those that could not be reached before may be back by now.
                    self.tried = SmallVec::from_slice(&[index]);
                }
                Step::GoOn
            }
            _ => Step::Stop,
        }
    }

    /// The targets that could not be reached, as the log shows them.
    #[must_use]
    pub fn tried(&self, route: &Route) -> Vec<String> {
        self.tried.iter().map(|index| route.targets[*index].to_string()).collect()
    }
}

impl Seeker<'_> {
    fn is_ill(&self, target: &Target, now: Tick) -> bool {
        if target.address == Address::Test {
            return false;
        }
        let health = self.shared.backend.health();
        if checks::of(self.route, target).is_some_and(|check| health.fails(&check)) {
            return true;
        }
        let (host, _) = outgoing::url_host(self.context, self.route, target);
        outgoing::destination(target, &host)
            .is_ok_and(|to| health.standing(&to, now) == Standing::Ill)
    }
}

#[cfg(test)]
mod tests;
