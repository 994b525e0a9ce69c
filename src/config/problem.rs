//! What is wrong with what an operator has set. Made by all of this folder, by `cli` and `server`;
//! shown by `cli`, all problems at once.

use std::fmt;

/// What cannot be used, and where it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    place: String,
    text: String,
}

impl Problem {
    /// A problem with what was given at `place` (a flag, a file).
    #[must_use]
    pub fn of(place: impl Into<String>, text: impl Into<String>) -> Problem {
        Problem { place: place.into(), text: text.into() }
    }

    /// What it is about, as given.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The same problem, told of another place.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Problem {
        Problem { place: place.into(), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}
