//! The real binary as a child process: started on free ports, its log kept, killed on drop.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::wait::PATIENCE;

/// A running linchpin.
pub struct Server {
    /// Where clients connect.
    pub http: SocketAddr,
    /// Where clients connect with TLS, if the test asked for it.
    pub https: Option<SocketAddr>,
    /// Where publishers connect.
    pub control: SocketAddr,
    child: Child,
    lines: Receiver<String>,
    printed: Vec<String>,
    _directory: tempfile::TempDir,
}

/// The program under test; `SERVER_UNDER_TEST` names another one with the same flags.
pub fn program() -> PathBuf {
    std::env::var_os("SERVER_UNDER_TEST")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_linchpin")), PathBuf::from)
}

/// A command that runs the program in an empty environment, but for the path.
pub fn command() -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LINCHPIN_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Server {
    /// Serves `routes` on free ports.
    pub fn start(routes: &[String]) -> Server {
        Server::start_with(routes, &[])
    }

    /// Serves one route.
    pub fn route(route: impl Into<String>) -> Server {
        Server::start(&[route.into()])
    }

    /// Serves `routes` with further arguments.
    pub fn start_with(routes: &[String], arguments: &[&str]) -> Server {
        Server::start_in(routes, arguments, |_| {})
    }

    /// The same, in a directory that is prepared first.
    pub fn start_in(
        routes: &[String],
        arguments: &[&str],
        prepare: impl FnOnce(&std::path::Path),
    ) -> Server {
        let directory = tempfile::tempdir().expect("a directory to run in");
        prepare(directory.path());
        let mut command = command();
        command.args(["--port", "0", "--bind", "127.0.0.1", "--control", "127.0.0.1:0"]);
        command.args(arguments).current_dir(directory.path());
        if !arguments.contains(&"--workers") {
            command.args(["--workers", "2"]);
        }
        // Most tests script each request that the backend sees.
        if !arguments.contains(&"--update-on-first-subscription") {
            command.args(["--update-on-first-subscription", "false"]);
        }
        for route in routes {
            command.args(["--route", route]);
        }
        let mut server = Server::run(command, directory);
        server.http = server.printed_address("listening on http://");
        if arguments.contains(&"--https-port") {
            server.https = Some(server.printed_address("listening on https://"));
        }
        server.control = server.printed_address("control API on http://");
        server
    }

    /// Serves plain HTTP and the control API, wherever the command's own configuration says.
    pub fn configured(command: Command) -> Server {
        let mut server = Server::run(command, tempfile::tempdir().expect("a directory"));
        server.http = server.printed_address("listening on http://");
        server.control = server.printed_address("control API on http://");
        server
    }

    /// The command as a process, and nothing more.
    pub fn run(mut command: Command, directory: tempfile::TempDir) -> Server {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (sender, lines) = channel();
        copy_lines(child.stdout.take().expect("piped"), sender.clone());
        copy_lines(child.stderr.take().expect("piped"), sender);
        let unset = SocketAddr::from(([127, 0, 0, 1], 0));
        Server {
            http: unset,
            https: None,
            control: unset,
            child,
            lines,
            printed: Vec::new(),
            _directory: directory,
        }
    }

    /// Waits for a line of the log that contains `mark`, and gives it.
    pub fn wait_for_line(&mut self, mark: &str) -> String {
        let already = self.printed.iter().find(|line| line.contains(mark)).cloned();
        if let Some(line) = already {
            return line;
        }
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.printed.push(line.clone());
                    if line.contains(mark) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no line with {mark:?} was printed"),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without printing {mark:?}"),
            }
        }
    }

    /// Whether a line that contains `mark` has been printed by now.
    pub fn has_printed(&mut self, mark: &str) -> bool {
        self.printed.extend(self.lines.try_iter());
        self.printed.iter().any(|line| line.contains(mark))
    }

    /// What was printed and looked at so far.
    pub fn printed(&self) -> &[String] {
        &self.printed
    }

    /// All lines of the banner that contain `mark`.
    pub fn banner(&self, mark: &str) -> Vec<String> {
        self.printed.iter().filter(|line| line.contains(mark)).cloned().collect()
    }

    fn printed_address(&mut self, mark: &str) -> SocketAddr {
        let line = self.wait_for_line(mark);
        let rest = line.split(mark).nth(1).unwrap_or_default();
        let end = rest.find(|c: char| !c.is_ascii_hexdigit() && !"[].:".contains(c));
        let address = rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', ':']);
        address.parse().unwrap_or_else(|_| panic!("no address after {mark:?} in {line:?}"))
    }

    /// Asks the process to stop, as an init system does.
    pub fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).expect("the child is there");
    }

    /// Asks the process to reload, as an operator does.
    pub fn hang_up(&self) {
        kill_process(self.pid(), Signal::HUP).expect("the child is there");
    }

    /// From now on only lines that are printed later are waited for.
    pub fn forget_lines(&mut self) {
        while self.lines.try_recv().is_ok() {}
        self.printed.clear();
    }

    /// Lets go of the lines that were printed and not looked at, in a run that is long.
    pub fn drop_lines(&self) {
        for _ in self.lines.try_iter() {}
    }

    /// From now on the process may have so many descriptors.
    pub fn limit_descriptors(&self, count: u64) {
        use rustix::process::{Resource, Rlimit, prlimit};
        let limit = Rlimit { current: Some(count), maximum: Some(count) };
        prlimit(Some(self.pid()), Resource::Nofile, limit).expect("a lower limit");
    }

    /// User and system time that the process has used.
    pub fn cpu_time(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(path).expect("the child is there");
        // After the name, which is in brackets: utime and stime are the fields 14 and 15.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks = fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
        let per_second = rustix::param::clock_ticks_per_second();
        Duration::from_millis(ticks.sum::<u64>() * 1000 / per_second)
    }

    /// Memory that the process has.
    pub fn resident_bytes(&self) -> usize {
        let path = format!("/proc/{}/statm", self.child.id());
        let statm = std::fs::read_to_string(path).expect("the child is there");
        let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok());
        let pages: usize = pages.expect("a number");
        pages * rustix::param::page_size()
    }

    /// How many descriptors the process has open.
    pub fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(path).expect("the child is there").count()
    }

    /// Its TCP sockets, as the system shows them, for people.
    pub fn sockets(&self) -> Vec<String> {
        let folder = format!("/proc/{}", self.child.id());
        let open = std::fs::read_dir(format!("{folder}/fd")).expect("the child is there");
        let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        let links: Vec<_> = links.map(|link| link.to_string_lossy().into_owned()).collect();
        let table = std::fs::read_to_string(format!("{folder}/net/tcp")).expect("readable");
        let of_ours = |line: &&str| {
            let inode = line.split_whitespace().nth(9).unwrap_or_default();
            links.contains(&format!("socket:[{inode}]"))
        };
        table.lines().filter(of_ours).map(str::to_owned).collect()
    }

    /// Whether it listens on this port of TCP, at an address of IPv4.
    pub fn listens_on(&self, port: u16) -> bool {
        let port = format!(":{port:04X}");
        self.sockets().iter().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            let is_there = words.next().is_some_and(|address| address.ends_with(&port));
            is_there && words.nth(1) == Some("0A")
        })
    }

    /// Stops the process; how often it counted what has this name.
    pub fn counted(&mut self, name: &str) -> u64 {
        self.terminate();
        let line = self.wait_for_line("counters:");
        let mut words = line.split_whitespace().filter_map(|word| word.split_once('='));
        words
            .find(|(each, _)| *each == name)
            .map_or(0, |(_, count)| count.parse().expect("a count"))
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed()).expect("a child has an id")
    }

    /// Waits until the process has ended and gives its exit code.
    pub fn exit_code(&mut self, bound: Duration) -> Option<i32> {
        loop {
            match self.lines.recv_timeout(bound) {
                Ok(line) => self.printed.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("still running after {bound:?}"),
            }
        }
        self.child.wait().expect("the child can be waited for").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.printed.extend(self.lines.iter());
            let mut out = std::io::stderr().lock();
            let _ = writeln!(out, "--- what the server printed ---");
            for line in &self.printed {
                let _ = writeln!(out, "{line}");
            }
        }
    }
}

fn copy_lines(from: impl Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { break };
            if to.send(line).is_err() {
                break;
            }
        }
    });
}
