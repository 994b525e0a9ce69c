//! From arguments, environment and configuration file to what was asked for: the command line is
//! read once to find the file, and once more with what the file says as the defaults
//! (specification, routing 6.2 and 7.1). Called by the roof.

use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};

use super::documented;
use super::from_file::{self, Outcome};
use super::invocation;
use crate::config::file::{self, File, Variables};
use crate::config::problem::{self, Places, Problem};

/// The name under which the program is Pushpin, and looks for a file by itself.
const PUSHPIN: &str = "pushpin";
/// Where it looks.
const SEARCHED: [&str; 4] = [
    "config/pushpin.conf",
    "pushpin.conf",
    "examples/config/pushpin.conf",
    "/etc/pushpin/pushpin.conf",
];
/// The listeners that `--port` stands for.
const LISTENERS: [&str; 3] = ["http_port", "https_ports", "local_ports"];
const NONE: [&str; 0] = [];
/// Folder of certificates beside a configuration file.
const CERTS: &str = "runner/certs";

/// What was asked for.
#[derive(Debug)]
pub struct Asked<C> {
    /// The command line, with the file's values.
    pub cli: C,
    /// What is to be said of it.
    pub told: Told,
}

/// What is to be said of what was asked for.
#[derive(Debug, Default)]
pub struct Told {
    errors: Vec<Problem>,
    unknown: Vec<Problem>,
    warnings: Vec<Problem>,
    notes: Vec<String>,
    /// Where options were given.
    pub places: Places,
    /// What all options are.
    pub effective: String,
}

impl Told {
    /// The settings, if nothing is wrong with them or with the file.
    ///
    /// # Errors
    ///
    /// All that is wrong; strictly, keys that nobody knows too.
    pub fn judge<T>(&self, made: Result<T, Vec<Problem>>, strict: bool) -> Result<T, Vec<Problem>> {
        let mut problems = self.errors.clone();
        if strict {
            problems.extend(self.unknown.iter().cloned());
        }
        match made {
            Ok(made) if problems.is_empty() => return Ok(made),
            Ok(_) => {}
            Err(more) => problems.extend(more),
        }
        let located = problems.into_iter().map(|problem| self.places.located(problem));
        let mut problems: Vec<_> = located.collect();
        problem::sort(&mut problems);
        Err(problems)
    }

    /// What is doubtful, `more` included, by place; without what strictly is wrong.
    #[must_use]
    pub fn doubts(&self, more: &[Problem], strict: bool) -> Vec<Problem> {
        let unknown = self.unknown.iter().filter(|_| !strict);
        let all = self.warnings.iter().chain(unknown).chain(more);
        let mut all: Vec<_> = all.map(|problem| self.places.located(problem.clone())).collect();
        problem::sort(&mut all);
        all
    }

    /// What is good to know.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(String::as_str)
    }

    /// Writes it to the log, with further doubts.
    pub fn log(&self, more: &[Problem], strict: bool) {
        self.doubts(more, strict).iter().for_each(|doubt| tracing::warn!("{doubt}"));
        self.notes().for_each(|text| tracing::info!("{text}"));
    }
}

/// Why nothing can be started.
#[derive(Debug)]
pub enum Refusal {
    /// The command line is wrong, or asks for help.
    CommandLine(clap::Error),
    /// There is no file, or it cannot be read.
    File {
        /// Why.
        problem: Problem,
        /// The subcommand, if there is one.
        command: Option<String>,
    },
    /// No file was found where it is looked for.
    NotFound(String),
}

/// Whether the program is called as Pushpin.
#[must_use]
pub fn is_pushpin(arguments: &[OsString]) -> bool {
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    name == Some(OsStr::new(PUSHPIN))
}

/// The command line as it is declared, with what a file makes possible.
#[must_use]
pub fn command<C: CommandFactory>() -> Command {
    let version = Arg::new("version").long("version").short('v').short_alias('V');
    let version = version.action(ArgAction::Version).help("Print version");
    // As in Pushpin, of an option that is repeated the last one counts, unless it is a list.
    let command = C::command().disable_version_flag(true).args_override_self(true);
    // Not under the heading of the last group of options.
    let command = command.next_help_heading(None::<&str>).arg(version);
    from_file::with_values(command).mut_subcommands(from_file::with_values)
}

/// How Pushpin says what is wrong with the command line.
#[must_use]
pub fn as_pushpin(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match (error.kind(), error.source()) {
        (ErrorKind::UnknownArgument, _) => {
            let option = text(ContextKind::InvalidArg).unwrap_or_default();
            format!("Unknown option '{}'.", option.trim_start_matches('-'))
        }
        (_, Some(source)) => source.to_string(),
        (ErrorKind::InvalidValue, None) if text(ContextKind::InvalidValue) == Some("") => {
            let option = text(ContextKind::InvalidArg).unwrap_or_default();
            let option = option.split_once(' ').map_or(option, |(option, _)| option);
            format!("Missing value after '{option}'.")
        }
        (_, None) => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}

/// How the program is called.
#[must_use]
pub fn usage<C: CommandFactory>() -> String {
    command::<C>().name(PUSHPIN).render_usage().to_string()
}

/// Reads all of it.
///
/// # Errors
///
/// When there is nothing to go on with.
pub fn ask<C>(arguments: &[OsString]) -> Result<Asked<C>, Refusal>
where
    C: CommandFactory + FromArgMatches,
{
    let mut command = command::<C>();
    if is_pushpin(arguments) {
        command = command.name(PUSHPIN).version(concat!(env!("CARGO_PKG_VERSION"), " (linchpin)"));
    }
    let matches = command.clone().try_get_matches_from(arguments).map_err(Refusal::CommandLine)?;
    let (name, own) = match matches.subcommand() {
        Some((name, own)) => (Some(name), own),
        None => (None, &matches),
    };
    let mut notes = Vec::new();
    let path = configured(own, is_pushpin(arguments), &mut notes)?;
    let mut file = match &path {
        None => None,
        Some(path) => Some(File::read(path).map_err(|error| Refusal::File {
            problem: Problem::of(path.display().to_string(), error.to_string()),
            command: name.map(str::to_owned),
        })?),
    };
    let mut taken = Outcome::default();
    let mut adapt = |command: Command| {
        let mut variables = variables(&File::default(), &command, own);
        let mut command = command;
        if let Some(file) = &mut file {
            variables = prepare(file, &command, own);
            (command, taken) = from_file::apply(command, file, own);
        }
        if is_given(own, "port") {
            command = command.mut_arg("http_port", |arg| arg.default_values(NONE));
        }
        moved(command, &variables, file.as_ref(), &mut taken.errors)
    };
    let command = match name {
        // Those that do not serve know of no file.
        Some(_) if !has(own, "config") => command,
        None => adapt(command),
        Some(name) => command.mut_subcommand(name, adapt),
    };
    let mut filled = command;
    let matches = filled.try_get_matches_from_mut(arguments).map_err(Refusal::CommandLine)?;
    let mut file = file.unwrap_or_default();
    let mut errors = std::mem::take(&mut file.errors);
    errors.append(&mut taken.errors);
    let mut warnings = std::mem::take(&mut file.warnings);
    warnings.append(&mut taken.warnings);
    notes.extend(taken.notes.iter().map(ToString::to_string));
    let cli = C::from_arg_matches(&matches).map_err(Refusal::CommandLine)?;
    let Outcome { unknown, places, .. } = taken;
    let effective = match matches.subcommand() {
        None => documented::effective(&filled, &matches, &places),
        Some((name, own)) => {
            let command = filled.find_subcommand(name);
            command.map(|command| documented::effective(command, own, &places)).unwrap_or_default()
        }
    };
    Ok(Asked { cli, told: Told { errors, unknown, warnings, notes, places, effective } })
}

fn has(matches: &ArgMatches, id: &str) -> bool {
    matches.ids().any(|each| each == id) || matches.try_contains_id(id).is_ok()
}

/// The file to read, if any.
fn configured(
    matches: &ArgMatches,
    search: bool,
    notes: &mut Vec<String>,
) -> Result<Option<PathBuf>, Refusal> {
    if !has(matches, "config") {
        return Ok(None);
    }
    if let Some(path) = matches.get_one::<PathBuf>("config") {
        return Ok(Some(path.clone()));
    }
    if !search {
        return Ok(None);
    }
    match SEARCHED.iter().find(|path| Path::new(path).exists()) {
        Some(path) => {
            notes.push(format!("using config: {path}"));
            Ok(Some(PathBuf::from(path)))
        }
        None => {
            let tried = SEARCHED.join(" ");
            Err(Refusal::NotFound(format!("no configuration file found. Tried: {tried}")))
        }
    }
}

/// Whether a flag or the environment says something.
fn is_given(matches: &ArgMatches, id: &str) -> bool {
    let given = [Some(ValueSource::CommandLine), Some(ValueSource::EnvVariable)];
    has(matches, id) && given.contains(&matches.value_source(id))
}

/// Everything that has to be done to a file before its values are taken.
fn prepare(file: &mut File, command: &Command, matches: &ArgMatches) -> Variables {
    file.old_rundir();
    let mut variables = variables(file, command, matches);
    file.include(&variables);
    // The included file may say what they are.
    variables = self::variables(file, command, matches);
    file.expand(&variables);
    if is_given(matches, "port") {
        for key in LISTENERS {
            file.forget("runner", key);
        }
    }
    variables
}

fn variables(file: &File, command: &Command, matches: &ArgMatches) -> Variables {
    let value = |id: &str| {
        let raw = |matches: &ArgMatches| {
            let mut raw = matches.get_raw(id)?;
            Some(raw.next()?.to_string_lossy().into_owned())
        };
        let given = is_given(matches, id).then(|| raw(matches)).flatten();
        let in_file = || file.text("global", id).map(str::to_owned);
        let default = || {
            let arg = command.get_arguments().find(|arg| arg.get_id() == id)?;
            Some(arg.get_default_values().first()?.to_string_lossy().into_owned())
        };
        given.or_else(in_file).or_else(default).unwrap_or_default()
    };
    let mut variables = Variables {
        rundir: value("rundir"),
        ipc_prefix: value("ipc_prefix"),
        libdir: value("libdir"),
        port_offset: value("port_offset").parse().unwrap_or(0),
    };
    if let Some(id) = matches.get_one::<u16>("id") {
        // Whatever else says so.
        (variables.ipc_prefix, variables.port_offset) = invocation::instance(*id);
    }
    variables
}

/// The defaults that depend on others.
fn moved(
    command: Command,
    variables: &Variables,
    file: Option<&File>,
    errors: &mut Vec<Problem>,
) -> Command {
    command.mut_args(|arg| match arg.get_id().as_str() {
        "ipc_prefix" => arg.default_value(variables.ipc_prefix.clone()),
        "push_in_http_port" => {
            let given = arg.get_default_values().first();
            let Some(port) = given.and_then(|port| port.to_str()?.parse::<u16>().ok()) else {
                return arg;
            };
            // A free one is a free one.
            let moved =
                if port == 0 { Some(0) } else { file::port_with(port, variables.port_offset) };
            match moved {
                Some(port) => arg.default_value(port.to_string()),
                None => {
                    let offset = variables.port_offset;
                    let text =
                        format!("with {offset} added the port {port} is not within 1 to 65535");
                    errors.push(Problem::of("--push-in-http-port", text));
                    arg
                }
            }
        }
        "certs" => match file {
            Some(file) if file.value("runner", "certs").is_none() => {
                arg.default_value(file.folder().join(CERTS).to_string_lossy().into_owned())
            }
            _ => arg,
        },
        _ => arg,
    })
}
