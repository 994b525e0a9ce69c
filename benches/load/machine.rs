//! What the machine tells about processes (all from /proc) and what it is asked for: CPU time,
//! memory, whether threads sleep, which core, how many files. Linux only.

use std::collections::HashMap;
use std::fs;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::failure::{Context, Failure};

/// Raises the limit of open files to what is allowed; returns it. Child processes inherit it.
pub fn raise_file_limit() -> Result<u64, Failure> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).during(|| "raising the limit of open files".to_owned())?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// The cores that this process may use: those that it had when this was first asked, however it
/// has pinned itself since.
pub fn cores() -> Vec<usize> {
    static ALL: OnceLock<Vec<usize>> = OnceLock::new();
    let look = || {
        let Ok(allowed) = sched_getaffinity(None) else { return Vec::new() };
        (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect()
    };
    ALL.get_or_init(look).clone()
}

/// Keeps the calling thread, and what it starts from now on, on these cores.
pub fn pin(cores: &[usize]) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    sched_setaffinity(None, &set).during(|| format!("pinning to cores {cores:?}"))
}

/// A process and everything that it started, directly or not.
pub fn family(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let parent = stat_field(&format!("/proc/{pid}/stat"), 1).and_then(|text| text.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(pid) = found.get(at) {
        found.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    found
}

/// Field `index` of a stat file, counted from 0 at the state, the first after the name.
fn stat_field(path: &str, index: usize) -> Option<String> {
    let stat = fs::read_to_string(path).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(index).map(str::to_owned)
}

/// Whether a process still runs; one that has ended may wait for its parent to notice.
pub fn alive(process: u32) -> bool {
    stat_field(&format!("/proc/{process}/stat"), 0).is_some_and(|state| state != "Z")
}

/// CPU time that these processes have used, user and system, in seconds.
pub fn cpu_seconds(processes: &[u32]) -> Result<f64, Failure> {
    let mut ticks = 0;
    for pid in processes {
        let path = format!("/proc/{pid}/stat");
        for field in [11, 12] {
            let value = stat_field(&path, field).and_then(|text| text.parse::<u64>().ok());
            ticks += value.ok_or_else(|| ended(*pid))?;
        }
    }
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Resident memory of these processes in bytes, pages that they share counted once (PSS).
pub fn memory(processes: &[u32]) -> Result<u64, Failure> {
    let mut kilobytes = 0;
    for pid in processes {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).during(|| format!("reading {path}"))?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .and_then(|rest| rest.split_ascii_whitespace().next())
            .and_then(|number| number.parse::<u64>().ok());
        kilobytes += value.ok_or_else(|| ended(*pid))?;
    }
    Ok(kilobytes * 1024)
}

/// What the system says of its memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// What could still be had without swapping.
    pub available: u64,
    /// What the kernel keeps in its caches of objects: sockets, files, watches.
    pub slab: u64,
    /// What TCP keeps in buffers.
    pub tcp: u64,
}

/// Reads `/proc/meminfo` and `/proc/net/sockstat`.
pub fn system_memory() -> Result<Memory, Failure> {
    let read = |path: &str| fs::read_to_string(path).during(|| format!("reading {path}"));
    let meminfo = read("/proc/meminfo")?;
    let sockstat = read("/proc/net/sockstat")?;
    let pages = after(&sockstat, "TCP:", "mem").unwrap_or(0);
    Ok(Memory {
        available: after(&meminfo, "MemAvailable:", "").unwrap_or(0) * 1024,
        slab: after(&meminfo, "Slab:", "").unwrap_or(0) * 1024,
        tcp: pages * rustix::param::page_size() as u64,
    })
}

/// The number that follows the word `key` in the line that begins with `line`; the first one of
/// it if there is no such word.
fn after(text: &str, line: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|found| found.strip_prefix(line))?;
    let mut words = rest.split_ascii_whitespace();
    if !key.is_empty() {
        words.find(|word| *word == key)?;
    }
    words.next()?.parse().ok()
}

/// Whether every thread of these processes sleeps: none runs, none waits for a core.
pub fn all_asleep(processes: &[u32]) -> Result<bool, Failure> {
    for pid in processes {
        let path = format!("/proc/{pid}/task");
        let threads = fs::read_dir(&path).map_err(|_| ended(*pid))?;
        for thread in threads.flatten() {
            let path = thread.path().join("stat");
            // A thread that has ended meanwhile has no state, and nothing to do.
            if stat_field(&path.to_string_lossy(), 0).is_some_and(|state| state == "R") {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn ended(pid: u32) -> Failure {
    Failure::Setup(format!("process {pid} of the server has ended"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_awake_and_weighs_something() {
        let me = [std::process::id()];
        assert!(matches!(all_asleep(&me), Ok(false)));
        assert!(memory(&me).is_ok_and(|bytes| bytes > 100_000));
        assert!(cpu_seconds(&me).is_ok());
        assert!(family(me[0]).contains(&me[0]));
        assert!(cpu_seconds(&[u32::MAX]).is_err());
    }

    #[test]
    fn finds_numbers_in_what_the_system_says() {
        let sockstat = "sockets: used 9\nTCP: inuse 4 orphan 0 tw 7 alloc 5 mem 3\nUDP: mem 1\n";
        assert_eq!(after(sockstat, "TCP:", "mem"), Some(3));
        assert_eq!(after("MemAvailable:   12 kB\n", "MemAvailable:", ""), Some(12));
        assert_eq!(after(sockstat, "UDPLITE:", "mem"), None);
        assert!(system_memory().is_ok_and(|memory| memory.available > 0 && memory.slab > 0));
    }
}
