//! Tests of `command`: arguments into items, and each refusal of an argument.

use super::*;
use clap::Parser;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    args: PublishArgs,
}

fn args(words: &[&str]) -> PublishArgs {
    Program::try_parse_from([&["publish"], words].concat()).map(|program| program.args).unwrap()
}

fn json(words: &[&str]) -> String {
    item(&args(words)).unwrap().to_json().to_string()
}

fn error(words: &[&str]) -> String {
    publish(&args(words)).unwrap_err().to_string()
}

#[test]
fn content_for_each_format() {
    assert_eq!(
        json(&["c", "hi"]),
        r#"{"channel":"c","formats":{"http-response":{"body":"hi\n","code":200},"http-stream":{"content":"hi\n"},"ws-message":{"content":"hi"}}}"#
    );
    assert_eq!(
        json(&["", "", "--no-eol", "--no-seq"]),
        r#"{"channel":"","formats":{"http-response":{"body":"","code":200},"http-stream":{"content":""},"ws-message":{"content":""}},"no-seq":true}"#
    );
}

#[test]
fn everything_at_once() {
    let words = [
        "c",
        "hi",
        "--id",
        "1",
        "--prev-id",
        "0",
        "--sender",
        "me",
        "--code",
        "404",
        "-M",
        "a= b ",
        "-H",
        "K:  v ",
        "-H",
        "Z:",
        "-M",
        "x y==z",
    ];
    assert_eq!(
        json(&words),
        r#"{"channel":"c","formats":{"http-response":{"body":"hi\n","code":404,"headers":[["K","v"],["Z",""]]},"http-stream":{"content":"hi\n"},"ws-message":{"content":"hi"}},"id":"1","meta":{"a":"b","sender":"me","x y":"=z"},"prev-id":"0"}"#
    );
}

#[test]
fn empty_options_are_left_out() {
    let plain = json(&["c", "x"]);
    assert_eq!(json(&["c", "x", "--id", "", "--prev-id", "", "--sender", ""]), plain);
}

#[test]
fn actions() {
    let hint = r#"{"channel":"c","formats":{"http-response":{"action":"hint"},"http-stream":{"action":"hint"},"ws-message":{"action":"hint"}}}"#;
    assert_eq!(json(&["c", "--hint"]), hint);
    assert_eq!(json(&["c", "--hint", "--close", "x"]), hint);
    let close = r#"{"channel":"c","formats":{"http-stream":{"action":"close"},"ws-message":{"action":"close"}}}"#;
    assert_eq!(json(&["c", "--close"]), close);
}

#[test]
fn a_patch_is_only_for_responses() {
    assert_eq!(
        json(&["c", "--patch", r#"[1,{"b":null,"a":1.5}]"#]),
        r#"{"channel":"c","formats":{"http-response":{"body-patch":[1,{"a":1.5,"b":null}],"code":200}}}"#
    );
    assert_eq!(error(&["c", "--patch", "{}"]), "patch content must be a JSON array");
    assert_eq!(error(&["c", "--patch", "y"]), "expected value at line 1 column 1");
    assert_eq!(error(&["c", "--patch", "[1] x"]), "trailing characters at line 1 column 5");
}

#[test]
fn files_are_used_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let content = format!("@{}", path.display());
    std::fs::write(&path, "hello\n").unwrap();
    assert!(json(&["c", &content]).contains(r#""ws-message":{"content":"hello\n"}"#));
    std::fs::write(&path, b"\xff\0a").unwrap();
    assert_eq!(
        json(&["c", &content]),
        r#"{"channel":"c","formats":{"http-response":{"body-bin":"/wBh","code":200},"http-stream":{"content-bin":"/wBh"},"ws-message":{"content-bin":"/wBh"}}}"#
    );
    let missing = error(&["c", "@/nowhere"]);
    assert_eq!(missing, "can't read file /nowhere: No such file or directory (os error 2)");
}

#[test]
fn arguments_that_are_wrong() {
    assert_eq!(error(&["c"]), "must specify content");
    for (code, text) in [
        ("1000", "code must be an integer between 0 and 999"),
        ("abc", "failed to parse code: invalid digit found in string"),
        ("-1", "failed to parse code: invalid digit found in string"),
        ("", "failed to parse code: cannot parse integer from empty string"),
        ("70000", "failed to parse code: number too large to fit in target type"),
    ] {
        assert_eq!(error(&["c", "x", &format!("--code={code}")]), text);
    }
    assert_eq!(error(&["c", "x", "-H", "a"]), "header must be in the form \"name: value\"");
    assert_eq!(error(&["c", "x", "-M", "a"]), "meta must be in the form \"name=value\"");
    let both = ["c", "x", "-u", "a:b", "-B", "t"];
    assert_eq!(error(&both), "only one authentication method can be specified");
    assert_eq!(error(&["c", "x", "-u", "a:b"]), "Authentication requires https");
    assert_eq!(
        error(&["c", "x", "-B", "t", "--spec", "tcp://a:1"]),
        "Authentication requires https"
    );
    assert_eq!(error(&["c", "x", "--spec", "http://localhost:5561/?iss=a"]), "invalid URL");
}

#[test]
fn usage_errors_are_clap_s() {
    for words in [&["publish"][..], &["publish", "a", "b", "c"], &["publish", "--foo", "a", "b"]] {
        let error = Program::try_parse_from(words).err().expect("a usage error");
        assert_eq!(error.exit_code(), 2);
    }
}

#[test]
fn the_first_of_several_mistakes() {
    for (words, text) in [
        (
            &["c", "-H", "bad", "-M", "bad", "--code", "x"][..],
            "failed to parse code: invalid digit found in string",
        ),
        (&["c", "-H", "bad"], "must specify content"),
        (&["c", "{", "--patch", "-H", "bad"], "EOF while parsing an object at line 1 column 1"),
        (&["c", "@/none", "-M", "bad", "-H", "bad"], "header must be in the form \"name: value\""),
        (&["c", "@/none", "-M", "bad"], "meta must be in the form \"name=value\""),
        (&["c", "--hint", "-M", "bad"], "meta must be in the form \"name=value\""),
        (&["c", "-u", "a:b"], "must specify content"),
        (&["c", "x", "-u", "a:b", "--spec", "http://x?y"], "Authentication requires https"),
    ] {
        assert_eq!(error(words), text, "{words:?}");
    }
}
