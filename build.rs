//! Compiles the routes file into the binary: `routes` at the top of the tree, or the file that
//! `LINCHPIN_ROUTES` names (relative to the top of the tree). A mistake in it stops the build and
//! is shown as the compiler shows its own; all mistakes at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

#[allow(dead_code, reason = "the build needs the grammar and the printer, not the lookup")]
#[path = "src/route/mod.rs"]
mod route;

fn main() -> ExitCode {
    println!("cargo::rerun-if-env-changed=LINCHPIN_ROUTES");
    println!("cargo::rerun-if-changed=src/route");
    let file =
        env::var_os("LINCHPIN_ROUTES").map_or_else(|| PathBuf::from("routes"), PathBuf::from);
    println!("cargo::rerun-if-changed={}", file.display());
    let Some(folder) = env::var_os("OUT_DIR") else {
        println!("cargo::error=OUT_DIR is not set: this program is run by cargo");
        return ExitCode::FAILURE;
    };
    match compile(&file, Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            for line in text.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
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
    let mut text = String::new();
    for problem in &problems {
        text.push_str(&problem.report(&name).to_string());
        text.push_str("\n\n");
    }
    text.push_str(&format!(
        "{name}: {} to correct before this can be built",
        route::problem::mistakes(problems.len())
    ));
    Err(text)
}
