//! Runs this program under callgrind, a process for each case so that none depends on what another
//! left behind, and reads what was counted. Called by `main.rs`.
//!
//! Nothing but the program is to make a difference: the processes get an empty environment and
//! always the same arguments (both lie on the stack and move what is above them). The processor
//! does make one: valgrind shows programs an AVX2 processor if the machine has AVX2, and one of
//! fewer abilities if not, and memcpy and the JSON parser choose their code by that. So records are
//! kept for each kind of processor as seen under valgrind; apart from that kind, valgrind's
//! processor is the same everywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::failure::Failure;
use crate::record::Set;

/// The argument that says: do the case's work.
pub const WORK: &str = "--work";

/// What a run came to.
#[derive(Debug, Default)]
pub struct Counted {
    /// What kind of processor the programs saw.
    pub processor: String,
    /// Compiler, C library, valgrind.
    pub tools: String,
    /// Cases, and instructions of each for one operation.
    pub counts: Vec<(String, f64)>,
}

impl Counted {
    /// As it is recorded.
    pub fn record(&self) -> Set {
        Set { made_with: self.tools.clone(), counts: self.counts.clone() }
    }
}

/// Under callgrind: tells the other process for how many operations instructions were counted.
pub fn say(operations: u64) {
    println!("{operations} {}", processor());
}

/// Counts these cases, as many at once as there are processors.
pub fn count(cases: &[String]) -> Result<Counted, Failure> {
    let program = std::env::current_exe()
        .map_err(|source| Failure::File { path: PathBuf::from("/proc/self/exe"), source })?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((case.clone(), run(&program, case)?));
        }
        Ok(done)
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let done = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(Ok(Vec::new()))).collect()
    });
    let done: Result<Vec<Vec<(String, Count)>>, Failure> = done;
    let mut done = done?.concat();
    done.sort_by_key(|(name, _)| cases.iter().position(|case| case == name));
    Ok(Counted {
        processor: done.first().map(|(_, count)| count.processor.clone()).unwrap_or_default(),
        tools: tools(),
        counts: done.into_iter().map(|(case, count)| (case, count.each)).collect(),
    })
}

/// What one process came to.
#[derive(Clone, Debug)]
struct Count {
    each: f64,
    processor: String,
}

fn run(program: &Path, case: &str) -> Result<Count, Failure> {
    let failed = |reason: String| Failure::Case { case: case.to_owned(), reason };
    let name = program.file_name().unwrap_or_default();
    let out = format!("counted.{}.out", case.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    let folder = program.parent().unwrap_or(Path::new("."));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*counted_region*"])
        .arg(format!("--callgrind-out-file={out}"))
        .arg(Path::new(".").join(name))
        .args([WORK, case])
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .output()
        .map_err(Failure::NoValgrind)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last_words = || String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(failed(format!("{}\n{}", output.status, last_words())));
    }
    let (operations, processor) =
        said.trim().split_once(' ').ok_or_else(|| failed(last_words()))?;
    let operations: f64 = operations.parse().map_err(|_| failed(said.clone().into_owned()))?;
    let path = folder.join(out);
    let text = fs::read_to_string(&path);
    let text = text.map_err(|source| Failure::File { path: path.clone(), source })?;
    let total = total(&text).ok_or_else(|| failed("no totals in callgrind's file".to_owned()))?;
    let _ = fs::remove_file(path);
    Ok(Count { each: total as f64 / operations, processor: processor.to_owned() })
}

/// The instructions that callgrind's file says were counted; none is a mistake too.
fn total(file: &str) -> Option<u64> {
    let total = file.lines().find_map(|line| line.strip_prefix("totals: "))?;
    total.trim().parse().ok().filter(|total| *total > 0)
}

/// The kind of processor that is to be seen from here.
fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    let kind = if std::arch::is_x86_feature_detected!("avx2") {
        "-avx2"
    } else if std::arch::is_x86_feature_detected!("sse4.2") {
        "-sse4.2"
    } else {
        ""
    };
    #[cfg(not(target_arch = "x86_64"))]
    let kind = "";
    format!("{}{kind}", std::env::consts::ARCH)
}

/// What, besides the program's source, decides about its instructions.
fn tools() -> String {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let first = |program: &Path, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let text = text.unwrap_or_default();
        text.lines().next().unwrap_or_default().split(" (").next().unwrap_or_default().to_owned()
    };
    let tools = [
        first(Path::new(&compiler), "--version"),
        first(Path::new("getconf"), "GNU_LIBC_VERSION"),
        first(Path::new("valgrind"), "--version"),
    ];
    tools.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals() {
        assert_eq!(total("version: 1\nsummary: 5\n\ntotals: 12\n"), Some(12));
        assert_eq!(total("totals: 0\n"), None);
        assert_eq!(total(""), None);
    }
}
