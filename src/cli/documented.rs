//! The options as documents: an annotated configuration file, and tables for
//! `docs/configuration.md`. Both are made from the declaration, so that they say what it says; a
//! test compares them with what is in the tree. Dispatched to by the roof (`linchpin options`).

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command};

use super::from_file;
use super::known;
use crate::config::ini;
use crate::config::problem::Places;

/// Longest line of the example.
const COLUMNS: usize = 100;
/// What the example begins with.
const HEAD: &str = "\
# All options of linchpin, with what they are when nothing is said (made by `linchpin options`).
#
# The form is that of Pushpin's pushpin.conf, and such a file can be used as it is. The same options
# are flags (--key, with - for _) and environment variables (LINCHPIN_KEY); a flag stands before the
# environment, and that before this file.
#
# As it stands it changes nothing. Four keys are no comments: in a file that does not say them they
# are something else, as in Pushpin.
";

/// Flags of `linchpin options`.
#[derive(Args, Clone, Debug)]
pub struct OptionsArgs {
    /// Print tables in Markdown instead.
    #[arg(long)]
    pub markdown: bool,
}

/// One or the other.
#[must_use]
pub fn options(args: &OptionsArgs, command: &Command) -> String {
    if args.markdown { tables(command) } else { example(command) }
}

/// An annotated configuration file that says what is so without it.
#[must_use]
pub fn example(command: &Command) -> String {
    let mut text = HEAD.to_owned();
    for section in from_file::SECTIONS {
        let _ = write!(text, "\n[{section}]\n");
        for arg in of_section(command, Some(section)) {
            text.push('\n');
            comment(&mut text, &meaning(arg, section));
            let key = name(arg);
            let mark = if known::absent(section, &key).is_some() { "" } else { "#" };
            let _ = writeln!(text, "{mark}{key}={}", ini::print(&defaults(arg)));
        }
    }
    text
}

/// A configuration file that says what is so, with where that is from.
#[must_use]
pub fn effective(command: &Command, matches: &ArgMatches, places: &Places) -> String {
    let mut text = String::new();
    for section in from_file::SECTIONS {
        let _ = writeln!(text, "[{section}]");
        for arg in of_section(command, Some(section)) {
            let id = arg.get_id().as_str();
            let raw = matches.get_raw(id).into_iter().flatten();
            let values: Vec<_> = raw.map(|value| value.to_string_lossy().into_owned()).collect();
            let secret = arg.is_hide_env_values_set() && values.iter().any(|v| !v.is_empty());
            let value = if secret { "(hidden)".to_owned() } else { ini::print(&values) };
            let flag = format!("--{}", arg.get_long().unwrap_or_default());
            let from = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => flag.as_str(),
                Some(ValueSource::EnvVariable) => {
                    arg.get_env().and_then(OsStr::to_str).unwrap_or_default()
                }
                _ => places.of(&flag).unwrap_or("default"),
            };
            let _ = writeln!(text, "{}={value} ; {from}", name(arg));
        }
    }
    text
}

/// The options whose section this is; `None` are those that stand in no file.
fn of_section<'a>(command: &'a Command, name: Option<&'a str>) -> impl Iterator<Item = &'a Arg> {
    let shown = |arg: &&Arg| arg.get_long().is_some() && !arg.is_hide_set();
    let all = command.get_arguments().filter(shown);
    all.filter(move |arg| from_file::section(arg) == name && arg.get_env().is_some())
}

fn name(arg: &Arg) -> String {
    from_file::key(arg).unwrap_or_default()
}

fn defaults(arg: &Arg) -> Vec<String> {
    let values = arg.get_default_values().iter().map(|value| value.to_string_lossy());
    match arg.get_value_delimiter() {
        Some(delimiter) => {
            let lists = values.map(|value| value.split(delimiter).map(str::to_owned).collect());
            lists.collect::<Vec<Vec<String>>>().concat()
        }
        None => values.map(Cow::into_owned).collect(),
    }
}

/// What the declaration says, and what it implies.
fn meaning(arg: &Arg, section: &str) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let mut text = help.map(ToString::to_string).unwrap_or_default();
    text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !text.ends_with(['.', ':']) {
        text.push('.');
    }
    let values = arg.get_possible_values();
    let words: Vec<_> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
    if !words.is_empty() && !from_file::is_bool(arg) {
        let _ = write!(text, " One of {}.", words.join(", "));
    }
    match known::absent(section, &name(arg)) {
        Some([] | [""]) => text += " In a file that does not say it: none.",
        Some(values) => {
            let _ = write!(text, " In a file that does not say it: {}.", values.join(","));
        }
        None => {}
    }
    text
}

/// Puts lines of words after `# `.
fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split(' ') {
        if line.len() > 1 && line.len() + 1 + word.len() > COLUMNS {
            let _ = writeln!(text, "{line}");
            line.truncate(1);
        }
        line.push(' ');
        line += word;
    }
    let _ = writeln!(text, "{line}");
}

/// Tables of all options, and of the keys of Pushpin that are none.
#[must_use]
pub fn tables(command: &Command) -> String {
    let mut text = String::new();
    for section in from_file::SECTIONS {
        let _ = write!(text, "\n### `[{section}]`\n\n");
        text +=
            "| key | flag | environment | default | meaning |\n| --- | --- | --- | --- | --- |\n";
        for arg in of_section(command, Some(section)) {
            let _ = writeln!(text, "| `{}` {}", name(arg), row(arg, section));
        }
    }
    text += "\n### In no file\n\n";
    text += "| flag | environment | default | meaning |\n| --- | --- | --- | --- |\n";
    for arg in of_section(command, None) {
        let _ = writeln!(text, "{}", row(arg, ""));
    }
    text += "\n### Keys of Pushpin without effect\n\n| key | why |\n| --- | --- |\n";
    for (section, key, why) in known::keys() {
        if of_section(command, Some(section)).all(|arg| name(arg) != key) {
            let _ = writeln!(text, "| `[{section}] {key}` | {} |", why.text());
        }
    }
    text
}

fn row(arg: &Arg, section: &str) -> String {
    let mut flags = arg.get_long().map(|long| format!("`--{long}`")).unwrap_or_default();
    if let Some(short) = arg.get_short() {
        let _ = write!(flags, ", `-{short}`");
    }
    for alias in arg.get_all_aliases().unwrap_or_default() {
        let _ = write!(flags, ", `--{alias}`");
    }
    let variable = arg.get_env().map(|name| name.to_string_lossy()).unwrap_or_default();
    let default = ini::print(&defaults(arg));
    let default = if default.is_empty() { default } else { format!("`{default}`") };
    // What stands in angle brackets or has a bar would be taken for marks of the text's form.
    let meaning = meaning(arg, section).replace('|', "\\|").replace('<', "&lt;");
    format!("| {flags} | `{variable}` | {default} | {meaning} |")
}

#[cfg(test)]
mod tests;
