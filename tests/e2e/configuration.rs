//! `pushpin.conf`: read as it is, by the real program.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::Duration;

use super::harness::server::command;
use super::harness::{Answer, Backend, Client, Publisher, Server};

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

    /// The program, called as `pushpin`.
    fn pushpin(&self) -> Command {
        let link = self.path().join("bin/pushpin");
        if !link.exists() {
            fs::create_dir_all(self.path().join("bin")).expect("a folder");
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

    fn linchpin(&self) -> Command {
        let mut command = command();
        command.current_dir(self.path());
        command
    }
}

/// Exit code, and what was said on both.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let folder = Folder::new();
    let text = "[runner]\nhttp_port=x\nclient_maxconn=many\n[proxy]\nsig_iss=a,b\ndebug=\"\n\
                [handler]\nmessage_wait=-3\npush_in_http_max_headers_size=1\n";
    folder.write("p.conf", text);
    for first in ["run", "check"] {
        let (code, said) = run(folder.linchpin().args([first, "--config", "p.conf"]));
        assert_eq!(code, Some(2), "{said}");
        for line in [
            "p.conf:2: [runner] http_port: 'x' is not",
            "p.conf:3: [runner] client_maxconn: 'many' is not what is expected: N",
            "p.conf:5: [proxy] sig_iss: expected one value",
            "p.conf:6:7: expected a second \" on this line",
            "p.conf:8: [handler] message_wait: '-3' is not what is expected: MS",
            "p.conf:9: [handler] push_in_http_max_headers_size: 1 is less than 64",
        ] {
            assert!(said.contains(&format!("error: {line}")), "{line} in\n{said}");
        }
    }
}
