//! What is in the tree is what the declaration says. `make docs` makes it so.

use std::path::{Path, PathBuf};

use super::super::{Cli, start};
use super::*;
use crate::config::file::File;

const BEGIN: &str =
    "<!-- The rest is made by `make docs` from the declaration of the options. -->\n";

fn command() -> Command {
    start::command::<Cli>()
}

fn in_tree(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares, or writes.
fn is_in_tree(name: &str, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(in_tree(name), expected).unwrap();
    }
    let found = std::fs::read_to_string(in_tree(name)).unwrap_or_default();
    assert!(found == expected, "{name} is not what the declaration says: run `make docs`");
}

#[test]
fn the_example_in_the_tree_is_that_of_the_declaration() {
    is_in_tree("examples/linchpin.conf", &example(&command()));
}

#[test]
fn the_tables_in_the_docs_are_those_of_the_declaration() {
    let found = std::fs::read_to_string(in_tree("docs/configuration.md")).unwrap();
    let (text, _) = found.split_once(BEGIN).expect("the mark is there");
    is_in_tree("docs/configuration.md", &format!("{text}{BEGIN}{}", tables(&command())));
}

#[test]
fn the_example_says_what_is_so_without_it() {
    // As it stands it says no more than no file at all.
    let matches = command().try_get_matches_from(["linchpin"]).unwrap();
    let as_it_is = File::of(Path::new("linchpin.conf"), example(&command()).as_bytes());
    let (with, _) = from_file::apply(command(), &as_it_is, &matches);
    for (without, with) in command().get_arguments().zip(with.get_arguments()) {
        assert_eq!(defaults(without), defaults(with), "{}", name(with));
    }
    assert_eq!(as_it_is.all().count(), 4, "as many as its head says");
    // Without the marks of comments before its keys it is a file that can be read.
    let key = |line: &str| {
        let key = line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' '));
        key.unwrap_or(line).to_owned()
    };
    let text: String = example(&command()).lines().map(|line| key(line) + "\n").collect();
    let file = File::of(Path::new("linchpin.conf"), text.as_bytes());
    assert_eq!((&file.errors, &file.warnings), (&vec![], &vec![]));
    let (_, outcome) = from_file::apply(command(), &file, &matches);
    assert_eq!((outcome.errors, outcome.unknown, outcome.notes), (vec![], vec![], vec![]));
}

#[test]
fn every_option_says_what_it_is() {
    for arg in command().get_arguments().filter(|arg| arg.get_env().is_some()) {
        assert!(meaning(arg, "").len() > 20, "{}", name(arg));
    }
}
