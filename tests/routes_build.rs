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

/// Files with mistakes, of each kind one at least. What is shown for them stands in
/// `tests/snapshots/NAME.txt`; `UPDATE_SNAPSHOTS=1` writes it anew, to be reviewed.
const BROKEN: [(&str, &[u8]); 8] = [
    (
        "routes_words",
        br#"* localhost:8000
a.com,organic, b:1
a.com,organic,=gala b:1
a.com,type="gala b:1
a.com,type="ga\la" b:1
a.com,type="gala\
"#,
    ),
    (
        "routes_lines",
        b"# nothing but mistakes\n\nc.com\n  * test\n\n* b:1 # again\na.com,id=x b:1\na.com,id=y b:1\n\
          \xff.com b:1\nd.com b:1,sub=\xc3\x28\ne.com b:1\x1b[31m\nb.com\tb:1\n",
    ),
    (
        "routes_conditions",
        br#"a.com,proto=tcp b:1
a.com,proto b:1
a.com,ssl=true b:1
a.com,path_beg= b:1
a.com,slow=drop_oldest b:1
a.com,balance=random b:1
a.com,header=x b:1
a.com,header=:x b:1
a.com,header="X Y: z" b:1
a.com,jsonp_mode=simple b:1
a.com,proto=tcp,ssl=1,path_beg b:1
"#,
    ),
    (
        "routes_sockjs",
        br#"a.com,sockjs= b:1
a.com,sockjs=s b:1
a.com,sockjs=/s,sockjs_as_path=x b:1
a.com,sockjs=/s,sockjs_websocket=no b:1
a.com,sockjs=/s,sockjs_limit=0 b:1
a.com,sockjs=/s,sockjs_limit=many b:1
b.com,sockjs_cookie b:1
"#,
    ),
    (
        "routes_targets",
        br#"a.com b
a.com [::1]
a.com [x]:80
a.com ::1:80
a.com :80
a.com b:0
a.com b:65536
a.com b:http
a.com b:
a.com "b :x"
a.com zhttp/tcp://127.0.0.1:10000
a.com zhttpreq/ipc:///tmp/x
a.com b:1,check=up
a.com b c:0 test,ssl d:1 e
"#,
    ),
    (
        "routes_doubtful",
        r#"r.com:17 b:1
*.a.com b:1
bücher.de b:1
a.com,path_rem=four b:1
b.com,log_level=high b:1
c.com,session b:1
d.com b:1,ipc_file_mode=777
e.com,colour=red b:1
f.com,path-begin=/x b:1
g.com,over_http b:1
h.com b:1,path_beg=/x
i.com b:1,ovr_http
j.com b:1,weight=3
"#
        .as_bytes(),
    ),
    (
        "routes_urls",
        br#"a.com,path_beg=api b:1
b.com,path_beg="/a b" b:1
c.com,path_beg=/a/../b b:1
d.com,as_host=::1 b:1
e.com,as_host=b:0 b:1
f.com b:1,host="x y"
g.com http://b:80
127.1 b:1
"#,
    ),
    (
        "routes_looks",
        b"h.com,header=\"X-Y: \x01\" b:1\n\
          \tb.com\t,ssl=x b:1\n\xc3\xa9\xc3\xa9.com,proto=\xe4\xb8\xad b:1\n\
          long.example.com,id=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,\
          ssl=perhaps,prefix=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\
          bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb b:1\n",
    ),
];

/// Compares with the snapshot of this name, or writes it.
fn compare(name: &str, shown: &str) {
    let path = Path::new(TREE).join("tests/snapshots").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, shown).expect("the tree is ours");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(shown == expected, "{name} differs from its snapshot; it is now:\n{shown}");
}

/// A file with everything that a route can have.
const GOOD: &str = r#"* test
a.com,path_beg=/,id="o\\n\"e",sig_iss=i,sig_key=k,prefix=p-,debug localhost:80,sub=x,sub="y z" b:1
a.com,proto=ws,ssl=no,orig_headers,as_host=h:1,path_rem=3 [::1]:443,ssl,host=b.com,over_http,one_event,sub=é
[::2],no_grip,slow=drop-oldest,header="X-A: \"b\"",header=X-B:,replace_beg=/z test,untrusted,insecure,trust_connect_host
b.com,path_beg=/a/,slow=close b:1
b.com,path_beg=/"b" b:1
b.com,path_beg=/%5C,proto=ws,id=\ b:1
b.com,path_beg=/%C3%A9,id=é b:1
b.com,path_beg=/a/b,ssl=yes b:1
b.com,path_beg=/a/b b:1
c.com,sockjs=/s b:1
c.com,proto=ws,sockjs=/,sockjs_as_path=/"x",sockjs_websocket=false,sockjs_cookie,sockjs_limit=7 b:1
d.com,aco,jsonp_mode=basic,jsonp_cb=c,jsonp_body=b,jsonp_defcb=d,jsonp_defmethod=PUT b:1
d.com,path_beg=/s,log_level=0,balance=least b:1,check=/up c:1,ssl,client_cert=c,client_key=k
,id=internal localhost:80
"#;

/// What cargo is asked to build.
const MISTAKEN: &str = r#"# three of these lines are wrong
* localhost:8000
a.com,proto=tcp,debug b:99999 c
b.com,colour=red localhost:80

c.com,header="X-A: b localhost:80
* test
d.com,slow=drop_oldest localhost:80
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
    fs::write(at("routes"), MISTAKEN).expect("the folder is ours");
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
    compare("routes_cargo", &(shown.join("\n").replace(&file, "FILE") + "\n"));
    fs::write(at("good"), GOOD).expect("the folder is ours");
    assert!(cargo("good").status.success());
}

#[test]
fn every_kind_of_mistake_looks_as_it_should() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, routes) in BROKEN {
        let (output, text) = build(folder.path(), routes);
        assert!(output.status.success(), "{text}");
        let file = folder.path().join("routes").display().to_string();
        let shown = errors(&text).replace(&file, "FILE");
        let shown: Vec<&str> = shown.lines().map(str::trim_end).collect();
        compare(name, &(shown.join("\n") + "\n"));
        // Only what is shown tells whoever made the mistake where it is.
        let places = shown.iter().filter(|line| line.contains("--> FILE:")).count();
        let carets = shown.iter().filter(|line| line.contains("^ expected ")).count();
        let last = shown.last().expect("something is shown");
        assert!(places == carets && last.starts_with(&format!("FILE: {places} mistake")), "{last}");
    }
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
    let many = many();
    for (number, file) in [GOOD, "", "# nothing\n", "a b:1", &many].iter().enumerate() {
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

/// A large table of routes of all kinds, on hosts with few paths and with many.
fn many() -> String {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut lines = std::collections::BTreeMap::new();
    while lines.len() < 3_000 {
        let host = match rng.u8(..4) {
            0 => "*".to_owned(),
            1 => format!("h{}.example", rng.u8(..4)),
            2 => format!("h{}.example", rng.u16(..500)),
            _ => format!("[2001:db8::{:x}]", rng.u8(..9)),
        };
        let path: String = (0..rng.u8(..4)).map(|_| format!("/{}", rng.u8(..12))).collect();
        let mut condition = host;
        condition += ["", ",proto=ws", ",proto=http"][rng.usize(..3)];
        condition += ["", ",ssl=yes", ",ssl=no"][rng.usize(..3)];
        if !path.is_empty() {
            condition += &format!(",path_beg={path}");
        }
        let options = ["", ",id=one", ",id=i7", ",prefix=p-", ",debug,aco"][rng.usize(..5)];
        let targets = ["test", "b:1 c:2", "[::1]:3,ssl", "b:1,over_http,sub=x"][rng.usize(..4)];
        lines.insert(condition, format!("{options} {targets}"));
    }
    let lines: Vec<String> = lines.into_iter().map(|(a, b)| a + &b).collect();
    lines.join("\n")
}

/// A program that includes the printed table as `config` does, and compares: the tables, and what a
/// hundred thousand requests find in them, by condition and by id.
fn comparison(folder: &Path) -> String {
    let route = PathBuf::from(TREE).join("src/route/mod.rs");
    let (printed, file) = (folder.join("routes.rs"), folder.join("routes"));
    format!(
        "#[path = {route:?}] mod route;\n\
         use std::borrow::Cow;\n\
         use route::hosts::Index;\n\
         use route::target::Target;\n\
         use route::{{Query, Route, Table, row}};\n\
         include!({printed:?});\n\
         fn main() {{\n\
             let (table, problems) = Table::parse(include_bytes!({file:?}));\n\
             assert!(problems.is_empty());\n\
             assert_eq!(table, TABLE);\n\
             static COMPILED: Table = TABLE;\n\
             let mut state = 1_u64;\n\
             let mut below = |n: u64| {{\n\
                 state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);\n\
                 (state >> 33) % n\n\
             }};\n\
             let mut found = 0;\n\
             for _ in 0..100_000 {{\n\
                 let host = match below(3) {{\n\
                     0 => format!(\"h{{}}.example\", below(6)),\n\
                     1 => format!(\"h{{}}.example\", below(600)),\n\
                     _ => format!(\"[2001:db8::{{:x}}]\", below(10)),\n\
                 }};\n\
                 let path: String = (0..below(5)).map(|_| format!(\"/{{}}\", below(13))).collect();\n\
                 let (websocket, secure) = (below(2) == 0, below(2) == 0);\n\
                 let query = Query {{ host: &host, path: &path, websocket, secure }};\n\
                 let one = table.lookup(&query);\n\
                 assert_eq!(one, COMPILED.lookup(&query), \"{{query:?}}\");\n\
                 found += usize::from(one.is_some());\n\
                 let proto = [\"*\", \"ws\", \"http\"][below(3) as usize];\n\
                 let ssl = [\"*\", \"ssl\", \"no-ssl\"][below(3) as usize];\n\
                 let bare = host.trim_matches(['[', ']']);\n\
                 let path = if path.is_empty() {{ \"*\" }} else {{ &path }};\n\
                 let id = format!(\"{{bare}},{{proto}},{{ssl}},{{path}}\");\n\
                 for id in [&id[..], \"one\", \"i7\", \"none\"] {{\n\
                     assert_eq!(table.named(id), COMPILED.named(id), \"{{id}}\");\n\
                     let named = table.lookup_named(Some(id), &query, true);\n\
                     assert_eq!(named, COMPILED.lookup_named(Some(id), &query, true), \"{{id}}\");\n\
                 }}\n\
             }}\n\
             assert!(found > 10_000 || table.routes().len() < 1000);\n\
         }}\n"
    )
}
