//! A server of a comparison as processes: starts it on free ports, waits until it answers, knows
//! all its processes, and ends it. Asked by the suites.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cores::Cores;
use crate::failure::{Context, Failure};
use crate::machine;
use crate::nchan;
use crate::peer::{Peer, Site};
use crate::pushpin;
use crate::transport::Transport;

const READY_WITHIN: Duration = Duration::from_secs(15);
const GONE_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// What is to be started.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// Which kind of server.
    pub peer: Peer,
    /// How its subscribers will be connected.
    pub transport: Transport,
    /// How many at most.
    pub connections: usize,
    /// Its threads, where it can be told.
    pub workers: usize,
    /// The address that it listens on.
    pub host: Ipv4Addr,
    /// The linchpin to run.
    pub linchpin: &'a Path,
}

/// A running server.
pub struct Server {
    /// Where it is.
    pub site: Site,
    child: Child,
    output: PathBuf,
    folder: TempDir,
}

impl Server {
    /// Starts a server and returns when it answers.
    pub fn start(plan: Plan<'_>, cores: &Cores) -> Result<Server, Failure> {
        let folder = tempfile::tempdir().during(|| "creating a folder".to_owned())?;
        let (http, mut control) = free_ports(plan.host)?;
        let mut command = match plan.peer {
            Peer::Linchpin => linchpin(plan, http, control)?,
            Peer::Pushpin => {
                let ports = (http.port(), control.port());
                let path = pushpin::configure(folder.path(), ports.0, ports.1, plan.connections)?;
                let mut command = Command::new("pushpin");
                command.arg("--config").arg(path);
                command
            }
            Peer::Nchan => {
                control = http;
                let address = http.to_string();
                let mut command = Command::new(nchan::program());
                command.args(nchan::configure(folder.path(), &address, plan.connections)?);
                command
            }
            Peer::Bare => bare(plan.transport, http, control)?,
        };
        let output = folder.path().join("output");
        let file = File::create(&output).during(|| format!("creating {}", output.display()))?;
        let copy = file.try_clone().during(|| "sharing the output file".to_owned())?;
        command.stdin(Stdio::null()).stdout(file).stderr(copy).process_group(0);
        let child = cores
            .as_server(|| command.spawn())?
            .during(|| format!("starting {}", command.get_program().to_string_lossy()))?;
        let site = Site { peer: plan.peer, http, control, processes: vec![child.id()] };
        let mut server = Server { site, child, output, folder };
        server.wait_until_ready()?;
        server.site.processes = machine::family(server.child.id());
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let why = match answers(self.site.http, self.site.peer).and_then(|()| {
                TcpStream::connect(self.site.control)
                    .map_err(|error| format!("control API: {error}"))
            }) {
                Ok(_) => return Ok(()),
                Err(why) => why,
            };
            let ended = self.child.try_wait().during(|| "looking after a server".to_owned())?;
            if ended.is_some() || began.elapsed() > READY_WITHIN {
                let why = ended.map_or(why, |status| format!("it ended: {status}"));
                return Err(Failure::NotReady {
                    peer: self.site.peer.title().to_owned(),
                    seconds: READY_WITHIN.as_secs(),
                    why,
                    tail: self.last_words(),
                });
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Adds its last words to what went wrong while it ran.
    pub fn blame(&self, failure: Failure) -> Failure {
        Failure::At { failure: Box::new(failure), last_words: self.last_words() }
    }

    /// Which of its processes have ended, and the last lines that it printed or logged.
    fn last_words(&self) -> String {
        let ended = self.site.processes.iter().filter(|pid| !machine::alive(**pid));
        let mut lines: Vec<String> = ended.map(|pid| format!("process {pid} has ended")).collect();
        let logs = fs::read_dir(self.folder.path().join("log")).into_iter().flatten().flatten();
        let files = std::iter::once(self.output.clone()).chain(logs.map(|entry| entry.path()));
        for file in files {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let all: Vec<&str> = text.lines().collect();
            let last = &all[all.len().saturating_sub(10)..];
            lines.extend(last.iter().map(|line| (*line).to_owned()));
        }
        lines.join("\n")
    }
}

impl Drop for Server {
    /// Asks it to end, and after a while makes it.
    fn drop(&mut self) {
        let family = machine::family(self.child.id());
        signal(self.child.id(), Signal::TERM);
        let began = Instant::now();
        while began.elapsed() < GONE_WITHIN {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(LOOK),
                Ok(Some(_)) | Err(_) => break,
            }
        }
        for pid in family {
            if machine::alive(pid) {
                signal(pid, Signal::KILL);
            }
        }
        // Nothing can be done about a process that even this does not end.
        let _ = self.child.wait();
    }
}

fn signal(process: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // It may be gone already, which is what is wanted.
        let _ = kill_process(pid, signal);
    }
}

fn linchpin(plan: Plan<'_>, http: SocketAddr, control: SocketAddr) -> Result<Command, Failure> {
    let program = plan.linchpin;
    if !program.is_file() {
        return Err(Failure::Setup(format!(
            "there is no {}: build it with `cargo build --release`, or name it with --linchpin",
            program.display()
        )));
    }
    let mut command = Command::new(program);
    let set = std::env::vars_os().map(|(name, _)| name);
    for name in set.filter(|name| name.to_string_lossy().starts_with("LINCHPIN_")) {
        command.env_remove(name);
    }
    command
        .args(["--bind", &http.ip().to_string(), "--port", &http.port().to_string()])
        .args(["--control", &control.to_string(), "--workers", &plan.workers.to_string()])
        .args(["--log-level", "warn"]);
    if plan.transport == Transport::Deflated {
        command.arg("--allow-compression");
    }
    Ok(command)
}

fn bare(transport: Transport, http: SocketAddr, control: SocketAddr) -> Result<Command, Failure> {
    let program = std::env::current_exe().during(|| "finding this program".to_owned())?;
    let transport = transport.to_possible_value();
    let mut command = Command::new(program);
    command
        .args(["--bare", transport.as_ref().map_or("", |value| value.get_name())])
        .args(["--http-address", &http.to_string()])
        .args(["--control-address", &control.to_string()]);
    Ok(command)
}

/// Two ports of `host` that nothing listens on.
fn free_ports(host: Ipv4Addr) -> Result<(SocketAddr, SocketAddr), Failure> {
    let bind = || TcpListener::bind((host, 0));
    let (one, two) =
        bind().and_then(|one| Ok((one, bind()?))).during(|| "looking for free ports".to_owned())?;
    let address = |listener: &TcpListener| {
        listener.local_addr().during(|| "looking at a free port".to_owned())
    };
    Ok((address(&one)?, address(&two)?))
}

/// One held stream, so that a server is ready only when all its parts are.
fn answers(http: SocketAddr, peer: Peer) -> Result<(), String> {
    let host = http.to_string();
    let request = match peer {
        Peer::Bare => format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes(),
        _ => peer.dialect().request(Transport::Stream, &host, "ready"),
    };
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut socket = TcpStream::connect(http)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.write_all(&request)?;
        let mut answer = vec![0; 1024];
        let count = socket.read(&mut answer)?;
        answer.truncate(count);
        Ok(answer)
    };
    match ask() {
        Ok(answer) if answer.starts_with(b"HTTP/1.1 200") => Ok(()),
        Ok(answer) => Err(format!("it answered {:?}", crate::failure::excerpt(&answer))),
        Err(error) => Err(error.to_string()),
    }
}
