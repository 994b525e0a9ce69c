//! The build script as cargo runs it: a mistake in the routes file stops the build and is shown
//! with its place, and a good file becomes a table that is the same as the file read at run time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TREE: &str = env!("CARGO_MANIFEST_DIR");

/// Compiles a program of one file that uses only the standard library.
fn compile(source: &Path, program: &Path) {
    let compiler = option_env!("RUSTC").unwrap_or("rustc");
    let output = Command::new(compiler)
        .args(["--edition", "2024", "--cap-lints", "allow", "-o"])
        .arg(program)
        .arg(source)
        .current_dir(TREE)
        .output()
        .expect("rustc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the build script, just as it is, on a routes file; what it writes goes to `folder`.
fn build(folder: &Path, routes: &[u8]) -> (Output, String) {
    let script = folder.join("build-script");
    if !script.exists() {
        compile(&Path::new(TREE).join("build.rs"), &script);
    }
    let file = folder.join("routes");
    fs::write(&file, routes).expect("the folder is ours");
    let output = Command::new(script)
        .env("LINCHPIN_ROUTES", &file)
        .env("OUT_DIR", folder)
        .current_dir(TREE)
        .output()
        .expect("the script runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

/// What cargo shows as errors.
fn errors(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("cargo::error="));
    lines.collect::<Vec<_>>().join("\n")
}

const BROKEN: &[u8] = br#"# three of these lines are wrong
* localhost:8000
a.com,proto=tcp,debug b:99999 c
b.com,colour=red localhost:80

c.com,header="X-A: b localhost:80
* test
d.com,slow=drop_oldest localhost:80
"#;

const SHOWN: &str = r#"error: proto must be set to 'http' or 'ws'
 --> FILE:3:13
  |
3 | a.com,proto=tcp,debug b:99999 c
  |             ^^^ expected `http` or `ws`

error: target invalid port
 --> FILE:3:25
  |
3 | a.com,proto=tcp,debug b:99999 c
  |                         ^^^^^ expected a port from 1 to 65535

error: target bad format
 --> FILE:3:31
  |
3 | a.com,proto=tcp,debug b:99999 c
  |                               ^ expected `host:port`, `[ipv6]:port` or `test`

error: unknown condition property `colour`
 --> FILE:4:7
  |
4 | b.com,colour=red localhost:80
  |       ^^^^^^^^^^ expected one of `proto`, `ssl`, `path_beg`, `id`, `sig_iss`, `sig_key`, `prefix`, `orig_headers`, `as_host`, `path_rem`, `replace_beg`, `debug`, `header`, `no_grip`, `slow`, `aco`, `jsonp_mode`, `jsonp_cb`, `jsonp_body`, `jsonp_defcb`, `jsonp_defmethod`, `session`, `log_level`, `balance`, `sockjs`, `sockjs_as_path`, `sockjs_websocket`, `sockjs_cookie`, `sockjs_limit`

error: unterminated quoted section
 --> FILE:6:14
  |
6 | c.com,header="X-A: b localhost:80
  |              ^^^^^^^^^^^^^^^^^^^^ expected a closing `"`

error: skipping duplicate condition
 --> FILE:7:1
  |
7 | * test
  | ^^^^^^ expected a host, `proto`, `ssl` or `path_beg` that no earlier line has

error: slow must be set to 'close', 'drop-oldest' or 'conflate'
 --> FILE:8:12
  |
8 | d.com,slow=drop_oldest localhost:80
  |            ^^^^^^^^^^^ expected `close`, `drop-oldest` or `conflate`

FILE: 7 mistakes to correct before this can be built"#;

/// A file with everything that a route can have.
const GOOD: &str = r#"* test
a.com,path_beg=/,id="o\\n\"e",sig_iss=i,sig_key=k,prefix=p-,debug localhost:80,sub=x,sub="y z" b:1
a.com,proto=ws,ssl=no,orig_headers,as_host=h:1,path_rem=3 [::1]:443,ssl,host=é.com,over_http,one_event
[::2],no_grip,slow=drop-oldest,header="X-A: \"b\"",header=X-B:,replace_beg=/z test,untrusted,insecure,trust_connect_host
b.com,path_beg=/a/,slow=close b:1
b.com,path_beg=/"b" b:1
b.com,path_beg=/\,proto=ws b:1
b.com,path_beg=/é b:1
b.com,path_beg=/a/b,ssl=yes b:1
b.com,path_beg=/a/b b:1
c.com,sockjs=/s b:1
c.com,proto=ws,sockjs=/,sockjs_as_path=/"x",sockjs_websocket=false,sockjs_cookie,sockjs_limit=7 b:1
d.com,aco,jsonp_mode=basic,jsonp_cb=c,jsonp_body=b,jsonp_defcb=d,jsonp_defmethod=PUT b:1
d.com,path_beg=/s,session,log_level=0,balance=least b:1,check=/up c:1,ssl,client_cert=c,client_key=k
,id=internal localhost:80
"#;

/// A package without anything but our build script.
const PACKAGE: &str = r#"[package]
name = "routes-only"
version = "0.0.0"
edition = "2024"
build = BUILD
[lib]
path = "lib.rs"
[workspace]
"#;

#[test]
fn every_mistake_stops_the_build_and_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!("{:?}", Path::new(TREE).join("build.rs"));
    let at = |name: &str| folder.path().join(name);
    fs::write(at("Cargo.toml"), PACKAGE.replace("BUILD", &script)).expect("the folder is ours");
    fs::write(at("lib.rs"), "").expect("the folder is ours");
    fs::write(at("routes"), BROKEN).expect("the folder is ours");
    let cargo = |routes: &str| {
        Command::new(option_env!("CARGO").unwrap_or("cargo"))
            .args(["check", "--offline", "--quiet", "--color=never"])
            .env("LINCHPIN_ROUTES", at(routes))
            .env("CARGO_TARGET_DIR", at("target"))
            .current_dir(folder.path())
            .output()
            .expect("cargo runs")
    };
    let output = cargo("routes");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(101), "{text}");
    let file = at("routes").display().to_string();
    let shown: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("error: routes-only@0.0.0: "))
        .map(str::trim_end)
        .collect();
    assert_eq!(shown.join("\n").replace(&file, "FILE"), SHOWN, "{text}");
    fs::write(at("good"), GOOD).expect("the folder is ours");
    assert!(cargo("good").status.success());
}

#[test]
fn a_missing_file_stops_the_build() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("build-script");
    compile(&Path::new(TREE).join("build.rs"), &script);
    let output = Command::new(script)
        .env("LINCHPIN_ROUTES", "no-such-routes")
        .env("OUT_DIR", folder.path())
        .current_dir(TREE)
        .output()
        .expect("the script runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(errors(&text).starts_with("cannot read no-such-routes: "), "{text}");
    assert!(text.contains("cargo::rerun-if-env-changed=LINCHPIN_ROUTES\n"));
    assert!(text.contains("cargo::rerun-if-changed=no-such-routes\n"));
}

#[test]
fn a_compiled_table_is_what_the_file_reads_as() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, file) in [GOOD, "", "# nothing\n", "a b:1"].iter().enumerate() {
        let (output, text) = build(folder.path(), file.as_bytes());
        assert!(output.status.success() && errors(&text).is_empty(), "{text}");
        let program = folder.path().join(format!("compare-{number}"));
        let source = program.with_extension("rs");
        fs::write(&source, comparison(folder.path())).expect("the folder is ours");
        compile(&source, &program);
        let output = Command::new(&program).output().expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A program that includes the printed table as `config` does, and compares.
fn comparison(folder: &Path) -> String {
    let route = PathBuf::from(TREE).join("src/route/mod.rs");
    let (printed, file) = (folder.join("routes.rs"), folder.join("routes"));
    format!(
        "#[path = {route:?}] mod route;\n\
         use std::borrow::Cow;\n\
         use route::hosts::Index;\n\
         use route::target::Target;\n\
         use route::{{Route, Table, row}};\n\
         include!({printed:?});\n\
         fn main() {{\n\
             let (table, problems) = Table::parse(include_bytes!({file:?}));\n\
             assert!(problems.is_empty());\n\
             assert_eq!(table, TABLE);\n\
         }}\n"
    )
}
