//! Holds the tree to its layout: the layer table and the doors of `ARCHITECTURE.md`, one direction
//! among the files of a folder, and the form that every file has. Each finding says what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a file of `src/`, its test module not counted.
const LINES_MAX: usize = 400;
/// Most columns of a line, strings and addresses not counted.
const COLUMNS_MAX: usize = 100;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A source file, taken apart.
struct Source {
    /// Relative to the top of the tree, with `/`.
    path: String,
    text: String,
    /// Same lines as `text`, but comments, strings and the test module are gone.
    code: String,
    /// Same lines as `text`, but strings are gone; comments and tests are still there.
    unquoted: String,
}

impl Source {
    fn new(path: String, text: String) -> Source {
        let code = without_tests(&strip(&text, true));
        let unquoted = strip(&text, false);
        Source { path, text, code, unquoted }
    }

    /// The folder (or file beside the folders) of `src/` that this belongs to.
    fn folder(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// `folder/file` without the ending; the folder alone for its roof.
    fn module(&self) -> String {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.trim_end_matches(".rs").trim_end_matches("/mod").to_owned()
    }

    /// Whether this is the file of a folder that declares the others, or has no folder.
    fn is_roof(&self) -> bool {
        self.path.ends_with("/mod.rs") || self.path.matches('/').count() < 2
    }

    fn is_entry(&self) -> bool {
        matches!(self.path.as_str(), "src/lib.rs" | "src/main.rs")
    }

    fn is_test(&self) -> bool {
        let inside = self.path.contains("/tests/") || self.path.ends_with("/tests.rs");
        inside || self.path.starts_with("tests/")
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in folders {
        collect(&root().join(folder), &mut paths);
    }
    paths.sort();
    assert!(!paths.is_empty(), "no source files below {folders:?}");
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source file is readable UTF-8");
            let name = path.strip_prefix(root()).expect("below the root");
            Source::new(name.to_string_lossy().replace('\\', "/"), text)
        })
        .collect()
}

/// Blanks strings and characters, and comments too if asked; keeps every line where it is.
fn strip(text: &str, comments: bool) -> String {
    let bytes = text.as_bytes();
    let mut kept = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let is_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let (length, blank) = if rest.starts_with(b"//") {
            (rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()), comments)
        } else if rest.starts_with(b"/*") {
            (find(rest, b"*/").map_or(rest.len(), |end| end + 2), comments)
        } else if let Some(length) = raw_string(rest).filter(|_| !is_word) {
            (length, true)
        } else if rest[0] == b'"' {
            (quoted(rest, b'"'), true)
        } else if rest[0] == b'\'' && is_character(rest) {
            (quoted(rest, b'\''), true)
        } else {
            (1, false)
        };
        let piece = &rest[..length];
        if blank {
            kept.extend(piece.iter().filter(|byte| **byte == b'\n'));
        } else {
            kept.extend_from_slice(piece);
        }
        at += length;
    }
    String::from_utf8(kept).expect("whole characters are kept or left out")
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).position(|window| window == mark)
}

/// Length of the raw string that starts here, if one does.
fn raw_string(text: &[u8]) -> Option<usize> {
    let start = usize::from(text.first() == Some(&b'b'));
    if text.get(start) != Some(&b'r') {
        return None;
    }
    let hashes = text[start + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = start + 1 + hashes;
    if text.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    Some(find(&text[open + 1..], &close).map_or(text.len(), |end| open + 1 + end + close.len()))
}

/// Length of the quoted text that starts here, both quotes counted.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// Tells a character (`'x'`, `'\n'`) from a lifetime (`'a`).
fn is_character(text: &[u8]) -> bool {
    let next = String::from_utf8_lossy(&text[1..text.len().min(6)]);
    next.starts_with('\\') || next.chars().nth(1) == Some('\'')
}

/// Up to the test module, which stands at the foot of a file.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        let opens = lines.peek().is_some_and(|next| next.trim_start().starts_with("mod "));
        if line.trim() == "#[cfg(test)]" && opens {
            let outside = lines.next().is_some_and(|next| next.trim_end().ends_with(';'));
            if outside {
                continue;
            }
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// Every place in `code` where the path `name::` begins: line number and what follows.
fn paths<'a>(code: &'a str, name: &str) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        for (at, _) in line.match_indices(name) {
            let before = line[..at].chars().next_back();
            let inside = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
            if let Some(rest) = line[at + name.len()..].strip_prefix("::").filter(|_| !inside) {
                found.push((number + 1, rest));
            }
        }
    }
    found
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// The rows of the table in `ARCHITECTURE.md` whose head is `head`, cell by cell.
fn table(head: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut lines = page.lines().skip_while(|line| line.trim() != head);
    assert!(lines.next().is_some(), "ARCHITECTURE.md has lost its table `{head}`");
    let cells = |line: &str| {
        let inner = line.trim().trim_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect()
}

fn list(cell: &str) -> BTreeSet<String> {
    cell.split(',').map(|name| name.trim().to_owned()).filter(|name| name != "nothing").collect()
}

/// Folder → what it may import.
fn layers() -> BTreeMap<String, BTreeSet<String>> {
    let mut layers = BTreeMap::new();
    for row in table("| floor | folder | may import |") {
        for folder in list(&row[1]) {
            let twice = layers.insert(folder.clone(), list(&row[2]));
            assert!(twice.is_none(), "ARCHITECTURE.md lists the folder {folder} twice");
        }
    }
    layers
}

fn report(findings: &[String]) {
    assert!(findings.is_empty(), "\n{} to tidy:\n{}\n", findings.len(), findings.join("\n"));
}

#[test]
fn every_import_follows_the_layer_table() {
    let layers = layers();
    let mut findings = Vec::new();
    for source in sources(&["src"]).iter().filter(|source| !source.is_entry()) {
        let (path, folder) = (&source.path, source.folder());
        let Some(allowed) = layers.get(folder) else {
            findings.push(format!(
                "{path}: `{folder}` is in no row of ARCHITECTURE.md: give it a floor there"
            ));
            continue;
        };
        if source.is_test() {
            continue;
        }
        for (line, rest) in paths(&source.code, "crate") {
            let target = first_word(rest);
            if target.is_empty() {
                findings.push(format!(
                    "{path}:{line}: `use crate::{{...}}`: write one `use crate::folder::...` each"
                ));
            } else if target == folder {
                findings.push(format!(
                    "{path}:{line}: `crate::{target}` from inside it: write `super::sibling::...`"
                ));
            } else if layers.contains_key(target) && !allowed.contains(target) {
                findings.push(format!(
                    "{path}:{line}: `{folder}` may not import `{target}`: move what is shared to \
                     a lower floor, or hand it in from above; a new edge needs its reason in \
                     ARCHITECTURE.md"
                ));
            }
        }
    }
    report(&findings);
}

#[test]
fn the_layer_table_has_no_circle() {
    let layers = layers();
    let mut findings = Vec::new();
    for folder in layers.keys() {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&String> = layers[folder].iter().collect();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                match layers.get(next) {
                    Some(further) => open.extend(further),
                    None => findings.push(format!("ARCHITECTURE.md: no row for `{next}`")),
                }
            }
        }
        if reached.contains(folder) {
            findings.push(format!("ARCHITECTURE.md: `{folder}` may import itself by a detour"));
        }
    }
    report(&findings);
}

#[test]
fn the_entry_files_only_declare_and_call() {
    let mut findings = Vec::new();
    for source in sources(&["src"]).iter().filter(|source| source.path == "src/main.rs") {
        for (line, rest) in paths(&source.code, "linchpin") {
            if first_word(rest) != "cli" {
                findings.push(format!("src/main.rs:{line}: main calls only `linchpin::cli`"));
            }
        }
    }
    report(&findings);
}

#[test]
fn files_of_a_folder_import_in_one_direction_and_never_the_roof() {
    let all = sources(&["src"]);
    let modules: BTreeSet<String> = all.iter().map(Source::module).collect();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut findings = Vec::new();
    for source in all.iter().filter(|source| !source.is_entry() && !source.is_test()) {
        let (path, folder) = (&source.path, source.folder());
        for (line, rest) in paths(&source.code, "super") {
            let target = first_word(rest);
            let sibling = format!("{folder}/{target}");
            if target == "super" {
                findings.push(format!(
                    "{path}:{line}: `super::super`: write `crate::folder::...` instead"
                ));
            } else if source.is_roof() {
                findings.push(format!(
                    "{path}:{line}: `super::` in a roof: write `crate::folder::...` instead"
                ));
            } else if source.module().matches('/').count() == 1 {
                if modules.contains(&sibling) {
                    edges.entry(source.module()).or_default().insert(sibling);
                } else {
                    findings.push(format!(
                        "{path}:{line}: `super::{target}` comes from the roof: move it to a file \
                         of its own in {folder}/ and import that"
                    ));
                }
            }
        }
    }
    for start in edges.keys() {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&String> = edges[start].iter().collect();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(edges.get(next).into_iter().flatten());
            }
        }
        if reached.contains(start) {
            findings.push(format!(
                "src/{start}.rs imports itself by a detour through {reached:?}: let one direction \
                 be the rule, move what both need to a third file"
            ));
        }
    }
    report(&findings);
}

#[test]
fn outside_crates_stay_behind_their_doors() {
    let doors = table("| crate | only in |");
    let mut findings = Vec::new();
    for source in sources(&["src"]).iter().filter(|source| !source.is_test()) {
        for row in &doors {
            let (but, cell) = match row[1].strip_prefix("all but ") {
                Some(rest) => (true, rest),
                None => (false, row[1].as_str()),
            };
            let places = list(cell);
            let module = source.module();
            let below = |place: &String| {
                module
                    .strip_prefix(place.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let listed = places.iter().any(below);
            if source.is_entry() || listed != but {
                continue;
            }
            for name in list(&row[0]) {
                for (line, _) in paths(&source.code, &name) {
                    findings.push(format!(
                        "{}:{line}: `{name}` is used only in {}: ask that door for what you need",
                        source.path, row[1]
                    ));
                }
            }
        }
    }
    report(&findings);
}

#[test]
fn route_needs_nothing_but_std() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let dependencies = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name.replace('-', "_")));
    let dependencies: Vec<String> = dependencies.collect();
    assert!(dependencies.len() > 5, "the dependencies of Cargo.toml were not found");
    let mut findings = Vec::new();
    for source in sources(&["src/route"]).iter().filter(|source| !source.is_test()) {
        for name in dependencies.iter().map(String::as_str).chain(["crate"]) {
            for (line, _) in paths(&source.code, name) {
                findings.push(format!(
                    "{}:{line}: `{name}::` in route/: build.rs compiles these files with std alone",
                    source.path
                ));
            }
        }
    }
    report(&findings);
}

#[test]
fn every_file_has_its_form() {
    let mut findings = Vec::new();
    for source in sources(&["src", "tests", "benches", "fuzz/fuzz_targets"]) {
        let path = &source.path;
        if !source.text.starts_with("//!") {
            findings.push(format!(
                "{path}:1: no opening `//!`: say what the file is for, who calls it, and what it \
                 may not know"
            ));
        }
        let length = source.code.lines().count();
        if path.starts_with("src/") && !source.is_test() && length > LINES_MAX {
            findings.push(format!(
                "{path}: {length} lines before its tests: at most {LINES_MAX}; split it by subject"
            ));
        }
        for (number, line) in source.text.lines().enumerate() {
            let line_number = number + 1;
            if line.contains('\t') {
                findings.push(format!("{path}:{line_number}: a tab: run `cargo fmt`"));
            }
            let shown = source.unquoted.lines().nth(number).unwrap_or_default();
            if shown.chars().count() > COLUMNS_MAX && !line.contains("://") {
                findings.push(format!(
                    "{path}:{line_number}: more than {COLUMNS_MAX} columns: break the line"
                ));
            }
        }
        findings.extend(leftovers(&source));
    }
    report(&findings);
}

/// Words that say that something is not finished.
fn leftovers(source: &Source) -> Vec<String> {
    let words = ["TODO", "FIXME", "XXX"];
    let macros = ["todo!", "unimplemented!", "dbg!"];
    let mut findings = Vec::new();
    for (number, line) in source.unquoted.lines().enumerate() {
        for word in words.iter().chain(&macros).filter(|word| line.contains(**word)) {
            findings.push(format!(
                "{}:{}: `{word}`: finish it, or say in prose what is not built yet",
                source.path,
                number + 1
            ));
        }
    }
    findings
}

#[test]
fn comments_and_strings_are_told_from_code() {
    let text =
        "a(\"crate::x // \\\" \", 'y', '\\'', '\"') // crate::z\n/* b\n */ r#\"c \" \"# d<'e>\n";
    assert_eq!(strip(text, true), "a(, , , ) \n\n  d<'e>\n");
    assert_eq!(strip(text, false), "a(, , , ) // crate::z\n/* b\n */  d<'e>\n");
    let code = "use crate::hub::Hub;\n#[cfg(test)]\nmod tests {\n use crate::shard;\n}\n";
    assert_eq!(paths(&without_tests(code), "crate"), [(1, "hub::Hub;")]);
    assert_eq!(paths("x::crate::y subcrate::z crate:: w", "crate"), [(1, " w")]);
}
