//! Which checks of targets fail: each counts for itself, so that of two paths of one address the
//! one that answers says nothing of the other.
//!
//! A part of `health`, which says what becomes of it. It is as large as the routes have checks.

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;

use super::connect::Destination;

/// Where a check goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    /// The target.
    pub to: Rc<Destination>,
    /// For `Host`.
    pub authority: Vec<u8>,
    /// What is asked for: path and query.
    pub path: String,
}

/// What a check has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// It has failed often enough.
    FellIll,
    /// It succeeds again.
    Recovered,
}

/// The checks that failed lately, and how often in a row.
#[derive(Default)]
pub struct Unwell {
    failures: RefCell<HashMap<Rc<Check>, Failures, ahash::RandomState>>,
}

#[derive(Default)]
struct Failures {
    count: u32,
    ill: bool,
}

impl Unwell {
    /// Whether none has failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failures.borrow().is_empty()
    }

    /// Whether a target is ill by its check.
    #[must_use]
    pub fn is_ill(&self, check: &Check) -> bool {
        self.failures.borrow().get(check).is_some_and(|failures| failures.ill)
    }

    /// A check has failed; so many in a row make ill.
    pub fn failed(&self, check: &Rc<Check>, failures_max: u32) -> Change {
        let mut all = self.failures.borrow_mut();
        let failures = all.entry(Rc::clone(check)).or_default();
        failures.count = failures.count.saturating_add(1);
        let ill = failures.count >= failures_max;
        if ill && !std::mem::replace(&mut failures.ill, ill) {
            return Change::FellIll;
        }
        Change::None
    }

    /// A check has succeeded, or is not made any more.
    pub fn succeeded(&self, check: &Check) -> Change {
        match self.failures.borrow_mut().remove(check) {
            Some(Failures { ill: true, .. }) => Change::Recovered,
            _ => Change::None,
        }
    }

    /// Those that are not among these.
    #[must_use]
    pub fn others(&self, checks: &[Rc<Check>]) -> Vec<Rc<Check>> {
        let failures = self.failures.borrow();
        failures.keys().filter(|check| !checks.contains(check)).cloned().collect()
    }
}
