//! Variables, ports and the included file.

use super::*;

fn file(text: &str) -> File {
    File::of(Path::new("conf/pushpin.conf"), text.as_bytes())
}

fn variables() -> Variables {
    Variables {
        rundir: "/run/x".into(),
        ipc_prefix: "p-".into(),
        libdir: "/lib/{rundir}".into(),
        port_offset: 10,
    }
}

#[test]
fn the_last_of_repeated_keys_counts() {
    let file = file("[a]\nk=1\n[b]\nk=2\n[a]\nk=3\n");
    assert_eq!(file.text("a", "k"), Some("3"));
    assert_eq!(file.value("a", "k").unwrap().place, "conf/pushpin.conf:6");
    assert_eq!(file.text("A", "k"), None);
    assert_eq!(file.all().count(), 2);
}

#[test]
fn variables_stand_for_their_values_in_any_value() {
    let mut file = file("[a]\nk={rundir}/{ipc_prefix}x,{libdir}\nl={run}{\n");
    file.expand(&variables());
    assert_eq!(file.value("a", "k").unwrap().values, ["/run/x/p-x", "/lib/{rundir}"]);
    assert_eq!(file.text("a", "l"), Some("{run}{"));
}

#[test]
fn the_offset_moves_ports_of_tcp_addresses_only() {
    for (given, expected) in [
        ("tcp://127.0.0.1:5560", "tcp://127.0.0.1:5570"),
        ("tcp://[::1]:5560", "tcp://[::1]:5570"),
        ("tcp://*:80", "tcp://*:90"),
        ("tcp://*", "tcp://*"),
        ("tcp://h:x", "tcp://h:x"),
        ("7999", "7999"),
        ("ipc:///tmp/a:5", "ipc:///tmp/a:5"),
    ] {
        assert_eq!(moved(given, 10).as_deref(), Some(expected));
    }
    assert_eq!(moved("tcp://h:65530", 10), None);
    assert_eq!(moved("tcp://h:11", -10).as_deref(), Some("tcp://h:1"));
    assert_eq!((moved("tcp://h:10", -10), moved("tcp://h:9", i32::MIN)), (None, None));
    let mut file = file("[a]\nk=tcp://h:65530\n");
    file.expand(&variables());
    let text = "conf/pushpin.conf:2: [a] k: with port_offset the port of 'tcp://h:65530' is \
                not within 1 to 65535";
    assert_eq!(file.errors[0].to_string(), text);
}

#[test]
fn mistakes_are_told_with_their_places() {
    let file = file("[a]\nk=\"1\nword\n");
    assert!(file.errors[0].to_string().starts_with("conf/pushpin.conf:2:3: expected a second"));
    assert!(file.warnings[0].to_string().starts_with("conf/pushpin.conf:3:1: expected [section]"));
}

#[test]
fn an_included_file_adds_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("more"), "[a]\nk=2\nl=3\n").unwrap();
    let main = folder.path().join("pushpin.conf");
    std::fs::write(&main, "[global]\ninclude=more\n[a]\nk=1\n").unwrap();
    let mut file = File::read(&main).unwrap();
    file.include(&variables());
    assert_eq!((file.text("a", "k"), file.text("a", "l")), (Some("1"), Some("3")));
    assert_eq!(
        file.value("a", "l").unwrap().place,
        format!("{}:3", folder.path().join("more").display())
    );
    assert_eq!(file.folder(), folder.path());
}

#[test]
fn the_internal_file_need_not_be_there() {
    for name in ["internal.conf", "{libdir}/internal.conf", ""] {
        let mut file = file(&format!("[global]\ninclude={name}\n"));
        file.include(&variables());
        assert_eq!(file.warnings, []);
    }
    let mut file = file("[global]\ninclude=no-such-file\n");
    file.include(&variables());
    let text = file.warnings[0].to_string();
    assert!(text.starts_with("conf/pushpin.conf:2: [global] include: cannot read conf/no-such"));
}

#[test]
fn rundir_may_stand_where_it_used_to() {
    let mut old = file("[runner]\nrundir=old\n");
    old.old_rundir();
    assert_eq!((old.text("global", "rundir"), old.warnings.len()), (Some("old"), 1));
    let mut both = file("[runner]\nrundir=old\n[global]\nrundir=new\n");
    both.old_rundir();
    assert_eq!((both.text("global", "rundir"), both.text("runner", "rundir")), (Some("new"), None));
}

#[test]
fn a_file_has_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    let max = usize::try_from(limits::CONFIGURATION_BYTES_MAX).unwrap();
    std::fs::write(&path, vec![b'#'; max]).unwrap();
    File::read(&path).unwrap();
    std::fs::write(&path, vec![b'#'; max + 1]).unwrap();
    assert!(File::read(&path).unwrap_err().to_string().contains("larger than"));
    assert!(File::read(&folder.path().join("none")).is_err());
}
