//! Makes the values of a configuration file the defaults of the options, and so stands between
//! flags and environment on one side and the built-in defaults on the other. Called by `start`.
//!
//! The options are looked up in the declaration itself: those under the heading `[section]` stand
//! in that section of the file, under their long name with `_` for `-`.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::{Path, PathBuf};

use clap::builder::{BoolishValueParser, ValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::known::{self, Why};
use crate::config::file::{File, Given};
use crate::config::problem::{self, Places, Problem};

/// The sections that options stand in.
pub const SECTIONS: [&str; 4] = ["global", "runner", "proxy", "handler"];

/// Paths that are relative to the working directory, as in Pushpin; the others to the file.
const RELATIVE_TO_WORKING_DIRECTORY: [&str; 3] = ["rundir", "logdir", "libdir"];
/// Options that may be a key's file.
const KEYS: [&str; 2] = ["sig_key", "upstream_key"];
/// What Pushpin takes for false; everything else is true.
const FALSE: [&str; 3] = ["", "0", "false"];
/// What looks as if it were false as well.
const FALSE_ELSEWHERE: [&str; 5] = ["no", "off", "n", "f", "none"];

/// The section of an option, if it may stand in a file.
#[must_use]
pub fn section(arg: &Arg) -> Option<&str> {
    let name = arg.get_help_heading()?.strip_prefix('[')?.strip_suffix(']')?;
    SECTIONS.contains(&name).then_some(name)
}

/// Its key there.
#[must_use]
pub fn key(arg: &Arg) -> Option<String> {
    Some(arg.get_long()?.replace('-', "_"))
}

/// Lets options that are off unless given be given as off, so that a file's word can be overruled:
/// `--debug=false`.
#[must_use]
pub fn with_values(command: Command) -> Command {
    command.mut_args(|arg| {
        if arg.get_env().is_none() || !matches!(arg.get_action(), ArgAction::SetTrue) {
            return arg;
        }
        arg.action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false")
            .hide_default_value(true)
            .value_parser(BoolishValueParser::new())
            .value_name("BOOL")
            .hide_possible_values(true)
    })
}

/// What came of a file.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Values that are none.
    pub errors: Vec<Problem>,
    /// Keys that nobody knows.
    pub unknown: Vec<Problem>,
    /// What may be meant otherwise.
    pub warnings: Vec<Problem>,
    /// Keys without effect, and why.
    pub notes: Vec<Problem>,
    /// Where options were given: `file:line: [section] key`.
    pub places: Places,
}

/// Makes the file's values the defaults of `command`, of which `matches` is what was typed.
#[must_use]
pub fn apply(command: Command, file: &File, matches: &ArgMatches) -> (Command, Outcome) {
    let mut outcome = Outcome::default();
    let mut defaults = BTreeMap::new();
    let mut options = Vec::new();
    for arg in command.get_arguments() {
        let (Some(section), Some(key)) = (section(arg), key(arg)) else { continue };
        let values = match file.value(section, &key) {
            Some(given) => {
                let place = format!("{}: [{section}] {key}", given.place);
                let source = matches.value_source(arg.get_id().as_str());
                if source.is_none_or(|source| source == ValueSource::DefaultValue) {
                    let flag = arg.get_long().unwrap_or_default();
                    outcome.places.insert(format!("--{flag}"), place.clone());
                }
                match values(arg, &key, given, file.folder()) {
                    Ok((values, doubt)) => {
                        outcome.warnings.extend(doubt.map(|text| Problem::of(place, text)));
                        values
                    }
                    Err(text) => {
                        outcome.errors.push(Problem::of(place, text));
                        None
                    }
                }
            }
            None => None,
        };
        let absent = || known::absent(section, &key).map(|all| all.iter().map(|s| (*s).into()));
        if let Some(values) = values.or_else(|| Some(absent()?.collect())) {
            defaults.insert(arg.get_id().to_string(), values);
        }
        options.push((section.to_owned(), key));
    }
    others(file, &options, &mut outcome);
    for found in [&mut outcome.errors, &mut outcome.unknown, &mut outcome.notes] {
        problem::sort(found);
    }
    let command = command.mut_args(|arg| match defaults.get(arg.get_id().as_str()) {
        Some(values) => arg.default_values(values.clone()),
        None => arg,
    });
    (command, outcome)
}

/// What is said of keys that are no options.
fn others(file: &File, options: &[(String, String)], outcome: &mut Outcome) {
    for (section, key, given) in file.all() {
        if options.iter().any(|(s, k)| (s.as_str(), k.as_str()) == (section, key)) {
            continue;
        }
        let place = format!("{}: [{section}] {key}", given.place);
        match known::why(section, key) {
            // Who does not want what is not there need not be told.
            Some(Why::NotBuilt) if given.values.iter().all(|value| !truth(value).0) => {}
            Some(why) => outcome.notes.push(Problem::of(place, why.text())),
            None => {
                let mut text = "nobody knows this key, it has no effect".to_owned();
                if let Some((section, key)) = nearest(section, key, options) {
                    text += &format!("; is [{section}] {key} meant?");
                }
                outcome.unknown.push(Problem::of(place, text));
            }
        }
    }
}

/// The known key that is most like this one, if any is.
fn nearest(section: &str, key: &str, options: &[(String, String)]) -> Option<(String, String)> {
    let known = known::keys().map(|(section, key, _)| (section.to_owned(), key.to_owned()));
    let all = options.iter().cloned().chain(known);
    let (lower_section, lower_key) = (section.to_lowercase(), key.to_lowercase());
    let far = |(s, k): &(String, String)| {
        // The same key in another section is as near as a slip of the pen.
        let in_other = usize::from(*s != lower_section);
        strsim::damerau_levenshtein(k, &lower_key).saturating_add(in_other)
    };
    let near = all.map(|each| (far(&each), each)).min_by_key(|(far, _)| *far);
    near.filter(|(far, _)| *far <= 1 + key.len() / 4).map(|(_, each)| each)
}

type Meant = (Option<Vec<String>>, Option<String>);

/// What an option's parser is to be given: nothing if the key may as well be absent. With a doubt.
fn values(arg: &Arg, key: &str, given: &Given, folder: &Path) -> Result<Meant, String> {
    let is_list = matches!(arg.get_action(), ArgAction::Append)
        || arg.get_value_delimiter().is_some()
        || arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    if is_list {
        let values = given.values.iter().filter(|value| !value.is_empty()).cloned();
        let values: Vec<String> = values.map(|value| located(arg, key, value, folder)).collect();
        values.iter().try_for_each(|value| check(arg, value))?;
        return Ok((Some(values), None));
    }
    let [value] = given.values.as_slice() else {
        return Err("expected one value; put \"...\" around one that has a comma".to_owned());
    };
    if is_bool(arg) {
        let (value, doubt) = truth(value);
        return Ok((Some(vec![value.to_string()]), doubt));
    }
    let value = located(arg, key, value.clone(), folder);
    match check(arg, &value) {
        Err(_) if value.is_empty() => Ok((None, None)),
        Err(text) => Err(text),
        Ok(()) => Ok((Some(vec![value]), None)),
    }
}

fn is(arg: &Arg, id: TypeId) -> bool {
    arg.get_value_parser().type_id() == id
}

/// Whether an option is a switch.
#[must_use]
pub fn is_bool(arg: &Arg) -> bool {
    is(arg, TypeId::of::<bool>())
}

/// As Pushpin reads it (specification, routing 6.1).
fn truth(value: &str) -> (bool, Option<String>) {
    let lower = value.to_ascii_lowercase();
    let doubt = FALSE_ELSEWHERE
        .contains(&lower.as_str())
        .then(|| format!("'{value}' is true, as in Pushpin: only 0, false and nothing are false"));
    (!FALSE.contains(&lower.as_str()), doubt)
}

/// With relative paths from where they begin.
fn located(arg: &Arg, key: &str, value: String, folder: &Path) -> String {
    let from = |path: &str| folder.join(path).to_string_lossy().into_owned();
    if let Some(path) = value.strip_prefix("file:").filter(|_| KEYS.contains(&key)) {
        return format!("file:{}", from(path));
    }
    let is_path = is(arg, TypeId::of::<PathBuf>()) && !value.is_empty();
    if is_path && !RELATIVE_TO_WORKING_DIRECTORY.contains(&key) { from(&value) } else { value }
}

/// Has the option's own parser look at a value. The error says what was expected.
fn check(arg: &Arg, value: &str) -> Result<(), String> {
    let parser: ValueParser = arg.get_value_parser().clone();
    let mut alone = Arg::new("value").long("value").action(ArgAction::Append).value_parser(parser);
    if let Some(delimiter) = arg.get_value_delimiter() {
        alone = alone.value_delimiter(delimiter);
    }
    let command = Command::new("").no_binary_name(true).disable_help_flag(true).arg(alone);
    let Err(error) = command.try_get_matches_from([format!("--value={value}")]) else {
        return Ok(());
    };
    let words = |value: &ContextValue| match value {
        ContextValue::Strings(all) => Some(all.join(", ")),
        ContextValue::String(one) => Some(one.clone()),
        _ => None,
    };
    let one_of = error.get(ContextKind::ValidValue).and_then(words).filter(|s| !s.is_empty());
    let number = [TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>()];
    let is_number = is(arg, TypeId::of::<usize>()) || number.iter().any(|id| is(arg, *id));
    let expected = match (one_of, arg.get_value_names()) {
        (Some(words), _) => format!("one of {words}"),
        (None, Some([name, ..])) if is_number => format!("a whole number ({name})"),
        (None, Some([name, ..])) => name.to_string(),
        (None, _) => "another value".to_owned(),
    };
    let why = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    Err(format!("expected {expected}, not '{value}'{why}"))
}

#[cfg(test)]
mod tests;
