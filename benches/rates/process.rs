//! The processes of one server or backend: starts them on their cores in a folder of their own,
//! waits until they answer, keeps what they print, and ends them. Knows nothing of what they are.

use std::fs::{self, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::failure::{Context, Failure};
use crate::machine;

const READY_WITHIN: Duration = Duration::from_secs(15);
const GONE_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// Processes that are started and ended together.
pub struct Processes {
    children: Vec<Child>,
    output: PathBuf,
    folder: TempDir,
}

impl Processes {
    /// None yet.
    pub fn new() -> Result<Processes, Failure> {
        let folder = tempfile::tempdir().during(|| "creating a folder".to_owned())?;
        let output = folder.path().join("output");
        Ok(Processes { children: Vec::new(), output, folder })
    }

    /// A folder for their files; goes away with them.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts one on the cores `on`; the calling thread is kept on `home`.
    pub fn start(
        &mut self,
        mut command: Command,
        on: &[usize],
        home: &[usize],
    ) -> Result<(), Failure> {
        let file = OpenOptions::new().create(true).append(true).open(&self.output);
        let file = file.during(|| format!("creating {}", self.output.display()))?;
        let copy = file.try_clone().during(|| "sharing the output file".to_owned())?;
        command.stdin(Stdio::null()).stdout(file).stderr(copy).process_group(0);
        // A child inherits the cores of the thread that starts it.
        machine::pin(on)?;
        let child = command.spawn();
        machine::pin(home)?;
        let child =
            child.during(|| format!("starting {}", command.get_program().to_string_lossy()))?;
        self.children.push(child);
        Ok(())
    }

    /// Asks `check` until it is content; gives up when one of them has ended.
    pub fn wait_until(
        &mut self,
        title: &str,
        check: impl Fn() -> Result<(), String>,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        while let Err(mut why) = check() {
            let mut ended = false;
            for child in &mut self.children {
                let status = child.try_wait().during(|| "looking after a server".to_owned())?;
                if let Some(status) = status {
                    why = format!("it ended: {status}");
                    ended = true;
                }
            }
            if ended || began.elapsed() > READY_WITHIN {
                return Err(Failure::NotReady {
                    peer: title.to_owned(),
                    seconds: READY_WITHIN.as_secs(),
                    why,
                    tail: self.last_words(),
                });
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// All of them and what they started.
    pub fn family(&self) -> Vec<u32> {
        self.children.iter().flat_map(|child| machine::family(child.id())).collect()
    }

    /// The last lines that they printed or logged.
    pub fn last_words(&self) -> String {
        let mut lines = Vec::new();
        let logs = fs::read_dir(self.folder.path().join("log")).into_iter().flatten().flatten();
        let files = std::iter::once(self.output.clone()).chain(logs.map(|entry| entry.path()));
        for file in files {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let all: Vec<&str> = text.lines().collect();
            let last = all.get(all.len().saturating_sub(10)..).unwrap_or_default();
            lines.extend(last.iter().map(|line| (*line).to_owned()));
        }
        lines.join("\n")
    }
}

impl Drop for Processes {
    /// Asks them to end, and after a while makes them.
    fn drop(&mut self) {
        let family = self.family();
        self.children.iter().for_each(|child| signal(child.id(), Signal::TERM));
        let began = Instant::now();
        let runs = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        while began.elapsed() < GONE_WITHIN && self.children.iter_mut().any(runs) {
            std::thread::sleep(LOOK);
        }
        for pid in family {
            if machine::alive(pid) {
                signal(pid, Signal::KILL);
            }
        }
        for child in &mut self.children {
            // Nothing can be done about a process that even this does not end.
            let _ = child.wait();
        }
    }
}

fn signal(process: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // It may be gone already, which is what is wanted.
        let _ = kill_process(pid, signal);
    }
}

/// Ports of 127.0.0.1 that nothing listens on, all different.
pub fn free_ports<const N: usize>() -> Result<[SocketAddr; N], Failure> {
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    let mut listeners = Vec::with_capacity(N);
    for address in &mut addresses {
        let listener = TcpListener::bind(*address);
        let listener = listener.during(|| "looking for free ports".to_owned())?;
        *address = listener.local_addr().during(|| "looking at a free port".to_owned())?;
        listeners.push(listener);
    }
    Ok(addresses)
}
