//! Counts instructions and compares them with what was recorded: `make counted`, which `make test`
//! runs. Time depends on how busy a machine is, instructions do not. The same program runs itself
//! under valgrind's callgrind, once for each case; there it does what `cases` says.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod callgrind;
mod cases;
mod compare;
mod failure;
mod fanout;
mod heading;
mod record;

use failure::Failure;

/// What the binary allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: counted [--record] [part of a case's name]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [callgrind::WORK, case] => {
            cases::work(case, &mut callgrind::say);
            return ExitCode::SUCCESS;
        }
        ["--record"] => count("", true),
        [only] if !only.starts_with('-') => count(only, false),
        [] => count("", false),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("counted: {failure}");
        ExitCode::FAILURE
    })
}

fn count(only: &str, anew: bool) -> Result<ExitCode, Failure> {
    if cfg!(debug_assertions) {
        return Err(Failure::NotOptimized);
    }
    let file = recorded();
    let mut recorded = record::read(&file)?;
    let mut names = cases::names();
    names.retain(|name| name.contains(only));
    let counted = callgrind::count(&names)?;
    let set = recorded.get(&counted.processor);
    let table = compare::table(&counted, set, only.is_empty());
    print!("{}", table.text);
    if anew {
        recorded.insert(counted.processor.clone(), counted.record());
        record::write(&file, &recorded)?;
        println!("recorded in {}", file.display());
        return Ok(ExitCode::SUCCESS);
    }
    Ok(if table.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The file with what was recorded.
fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/counted/recorded.toml")
}
