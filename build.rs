//! Compiles the routes file into the binary: `routes` at the top of the tree, or the file that
//! `LINCHPIN_ROUTES` names (relative to the top of the tree). A mistake in it stops the build and
//! is shown as the compiler shows its own; all mistakes at once. The script then still exits with
//! 0: cargo fails for the errors logged, and shows only them instead of all that the script
//! printed.

use std::path::{Path, PathBuf};
use std::{env, fs};

#[allow(dead_code, reason = "the build needs the grammar and the printer, not the lookup")]
#[path = "src/route/mod.rs"]
mod route;

fn main() {
    println!("cargo::rerun-if-env-changed=LINCHPIN_ROUTES");
    println!("cargo::rerun-if-changed=src/route");
    let file =
        env::var_os("LINCHPIN_ROUTES").map_or_else(|| PathBuf::from("routes"), PathBuf::from);
    println!("cargo::rerun-if-changed={}", file.display());
    let folder = env::var_os("OUT_DIR").unwrap_or_default();
    if let Err(text) = compile(&file, Path::new(&folder)) {
        for line in text.lines() {
            println!("cargo::error={line}");
        }
    }
}

/// Writes the table of the file into `routes.rs` of the folder, or says what is wrong.
fn compile(file: &Path, folder: &Path) -> Result<(), String> {
    let name = file.display().to_string();
    let bytes = fs::read(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    let (table, problems) = route::Table::parse(&bytes);
    if problems.is_empty() {
        let to = folder.join("routes.rs");
        return fs::write(&to, table.to_source())
            .map_err(|error| format!("cannot write {}: {error}", to.display()));
    }
    let count = route::problem::mistakes(problems.len());
    let mut text = String::new();
    for problem in problems {
        text.push_str(&format!("{}\n\n", problem.into_error().report(&name)));
    }
    Err(format!("{text}{name}: {count} to correct before this can be built"))
}
