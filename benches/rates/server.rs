//! One of the compared servers, made for one case: its processes on the server's core, and where
//! needed a backend on the client's. Started by `main.rs` for each measurement.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::case::{Case, Measure, Peer, Run};
use crate::echo::Echo;
use crate::failure::{Context, Failure, excerpt};
use crate::machine;
use crate::nginx;
use crate::options::{Cores, Options};
use crate::process::{Processes, free_ports};
use crate::pushpin;
use crate::socket;

/// For how long one look at all threads must find them asleep, again and again, until the server
/// has surely nothing to do. Pushpin's processes now and then hand on by timers of 10 to 20 ms.
const CALM: Duration = Duration::from_millis(60);
/// A server that does not come to rest within this time is given up.
const REST_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(1);

/// A running server.
pub struct Server {
    /// What it is.
    pub peer: Peer,
    /// Where clients connect.
    pub http: SocketAddr,
    /// Where clients connect with TLS.
    pub https: SocketAddr,
    /// Where messages are published.
    pub control: SocketAddr,
    /// All its processes, without the backend's.
    pub processes: Vec<u32>,
    /// The backend's, if it has one.
    pub beside: Vec<u32>,
    own: Processes,
    _backend: Option<Processes>,
    _echo: Option<Echo>,
}

impl Server {
    /// Starts what the run needs and returns when it answers.
    pub fn start(
        run: Run,
        options: &Options,
        cores: &Cores,
        certificates: &Path,
    ) -> Result<Server, Failure> {
        let Run { case, peer, .. } = run;
        let [http, https, control, behind] = free_ports()?;
        let backend = case.has_backend().then(|| start_backend(behind, cores)).transpose()?;
        let is_socket = case.measure() == Measure::Socket;
        let echo = is_socket.then(|| Echo::start(behind)).transpose()?;
        let mut own = Processes::new()?;
        let folder = own.folder();
        let mut commands = Vec::new();
        match (peer, case.measure()) {
            (Peer::Linchpin, measure) => {
                let mut command = linchpin(&options.linchpin, http, control)?;
                if case.has_backend() || is_socket {
                    command.args(["--route", &format!("* {behind}")]);
                }
                if measure == Measure::Tls {
                    command.args(["--https-port", &https.to_string()]);
                    command.arg("--certs").arg(certificates);
                }
                commands.push(command);
            }
            (Peer::Pushpin, _) => {
                let (http, control) = (http.port(), control.port());
                let path = pushpin::configure(folder, http, control, most_connections(options))?;
                if case.has_backend() {
                    commands.push(zurl(folder, &path, behind)?);
                }
                let mut command = Command::new("pushpin");
                command.arg("--config").arg(path);
                commands.push(command);
            }
            (Peer::Nginx, Measure::Tls) => {
                commands.push(nginx::tls(folder, http, https, certificates)?);
            }
            (Peer::Nginx, Measure::Socket) => {
                commands.push(nginx::socket_proxy(folder, http, behind)?);
            }
            (Peer::Nginx, _) => commands.push(nginx::proxy(folder, http, behind)?),
            (Peer::Nchan, _) => commands.push(nginx::nchan_server(folder, http)?),
        }
        for command in commands {
            own.start(command, &cores.server, &cores.client)?;
        }
        let control = if peer == Peer::Nchan { http } else { control };
        own.wait_until(peer.title(), || ready(case, peer, http, https, control))?;
        let processes = own.family();
        let beside = backend.as_ref().map(Processes::family).unwrap_or_default();
        let (_backend, _echo) = (backend, echo);
        Ok(Server { peer, http, https, control, processes, beside, own, _backend, _echo })
    }

    /// Waits until it has nothing left to do: its threads are found asleep again and again.
    pub fn rest(&self) -> Result<(), Failure> {
        let began = Instant::now();
        let mut since = None;
        while began.elapsed() < REST_WITHIN {
            if machine::all_asleep(&self.processes)? {
                if since.get_or_insert_with(Instant::now).elapsed() >= CALM {
                    return Ok(());
                }
            } else {
                since = None;
            }
            std::thread::sleep(LOOK);
        }
        let waiting = "waiting for the server to come to rest".to_owned();
        Err(Failure::Stalled { seconds: REST_WITHIN.as_secs(), waiting })
    }

    /// What it printed and logged last, and which of its processes have ended.
    pub fn last_words(&self) -> String {
        let ended = self.processes.iter().filter(|pid| !machine::alive(**pid));
        let mut words: String = ended.map(|pid| format!("process {pid} has ended\n")).collect();
        words.push_str(&self.own.last_words());
        words
    }
}

fn most_connections(options: &Options) -> usize {
    options.connections.max(options.many_clients)
}

fn start_backend(http: SocketAddr, cores: &Cores) -> Result<Processes, Failure> {
    let mut backend = Processes::new()?;
    let command = nginx::backend(backend.folder(), http)?;
    backend.start(command, &cores.client, &cores.client)?;
    backend.wait_until("the backend", || answers(http, "/small"))?;
    Ok(backend)
}

fn linchpin(program: &Path, http: SocketAddr, control: SocketAddr) -> Result<Command, Failure> {
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
    command.args(["--bind", "127.0.0.1", "--port", &http.port().to_string()]).args([
        "--control",
        &control.to_string(),
        "--workers",
        "1",
        "--log-level",
        "warn",
    ]);
    Ok(command)
}

/// Debian's Pushpin sends its requests out through zurl. Gives it one of its own, with the
/// limits that would throttle it raised, and a route to the backend.
fn zurl(folder: &Path, pushpin: &Path, backend: SocketAddr) -> Result<Command, Failure> {
    let dir = folder.display();
    let zurl = folder.join("zurl.conf");
    let text = fs::read_to_string(pushpin).during(|| format!("reading {}", pushpin.display()))?;
    let proxy = format!(
        "[proxy]\n\
         zurl_out_specs=ipc://{dir}/run/zurl-in\n\
         zurl_out_stream_specs=ipc://{dir}/run/zurl-in-stream\n\
         zurl_in_specs=ipc://{dir}/run/zurl-out\n"
    );
    let files = [
        (pushpin.to_owned(), text.replace("[proxy]\n", &proxy)),
        (folder.join("routes"), format!("* {backend}\n")),
        (
            zurl.clone(),
            format!(
                "[General]\n\
                 in_spec=ipc://{dir}/run/zurl-in\n\
                 in_stream_spec=ipc://{dir}/run/zurl-in-stream\n\
                 out_spec=ipc://{dir}/run/zurl-out\n\
                 in_req_spec=\n\
                 defpolicy=allow\n\
                 max_open_requests=10000\n\
                 buffer_size=200000\n\
                 timeout=600\n\
                 in_hwm=100000\n\
                 out_hwm=100000\n"
            ),
        ),
    ];
    for (path, text) in files {
        fs::write(&path, text).during(|| format!("writing {}", path.display()))?;
    }
    let mut command = Command::new("zurl");
    command.arg(format!("--config={}", zurl.display())).arg("--loglevel=1");
    Ok(command)
}

/// Every part that the case is about has answered.
fn ready(
    case: Case,
    peer: Peer,
    http: SocketAddr,
    https: SocketAddr,
    control: SocketAddr,
) -> Result<(), String> {
    let connects = |address: SocketAddr| {
        TcpStream::connect(address).map(drop).map_err(|error| format!("{address}: {error}"))
    };
    match (case.measure(), peer) {
        (Measure::Publish, Peer::Nchan) => answers(http, "/ready"),
        (Measure::Publish, _) => {
            answers(http, "/stream?channel=ready").and_then(|()| connects(control))
        }
        (Measure::Hold, _) => answers(http, "/hold").and_then(|()| connects(control)),
        (Measure::Proxy, _) => answers(http, "/small"),
        (Measure::Socket, _) => asked(http, &socket::handshake(http), b"HTTP/1.1 101"),
        (Measure::Tls, _) => answers(http, "/").and_then(|()| connects(https)),
    }
}

/// One request, answered with 200.
fn answers(http: SocketAddr, path: &str) -> Result<(), String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {http}\r\n\r\n");
    asked(http, request.as_bytes(), b"HTTP/1.1 200")
}

/// One request, whose answer begins so.
fn asked(http: SocketAddr, request: &[u8], answer: &[u8]) -> Result<(), String> {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut socket = TcpStream::connect(http)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.write_all(request)?;
        let mut got = vec![0; 1024];
        let count = socket.read(&mut got)?;
        got.truncate(count);
        Ok(got)
    };
    match ask() {
        Ok(got) if got.starts_with(answer) => Ok(()),
        Ok(got) => Err(format!("it answered {:?}", excerpt(&got))),
        Err(error) => Err(error.to_string()),
    }
}
