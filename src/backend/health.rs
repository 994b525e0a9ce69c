//! Which targets keep failing (passive health), or fail their checks: they are asked last.
//!
//! The roof tells what came of each request; `proxy` asks where a destination stands before it
//! chooses a target. One shard's, so each shard learns by itself. Only destinations that have
//! failed lately are known here: while all are well nothing is looked up.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hashbrown::HashMap;

use super::connect::{Destination, To};
use super::error::Error;
use super::unwell::{Change, Check, Unwell};
use crate::clock::Tick;
use crate::limits::{HEALTH_PAUSE_MS, HEALTH_PROBE_MS, TROUBLED_MAX};
use crate::stats::Stats;

/// Where a destination stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may be asked.
    Well,
    /// It was ill; one request is to find out whether it still is.
    Due,
    /// It is asked only when no other is left.
    Ill,
}

/// What is known of a destination that has failed.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    /// In a row.
    failures: u32,
    ill: Option<Pause>,
    last: Tick,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Tick,
    /// Its length, but for a probe's time.
    ms: u64,
    /// A request finds out whether it is over.
    probing: bool,
}

/// The destinations that are not quite well.
pub struct Health {
    troubled: RefCell<HashMap<Rc<Destination>, Trouble, ahash::RandomState>>,
    unwell: Unwell,
    quiet: Cell<bool>,
    /// So many failures in a row make ill; 0: none do.
    failures_max: u32,
    stats: Rc<Stats>,
}

impl Health {
    /// Nobody is ill. So many failures in a row make a destination ill; with 0 only checks do.
    #[must_use]
    pub fn new(failures_max: u32, stats: Rc<Stats>) -> Health {
        let (troubled, unwell) = (RefCell::default(), Unwell::default());
        Health { troubled, unwell, quiet: Cell::new(true), failures_max, stats }
    }

    /// Nothing is known against anybody.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet.get()
    }

    /// Whether a target is ill by its check.
    #[must_use]
    pub fn fails(&self, check: &Check) -> bool {
        self.unwell.is_ill(check)
    }

    /// Where a destination stands, but for checks.
    #[must_use]
    pub fn standing(&self, to: &To<'_>, now: Tick) -> Standing {
        if self.is_quiet() {
            return Standing::Well;
        }
        match self.troubled.borrow().get(to).and_then(|trouble| trouble.ill) {
            None => Standing::Well,
            Some(pause) if now >= pause.until => Standing::Due,
            Some(_) => Standing::Ill,
        }
    }

    /// It is about to be asked: if it is due, nobody else asks it until that is over.
    pub fn begin(&self, to: &To<'_>, now: Tick) {
        if self.is_quiet() {
            return;
        }
        if let Some(Trouble { ill: Some(pause), .. }) = self.troubled.borrow_mut().get_mut(to)
            && now >= pause.until
        {
            // If that ends otherwise (its client leaves), the next one may try after this.
            pause.until = now.plus_ms(HEALTH_PROBE_MS);
            pause.probing = true;
        }
    }

    /// It has answered.
    pub fn answered(&self, to: &Destination) {
        if self.is_quiet() {
            return;
        }
        self.recover(&mut self.troubled.borrow_mut(), to);
    }

    /// It has failed a request.
    pub fn failed(&self, to: &Rc<Destination>, error: &Error, now: Tick) {
        if self.failures_max == 0 || !error.is_illness() {
            return;
        }
        let mut troubled = self.troubled.borrow_mut();
        let trouble = self.trouble(&mut troubled, to, now);
        trouble.failures = trouble.failures.saturating_add(1);
        if let Some(pause) = &mut trouble.ill {
            // Requests that began before it was ill prove nothing new.
            if std::mem::take(&mut pause.probing) {
                pause.ms = pause.ms.saturating_mul(2).min(HEALTH_PAUSE_MS.1);
                pause.until = now.plus_ms(pause.ms);
            }
        } else if trouble.failures >= self.failures_max {
            self.fall_ill(to, trouble, now, error.reason().word());
        }
    }

    /// A check has succeeded, or failed for this reason; so many in a row make its target ill,
    /// until it succeeds. What requests have found out of the target ends with a success too.
    pub fn checked(&self, check: &Rc<Check>, failure: Option<&str>, checks_max: u32) {
        let Some(reason) = failure else {
            self.unchecked(check);
            return self.recover(&mut self.troubled.borrow_mut(), &check.to);
        };
        self.quiet.set(false);
        if self.unwell.failed(check, checks_max) == Change::FellIll {
            self.stats.backend_targets_ill.inc();
            let (target, path) = (&check.to, &check.path);
            let what = "a target keeps failing: others are asked first";
            tracing::warn!(%target, check = path, reason, "{what}");
        }
    }

    /// From now on only these checks are made: what others have found counts no more.
    pub fn set_checks(&self, checks: &[Rc<Check>]) {
        self.unwell.others(checks).iter().for_each(|check| self.unchecked(check));
    }

    fn unchecked(&self, check: &Check) {
        if self.unwell.succeeded(check) == Change::Recovered {
            self.stats.backend_targets_well.inc();
            tracing::info!(target = %check.to, check = check.path, "a target is well again");
        }
        self.quiet.set(self.unwell.is_empty() && self.troubled.borrow().is_empty());
    }

    fn trouble<'a>(
        &self,
        troubled: &'a mut HashMap<Rc<Destination>, Trouble, ahash::RandomState>,
        to: &Rc<Destination>,
        now: Tick,
    ) -> &'a mut Trouble {
        self.quiet.set(false);
        if troubled.len() >= TROUBLED_MAX && !troubled.contains_key(to) {
            // Names may come from clients (TLS): they do not fill the memory.
            let oldest = troubled.iter().min_by_key(|(_, trouble)| trouble.last);
            if let Some(oldest) = oldest.map(|(to, _)| Rc::clone(to)) {
                troubled.remove(&oldest);
            }
        }
        let trouble = troubled.entry(Rc::clone(to)).or_default();
        trouble.last = now;
        trouble
    }

    fn fall_ill(&self, to: &Destination, trouble: &mut Trouble, now: Tick, reason: &str) {
        let ms = HEALTH_PAUSE_MS.0;
        trouble.ill = Some(Pause { until: now.plus_ms(ms), ms, probing: false });
        self.stats.backend_targets_ill.inc();
        tracing::warn!(target = %to, reason, "a target keeps failing: others are asked first");
    }

    fn recover(
        &self,
        troubled: &mut HashMap<Rc<Destination>, Trouble, ahash::RandomState>,
        to: &Destination,
    ) {
        if let Some(trouble) = troubled.remove(&to.as_to())
            && trouble.ill.is_some()
        {
            self.stats.backend_targets_well.inc();
            tracing::info!(target = %to, "a target is well again");
        }
        self.quiet.set(troubled.is_empty() && self.unwell.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::error::{Kind, Stage};

    fn to(port: u16) -> Rc<Destination> {
        let host = "a".to_owned();
        Rc::new(Destination { host, port, tls: None, untrusted: false })
    }

    fn refused() -> Error {
        Error::new(Stage::Connect, Kind::Refused, "")
    }

    #[test]
    fn so_many_failures_in_a_row_make_ill_for_longer_and_longer() {
        let stats = Rc::new(Stats::default());
        let health = Health::new(3, Rc::clone(&stats));
        let (a, b) = (to(1), to(2));
        let stand = |of: &Rc<Destination>, now| health.standing(&of.as_to(), Tick(now));
        for _ in 0..2 {
            health.failed(&a, &refused(), Tick(0));
        }
        health.answered(&a);
        assert!(health.is_quiet());
        for _ in 0..3 {
            assert_eq!(stand(&a, 0), Standing::Well);
            health.failed(&a, &refused(), Tick(0));
        }
        assert_eq!((stand(&a, 0), stand(&b, 0)), (Standing::Ill, Standing::Well));
        // What was under way when it fell ill changes nothing.
        health.failed(&a, &refused(), Tick(1));
        let (mut now, mut pause) = (0, HEALTH_PAUSE_MS.0);
        for _ in 0..8 {
            assert_eq!(stand(&a, now + pause - 1), Standing::Ill);
            now += pause;
            assert_eq!(stand(&a, now), Standing::Due);
            health.begin(&a.as_to(), Tick(now));
            assert_eq!(stand(&a, now), Standing::Ill, "one at a time");
            health.failed(&a, &refused(), Tick(now));
            pause = (pause * 2).min(HEALTH_PAUSE_MS.1);
        }
        assert_eq!(pause, HEALTH_PAUSE_MS.1);
        health.begin(&a.as_to(), Tick(now + pause));
        health.answered(&a);
        assert_eq!(stand(&a, now + pause), Standing::Well);
        assert_eq!((stats.backend_targets_ill.get(), stats.backend_targets_well.get()), (1, 1));
    }

    #[test]
    fn a_probe_that_comes_to_nothing_is_followed_by_another() {
        let health = Health::new(1, Rc::default());
        let a = to(1);
        health.failed(&a, &refused(), Tick(0));
        let due = HEALTH_PAUSE_MS.0;
        health.begin(&a.as_to(), Tick(due));
        let stand = |now| health.standing(&a.as_to(), Tick(now));
        assert_eq!(stand(due + HEALTH_PROBE_MS - 1), Standing::Ill);
        assert_eq!(stand(due + HEALTH_PROBE_MS), Standing::Due);
    }

    #[test]
    fn only_what_tells_against_a_target_counts() {
        let health = Health::new(1, Rc::default());
        let closed = Error::new(Stage::Head, Kind::Closed, "");
        for harmless in [
            Error { reused: true, ..closed.clone() },
            Error::new(Stage::Head, Kind::Malformed, ""),
            Error::new(Stage::Connect, Kind::NoRoom, ""),
            Error::new(Stage::Policy, Kind::Forbidden, ""),
            Error::new(Stage::Body, Kind::Closed, ""),
        ] {
            health.failed(&to(1), &harmless, Tick(0));
            assert!(health.is_quiet(), "{harmless}");
        }
        health.failed(&to(1), &closed, Tick(0));
        assert_eq!(health.standing(&to(1).as_to(), Tick(0)), Standing::Ill);
        let off = Health::new(0, Rc::default());
        off.failed(&to(1), &closed, Tick(0));
        assert!(off.is_quiet());
    }

    fn check(port: u16, path: &str) -> Rc<Check> {
        Rc::new(Check { to: to(port), authority: b"a".to_vec(), path: path.to_owned() })
    }

    #[test]
    fn checks_make_ill_and_well() {
        let stats = Rc::new(Stats::default());
        let health = Health::new(0, Rc::clone(&stats));
        let up = check(1, "/up");
        health.checked(&up, Some("status 500"), 2);
        assert!(!health.fails(&up));
        health.checked(&up, Some("status 500"), 2);
        assert!(health.fails(&up) && !health.is_quiet());
        health.answered(&up.to);
        assert!(health.fails(&up), "an answer to a client is no check");
        health.checked(&up, Some("status 500"), 2);
        health.checked(&up, None, 2);
        assert!(!health.fails(&up) && health.is_quiet());
        assert_eq!((stats.backend_targets_ill.get(), stats.backend_targets_well.get()), (1, 1));
    }

    #[test]
    fn of_two_paths_of_one_address_each_counts_for_itself() {
        let health = Health::new(0, Rc::default());
        let (good, bad) = (check(1, "/good"), check(1, "/bad"));
        let elsewhere = Rc::new(Check { authority: b"b".to_vec(), ..(*bad).clone() });
        for _ in 0..2 {
            health.checked(&bad, Some("status 500"), 2);
            health.checked(&good, None, 2);
            health.checked(&elsewhere, None, 2);
        }
        assert!(health.fails(&bad), "what the other one says does not count for it");
        assert!(!health.fails(&good) && !health.fails(&elsewhere));
        assert_eq!(health.standing(&to(1).as_to(), Tick(0)), Standing::Well);
    }

    #[test]
    fn a_check_that_succeeds_ends_what_requests_have_found() {
        let health = Health::new(1, Rc::default());
        health.failed(&to(1), &refused(), Tick(0));
        health.checked(&check(1, "/up"), None, 2);
        assert!(health.is_quiet());
    }

    #[test]
    fn who_is_not_checked_any_more_is_not_ill_of_it() {
        let health = Health::new(1, Rc::default());
        let checks = [check(1, "/up"), check(2, "/up")];
        for check in &checks {
            health.checked(check, Some("status 500"), 1);
        }
        health.failed(&to(3), &refused(), Tick(0));
        health.set_checks(&checks[..1]);
        assert_eq!(checks.each_ref().map(|check| health.fails(check)), [true, false]);
        assert_eq!(health.standing(&to(3).as_to(), Tick(1)), Standing::Ill);
    }

    #[test]
    fn names_do_not_fill_the_memory() {
        let health = Health::new(3, Rc::default());
        for n in 0..3 * TROUBLED_MAX {
            let name = format!("{n}.example");
            let tls =
                Some(crate::backend::connect::ServerTls { name, insecure: false, identity: None });
            let to = Destination { tls, ..(*to(1)).clone() };
            health.failed(&Rc::new(to), &refused(), Tick(n as u64));
        }
        assert_eq!(health.troubled.borrow().len(), TROUBLED_MAX);
    }
}
