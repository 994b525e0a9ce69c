//! In which order a route's targets are tried. Called by `condition`; the type is used by `proxy`.

use super::problem::Fault;
use super::token::Prop;

/// Which target a request goes to first; the others follow in the order of the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The first of the line, as in Pushpin: the others are spares.
    #[default]
    First,
    /// One after the other.
    RoundRobin,
    /// The one with the fewest requests under way.
    Least,
}

impl Balance {
    /// All, in the order of their numbers.
    pub const ALL: [Balance; 3] = [Balance::First, Balance::RoundRobin, Balance::Least];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Balance::First => "first",
            Balance::RoundRobin => "round-robin",
            Balance::Least => "least",
        }
    }

    /// Its place in [`Balance::ALL`].
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn read(prop: &Prop, faults: &mut Vec<Fault>) -> Balance {
        Balance::ALL.into_iter().find(|balance| balance.word() == prop.text).unwrap_or_else(|| {
            let reason = "balance must be set to 'first', 'round-robin' or 'least'";
            faults.push(Fault::error(prop.text_span, reason, "`first`, `round-robin` or `least`"));
            Balance::First
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::sections;
    use super::*;

    #[test]
    fn words() {
        let read = |line: &str| {
            let mut faults = Vec::new();
            let balance = Balance::read(&sections(line).unwrap()[0].props[0], &mut faults);
            (balance, faults.len())
        };
        for (number, balance) in (0..).zip(Balance::ALL) {
            assert_eq!(read(&format!("a,balance={}", balance.word())), (balance, 0));
            assert_eq!(balance.number(), number);
        }
        assert_eq!(read("a,balance=random"), (Balance::First, 1));
    }
}
