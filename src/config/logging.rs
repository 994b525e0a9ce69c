//! The log: which lines there are, how they look, and where they go (specification, routing 7.2 and
//! 8.1). Set up by `cli`; `server` has it reopened.

pub mod component;
mod format;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::tz::TimeZone;
use tracing_subscriber::EnvFilter;

use super::access;
use super::problem::{Findings, Problem};
use component::Component;
use format::Lines;
use writer::{Log, Places};

/// What may be set about the log, as meant.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    /// The least level that is told, by name or number, and that of components:
    /// `N[,component:N...]`.
    pub level: String,
    /// Lines are JSON.
    pub json: bool,
    /// The file that lines go to instead of standard error.
    pub file: Option<PathBuf>,
    /// The folder with a file for each component; `file` is the runner's then.
    pub folder: Option<PathBuf>,
    /// What the names of these files begin with.
    pub prefix: String,
}

/// The log of the process, once it has begun.
static LOG: OnceLock<Log> = OnceLock::new();

/// Starts the log. What `RUST_LOG` says goes on top of the levels that are set. Gives what is
/// doubtful about them.
///
/// # Errors
/// When the level or `RUST_LOG` is none, or a file cannot be written to.
pub fn init(logs: &Logs) -> Result<Vec<Problem>, Problem> {
    let (filter, doubts) = filter(logs)?;
    let places = places(logs);
    make_folder(logs)?;
    let log = Log::start(places)
        .map_err(|(component, error)| Problem::of(flag(logs, component), error.to_string()))?;
    let log = LOG.get_or_init(|| log).clone();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log);
    // A second start in one process (tests) keeps the first log.
    let _ = if logs.json {
        subscriber.json().try_init()
    } else {
        let merged = logs.folder.is_none();
        subscriber.event_format(Lines { merged, zone: TimeZone::system() }).try_init()
    };
    Ok(doubts)
}

/// Looks at what is set, and starts nothing.
pub fn check(logs: &Logs, found: &mut Findings) {
    match filter(logs) {
        Ok((_, doubts)) => found.warnings.extend(doubts),
        Err(problem) => found.problems.push(problem),
    }
    // Files of a folder that is to be made can be made in it.
    let folder = logs.folder.as_deref().filter(|folder| !folder.exists());
    if let Some(folder) = folder
        && let Err(error) = access::can_make_folder(folder)
    {
        found.wrong("--logdir", not_made(folder, &error));
    }
    for (component, path) in Component::ALL.into_iter().zip(places(logs)) {
        let Some(path) = path.filter(|path| folder.is_none_or(|f| !path.starts_with(f))) else {
            continue;
        };
        if let Err(error) = access::can_write(&path) {
            let problem = Problem::of(flag(logs, component), writer::named(&path, &error));
            if !found.problems.contains(&problem) {
                found.problems.push(problem);
            }
        }
    }
}

/// The option that says where a component's lines go.
fn flag(logs: &Logs, component: Component) -> &'static str {
    match (component, &logs.folder) {
        (Component::Runner, _) | (_, None) => "--logfile",
        (_, Some(_)) => "--logdir",
    }
}

/// The lines that are told, and what is doubtful about them.
fn filter(logs: &Logs) -> Result<(EnvFilter, Vec<Problem>), Problem> {
    let (levels, unknown) = component::directives(&logs.level)
        .map_err(|error| Problem::of("--log-level", error.to_string()))?;
    let refined = std::env::var("RUST_LOG").unwrap_or_default();
    // Routes with a level of their own have decided whether they say something. No level beyond
    // that of their lines: libraries would ask the filter about each of theirs.
    let directives = format!("{levels},access_of_route=info,subscriptions_of_route=info,{refined}");
    let filter = EnvFilter::try_new(directives.trim_end_matches(','))
        .map_err(|error| Problem::of("RUST_LOG", error.to_string()))?;
    let doubt = |name: &String| {
        let text = format!("there is no component {name}: its level has no effect");
        Problem::of("--log-level", text)
    };
    Ok((filter, unknown.iter().map(doubt).collect()))
}

/// Makes the folder if it is not there.
fn make_folder(logs: &Logs) -> Result<(), Problem> {
    let Some(folder) = &logs.folder else { return Ok(()) };
    std::fs::create_dir_all(folder)
        .map_err(|error| Problem::of("--logdir", not_made(folder, &error)))
}

fn not_made(folder: &Path, error: &io::Error) -> String {
    format!("failed to create directory: {}: {error}", folder.display())
}

/// Where lines go.
fn places(logs: &Logs) -> Places {
    let mut places = [const { None }; 4].map(|_: Option<PathBuf>| logs.file.clone());
    if let Some(folder) = &logs.folder {
        for component in Component::ALL {
            // As in Pushpin, the runner's lines stay on the terminal.
            if component != Component::Runner {
                let name = format!("{}{}", logs.prefix, component.file());
                places[component as usize] = Some(folder.join(name));
            }
        }
    }
    places
}

/// Opens files anew, by their names: they may have been renamed.
pub fn reopen() {
    if let Some(log) = LOG.get() {
        log.reopen();
    }
}

/// Waits until all lines are written, but not for ever. For the end of the process.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_components() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs {
            folder: Some(folder.path().join("log")),
            file: Some("runner".into()),
            prefix: "p1-".to_owned(),
            ..Logs::default()
        };
        make_folder(&logs).unwrap();
        let names: Vec<String> = places(&logs)
            .map(|path| path.unwrap().file_name().unwrap().to_string_lossy().into_owned())
            .to_vec();
        let expected =
            ["p1-connmgr.log", "p1-pushpin-proxy.log", "p1-pushpin-handler.log", "runner"];
        assert_eq!(names, expected);
        assert!(folder.path().join("log").is_dir());
        assert_eq!(places(&Logs::default()), [const { None }; 4]);
    }
}
