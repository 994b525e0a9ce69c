//! What is wrong with a line of the routes file, and how that is shown.
//!
//! The parsers of this folder make a [`Fault`] (a place in one line); the roof turns it into a
//! [`Problem`], which also knows its line and needs only a file name to be shown. The build script,
//! the log and `linchpin check` all show the same thing. Knows nothing of files.

use std::fmt;

/// The reason that a repeated condition gives (specification, routing 2.6).
pub const DUPLICATE: &str = "skipping duplicate condition";
/// A line longer than this is shown in part, in characters.
const SHOWN_CHARACTERS_MAX: usize = 160;
/// What is shown before the offending text of a long line, in characters.
const SHOWN_CHARACTERS_BEFORE: usize = 40;

/// Whether a line with the problem can still serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The line is skipped.
    Error,
    /// The line serves, but surely not as meant. An error in a build and with `--strict`.
    Warning,
}

/// A part of a line, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub start: usize,
    /// The byte after its last one.
    pub end: usize,
}

/// Something wrong in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub span: Span,
    /// How bad.
    pub severity: Severity,
    /// What is wrong; in Pushpin's words where it has any (specification, routing 2.6).
    pub reason: String,
    /// What would be right.
    pub expected: String,
    /// What may have been meant.
    pub help: Option<String>,
}

impl Fault {
    /// A fault that makes the line unusable.
    #[must_use]
    pub fn error(span: Span, reason: impl Into<String>, expected: impl Into<String>) -> Fault {
        let (reason, expected) = (reason.into(), expected.into());
        Fault { span, severity: Severity::Error, reason, expected, help: None }
    }

    /// A fault with which the line still serves.
    #[must_use]
    pub fn warning(span: Span, reason: impl Into<String>, expected: impl Into<String>) -> Fault {
        Fault { severity: Severity::Warning, ..Fault::error(span, reason, expected) }
    }

    /// A word that Pushpin knows and that this version does not act upon.
    #[must_use]
    pub fn not_built(span: Span, word: &str, built: &str) -> Fault {
        Fault::error(span, format!("`{word}` is not built yet"), format!("one of {built}"))
    }
}

impl Fault {
    /// The same, and what may have been meant.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Fault {
        Fault { help: Some(help.into()), ..self }
    }
}

/// A fault with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// The line, counted from 1.
    pub line: u32,
    /// The character of the line where the offending text begins, counted from 1.
    pub column: u32,
    /// How many characters the offending text has; at least 1.
    pub length: u32,
    /// The whole line.
    pub source: String,
    /// What is wrong.
    pub reason: String,
    /// What would be right.
    pub expected: String,
    /// What may have been meant.
    pub help: Option<String>,
}

impl Problem {
    /// `fault` as a part of the line `source`, which has the number `line`.
    #[must_use]
    pub fn new(line: u32, source: &str, fault: Fault) -> Problem {
        let characters =
            |upto: usize| source.char_indices().take_while(|(at, _)| *at < upto).count();
        let (before, upto) = (characters(fault.span.start), characters(fault.span.end));
        Problem {
            severity: fault.severity,
            line,
            column: saturate(before + 1),
            length: saturate(upto.saturating_sub(before).max(1)),
            source: source.to_owned(),
            reason: fault.reason,
            expected: fault.expected,
            help: fault.help,
        }
    }

    /// This as an error: in a build and with `--strict` every mistake is one.
    #[must_use]
    pub fn into_error(self) -> Problem {
        Problem { severity: Severity::Error, ..self }
    }

    /// One line, as Pushpin logs it: `<file>:<line>: <reason>`.
    #[must_use]
    pub fn brief(&self, file: &str) -> String {
        let colon = if self.reason == DUPLICATE { "" } else { ":" };
        format!("{file}:{}{colon} {}", self.line, self.reason)
    }

    /// Everything, as a compiler shows it: the reason, the place, the line with the offending text
    /// underlined, what was expected. Several lines, without a line feed at the end.
    #[must_use]
    pub fn report<'a>(&'a self, file: &'a str) -> Report<'a> {
        Report { problem: self, file }
    }
}

/// See [`Problem::report`].
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    problem: &'a Problem,
    file: &'a str,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { severity, line, column, reason, .. } = self.problem;
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let (shown, skipped) = self.excerpt();
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{severity}: {}", printable(reason))?;
        writeln!(f, "{margin}--> {}:{line}:{column}", self.file)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {shown}")?;
        // Tabs are kept, so that the carets stand under what they mean however wide a tab is.
        let before = (*column as usize).saturating_sub(1).saturating_sub(skipped);
        let blank = |c| if c == '\t' { '\t' } else { ' ' };
        let indent: String = shown.chars().take(before).map(blank).collect();
        let room = shown.chars().count().saturating_sub(before).max(1);
        let carets = "^".repeat((self.problem.length as usize).min(room));
        write!(f, "{margin} | {indent}{carets} expected {}", printable(&self.problem.expected))?;
        match &self.problem.help {
            Some(help) => write!(f, "\n{margin} = help: {}", printable(help)),
            None => Ok(()),
        }
    }
}

impl Report<'_> {
    /// The part of the line that is shown, and how many characters before it are not.
    fn excerpt(&self) -> (String, usize) {
        let source = printable(&self.problem.source);
        if source.chars().count() <= SHOWN_CHARACTERS_MAX {
            return (source, 0);
        }
        let skipped = (self.problem.column as usize).saturating_sub(SHOWN_CHARACTERS_BEFORE);
        (source.chars().skip(skipped).take(SHOWN_CHARACTERS_MAX).collect(), skipped)
    }
}

/// `1 mistake`, `2 mistakes`.
#[must_use]
pub fn mistakes(number: usize) -> String {
    format!("{number} mistake{}", if number == 1 { "" } else { "s" })
}

/// The text without what could steer a terminal or break a log line; as many characters as before.
fn printable(text: &str) -> String {
    let steers = |c: char| c.is_control() && c != '\t';
    text.chars().map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Columns past `u32` are not told apart.
fn saturate(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(source: &str, start: usize, end: usize) -> Problem {
        let fault = Fault::error(Span { start, end }, "target invalid port", "a port");
        Problem::new(12, source, fault)
    }

    #[test]
    fn reads_like_a_compiler() {
        assert_eq!(
            problem("* a:0", 4, 5).report("routes").to_string(),
            "error: target invalid port\n  --> routes:12:5\n   |\n12 | * a:0\n   |     ^ expected a port"
        );
        assert_eq!(problem("* a:0", 4, 5).brief("routes"), "routes:12: target invalid port");
    }

    #[test]
    fn columns_are_characters_and_tabs_stay() {
        let shown = problem("\té a:0", 6, 7);
        assert_eq!((shown.column, shown.length), (6, 1));
        assert!(shown.report("f").to_string().ends_with("   | \t    ^ expected a port"));
    }

    #[test]
    fn long_lines_are_shown_in_part_and_controls_not_at_all() {
        let source = format!("{}\u{1b}X{}", "a".repeat(1000), "b".repeat(1000));
        let report = problem(&source, 1001, 1002).report("f").to_string();
        assert!(report.len() < 600 && !report.contains('\u{1b}'));
        let lines: Vec<&str> = report.lines().collect();
        let column = |text: &str, c| text.chars().position(|x| x == c);
        assert_eq!(column(lines[3], 'X'), column(lines[4], '^'));
    }

    #[test]
    fn an_empty_span_still_shows_one_caret() {
        assert!(problem("* a:", 4, 4).report("f").to_string().ends_with("|     ^ expected a port"));
    }
}
