//! `linchpin check`: whatever a start would say, it says, with file and line.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::harness::authority::Authority;
use super::{Folder, has, run};

fn check(folder: &Folder, arguments: &[&str]) -> (Option<i32>, String) {
    run(folder.linchpin().args(["check", "--config", "p.conf"]).args(arguments))
}

#[track_caller]
fn told(folder: &Folder, arguments: &[&str], code: i32, lines: &[&str]) {
    let (ended, said) = check(folder, arguments);
    assert_eq!(ended, Some(code), "{said}");
    has(&said, lines);
}

#[test]
fn warnings_of_a_start_do_not_fail() {
    let folder = Folder::new();
    let text = "[runner]\nhttp_port=127.0.0.1:0\nlog_level=2,zurl:1\n\
                [proxy]\nroutesfile=routes\nx_forwarded_for=trunc:1\ncdn_loop=\"a\\nb\"\n\
                orig_headers_need_mark=a b\nupgrade_protocols=h2c\n\
                [handler]\nmessage_block_size=5\npush_in_http_port=0\n";
    folder.write("p.conf", text);
    folder.write("routes", "*,sig_key=file:gone.key test\n");
    let warnings = [
        "p.conf:3: [runner] log_level: there is no component zurl",
        "p.conf:6: [proxy] x_forwarded_for: `trunc:1` is neither `truncate:N` nor `append`",
        "p.conf:7: [proxy] cdn_loop: \"a\\nb\" cannot stand in a header field",
        "p.conf:8: [proxy] orig_headers_need_mark: \"a b\" is no header's name",
        "p.conf:9: [proxy] upgrade_protocols: nobody may change to `h2c`",
        "p.conf:11: [handler] message_block_size: it has no effect without message_rate",
    ];
    let (code, said) = check(&folder, &[]);
    assert_eq!(code, Some(0), "{said}");
    for warning in warnings {
        has(&said, &[&format!("warning: {warning}")]);
    }
    has(&said, &["warning: sig_key: cannot read gone.key: No such file", "routes:1:3"]);
    // A start says the same.
    let mut command = folder.linchpin();
    command.args(["--config", "p.conf"]);
    let mut server = super::Server::run(command, tempfile::tempdir().expect("a folder"));
    for warning in warnings.iter().chain(&["sig_key: cannot read gone.key"]) {
        server.wait_for_line(warning);
    }
    // Strictly a route that is hardly meant so is a mistake.
    told(&folder, &["--strict"], 1, &["sig_key: cannot read"]);
}

#[test]
fn a_slip_of_the_shift_key_is_seen() {
    let folder = Folder::new();
    folder.write("p.conf", "[Runner]\nHTTP_Port=1\n[runner]\nhttp_port=1\n");
    let told_of = "p.conf:2: [Runner] HTTP_Port: nobody knows this key, it has no effect; is \
                   [runner] http_port meant?";
    told(&folder, &["--route", "* test"], 0, &[&format!("warning: {told_of}")]);
    let (code, said) = check(&folder, &["--route", "* test", "--strict"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("error: {told_of}")) && !said.contains("warning: "), "{said}");
}

#[test]
fn certificates_and_authorities_are_looked_at() {
    let folder = Folder::new();
    let authority = Authority::new("an authority");
    folder.write("p.conf", "[runner]\nhttps_ports=127.0.0.1:0\n");
    told(&folder, &[], 1, &["error: --certs: no usable certificate in runner/certs"]);
    fs::create_dir_all(folder.path().join("runner/certs")).expect("a folder");
    let pair = |name: &str, host: &str| {
        authority.sign(&[host]).write(&folder.path().join("runner/certs"), name);
    };
    pair("a.example", "a.example");
    told(&folder, &[], 0, &["warning: --certs: there is no default.crt in runner/certs"]);
    pair("default", "b.example");
    folder.write("runner/certs/broken.crt", "nothing");
    let (code, said) = check(&folder, &[]);
    assert_eq!(code, Some(0), "{said}");
    has(&said, &["warning: --certs: certificate left out: ", "broken."]);
    assert!(!said.contains("there is no default"), "{said}");
    let text = "[runner]\nhttps_ports=127.0.0.1:0\ntls_client_auth=required\ntls_client_ca=ca\n\
                [proxy]\nbackend_ca=backends\n";
    folder.write("p.conf", text);
    told(
        &folder,
        &[],
        1,
        &["error: p.conf:4: [runner] tls_client_ca: ", "error: p.conf:6: [proxy] backend_ca: "],
    );
    // Client certificates of targets, and keys.
    folder.write("p.conf", "[runner]\nhttp_port=1\n[proxy]\nroutesfile=r\nsig_key=file:none\n");
    folder.write("r", "* a:1,ssl,client_cert=none.crt,client_key=none.key\n");
    let said = ["p.conf:5: [proxy] sig_key: cannot read none", "failed to open none.crt", "r:1:"];
    told(&folder, &[], 1, &said);
}

#[test]
fn places_of_files_and_sockets_are_looked_at() {
    let folder = Folder::new();
    let at = |name: &str| folder.path().join(name);
    folder.write("file", "");
    fs::create_dir(at("sealed")).expect("a folder");
    let text = "[runner]\nhttp_port=192.0.2.1:80\nlocal_ports=file,none/s,s?user=nobody-of-this-name\n\
                pid_file=none/pid\nproxy_protocol=7\nlogdir=file/log\n\
                [handler]\npush_in_http_port=0\ncommand_spec=udp://x\n";
    folder.write("p.conf", text);
    told(
        &folder,
        &["--logfile", "none/log", "--route", "* test"],
        1,
        &[
            "error: --logfile: cannot write the log to none/log: No such file",
            "error: p.conf:2: [runner] http_port: cannot listen on 192.0.2.1: ",
            "error: p.conf:3: [runner] local_ports: cannot listen on file: there is a file of this name",
            "error: p.conf:3: [runner] local_ports: cannot listen on none/s: No such file",
            "error: p.conf:3: [runner] local_ports: cannot listen on s: there is no user 'nobody-of",
            "error: p.conf:4: [runner] pid_file: none/pid: No such file",
            "error: p.conf:5: [runner] proxy_protocol: 0.0.0.0:7 is not the address of a listener",
            "error: p.conf:6: [runner] logdir: failed to create directory: file/log: ",
            "error: p.conf:9: [handler] command_spec: cannot listen on udp://x: neither tcp://",
        ],
    );
    folder.write("p.conf", "[proxy]\n");
    told(&folder, &["--route", "* test"], 1, &["no server ports configured"]);
    // Nothing is made and nothing is taken: a process that serves may be checked.
    let text = "[runner]\nhttp_port=PORT\nlogdir=new/log\npid_file=pid\nlocal_ports=s\n";
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    folder.write("p.conf", &text.replace("PORT", &address));
    told(&folder, &["--route", "* test"], 0, &["no mistakes"]);
    for name in ["new", "pid", "s"] {
        assert!(!Path::new(&at(name)).exists(), "{name}");
    }
    // Who may write everywhere finds nothing wrong with this.
    fs::set_permissions(at("sealed"), fs::Permissions::from_mode(0o500)).expect("sealed");
    if fs::write(at("sealed/x"), "").is_err() {
        let arguments = ["--pid-file", "sealed/pid", "--route", "* test"];
        told(&folder, &arguments, 1, &["error: --pid-file: sealed/pid: Permission denied"]);
    }
}

#[test]
fn what_has_no_effect_because_of_something_else_is_told() {
    let folder = Folder::new();
    let text = "[runner]\nhttp_port=127.0.0.1:0\ntls_client_auth=required\n\
                tls_client_ca=ca.pem\ncompression_min_bytes=1\n\
                [proxy]\nx_forwarded_for_trusted=append\n[handler]\npush_in_http_port=0\n";
    folder.write("p.conf", text);
    let warnings = [
        "p.conf:3: [runner] tls_client_auth: it has no effect without https_ports",
        "p.conf:4: [runner] tls_client_ca: it has no effect without https_ports",
        "p.conf:5: [runner] compression_min_bytes: it has no effect without allow_compression",
        "p.conf:7: [proxy] x_forwarded_for_trusted: it has no effect without upstream_key",
    ];
    let (code, said) = check(&folder, &["--route=* test"]);
    assert_eq!(code, Some(0), "{said}");
    for warning in warnings {
        has(&said, &[&format!("warning: {warning}")]);
    }
    // A start says the same.
    let mut command = folder.linchpin();
    command.args(["--config", "p.conf", "--route=* test"]);
    let mut server = super::Server::run(command, tempfile::tempdir().expect("a folder"));
    for warning in warnings {
        server.wait_for_line(warning);
    }
}
