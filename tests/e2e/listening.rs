//! Where clients come in: several addresses, inherited sockets, the last place, the PID file, and
//! what is said when it cannot be.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use super::harness::server::{command, program};
use super::harness::{Backend, Client, Publisher, Reserved, Server, within};

const HELLO: &str = "Hello from the linchpin test handler!\n";
const BOUND: Duration = Duration::from_secs(10);

fn serve(arguments: &[&str]) -> Server {
    Server::start_with(&["* test".to_owned()], arguments)
}

/// Runs it until it ends by itself.
fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = command();
    command.args(["--control", "127.0.0.1:0", "--route", "* test"]).args(arguments);
    let Output { status, stderr, .. } = command.output().expect("it runs");
    (status.code(), String::from_utf8(stderr).expect("text"))
}

#[tokio::test]
async fn every_address_serves() {
    let server = serve(&["--http-port", "127.0.0.2:0,[::1]:0"]);
    let lines = server.banner("listening on http://");
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, host) in lines.iter().zip(["127.0.0.1:", "127.0.0.2:", "[::1]:"]) {
        let address = line.strip_prefix("listening on http://").expect("an address");
        assert!(address.starts_with(host), "{address}");
        let mut client = Client::get(address.parse().expect("an address"), "/").await;
        assert_eq!(client.response().await.1, HELLO);
    }
}

#[tokio::test]
async fn the_wildcard_of_ipv6_is_for_ipv6_only() {
    // Somebody else may happen to listen on the same port of IPv4; not on that of each of five.
    let mut refused = false;
    for _ in 0..5 {
        let server = serve(&["--http-port", "[::]:0"]);
        let lines = server.banner("listening on http://[::]:");
        let port: u16 = lines[0].rsplit(':').next().unwrap().parse().expect("a port");
        let mut client = Client::get(format!("[::1]:{port}").parse().unwrap(), "/").await;
        assert_eq!(client.response().await.1, HELLO);
        refused |= TcpStream::connect(("127.0.0.1", port)).await.is_err();
    }
    assert!(refused, "it listens for IPv4 too");
}

#[test]
fn all_that_cannot_be_bound_is_said_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("bound").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file").display().to_string();
    std::fs::write(&file, "precious").expect("written");
    let http = format!("{taken},192.0.2.1:80");
    let (code, text) = fails(&["--http-port", &http, "--local-ports", &file]);
    assert_eq!(code, Some(2), "{text}");
    for part in [
        &format!("error: --http-port: cannot listen on {taken}: Address already in use"),
        "error: --http-port: cannot listen on 192.0.2.1:80: Cannot assign requested address",
        &format!("error: --local-ports: cannot listen on {file}: there is a file of this name"),
    ] {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    assert_eq!(std::fs::read(&file).expect("it is there"), b"precious");
}

/// Whose fault it is that an address is in use.
#[test]
fn what_takes_its_own_addresses_is_said() {
    // Nobody else is given it, and who says so may listen on it.
    let reserved = Reserved::new();
    let port = reserved.address.port();
    let http = format!("127.0.0.1:{port},{port}");
    let mut command = command();
    let control = format!("127.0.0.1:{port}");
    command.args(["--control", &control, "--route", "* test", "--http-port", &http]);
    let output = command.output().expect("it runs");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{text}");
    for (flag, address) in [("http-port", "0.0.0.0"), ("control", "127.0.0.1")] {
        let line = format!(
            "error: --{flag}: cannot listen on {address}:{port}: \
             listening on 127.0.0.1:{port} takes it"
        );
        assert!(text.contains(&line), "{line:?} is not in {text:?}");
    }
}

#[test]
fn there_must_be_an_address_and_no_name() {
    let (code, text) = fails(&["--http-port", ""]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.ends_with("error: --http-port: no server ports configured\n"), "{text}");
    let (code, text) = fails(&["--http-port", "localhost:80"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("'localhost:80': host names are not allowed here"), "{text}");
}

/// The first that hears anything.
async fn heard(waiting: &mut Vec<Client>) -> Client {
    loop {
        for place in 0..waiting.len() {
            if waiting[place].hears().await {
                return waiting.remove(place);
            }
        }
    }
}

#[tokio::test]
async fn the_last_place_is_the_last_of_all_threads() {
    let server = serve(&["--client-maxconn", "4", "--workers", "3"]);
    // Whichever threads the kernel chooses.
    for _ in 0..3 {
        let mut served = Vec::new();
        for _ in 0..4 {
            let mut client = Client::get(server.http, "/").await;
            assert_eq!(client.response().await.1, HELLO);
            served.push(client);
        }
        // These are idle, and still there.
        let mut waiting = Vec::new();
        for _ in 0..4 {
            waiting.push(Client::get(server.http, "/").await);
        }
        for client in &mut waiting {
            assert!(!client.hears().await, "there was no room for it");
        }
        while !waiting.is_empty() {
            drop(served.remove(0));
            // Whoever it is: each thread has a queue of its own.
            let mut next = within("somebody to be let in", heard(&mut waiting)).await;
            assert_eq!(next.response().await.1, HELLO);
            served.push(next);
            let mut others = 0;
            for client in &mut waiting {
                others += usize::from(client.hears().await);
            }
            assert_eq!(others, 0, "one place is one place");
        }
    }
}

#[tokio::test]
async fn who_is_held_has_a_place_too() {
    let server = serve(&["--client-maxconn", "4", "--workers", "2"]);
    let mut held = Vec::new();
    for place in 0..4 {
        let mut client = Client::get(server.http, &format!("/stream?channel={place}")).await;
        client.head().await;
        client.chunk().await;
        held.push(client);
    }
    let mut waiting = Client::get(server.http, "/").await;
    assert!(!waiting.hears().await, "there was no room for it");
    drop(held.remove(2));
    assert_eq!(waiting.response().await.1, HELLO);
    let (code, text) = fails(&["--http-port", "0", "--client-maxconn", "1"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--client-maxconn: 1 is less than 2"), "{text}");
}

/// As systemd does it: sockets from descriptor 3 on, what they are in the environment.
const LAUNCHER: &str = r#"
import os, socket, sys
folder, program, *rest = sys.argv[1:]
def tcp():
    s = socket.create_server(("127.0.0.1", 0)); return s
local = socket.socket(socket.AF_UNIX); local.bind(folder + "/handed"); local.listen(8)
given = [("http", tcp()), ("local", local), ("control", tcp()), ("linchpin.socket", tcp())]
# Out of the way first: a descriptor must not be overwritten before it is moved.
moved = [os.dup2(s.fileno(), 50 + i) for i, (_, s) in enumerate(given)]
for i, fd in enumerate(moved):
    os.dup2(fd, 3 + i, inheritable=True)
    os.close(fd)
os.environ["LISTEN_FDS"] = str(len(given))
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDNAMES"] = ":".join(name for name, _ in given)
os.execv(program, [program, *rest])
"#;

fn launcher(script: &str, folder: &Path) -> Command {
    let mut python = Command::new("python3");
    for name in ["LINCHPIN_HTTP_PORT", "RUST_LOG"] {
        python.env_remove(name);
    }
    python.args(["-c", script]).arg(folder).arg(program());
    python
}

#[tokio::test]
async fn sockets_are_taken_over_and_the_manager_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let manager = folder.path().join("notify");
    let told = UnixDatagram::bind(&manager).expect("a socket");
    told.set_read_timeout(Some(BOUND)).expect("a time-out");
    let mut command = launcher(LAUNCHER, folder.path());
    command.env("NOTIFY_SOCKET", &manager);
    command.args(["--workers", "2", "--route", "* test"]);
    let mut server = Server::configured(command);
    let hear = || {
        let mut text = [0; 64];
        let length = told.recv(&mut text).expect("a word");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    assert_eq!(hear(), "READY=1\n");
    // The default port is not opened beside them.
    let http = server.banner("listening on http://");
    assert_eq!(http.len(), 2, "{http:?}");
    let mut streams = Vec::new();
    for line in &http {
        let address = line.rsplit('/').next().unwrap().parse().expect("an address");
        streams.push(Client::get(address, "/stream").await);
        streams.push(Client::get(address, "/stream").await);
    }
    for client in &mut streams {
        client.head().await;
        client.chunk().await;
    }
    let local = UnixStream::connect(folder.path().join("handed")).await.expect("it listens");
    let mut local = Client::over(local);
    local.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(local.response().await.1, HELLO);
    Publisher::new(&server).stream("test", "to all\n").await;
    for client in &mut streams {
        client.expect_content("to all\n").await;
    }
    for _ in 0..2 {
        server.hang_up();
        let reloading = hear();
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        assert_eq!(hear(), "READY=1\n");
    }
    server.terminate();
    assert_eq!(hear(), "STOPPING=1\n");
    drop((streams, local));
    assert_eq!(server.exit_code(BOUND), Some(0));
    assert!(folder.path().join("handed").exists(), "it belongs to who made it");
}

#[test]
fn a_descriptor_of_no_use_prevents_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = LAUNCHER.replace("\"linchpin.socket\"", "\"htttps\"");
    let mut wrong = launcher(&script, folder.path());
    wrong.args(["--route", "* test"]);
    let Output { status, stderr, .. } = wrong.output().expect("it runs");
    let text = String::from_utf8(stderr).expect("text");
    assert_eq!(status.code(), Some(2), "{text}");
    assert!(text.contains("'htttps': expected the name http, https, local or control"), "{text}");
    // Sockets that are meant for another process are none of this one's.
    std::fs::remove_file(folder.path().join("handed")).expect("it was left");
    let script = LAUNCHER.replace("str(os.getpid())", "\"1\"");
    let mut other = launcher(&script, folder.path());
    other.args(["--http-port", "", "--control", "127.0.0.1:0", "--route", "* test"]);
    let Output { status, stderr, .. } = other.output().expect("it runs");
    let text = String::from_utf8(stderr).expect("text");
    assert_eq!(status.code(), Some(2), "{text}");
    assert!(text.contains("no server ports configured"), "{text}");
}

#[test]
fn the_pid_file_is_a_living_process_s() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pid");
    let file = path.display().to_string();
    // What a process left behind that died; its number is another's by now.
    std::fs::write(&path, "1\n").expect("written");
    let mut server = serve(&["--pid-file", &file]);
    let written = std::fs::read_to_string(&path).expect("it is there");
    let pid = server.pid().as_raw_nonzero().to_string();
    assert_eq!(written, format!("{pid}\n"));
    let (code, text) = fails(&["--http-port", "0", "--pid-file", &file]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains(&format!("process {pid} is running with it")), "{text}");
    server.terminate();
    assert_eq!(server.exit_code(BOUND), Some(0));
    assert!(!path.exists());
    drop(serve(&["--pid-file", &file]));
    assert!(path.exists(), "who is killed leaves it");
    let server = serve(&["--pid-file", &file]);
    let written = std::fs::read_to_string(&path).expect("it is there");
    assert_eq!(written.trim(), server.pid().as_raw_nonzero().to_string());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut backend = Backend::manual();
    let routes = [backend.route("*", "")];
    let mut server = Server::start_with(&routes, &["--drain-timeout", "600000"]);
    let client = Client::get(server.http, "/").await;
    let exchange = backend.next().await;
    server.terminate();
    server.wait_for_line("stopping...");
    // Whoever else has the port by then.
    within("nobody to listen", async {
        while server.listens_on(server.http.port()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.terminate();
    assert_eq!(server.exit_code(BOUND), Some(1));
    drop((client, exchange));
}
