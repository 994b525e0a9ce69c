//! What goes wrong with backends, counted and told: one line each, but not more than an operator
//! can read.
//!
//! Every failure is counted by its reason where it happens ([`Journal::count`]); whoever knows the
//! request tells of it ([`Journal::tell`]). Of what is not told by itself, a line says how much
//! there was.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;

use http::Method;

use super::error::{Error, Reason};
use crate::clock::{self, Tick};
use crate::limits::{FAILURES_TOLD_MAX, FAILURES_TOLD_MS};
use crate::route::Route;
use crate::route::ids::Id;
use crate::stats::{Counter, Stats};

/// What was done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The request was made once more.
    Retried,
    /// The next target was tried.
    NextTarget,
    /// The client was answered so.
    Answered(u16),
    /// The answer to the client was broken off.
    BrokenOff,
    /// It was not made again; no client waits for its answer.
    GivenUp,
}

impl Deed {
    /// Of a request on behalf of a client that waits for nothing, which is made again or not.
    #[must_use]
    pub fn of_retry(again: bool) -> Deed {
        if again { Deed::Retried } else { Deed::GivenUp }
    }
}

impl std::fmt::Display for Deed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Deed::Retried => f.write_str("retried"),
            Deed::NextTarget => f.write_str("next target"),
            Deed::Answered(status) => write!(f, "answered {status}"),
            Deed::BrokenOff => f.write_str("broken off"),
            Deed::GivenUp => f.write_str("given up"),
        }
    }
}

/// The request that failed.
pub struct Request<'a> {
    /// Where it went.
    pub target: &'a dyn std::fmt::Display,
    /// Its route.
    pub route: &'a Route,
    /// Its method.
    pub method: &'a Method,
    /// Its path, as the client asked for it.
    pub path: &'a str,
    /// Which attempt at it this was, from 1.
    pub attempt: usize,
}

/// One shard's.
pub struct Journal {
    stats: Rc<Stats>,
    period: RefCell<Period>,
}

#[derive(Default)]
struct Period {
    since: Tick,
    told: u32,
    untold: [u64; Reason::ALL.len()],
    /// Somebody waits for the period's end.
    watched: bool,
}

impl Period {
    /// Whether one more may be told.
    fn admits(&mut self, now: Tick) -> bool {
        if self.told == 0 || now.ms_since(self.since) >= FAILURES_TOLD_MS {
            self.since = now;
            self.told = 0;
        }
        let admitted = self.told < FAILURES_TOLD_MAX;
        self.told += u32::from(admitted);
        admitted
    }

    /// What was not told, and how often; `None` if all was.
    fn summary(&mut self) -> Option<(u64, String)> {
        let untold = std::mem::replace(&mut self.untold, [0; Reason::ALL.len()]);
        let mut words = String::new();
        for (reason, count) in Reason::ALL.iter().zip(untold).filter(|(_, count)| *count > 0) {
            let comma = if words.is_empty() { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(words, "{comma}{count} {}", reason.word());
        }
        let all = untold.iter().sum();
        (all > 0).then_some((all, words))
    }
}

impl Journal {
    /// A journal that counts here.
    #[must_use]
    pub fn new(stats: Rc<Stats>) -> Rc<Journal> {
        Rc::new(Journal { stats, period: RefCell::default() })
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Counts a failure.
    pub fn count(&self, error: &Error) {
        if let Some(counter) = self.counter(error.reason()) {
            counter.inc();
        }
    }

    fn counter(&self, reason: Reason) -> Option<&Counter> {
        let stats = &self.stats;
        Some(match reason {
            Reason::Dns => &stats.backend_dns_failures,
            Reason::DnsTimeout => &stats.backend_dns_timeouts,
            Reason::Policy => &stats.backend_addresses_refused,
            Reason::ConnectRefused => &stats.backend_connects_refused,
            Reason::ConnectTimeout => &stats.backend_connect_timeouts,
            Reason::Unreachable => &stats.backend_unreachable,
            Reason::TlsCertificate => &stats.backend_tls_certificates,
            Reason::TlsTimeout => &stats.backend_tls_timeouts,
            Reason::Tls => &stats.backend_tls_failures,
            Reason::NoRoom => &stats.backend_waits_refused,
            Reason::NoDescriptor => &stats.backend_descriptors_missing,
            Reason::ResetBeforeHead => &stats.backend_resets_before_head,
            Reason::HeadTimeout => &stats.backend_head_timeouts,
            Reason::HeadCutShort => &stats.backend_heads_cut_short,
            Reason::HeadMalformed => &stats.backend_heads_malformed,
            Reason::HeadTooLarge => &stats.backend_heads_too_large,
            Reason::BodyCutShort => &stats.backend_bodies_cut_short,
            Reason::BodyTimeout => &stats.backend_body_timeouts,
            Reason::BodyMalformed => &stats.backend_bodies_malformed,
            // The client's.
            Reason::RequestBody => return None,
        })
    }

    /// Tells of a failure, unless enough has been told lately.
    pub fn tell(self: &Rc<Journal>, request: &Request<'_>, error: &Error, deed: Deed) {
        if self.admits(error) {
            tracing::warn!(
                target = %request.target,
                route = %Id(request.route),
                method = %request.method,
                path = request.path,
                stage = ?error.stage,
                reason = error.reason().word(),
                reused = error.reused,
                attempt = request.attempt,
                done = %deed,
                detail = %error.detail,
                "a backend failed"
            );
        }
    }

    /// Tells that a response's body is not whole; its request is not known here.
    pub fn tell_of_body(
        self: &Rc<Journal>,
        target: &dyn std::fmt::Display,
        error: &Error,
        deed: Deed,
    ) {
        if self.admits(error) {
            tracing::warn!(
                %target,
                stage = ?error.stage,
                reason = error.reason().word(),
                reused = error.reused,
                done = %deed,
                detail = %error.detail,
                "a backend failed"
            );
        }
    }

    fn admits(self: &Rc<Journal>, error: &Error) -> bool {
        let mut period = self.period.borrow_mut();
        if period.admits(clock::now()) {
            return true;
        }
        let reason = error.reason() as usize;
        if let Some(count) = period.untold.get_mut(reason) {
            *count = count.saturating_add(1);
        }
        if !std::mem::replace(&mut period.watched, true) {
            let end = period.since.plus_ms(FAILURES_TOLD_MS);
            tokio::task::spawn_local(sum_up(Rc::downgrade(self), end));
        }
        false
    }
}

/// Says at the end of a period what was not told in it.
async fn sum_up(journal: std::rc::Weak<Journal>, end: Tick) {
    clock::sleep_until(end).await;
    let Some(journal) = journal.upgrade() else { return };
    let mut period = journal.period.borrow_mut();
    period.watched = false;
    if let Some((count, reasons)) = period.summary() {
        let seconds = FAILURES_TOLD_MS / 1000;
        tracing::warn!(count, %reasons, "further failures of backends in the last {seconds} s");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::error::{Kind, Stage};

    #[test]
    fn so_many_are_told_and_the_rest_is_summed_up() {
        let mut period = Period::default();
        let mut told = |now| (0..100).filter(|_| period.admits(Tick(now))).count();
        assert_eq!(told(5), FAILURES_TOLD_MAX as usize);
        assert_eq!(told(FAILURES_TOLD_MS), 0);
        assert_eq!(told(FAILURES_TOLD_MS + 5), FAILURES_TOLD_MAX as usize);
        assert_eq!(period.summary(), None);
        period.untold[Reason::Dns as usize] = 1;
        period.untold[Reason::ConnectRefused as usize] = 40;
        assert_eq!(period.summary(), Some((41, "1 dns, 40 connect refused".to_owned())));
        assert_eq!(period.summary(), None);
    }

    #[test]
    fn every_failure_has_a_counter() {
        let journal = Journal::new(Rc::default());
        let mut counters: Vec<*const Counter> = Vec::new();
        for reason in Reason::ALL.iter().filter(|reason| **reason != Reason::RequestBody) {
            counters.push(journal.counter(*reason).unwrap());
        }
        let all = counters.len();
        counters.sort();
        counters.dedup();
        assert_eq!(counters.len(), all, "each its own");
        journal.count(&Error::new(Stage::Tls, Kind::Certificate, ""));
        assert_eq!(journal.stats().backend_tls_certificates.get(), 1);
    }

    #[test]
    fn deeds() {
        assert_eq!(Deed::Answered(502).to_string(), "answered 502");
        assert_eq!(Deed::NextTarget.to_string(), "next target");
    }
}
