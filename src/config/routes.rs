//! Where the routes come from: compiled in, a file, or lines of the command line; and how what is
//! wrong with them is shown. Called by `cli` (`check`) and `server`. The grammar is in `route`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::forward::signing;
use crate::route::problem::{Problem, Severity, mistakes};
use crate::route::target::Target;
use crate::route::{Builder, Table};
use crate::tls::identity::{self, Identity};

/// The name that stands for a file where the lines come from the command line.
pub const COMMAND_LINE: &str = "<route>";

/// What `build.rs` printed.
mod printed {
    use std::borrow::Cow;

    use crate::route::hosts::Index;
    use crate::route::target::Target;
    use crate::route::{Route, Table, row};

    include!(concat!(env!("OUT_DIR"), "/routes.rs"));

    pub(super) const COMPILED: Table = TABLE;
}

/// The routes that the program was built with. Nothing is read, built or copied.
#[must_use]
pub fn compiled() -> Table {
    printed::COMPILED
}

/// Routes that were read, and what was wrong with them.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The routes of the good lines.
    pub table: Table,
    /// What was wrong, in the order of the lines.
    pub problems: Vec<Problem>,
    /// The file's name, as problems are to show it.
    pub file: String,
}

/// Reads a routes file. A bad line is left out and told.
///
/// # Errors
///
/// The file cannot be read.
pub fn load(path: &Path) -> io::Result<Loaded> {
    Ok(read(path, &std::fs::read(path)?))
}

/// Reads the routes of a file's content. A bad line is left out and told.
///
/// A `sig_key=file:...` with a relative path is taken from the folder of the routes file
/// (specification, routing 2.4); those of compiled routes and of the command line stay relative to
/// the working directory.
#[must_use]
pub fn read(path: &Path, content: &[u8]) -> Loaded {
    let mut builder = builder();
    if let Some(folder) = path.parent() {
        builder.keys_relative_to(folder);
    }
    builder.file(content);
    let (table, problems) = builder.finish();
    Loaded { table, problems, file: path.display().to_string() }
}

fn builder() -> Builder {
    let mut builder = Builder::default();
    builder.look_with(look);
    builder.look_at_keys_with(look_at_key);
    builder
}

/// Reads lines of the command line (`--route`). Each is line 1 of the file [`COMMAND_LINE`].
pub fn from_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Loaded {
    let mut builder = builder();
    for line in lines {
        builder.line(1, line.as_bytes());
    }
    let (table, problems) = builder.finish();
    Loaded { table, problems, file: COMMAND_LINE.to_owned() }
}

/// Whether the certificate that a target's backend is shown can be used (specification, routing
/// 2.5). Blocks.
fn look(target: &Target) -> Result<(), (String, String)> {
    let Some((certificate, key)) = target.identity() else { return Ok(()) };
    identity::check(&Identity { certificate: certificate.into(), key: key.into() })
        .map_err(|problem| (problem.file().display().to_string(), problem.to_string()))
}

/// Why a key cannot sign. Blocks, if it is a file's.
fn look_at_key(key: &str) -> Option<String> {
    let error = signing::Keys::new(PathBuf::new()).check(key).err()?;
    Some(format!("sig_key: {error}"))
}

/// What cannot be used of the files that the routes of a table and their targets name; for one
/// whose lines were read when the program was built.
#[must_use]
pub fn unusable(table: &Table) -> Vec<String> {
    let keys: BTreeSet<_> = table.routes().filter_map(|r| r.options.sig_key.as_deref()).collect();
    let keys = keys.into_iter().filter_map(look_at_key);
    let targets = table.routes().flat_map(|route| route.targets.iter());
    keys.chain(targets.filter_map(|target| look(target).err()).map(|(_, reason)| reason)).collect()
}

impl Loaded {
    /// Whether lines were left out.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// The table, if nothing at all was wrong.
    ///
    /// # Errors
    ///
    /// What [`Loaded::report`] gives, every mistake as an error.
    pub fn strict(self) -> Result<Table, String> {
        if self.problems.is_empty() {
            return Ok(self.table);
        }
        let problems = self.problems.into_iter().map(Problem::into_error).collect();
        Err(Loaded { problems, table: self.table, file: self.file }.report())
    }

    /// All problems as a compiler shows them, an empty line after each, then how many there are.
    /// The empty text if there is none.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&problem.report(&self.file).to_string());
            text.push_str("\n\n");
        }
        if !self.problems.is_empty() {
            text.push_str(&format!("{}: {}\n", self.file, mistakes(self.problems.len())));
        }
        text
    }

    /// One text for the log for each problem: Pushpin's line, and below it the same that a build
    /// shows.
    pub fn log_texts(&self) -> impl Iterator<Item = String> + '_ {
        self.problems
            .iter()
            .map(|problem| format!("{}\n{}", problem.brief(&self.file), problem.report(&self.file)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Query;

    const QUERY: Query<'_> = Query { host: "a.com", path: "/", websocket: false, secure: false };

    #[test]
    fn the_compiled_table_is_the_file_read() {
        let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/routes")).unwrap();
        if option_env!("LINCHPIN_ROUTES").is_none() {
            assert_eq!(compiled(), Table::parse(&file).0);
        }
    }

    #[test]
    fn a_bad_line_is_left_out_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routes");
        std::fs::write(&path, "* a:1\r\nb.com b\n* b:2\nc.com,x c:3\n").unwrap();
        let loaded = load(&path).unwrap();
        assert_eq!(loaded.table.routes().len(), 2);
        assert_eq!(loaded.table.lookup(&QUERY), Some(0));
        let file = path.display().to_string();
        let briefs: Vec<String> =
            loaded.log_texts().map(|text| text.lines().next().unwrap().to_owned()).collect();
        let expected = [
            format!("{file}:2: target bad format"),
            format!("{file}:3 skipping duplicate condition"),
            format!("{file}:4: unknown condition property `x`"),
        ];
        assert_eq!(briefs, expected);
        assert!(loaded.report().ends_with("routes: 3 mistakes\n"));
        assert!(loaded.strict().is_err());
        assert!(load(&folder.path().join("none")).is_err());
    }

    #[test]
    fn keys_are_found_beside_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routes");
        std::fs::write(
            &path,
            "*,sig_key=file:a.key a:1\nb,sig_key=file:/b.key a:1\nc,sig_key=x a:1\n\
             d,sig_key=file:a.key,debug a:1",
        )
        .unwrap();
        let loaded = load(&path).unwrap();
        // The lines serve, with the next key that there is; but it is told, of each of them.
        assert!(!loaded.has_errors());
        let report = loaded.report();
        let file = folder.path().join("a.key");
        let told = format!("sig_key: cannot read {}: No such file", file.display());
        assert_eq!(report.matches(&told).count(), 2, "{report}");
        for part in
            ["routes:1:3\n", "routes:2:3\n", "routes:4:3\n", " ^^^^^^^^^^^^^^^^^^ expected "]
        {
            assert!(report.contains(part), "{part} in {report}");
        }
        let table = loaded.table;
        let keys: Vec<_> = table.routes().filter_map(|r| r.options.sig_key.clone()).collect();
        let beside = format!("file:{}", file.display());
        assert_eq!(keys, [beside.as_str(), "file:/b.key", "x", beside.as_str()]);
        std::fs::write(file, "-----BEGIN NOTHING-----\n").unwrap();
        assert!(load(&path).unwrap().report().contains("warning: sig_key: "));
    }

    #[test]
    fn lines_of_the_command_line() {
        let loaded = from_lines(["* a:1", "b", "c.com c:1"]);
        assert_eq!(loaded.table.routes().len(), 2);
        let text = loaded.log_texts().next().unwrap();
        assert!(text.starts_with("<route>:1: must specify condition and at least one target\n"));
    }
}
