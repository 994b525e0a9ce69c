//! How it ends when nothing can be started: what is told, and the exit code. Called by the roof and
//! by the commands.

use std::process::ExitCode;

use crate::config::problem::Problem;

/// What could not start, or a configuration or routes with mistakes.
pub const CANNOT_START: u8 = 2;
/// The same where the program is called as Pushpin (specification, routing 7.1).
const AS_PUSHPIN: u8 = 1;

/// Tells all that is wrong.
pub fn cannot_start(problems: &[Problem], pushpin: bool) -> ExitCode {
    for problem in problems {
        match problem.place() {
            // Pushpin does not say which option it means.
            place if pushpin && place.starts_with("--") => eprintln!("error: {}", problem.text()),
            _ => eprintln!("error: {problem}"),
        }
    }
    exit_code(pushpin)
}

/// The exit code of a start that fails.
#[must_use]
pub fn exit_code(pushpin: bool) -> ExitCode {
    ExitCode::from(if pushpin { AS_PUSHPIN } else { CANNOT_START })
}
