//! What must be shown, and whether it was. Every suite knows the goals of its own figures and
//! makes these of them; `main.rs` prints them at the end. Pure.

use serde::Serialize;

/// One figure beside its bound.
#[derive(Clone, Debug, Serialize)]
pub struct Goal {
    /// What was compared.
    pub what: String,
    /// What was found.
    pub value: f64,
    /// The bound.
    pub bound: f64,
    /// Whether the bound is a lowest value instead of a highest.
    pub at_least: bool,
    /// Whether the value keeps to it.
    pub met: bool,
}

impl Goal {
    /// The value must not be below the bound. `None` for what was not measured.
    pub fn at_least(what: String, value: Option<f64>, bound: f64) -> Option<Goal> {
        value.map(|value| Goal { what, value, bound, at_least: true, met: value >= bound })
    }

    /// The value must not be above the bound. `None` for what was not measured.
    pub fn at_most(what: String, value: Option<f64>, bound: f64) -> Option<Goal> {
        value.map(|value| Goal { what, value, bound, at_least: false, met: value <= bound })
    }

    /// One line.
    pub fn text(&self) -> String {
        let verdict = if self.met { "met" } else { "MISSED" };
        let sign = if self.at_least { "≥" } else { "≤" };
        let places = if self.bound >= 100.0 { 0 } else { 3 };
        let (value, bound) = (self.value, self.bound);
        format!("  {verdict:<7} {}: {value:.places$} (goal {sign} {bound:.places$})", self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_within() {
        let met = |goal: Option<Goal>| goal.map(|goal| goal.met);
        assert_eq!(met(Goal::at_least("x".to_owned(), Some(0.9), 0.9)), Some(true));
        assert_eq!(met(Goal::at_least("x".to_owned(), Some(0.89), 0.9)), Some(false));
        assert_eq!(met(Goal::at_most("x".to_owned(), Some(701.0), 700.0)), Some(false));
        assert_eq!(met(Goal::at_most("x".to_owned(), None, 700.0)), None);
    }

    #[test]
    fn says_the_figure_and_the_bound() {
        let goal = Goal::at_most("bytes".to_owned(), Some(701.4), 700.0).unwrap();
        assert_eq!(goal.text(), "  MISSED  bytes: 701 (goal ≤ 700)");
    }
}
