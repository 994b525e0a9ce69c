//! The file with what was recorded: a table for each kind of processor, in just as much of TOML as
//! that takes. Called by `main.rs`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::failure::Failure;

const HEAD: &str = "\
# Instructions for one operation, by kind of processor (as seen under valgrind).
# Written by `make counted RECORD=1`; `make counted` compares.
";

/// By kind of processor.
pub type Record = BTreeMap<String, Set>;

/// What was recorded for one kind of processor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set {
    /// Compiler, C library, valgrind.
    pub made_with: String,
    /// Cases in their order, and instructions of each for one operation.
    pub counts: Vec<(String, f64)>,
}

/// Reads the file. One that is not there is empty.
pub fn read(path: &Path) -> Result<Record, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(source) => return Err(Failure::File { path: path.to_owned(), source }),
    };
    parse(&text).map_err(|line| Failure::Record { path: path.to_owned(), line })
}

/// Writes the file.
pub fn write(path: &Path, record: &Record) -> Result<(), Failure> {
    fs::write(path, print(record)).map_err(|source| Failure::File { path: path.to_owned(), source })
}

fn print(record: &Record) -> String {
    let mut text = HEAD.to_owned();
    for (processor, set) in record {
        let _ = writeln!(text, "\n[\"{processor}\"]\nmade_with = \"{}\"", set.made_with);
        for (case, count) in &set.counts {
            let _ = writeln!(text, "\"{case}\" = {count:.2}");
        }
    }
    text
}

/// The record, or the number of the line at fault.
fn parse(text: &str) -> Result<Record, usize> {
    let mut record = Record::new();
    let mut current: Option<&mut Set> = None;
    for (number, line) in (1_usize..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("[\"").and_then(|line| line.strip_suffix("\"]")) {
            current = Some(record.entry(name.to_owned()).or_default());
            continue;
        }
        let set = current.as_deref_mut().ok_or(number)?;
        let (name, value) = line.rsplit_once(" = ").ok_or(number)?;
        let unquoted = |text: &str| {
            let text = text.strip_prefix('"')?.strip_suffix('"')?;
            Some(text.to_owned())
        };
        match name {
            "made_with" => set.made_with = unquoted(value).ok_or(number)?,
            _ => {
                let count = value.parse().map_err(|_| number)?;
                set.counts.push((unquoted(name).ok_or(number)?, count));
            }
        }
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let set = |count| Set {
            made_with: "rustc 1, glibc 2".to_owned(),
            counts: vec![("b, x".to_owned(), count), ("a".to_owned(), 2.25)],
        };
        let record =
            Record::from([("x86_64-avx2".to_owned(), set(1.5)), ("other".to_owned(), set(3.0))]);
        assert_eq!(parse(&print(&record)), Ok(record));
        assert_eq!(parse(HEAD), Ok(Record::new()));
    }

    #[test]
    fn a_bad_line_is_told() {
        assert_eq!(parse("\n\"a\" = 1"), Err(2));
        assert_eq!(parse("[\"x\"]\n\"a\" = b"), Err(2));
        assert_eq!(parse("[\"x\"]\na = 1"), Err(2));
    }
}
