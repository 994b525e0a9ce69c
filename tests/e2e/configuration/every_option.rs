//! Every option, whatever it is, comes out the same from file, environment and flag.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Folder, run};

/// Tried one after the other until an option takes one that is not its default.
const SAMPLES: [&str; 8] = ["true", "false", "3", "/x", "::1", "127.0.0.1:1", "1", "4096"];
/// Another file would be read; other values would be moved.
const APART: [&str; 2] = ["include", "port_offset"];

struct Opt {
    section: String,
    key: String,
    flag: String,
    variable: String,
    /// Words that it may be.
    words: Vec<String>,
}

/// What `linchpin options --markdown` says.
fn options(folder: &Folder) -> Vec<Opt> {
    let (_, tables) = run(folder.linchpin().args(["options", "--markdown"]));
    let mut section = String::new();
    let mut found = Vec::new();
    for line in tables.lines() {
        if let Some(name) = line.strip_prefix("### ") {
            section = name.trim_matches(['`', '[', ']']).to_owned();
        }
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [_, key, flags, variable, _, meaning, ..] = cells[..] else { continue };
        if !variable.starts_with("LINCHPIN_") || APART.contains(&key) {
            continue;
        }
        let words = meaning.split_once("One of ").map(|(_, rest)| rest.split(". ").next());
        let words = words.flatten().map(|words| words.trim_end_matches('.'));
        let words = words.into_iter().flat_map(|words| words.split(", "));
        found.push(Opt {
            section: section.clone(),
            key: key.to_owned(),
            flag: flags.split('`').next().unwrap_or_default().to_owned(),
            variable: variable.to_owned(),
            words: words.map(str::to_owned).collect(),
        });
    }
    found
}

fn file(options: &[Opt], value: impl Fn(&Opt) -> Option<String>) -> String {
    let mut text = String::new();
    for option in options {
        if let Some(value) = value(option) {
            let _ = writeln!(text, "[{}]\n{}={value}", option.section, option.key);
        }
    }
    text
}

/// Value and origin of `[section] key`.
fn shown(said: &str) -> BTreeMap<String, (String, String)> {
    let mut section = "";
    let mut all = BTreeMap::new();
    for line in said.lines() {
        if line.starts_with('[') {
            section = line;
        } else if let Some((key, rest)) = line.split_once('=') {
            let (value, from) = rest.split_once(" ; ").expect("an origin");
            all.insert(format!("{section} {key}"), (value.to_owned(), from.to_owned()));
        }
    }
    all
}

#[test]
fn file_environment_and_flag_reach_the_same_setting() {
    let folder = Folder::new();
    let options = options(&folder);
    assert!(options.len() > 60, "{}", options.len());
    let place = |option: &Opt| format!("[{}] {}", option.section, option.key);
    let absent = shown(&folder.effective("", &[]));
    let mut chosen: BTreeMap<String, String> = BTreeMap::new();
    for round in 0..SAMPLES.len() + 3 {
        let sample = |option: &Opt| {
            let words = option.words.iter().map(String::as_str).chain(SAMPLES);
            words.map(str::to_owned).nth(round)
        };
        let left = |option: &Opt| sample(option).filter(|_| !chosen.contains_key(&place(option)));
        folder.write("p.conf", &file(&options, left));
        let (_, problems) = run(folder.linchpin().args(["check", "--config", "p.conf"]));
        let (_, said) = run(folder.linchpin().args(["check", "--effective", "--config", "p.conf"]));
        let now = shown(&said);
        let tried: Vec<_> = options.iter().map(left).collect();
        for (option, tried) in options.iter().zip(tried) {
            let place = place(option);
            // What only means nothing without other options is a value all the same.
            let refusal = format!(": {place}: expected ");
            let taken = !problems.lines().any(|line| line.contains(&refusal));
            if let Some(value) = tried.filter(|_| taken) {
                // A value that the option's own parser changes is not told from the default.
                if absent[&place].0 != now[&place].0 {
                    chosen.insert(place, value);
                }
            }
        }
    }
    let value = |option: &Opt| chosen.get(&place(option)).cloned();
    let missing: Vec<_> = options.iter().filter(|each| value(each).is_none()).map(place).collect();
    assert!(missing.is_empty(), "no value for {missing:?}");
    let from_file = shown(&folder.effective(&file(&options, value), &[]));
    let mut by_environment = folder.linchpin();
    let mut by_flag = folder.linchpin();
    for each in [&mut by_environment, &mut by_flag] {
        each.args(["check", "--effective"]);
    }
    for option in &options {
        let value = value(option).expect("one of each");
        by_flag.arg(format!("{}={value}", option.flag));
        by_environment.env(&option.variable, value);
    }
    let from_environment = shown(&run(&mut by_environment).1);
    let from_flag = shown(&run(&mut by_flag).1);
    for option in &options {
        let place = place(option);
        let (value, origin) = &from_file[&place];
        assert!(origin.starts_with("p.conf:"), "{place}: {origin}");
        assert_eq!(from_environment[&place], (value.clone(), option.variable.clone()), "{place}");
        assert_eq!(from_flag[&place], (value.clone(), option.flag.clone()), "{place}");
    }
}
