//! `linchpin check`: everything that can be found out about configuration and routes without
//! serving. Dispatched to by the roof.

use std::path::Path;
use std::process::ExitCode;

use super::failing::{self, cannot_start};
use super::start::Told;
use crate::config::problem::Problem;
use crate::config::routes::{self, Loaded};
use crate::config::settings::{RoutesFrom, Settings};

/// Looks at a routes file only.
pub fn routes_file(file: &Path) -> ExitCode {
    match load(file) {
        Ok(loaded) => shown(&loaded),
        Err(problem) => cannot_start(&[problem], false),
    }
}

/// Says what is doubtful, and what is good to know.
pub fn tell(told: &Told) {
    for text in told.doubts() {
        eprintln!("warning: {text}");
    }
    for text in told.notes() {
        eprintln!("note: {text}");
    }
}

fn load(file: &Path) -> Result<Loaded, Problem> {
    routes::load(file).map_err(|error| {
        Problem::of(file.display().to_string(), format!("cannot read the routes: {error}"))
    })
}

fn shown(loaded: &Loaded) -> ExitCode {
    if loaded.problems.is_empty() {
        println!("{}: {} routes, no mistakes", loaded.file, loaded.table.routes().len());
        return ExitCode::SUCCESS;
    }
    eprintln!("{}", loaded.report());
    ExitCode::from(failing::CANNOT_START)
}

/// Looks at the settings, as they were judged, at what is wrong with the log, and at the routes.
pub fn all(
    judged: Result<Settings, Vec<Problem>>,
    log: Option<Problem>,
    routes: &RoutesFrom,
    told: &Told,
) -> ExitCode {
    let mut problems = match judged {
        Ok(settings) => {
            let mut problems = settings.check();
            let secure = !settings.listening.https.is_empty();
            for doubt in settings.tls.check(secure, &mut problems) {
                eprintln!("warning: {doubt}");
            }
            problems
        }
        Err(problems) => problems,
    };
    problems.extend(log);
    let mut problems: Vec<_> = problems.into_iter().map(|each| told.places.located(each)).collect();
    let loaded = match routes {
        RoutesFrom::Compiled => None,
        RoutesFrom::Lines(lines) => Some(routes::from_lines(lines.iter().map(String::as_str))),
        RoutesFrom::File(file) => match load(file) {
            Ok(loaded) => Some(loaded),
            Err(problem) => {
                problems.push(problem);
                None
            }
        },
    };
    let mistakes = loaded.as_ref().is_some_and(|loaded| !loaded.problems.is_empty());
    let routes = loaded.as_ref().map_or(ExitCode::SUCCESS, shown);
    if !problems.is_empty() {
        return cannot_start(&problems, false);
    }
    if mistakes {
        return routes;
    }
    println!("no mistakes");
    ExitCode::SUCCESS
}
