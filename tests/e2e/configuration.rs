//! `pushpin.conf`: read as it is, by the real program.

mod checked;
mod every_option;
mod shipped;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use super::harness::server::command;
use super::harness::{Answer, Backend, Client, Server};

/// A folder to configure and to run in.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, and its folders.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("folders");
        fs::write(&path, text).expect("written");
        path
    }

    /// The program, run in here.
    fn linchpin(&self) -> Command {
        let mut command = command();
        command.current_dir(self.path());
        command
    }

    /// The same, called as `pushpin`.
    fn pushpin(&self) -> Command {
        let link = self.path().join("pushpin");
        if !link.exists() {
            symlink(command().get_program(), &link).expect("a link");
        }
        let mut pushpin = Command::new(link);
        for (name, value) in command().get_envs() {
            assert!(value.is_none());
            pushpin.env_remove(name);
        }
        pushpin.current_dir(self.path());
        pushpin
    }

    /// What options are with a file's text and further arguments, as `[section]`s of lines.
    fn effective(&self, text: &str, arguments: &[&str]) -> String {
        self.write("p.conf", text);
        let mut command = self.linchpin();
        command.args(["check", "--effective", "--config", "p.conf"]).args(arguments);
        let (code, said) = run(&mut command);
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

/// Exit code, and what was said on both.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[track_caller]
fn has(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "{line} in\n{said}");
    }
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let folder = Folder::new();
    let text = "[runner]\nhttp_port=x\nclient_maxconn=many\n[proxy]\nsig_iss=a,b\ndebug=\"\n\
                [handler]\nmessage_wait=-3\npush_in_http_max_headers_size=1\n";
    folder.write("p.conf", text);
    for first in ["run", "check"] {
        let (code, said) = run(folder.linchpin().args([first, "--config", "p.conf"]));
        assert_eq!(code, Some(if first == "check" { 1 } else { 2 }), "{said}");
        let problems = "error: p.conf:2: [runner] http_port: 'x': expected PORT, ADDR:PORT or \
            [V6ADDR]:PORT\n\
            error: p.conf:3: [runner] client_maxconn: expected a whole number (N), not 'many': \
            invalid digit found in string\n\
            error: p.conf:5: [proxy] sig_iss: expected one value; put \"...\" around one that has \
            a comma\n\
            error: p.conf:6:7: expected a second \" on this line\n\
            error: p.conf:8: [handler] message_wait: expected a whole number (MS), not '-3': \
            invalid digit found in string\n\
            error: p.conf:9: [handler] push_in_http_max_headers_size: 1 is less than 64\n";
        assert!(said.ends_with(problems), "{said}");
    }
    let (code, said) = run(folder.linchpin().args(["--config", "none.conf"]));
    assert_eq!(code, Some(2));
    has(&said, &["error: none.conf: No such file"]);
    assert_eq!(run(folder.linchpin().args(["check", "--config", "none.conf"])), (Some(1), said));
}

#[test]
fn a_key_that_nobody_knows_is_told_and_strictly_an_error() {
    let folder = Folder::new();
    folder.write("p.conf", "[runner]\nhttp_prt=1\nhttp_port=1\n[proxy]\ndebug=off\n");
    let told = "p.conf:2: [runner] http_prt: nobody knows this key, it has no effect; is [runner] \
                http_port meant?";
    let (code, said) = run(folder.linchpin().args(["check", "--config", "p.conf"]));
    assert_eq!(code, Some(0), "{said}");
    let doubt = "warning: p.conf:5: [proxy] debug: 'off' is true, as in Pushpin";
    has(&said, &[&format!("warning: {told}"), doubt]);
    let (code, said) = run(folder.linchpin().args(["--strict", "--config", "p.conf"]));
    assert_eq!(code, Some(2), "{said}");
    has(&said, &[&format!("error: {told}")]);
}

#[test]
fn flags_stand_before_the_environment_and_that_before_the_file() {
    let folder = Folder::new();
    folder.write("p.conf", "[handler]\nmessage_wait=1\n[proxy]\ndebug=true\nx_forwarded_for=a,b\n");
    let shown = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = folder.linchpin();
        command.env("LINCHPIN_CONFIG", "p.conf").envs(variables.iter().copied());
        run(command.args(["check", "--effective"]).args(arguments)).1
    };
    let from_file =
        ["message_wait=1 ; p.conf:2: [handler] message_wait\n", "debug=true ; p.conf:4"];
    has(&shown(&[], &[]), &from_file);
    has(&shown(&[], &[]), &["x_forwarded_for=a,b ; p.conf:5", "ring_items=256 ; default\n"]);
    let variables = [("LINCHPIN_MESSAGE_WAIT", "2"), ("LINCHPIN_DEBUG", "false")];
    let from_environment =
        ["message_wait=2 ; LINCHPIN_MESSAGE_WAIT\n", "debug=false ; LINCHPIN_DEBUG\n"];
    has(&shown(&variables, &[]), &from_environment);
    let from_flags = ["message_wait=3 ; --message-wait\n", "debug=true ; --debug\n"];
    has(&shown(&variables, &["--message-wait=3", "--debug"]), &from_flags);
    has(&shown(&[], &["--debug=false"]), &["debug=false ; --debug\n"]);
}

#[test]
fn variables_ports_and_the_included_file() {
    let folder = Folder::new();
    let text = "[global]\nrundir=/r\nport_offset=5\ninclude=more/x.conf\n[proxy]\n\
                sig_iss={rundir}/{ipc_prefix}{libdir}\n[handler]\ncommand_spec=tcp://127.0.0.1:5563\n\
                push_in_http_port=5561\n[runner]\nhttp_port=7999\n";
    folder.write("more/x.conf", "[global]\nlibdir=/l\nport_offset=9\n[handler]\nring_items=7\n");
    let said = folder.effective(text, &[]);
    has(&said, &["\nsig_iss=/r/pushpin-/l ;", "\nring_items=7 ; more/x.conf:5:"]);
    has(&said, &["=tcp://127.0.0.1:5568 ;", "\npush_in_http_port=5566 ;", "\nhttp_port=7999 ;"]);
    let said = folder.effective(&text.replace("offset=5", "offset=-7"), &[]);
    has(&said, &["=tcp://127.0.0.1:5556 ;", "\npush_in_http_port=5554 ;", "\nport_offset=-7 ;"]);
    folder.write("p.conf", &text.replace("offset=5", "offset=-6000"));
    let (code, said) = run(folder.linchpin().args(["check", "--config", "p.conf"]));
    assert_eq!(code, Some(1), "{said}");
    has(&said, &[":9: [handler] push_in_http_port: with -6000 added the port 5561 is not within"]);
    let said = folder.effective(text, &["--id", "2", "--rundir", "/f"]);
    has(&said, &["\nsig_iss=/f/p2-/l ;", "\nipc_prefix=p2- ;"]);
    has(&said, &["=tcp://127.0.0.1:5583 ;", "\npush_in_http_port=5581 ;", "\nhttp_port=7999 ;"]);
    let said = folder.effective("[runner]\nrundir=old\n[proxy]\nsig_iss={rundir}\n", &[]);
    has(&said, &["\nsig_iss=old ;"]);
    let (_, said) = run(folder.linchpin().args(["check", "--effective", "--id=1"]));
    has(&said, &["\npush_in_http_port=5571 ;"]);
}

#[test]
fn a_file_that_names_no_port_has_none() {
    let folder = Folder::new();
    folder.write("p.conf", "[proxy]\nroutesfile=routes\n");
    folder.write("routes", "* test\n");
    let (code, said) = run(folder.linchpin().args(["--config", "p.conf"]));
    assert_eq!(code, Some(2), "{said}");
    has(&said, &["no server ports configured"]);
    let said = folder.effective("[proxy]\nroutesfile=routes\n", &[]);
    has(&said, &["\nhttp_port= ; default\n", "\npush_in_http_port= ;", "\nid_cache_ttl=0 ;"]);
    // Nor has it a control API.
    folder.write("p.conf", "[runner]\nhttp_port=127.0.0.1:0\n");
    let mut command = folder.linchpin();
    command.args(["--config", "p.conf"]);
    let mut server = Server::run(command, tempfile::tempdir().expect("a folder"));
    server.wait_for_line("listening on http://");
    server.terminate();
    assert_eq!(server.exit_code(Duration::from_secs(20)), Some(0));
    assert!(!server.has_printed("control API"));
}

#[tokio::test]
async fn port_stands_for_all_listeners_of_the_file() {
    let folder = Folder::new();
    let text = "[runner]\nhttp_port=1\nhttps_ports=2\nlocal_ports=here.sock\n\
                [handler]\npush_in_http_port=0\n";
    folder.write("p.conf", text);
    let mut command = folder.linchpin();
    command.args(["--config", "p.conf", "--port", "127.0.0.1:0", "--route", "* test"]);
    let mut server = Server::configured(command);
    let mut client = Client::get(server.http, "/").await;
    assert_eq!(client.response().await.0.status, "HTTP/1.1 200 OK");
    assert!(!folder.path().join("here.sock").exists());
    server.terminate();
    assert_eq!(server.exit_code(Duration::from_secs(20)), Some(0));
}

#[tokio::test]
async fn paths_begin_where_pushpin_has_them_begin() {
    let folder = Folder::new();
    let backend =
        Backend::answering(|request| Answer::ok(request.header("grip-sig").unwrap_or_default()));
    let text = "[runner]\nhttp_port=127.0.0.1:0\nrundir=run\n[handler]\npush_in_http_port=0\n\
                [proxy]\nroutesfile=r/routes\nsig_key=file:keys/sig\nsig_iss=\"a, b\"\n";
    folder.write("conf/p.conf", text);
    folder.write("conf/r/routes", &format!("* {}\n", backend.address));
    folder.write("conf/keys/sig", "736563726574\n");
    let mut command = folder.linchpin();
    let server = Server::configured({
        command.args(["--config", "conf/p.conf"]);
        command
    });
    let mut client = Client::get(server.http, "/").await;
    let token = client.response().await.1;
    let validation = {
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
        validation.set_issuer(&["a, b"]);
        validation
    };
    let key = jsonwebtoken::DecodingKey::from_secret(b"secret");
    jsonwebtoken::decode::<serde_json::Value>(&token, &key, &validation).expect("a signature");
    let (_, said) =
        run(folder.linchpin().args(["check", "--effective", "--config", "conf/p.conf"]));
    has(&said, &["\ncerts=conf/runner/certs ;", "\nrundir=run ;", "\nroutesfile=conf/r/routes ;"]);
    has(&said, &["\nsig_key=(hidden) ; conf/p.conf:8"]);
}

#[test]
fn check_looks_at_configuration_and_routes() {
    let folder = Folder::new();
    folder.write("p.conf", "[runner]\nhttp_port=1\n[proxy]\nroutesfile=routes\n");
    folder.write("routes", "* test\na.example nonsense\n");
    let (code, said) = run(folder.linchpin().args(["check", "--config", "p.conf"]));
    assert_eq!(code, Some(1), "{said}");
    has(&said, &["routes:2:", "nonsense"]);
    let arguments = ["check", "--config", "p.conf", "--route", "* test", "--outbox-bytes=1"];
    let (code, said) = run(folder.linchpin().args(arguments));
    assert_eq!(code, Some(1), "{said}");
    has(&said, &["--outbox-bytes: 1 is less than"]);
    let (code, said) =
        run(folder.linchpin().args(["check", "--config=p.conf", "--sig-key=file:none"]));
    assert_eq!(code, Some(1), "{said}");
    has(&said, &["--sig-key", "routes:2:"]);
    let (code, said) = run(folder.linchpin().args(["check", "--config=p.conf", "--route=* test"]));
    assert_eq!(code, Some(0), "{said}");
    let (code, _) = run(folder.linchpin().args(["check", "routes"]));
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn called_as_pushpin_it_finds_its_file() {
    let folder = Folder::new();
    let text = "[runner]\nhttp_port=127.0.0.1:0\n[handler]\npush_in_http_port=0\n\
                [proxy]\nroutesfile=routes\n";
    folder.write("config/pushpin.conf", text);
    folder.write("pushpin.conf", "[runner]\nhttp_port=bad\n");
    folder.write("config/routes", "* test\n");
    let mut server = Server::configured(folder.pushpin());
    server.wait_for_line("using config: config/pushpin.conf");
    let mut client = Client::get(server.http, "/").await;
    assert_eq!(client.response().await.0.status, "HTTP/1.1 200 OK");
    // Under its own name it looks for none.
    let (_, said) = run(folder.linchpin().args(["check", "--effective"]));
    has(&said, &["http_port=7999 ; default"]);
}

#[test]
fn called_as_pushpin_it_says_what_pushpin_says() {
    let folder = Folder::new();
    folder.write("pushpin.conf", "[runner]\nhttp_port=bad\n");
    for (arguments, text) in [
        (&["--nonsense"][..], "error: Unknown option 'nonsense'.\n"),
        (&["--id=-1"], "error: id must be greater than or equal to 0\n"),
        (&["--port=0"], "error: port must be greater than or equal to 1\n"),
        (&["--port=127.0.0.1:x"], "error: port must be greater than or equal to 1\n"),
        (&["--loglevel=-1"], "error: log level must be greater than or equal to 0\n"),
        (&["--config=none"], "error: none: No such file"),
        (&["-m"], "error: pushpin.conf:2: [runner] http_port: 'bad'"),
        (&["--route"], "error: Missing value after '--route'.\n"),
        (&["more"], "error: unrecognized subcommand 'more'\n"),
        // Of an option that is repeated the last one counts.
        (&["--config=none", "--config", "pushpin.conf"], "error: pushpin.conf:2: "),
        (&["--verbose", "--id=2", "--verbose", "--id=1"], "error: pushpin.conf:2: "),
    ] {
        let (code, said) = run(folder.pushpin().args(arguments));
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(text), "{text} in {said}");
    }
    let version = env!("CARGO_PKG_VERSION");
    for flag in ["--version", "-v", "-V"] {
        let (code, said) = run(folder.pushpin().arg(flag));
        assert_eq!((code, said), (Some(0), format!("pushpin {version} (linchpin)\n")));
        let (code, said) = run(folder.linchpin().arg(flag));
        assert_eq!((code, said), (Some(0), format!("linchpin {version}\n")));
    }
    let (code, said) = run(folder.pushpin().arg("-h"));
    assert_eq!(code, Some(0));
    has(&said, &["Usage: pushpin", "--logfile", "--merge-output", "--verbose", "--route"]);
}
