//! The servers that are compared, as processes: starts one on free ports, waits until it answers,
//! knows all its processes, and ends it. Asked by the phases.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tempfile::TempDir;

use crate::dialect::Dialect;
use crate::failure::{Context, Failure};
use crate::machine;
use crate::nchan;
use crate::options::{Cores, Options};
use crate::pushpin;
use crate::transport::Transport;

const READY_WITHIN: Duration = Duration::from_secs(15);
const GONE_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// The binary that `--linchpin` names.
    Linchpin,
    /// The Pushpin that is installed.
    Pushpin,
    /// The nginx with nchan that is installed, one worker.
    Nchan,
    /// A plain loop of write(2).
    Bare,
}

impl Peer {
    /// As tables and messages call it.
    pub fn title(self) -> &'static str {
        match self {
            Peer::Linchpin => "linchpin",
            Peer::Pushpin => "pushpin",
            Peer::Nchan => "nchan",
            Peer::Bare => "bare write(2)",
        }
    }

    /// How it is asked and published to.
    pub fn dialect(self) -> Dialect {
        match self {
            Peer::Linchpin | Peer::Pushpin => Dialect::Grip,
            Peer::Nchan => Dialect::Nchan,
            Peer::Bare => Dialect::Bare,
        }
    }

    /// Why it cannot take part on this machine, if it cannot.
    pub fn missing(self) -> Option<String> {
        match self {
            Peer::Pushpin => pushpin::missing(),
            Peer::Nchan => nchan::missing(),
            Peer::Linchpin | Peer::Bare => None,
        }
    }
}

/// A running server.
pub struct Server {
    /// Where subscribers connect.
    pub http: SocketAddr,
    /// Where messages are published.
    pub control: SocketAddr,
    /// All its processes.
    pub processes: Vec<u32>,
    /// What it is.
    pub peer: Peer,
    child: Child,
    output: PathBuf,
    folder: TempDir,
}

impl Server {
    /// Starts a server for `connections` subscribers and returns when it answers.
    pub fn start(
        peer: Peer,
        transport: Transport,
        connections: usize,
        options: &Options,
        cores: &Cores,
    ) -> Result<Server, Failure> {
        let folder = tempfile::tempdir().during(|| "creating a folder".to_owned())?;
        let (http, mut control) = free_ports()?;
        let mut command = match peer {
            Peer::Linchpin => linchpin(&options.linchpin, options.workers, http, control)?,
            Peer::Pushpin => {
                let path =
                    pushpin::configure(folder.path(), http.port(), control.port(), connections)?;
                let mut command = Command::new("pushpin");
                command.arg("--config").arg(path);
                command
            }
            Peer::Nchan => {
                control = http;
                let arguments = nchan::configure(folder.path(), &http.to_string(), connections)?;
                let mut command = Command::new(nchan::program());
                command.args(arguments);
                command
            }
            Peer::Bare => bare(transport, http, control)?,
        };
        let output = folder.path().join("output");
        let file = File::create(&output).during(|| format!("creating {}", output.display()))?;
        let copy = file.try_clone().during(|| "sharing the output file".to_owned())?;
        command.stdin(Stdio::null()).stdout(file).stderr(copy).process_group(0);
        let child = spawn(&mut command, cores)?;
        let processes = vec![child.id()];
        let mut server = Server { http, control, processes, peer, child, output, folder };
        server.wait_until_ready()?;
        server.processes = machine::family(server.child.id());
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let why = match answers(self.http, self.peer).and_then(|()| {
                TcpStream::connect(self.control).map_err(|error| format!("control API: {error}"))
            }) {
                Ok(_) => return Ok(()),
                Err(why) => why,
            };
            let ended = self.child.try_wait().during(|| "looking after a server".to_owned())?;
            if ended.is_some() || began.elapsed() > READY_WITHIN {
                let why = ended.map_or(why, |status| format!("it ended: {status}"));
                return Err(Failure::NotReady {
                    peer: self.peer.title().to_owned(),
                    seconds: READY_WITHIN.as_secs(),
                    why,
                    tail: self.last_words(),
                });
            }
            std::thread::sleep(LOOK);
        }
    }

    /// For how long all its threads must sleep until it has surely done what it was asked.
    /// Pushpin's processes now and then hand requests on by timers of 10 to 20 ms.
    pub fn calm(&self) -> Duration {
        match self.peer {
            Peer::Pushpin => Duration::from_millis(60),
            Peer::Linchpin | Peer::Nchan | Peer::Bare => Duration::from_millis(5),
        }
    }

    /// For how long to wait after the first subscription to a channel. One second after it,
    /// Pushpin asks the backend again on behalf of every long-poll on that channel; what is
    /// published meanwhile is not for them, and doing it for many at once makes it fail.
    pub fn settling(&self, transport: Transport) -> Duration {
        match (self.peer, transport) {
            (Peer::Pushpin, Transport::Longpoll) => Duration::from_millis(2500),
            _ => Duration::ZERO,
        }
    }

    /// Which of its processes have ended, and the last lines that it printed or logged.
    pub fn last_words(&self) -> String {
        let ended = self.processes.iter().filter(|pid| !machine::alive(**pid));
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

fn linchpin(
    program: &Path,
    workers: usize,
    http: SocketAddr,
    control: SocketAddr,
) -> Result<Command, Failure> {
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
        .args(["--bind", "127.0.0.1", "--port", &http.port().to_string()])
        .args(["--control", &control.to_string(), "--workers", &workers.to_string()])
        .args(["--log-level", "warn"]);
    Ok(command)
}

fn bare(transport: Transport, http: SocketAddr, control: SocketAddr) -> Result<Command, Failure> {
    let program = std::env::current_exe().during(|| "finding this program".to_owned())?;
    let transport = transport.to_possible_value();
    let mut command = Command::new(program);
    command
        .args(["--bare", transport.as_ref().map_or("", |value| value.get_name())])
        .args(["--http-port", &http.port().to_string()])
        .args(["--control-port", &control.port().to_string()]);
    Ok(command)
}

/// A child inherits the cores of the thread that starts it.
fn spawn(command: &mut Command, cores: &Cores) -> Result<Child, Failure> {
    let (server, client) = match &cores.split {
        Some((server, client)) => (server, client),
        None => (&cores.all, &cores.all),
    };
    machine::pin(server)?;
    let child = command.spawn();
    machine::pin(client)?;
    child.during(|| format!("starting {}", command.get_program().to_string_lossy()))
}

/// Two ports of 127.0.0.1 that nothing listens on.
fn free_ports() -> Result<(SocketAddr, SocketAddr), Failure> {
    let bind = || TcpListener::bind("127.0.0.1:0");
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
