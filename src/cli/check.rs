//! `linchpin check`: everything that can be found out about configuration and routes without
//! serving. Dispatched to by the roof.

use std::path::Path;
use std::process::ExitCode;

use super::start::Told;
use crate::config::check;
use crate::config::problem::{Findings, Problem};
use crate::config::routes::{self, Loaded};
use crate::config::settings::{RoutesFrom, Settings};

/// Something prevents the start, or a route is skipped.
const EXIT_MISTAKES: u8 = 1;

/// Looks at a routes file only.
pub fn routes_file(file: &Path, strict: bool) -> ExitCode {
    match load(file) {
        Ok(loaded) => exit_code(shown(&loaded, strict)),
        Err(problem) => nothing_to_look_at(&problem),
    }
}

/// There is no such file, or it cannot be read.
pub fn nothing_to_look_at(problem: &Problem) -> ExitCode {
    eprintln!("error: {problem}");
    exit_code(false)
}

/// Looks at the settings that were made, at what was found doing so, and at the routes; tells all
/// of it.
pub fn all(
    settings: Result<Settings, Vec<Problem>>,
    mut found: Findings,
    routes: &RoutesFrom,
    told: &Told,
    strict: bool,
) -> ExitCode {
    let settings = settings.map(|settings| check::look(&settings, &mut found));
    let loaded = routes_of(routes, &mut found);
    let Findings { problems, warnings } = found;
    // Those that were found first prevent the settings from being made.
    let judged = settings.and_then(|()| if problems.is_empty() { Ok(()) } else { Err(Vec::new()) });
    let judged = judged.map_err(|first| [first, problems].concat());
    for doubt in told.doubts(&warnings, strict) {
        eprintln!("warning: {doubt}");
    }
    for text in told.notes() {
        eprintln!("note: {text}");
    }
    let routes_do = loaded.is_none_or(|loaded| shown(&loaded, strict));
    match told.judge(judged, strict) {
        Ok(()) if routes_do => {
            println!("no mistakes");
            exit_code(true)
        }
        judged => {
            for problem in judged.err().unwrap_or_default() {
                eprintln!("error: {problem}");
            }
            exit_code(false)
        }
    }
}

/// The routes that would serve, if they come from a file or from the command line.
fn routes_of(routes: &RoutesFrom, found: &mut Findings) -> Option<Loaded> {
    match routes {
        RoutesFrom::Compiled => {
            for reason in routes::unusable(&routes::compiled()) {
                found.doubt("the routes compiled in", reason);
            }
            None
        }
        RoutesFrom::Lines(lines) => Some(routes::from_lines(lines.iter().map(String::as_str))),
        RoutesFrom::File(file) => load(file).map_err(|problem| found.problems.push(problem)).ok(),
    }
}

fn load(file: &Path) -> Result<Loaded, Problem> {
    routes::load(file).map_err(|error| {
        Problem::of(file.display().to_string(), format!("cannot read the routes: {error}"))
    })
}

/// Shows what is wrong with routes. Whether all of them serve; strictly, as they were meant.
fn shown(loaded: &Loaded, strict: bool) -> bool {
    if loaded.problems.is_empty() {
        println!("{}: {} routes, no mistakes", loaded.file, loaded.table.routes().len());
        return true;
    }
    eprintln!("{}", loaded.report());
    !loaded.has_errors() && !strict
}

fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::from(EXIT_MISTAKES) }
}
