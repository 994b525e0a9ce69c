//! What is wrong with what an operator has set. Made by all of this folder, by `cli` and `server`;
//! shown by `cli`, all problems at once.

use std::collections::BTreeMap;
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

    /// What is wrong with it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same problem, told of another place.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Problem {
        Problem { place: place.into(), ..self }
    }
}

/// What an operator is told of what he has set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What prevents the start.
    pub problems: Vec<Problem>,
    /// What does not, but is hardly as meant.
    pub warnings: Vec<Problem>,
}

impl Findings {
    /// Something cannot be used.
    pub fn wrong(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.problems.push(Problem::of(place, text));
    }

    /// Something is hardly as meant.
    pub fn doubt(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.warnings.push(Problem::of(place, text));
    }
}

/// By their lines, as far as their places are lines of files.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by_key(|problem| {
        let mut parts = problem.place.split(':');
        let file = parts.next().unwrap_or_default().to_owned();
        (file, parts.next().and_then(|line| line.trim().parse::<u32>().ok()))
    });
}

/// Where options were given that were given in a file, by their flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<String, String>);

impl Places {
    /// The option of `flag` (with `--`) was given at `place`.
    pub fn insert(&mut self, flag: String, place: String) {
        self.0.insert(flag, place);
    }

    /// Where an option was given, if in a file.
    #[must_use]
    pub fn of(&self, flag: &str) -> Option<&str> {
        self.0.get(flag).map(String::as_str)
    }

    /// The same problem, told of where the option was given.
    #[must_use]
    pub fn located(&self, problem: Problem) -> Problem {
        match self.of(problem.place()) {
            Some(place) => problem.at(place),
            None => problem,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}
