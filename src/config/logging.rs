//! The log: which lines there are, how they look, and where they go (specification, routing 7.2 and
//! 8.1). Set up by `cli`; `server` has it reopened.

pub mod component;
mod format;
mod writer;

use std::path::PathBuf;
use std::sync::OnceLock;

use jiff::tz::TimeZone;
use tracing_subscriber::EnvFilter;

use super::problem::Problem;
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

/// Starts the log. What `RUST_LOG` says goes on top of the levels that are set.
///
/// # Errors
/// When the level or `RUST_LOG` is none, or a file cannot be written to.
pub fn init(logs: &Logs) -> Result<(), Problem> {
    let (filter, unknown) = filter(logs)?;
    let log =
        Log::start(places(logs)?).map_err(|error| Problem::of("the log", error.to_string()))?;
    let log = LOG.get_or_init(|| log).clone();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log);
    // A second start in one process (tests) keeps the first log.
    let _ = if logs.json {
        subscriber.json().try_init()
    } else {
        let merged = logs.folder.is_none();
        subscriber.event_format(Lines { merged, zone: TimeZone::system() }).try_init()
    };
    for name in unknown {
        tracing::warn!("--log-level: there is no component {name}: its level has no effect");
    }
    Ok(())
}

/// Looks at what is set, and starts nothing.
///
/// # Errors
/// As [`init`].
pub fn check(logs: &Logs) -> Result<(), Problem> {
    filter(logs).map(drop)
}

/// The lines that are told, and the components that nobody knows.
fn filter(logs: &Logs) -> Result<(EnvFilter, Vec<String>), Problem> {
    let (levels, unknown) = component::directives(&logs.level)
        .map_err(|error| Problem::of("--log-level", error.to_string()))?;
    let refined = std::env::var("RUST_LOG").unwrap_or_default();
    // Routes with a level of their own have decided whether they say something.
    let directives = format!("{levels},access_of_route=trace,{refined}");
    let filter = EnvFilter::try_new(directives.trim_end_matches(','))
        .map_err(|error| Problem::of("RUST_LOG", error.to_string()))?;
    Ok((filter, unknown))
}

/// Where lines go. A folder is made if it is not there.
fn places(logs: &Logs) -> Result<Places, Problem> {
    let mut places = [const { None }; 4].map(|_: Option<PathBuf>| logs.file.clone());
    if let Some(folder) = &logs.folder {
        std::fs::create_dir_all(folder).map_err(|error| {
            let text = format!("failed to create directory: {}: {error}", folder.display());
            Problem::of("--logdir", text)
        })?;
        for component in Component::ALL {
            // As in Pushpin, the runner's lines stay on the terminal.
            if component != Component::Runner {
                let name = format!("{}{}", logs.prefix, component.file());
                places[component as usize] = Some(folder.join(name));
            }
        }
    }
    Ok(places)
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
        let names: Vec<String> = places(&logs)
            .unwrap()
            .map(|path| path.unwrap().file_name().unwrap().to_string_lossy().into_owned())
            .to_vec();
        let expected =
            ["p1-connmgr.log", "p1-pushpin-proxy.log", "p1-pushpin-handler.log", "runner"];
        assert_eq!(names, expected);
        assert!(folder.path().join("log").is_dir());
        assert_eq!(places(&Logs::default()).unwrap(), [const { None }; 4]);
    }
}
