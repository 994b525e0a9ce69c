//! A configuration file as `pushpin.conf`: the file and the one it includes, its variables and its
//! ports (specification, routing 6.1 and 6.2). Called by `cli`, which knows the options and checks
//! what is given them; the syntax is in `ini`.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::ini::{self, Place};
use super::problem::Problem;
use crate::limits;

/// Names the sections and the keys that this reads itself.
const GLOBAL: &str = "global";
/// The file of Pushpin's internal plumbing; it concerns nobody here and need not be there.
const INTERNAL: &str = "internal.conf";

/// What one key was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What stands between commas; at least one, which may be empty.
    pub values: Vec<String>,
    /// `file:line`.
    pub place: String,
}

/// What variables in values stand for, and what is added to ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// `{rundir}`.
    pub rundir: String,
    /// `{ipc_prefix}`.
    pub ipc_prefix: String,
    /// `{libdir}`.
    pub libdir: String,
    /// Added to the ports of `tcp://host:port`; may be negative.
    pub port_offset: i32,
}

/// A configuration file and what it includes.
#[derive(Clone, Debug, Default)]
pub struct File {
    path: PathBuf,
    given: BTreeMap<(String, String), Given>,
    /// What makes it unclear what is meant.
    pub errors: Vec<Problem>,
    /// What is wrong with it otherwise.
    pub warnings: Vec<Problem>,
}

impl File {
    /// Reads a file. What is wrong with it is in the result.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn read(path: &Path) -> io::Result<File> {
        let mut file = File { path: path.to_owned(), ..File::default() };
        let text = content(path)?;
        file.parse(path, &text, false);
        Ok(file)
    }

    /// The same of text that stands for a file's content.
    #[must_use]
    pub fn of(path: &Path, text: &[u8]) -> File {
        let mut file = File { path: path.to_owned(), ..File::default() };
        file.parse(path, text, false);
        file
    }

    fn parse(&mut self, path: &Path, text: &[u8], included: bool) {
        let at = |place: Place| format!("{}:{}", path.display(), place.line);
        let parsed = ini::parse(text);
        for (place, mistake) in parsed.mistakes {
            let is_error = mistake.is_error();
            let problem = Problem::of(format!("{}:{place}", path.display()), mistake.to_string());
            if is_error { &mut self.errors } else { &mut self.warnings }.push(problem);
        }
        let mut given = BTreeMap::new();
        for entry in parsed.entries {
            // The last one counts.
            let value = Given { values: entry.values, place: at(entry.place) };
            given.insert((entry.section, entry.key), value);
        }
        for (key, value) in given {
            if included {
                self.given.entry(key).or_insert(value);
            } else {
                self.given.insert(key, value);
            }
        }
    }

    /// What a key was given.
    #[must_use]
    pub fn value(&self, section: &str, key: &str) -> Option<&Given> {
        self.given.get(&(section.to_owned(), key.to_owned()))
    }

    /// The text of a key of which there is one.
    #[must_use]
    pub fn text(&self, section: &str, key: &str) -> Option<&str> {
        match self.value(section, key)?.values.as_slice() {
            [text] => Some(text),
            _ => None,
        }
    }

    /// All keys with their sections, in the order of sections and keys.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &Given)> {
        self.given.iter().map(|((section, key), given)| (section.as_str(), key.as_str(), given))
    }

    /// Takes a key out, as if it had not been given.
    pub fn forget(&mut self, section: &str, key: &str) {
        self.given.remove(&(section.to_owned(), key.to_owned()));
    }

    /// The folder that the file is in, with which paths begin that are relative to it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The path it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `rundir` where Pushpin used to have it, `[runner]`, if `[global]` has none.
    pub fn old_rundir(&mut self) {
        let Some(given) = self.value("runner", "rundir").cloned() else { return };
        let text = "rundir belongs to [global]; here it is used only where that has none";
        self.warnings.push(Problem::of(given.place.clone(), text));
        self.forget("runner", "rundir");
        self.given.entry((GLOBAL.to_owned(), "rundir".to_owned())).or_insert(given);
    }

    /// Adds what the file includes, for keys that the file itself has not.
    pub fn include(&mut self, variables: &Variables) {
        let Some(given) = self.value(GLOBAL, "include").cloned() else { return };
        let name = given.values.first().map_or("", String::as_str);
        let name = expanded(name, variables);
        let path = self.folder().join(&name);
        if name.is_empty() || path.file_name().is_some_and(|name| name == INTERNAL) {
            return;
        }
        match content(&path) {
            Ok(text) => self.parse(&path, &text, true),
            Err(error) => {
                let text = format!("[global] include: cannot read {}: {error}", path.display());
                self.warnings.push(Problem::of(given.place, text));
            }
        }
    }

    /// Puts in what variables stand for, and moves the ports of `tcp://host:port`.
    pub fn expand(&mut self, variables: &Variables) {
        let mut errors = Vec::new();
        for ((section, key), given) in &mut self.given {
            for value in &mut given.values {
                let text = expanded(value, variables);
                *value = moved(&text, variables.port_offset).unwrap_or_else(|| {
                    let text =
                        format!("with port_offset the port of '{text}' is not within 1 to 65535");
                    let place = format!("{}: [{section}] {key}", given.place);
                    errors.push(Problem::of(place, text));
                    String::new()
                });
            }
        }
        self.errors.append(&mut errors);
    }
}

/// A file's bytes, not more than are read of one.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let max = limits::CONFIGURATION_BYTES_MAX;
    std::fs::File::open(path)?.take(max.saturating_add(1)).read_to_end(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > max {
        let text = format!("larger than {max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(text)
}

fn expanded(text: &str, variables: &Variables) -> String {
    let mut left = text;
    let mut done = String::new();
    // What was put in is not looked through again.
    while let Some(at) = left.find('{') {
        let (before, from) = left.split_at(at);
        done += before;
        let found = [
            ("{rundir}", &variables.rundir),
            ("{ipc_prefix}", &variables.ipc_prefix),
            ("{libdir}", &variables.libdir),
        ]
        .into_iter()
        .find_map(|(name, value)| Some((value, from.strip_prefix(name)?)));
        left = match found {
            Some((value, rest)) => {
                done += value;
                rest
            }
            None => {
                done.push('{');
                from.get(1..).unwrap_or_default()
            }
        };
    }
    done + left
}

/// A port that is so much larger, if there is one.
#[must_use]
pub fn port_with(port: u16, offset: i32) -> Option<u16> {
    let moved = i32::from(port).checked_add(offset)?;
    u16::try_from(moved).ok().filter(|port| *port > 0)
}

/// With a port that is so much larger, if it is an address `tcp://host:port`. `None` if there is no
/// such port.
fn moved(text: &str, offset: i32) -> Option<String> {
    let address = text.find("tcp://").and_then(|at| text.get(at.checked_add("tcp://".len())?..));
    let port = address.and_then(|address| address.rsplit_once(':')).map(|(_, port)| port);
    let Some((port, number)) = port.and_then(|port| Some((port, port.parse::<u16>().ok()?))) else {
        return Some(text.to_owned());
    };
    if offset == 0 {
        return Some(text.to_owned());
    }
    let number = port_with(number, offset)?;
    Some(format!("{}{number}", text.strip_suffix(port).unwrap_or(text)))
}

#[cfg(test)]
mod tests;
