//! What a file's values become, and what is said of those that are none.

use clap::Parser;

use super::*;

#[derive(Parser, Debug, Clone, PartialEq)]
struct Line {
    #[command(flatten)]
    options: Options,
}

#[derive(clap::Args, Debug, Clone, PartialEq)]
#[command(next_help_heading = "[proxy]")]
struct Options {
    /// A number.
    #[arg(long, default_value_t = 7, value_name = "N")]
    number_of_it: u16,
    /// Maybe a number.
    #[arg(long, value_name = "N")]
    maybe: Option<u16>,
    /// Off unless given.
    #[arg(long, env = "LINCHPIN_TEST_PLAIN")]
    plain: bool,
    /// A list.
    #[arg(long, value_delimiter = ',', default_value = "x")]
    list: Vec<String>,
    /// A text.
    #[arg(long, default_value = "text", value_name = "TEXT")]
    text: String,
    /// A path.
    #[arg(long)]
    path: Option<PathBuf>,
    /// A key.
    #[arg(long)]
    sig_key: Option<String>,
    /// In no file.
    #[arg(long, help_heading = "Other")]
    other: bool,
}

fn read(text: &str, flags: &[&str]) -> (Line, Outcome) {
    let file = File::of(Path::new("conf/p.conf"), text.as_bytes());
    let command = with_values(<Line as clap::CommandFactory>::command());
    let flags: Vec<_> = std::iter::once(&"p").chain(flags).collect();
    let matches = command.clone().try_get_matches_from(&flags).unwrap();
    let (command, outcome) = apply(command, &file, &matches);
    let matches = command.try_get_matches_from(&flags).unwrap();
    (<Line as clap::FromArgMatches>::from_arg_matches(&matches).unwrap(), outcome)
}

fn options(text: &str) -> Options {
    let (line, outcome) = read(&format!("[proxy]\n{text}"), &[]);
    assert!(outcome.errors.is_empty() && outcome.unknown.is_empty(), "{outcome:?}");
    line.options
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn values_are_defaults() {
    let given = options(
        "number_of_it=1\nmaybe=2\nplain=yes\nlist=a, b\ntext=\"c,d\"\npath=e\nsig_key=file:f\n",
    );
    let expected = Options {
        number_of_it: 1,
        maybe: Some(2),
        plain: true,
        list: vec!["a".into(), "b".into()],
        text: "c,d".into(),
        path: Some("conf/e".into()),
        sig_key: Some("file:conf/f".into()),
        other: false,
    };
    assert_eq!(given, expected);
    assert_eq!(options("path=/e\nsig_key=text").path, Some("/e".into()));
    let flags = ["--number-of-it", "3", "--plain=false", "--list=z", "--path", "g"];
    let (line, outcome) = read("[proxy]\nnumber_of_it=1\nplain=1\nlist=a,b\npath=e", &flags);
    let given = line.options;
    assert_eq!((given.number_of_it, given.plain), (3, false));
    assert_eq!((given.list, given.path), (vec!["z".to_owned()], Some("g".into())));
    assert_eq!(outcome.places, Places::default());
}

#[test]
fn nothing_is_a_value_where_it_may_be_one() {
    let given = options("number_of_it=\nmaybe=\nplain=\nlist=\ntext=\npath=\n");
    assert_eq!((given.number_of_it, given.maybe, given.plain), (7, None, false));
    assert_eq!((given.list, given.text, given.path), (vec![], String::new(), None));
}

#[test]
fn booleans_are_read_as_pushpin_reads_them() {
    for (value, expected) in
        [("", false), ("0", false), ("FALSE", false), ("1", true), ("true", true), ("x", true)]
    {
        let (line, outcome) = read(&format!("[proxy]\nplain={value}"), &[]);
        assert_eq!((line.options.plain, outcome.warnings.len()), (expected, 0), "{value}");
    }
    let (line, outcome) = read("[proxy]\nplain=Off", &[]);
    assert!(line.options.plain);
    let text = "conf/p.conf:2: [proxy] plain: 'Off' is true, as in Pushpin: only 0, false and \
                nothing are false";
    assert_eq!(texts(&outcome.warnings), [text]);
}

#[test]
fn all_that_is_wrong_is_said_at_once_with_its_place() {
    let (_, outcome) = read("[proxy]\nnumber_of_it=many\nmaybe=70000\ntext=a,b\n", &[]);
    let expected = [
        "conf/p.conf:2: [proxy] number_of_it: expected a whole number (N), not 'many': invalid \
         digit found in string",
        "conf/p.conf:3: [proxy] maybe: expected a whole number (N), not '70000': 70000 is not in \
         0..=65535",
        "conf/p.conf:4: [proxy] text: expected one value; put \"...\" around one that has a comma",
    ];
    assert_eq!(texts(&outcome.errors), expected);
    assert_eq!(outcome.places.of("--maybe"), Some("conf/p.conf:3: [proxy] maybe"));
}

#[test]
fn a_slip_of_the_pen_is_seen() {
    let text = "[proxy]\nnumber_of_ti=1\nhttp_prot=2\nother=1\nzzz=1\n[Proxy]\ntext=3\n";
    let (line, outcome) = read(text, &[]);
    assert_eq!(line.options.number_of_it, 7);
    let nobody = "nobody knows this key, it has no effect";
    let expected = [
        format!("conf/p.conf:2: [proxy] number_of_ti: {nobody}; is [proxy] number_of_it meant?"),
        format!("conf/p.conf:3: [proxy] http_prot: {nobody}"),
        format!("conf/p.conf:4: [proxy] other: {nobody}"),
        format!("conf/p.conf:5: [proxy] zzz: {nobody}"),
        format!("conf/p.conf:7: [Proxy] text: {nobody}; is [proxy] text meant?"),
    ];
    assert_eq!(texts(&outcome.unknown), expected);
}

#[test]
fn what_pushpin_knows_is_explained() {
    let text = "[runner]\nservices=condure\nzurl_bin=\n[handler]\nstats_spec=x\nproxy_x_spec=y\n";
    let (_, outcome) = read(text, &[]);
    assert_eq!((outcome.unknown.len(), outcome.errors.len()), (0, 0));
    let found = texts(&outcome.notes);
    assert_eq!(found.len(), 4);
    let text = "conf/p.conf:3: [runner] zurl_bin: is obsolete and has no effect";
    assert!(found.iter().any(|each| each == text), "{found:?}");
}
