//! Tests of the table: the rules of selection one by one, then against the specification's scan of
//! all lines; the properties of reading.

use std::fmt::Write;

use proptest::prelude::*;

use super::explain::{Difference, Verdict};
use super::problem::Severity;
use super::*;

/// The table of lines without a mistake.
fn table(lines: &str) -> Table {
    let (table, problems) = Table::parse(lines.as_bytes());
    assert!(problems.is_empty(), "{problems:?}");
    table
}

/// The line that serves `scheme://host/path`.
fn line(table: &Table, url: &str) -> Option<u32> {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let (websocket, secure) = (scheme.starts_with("ws"), scheme.ends_with('s') && scheme != "ws");
    let query = Query { host, path, websocket, secure };
    table.lookup(&query).map(|number| table.route(number).unwrap().line)
}

#[test]
fn a_host_with_rules_never_falls_back() {
    let table = table("* a:1\nc.com,path_beg=/only c:1\nC.com,path_beg=/o c:1\n,id=x d:1");
    assert_eq!(line(&table, "http://x.com/"), Some(1));
    assert_eq!(line(&table, "http://c.com/"), None);
    assert_eq!(line(&table, "http://c.com/only/x"), Some(2));
    assert_eq!(line(&table, "http://c.com/onl"), Some(3));
    assert_eq!(line(&table, "http:///"), Some(1));
    assert_eq!(line(&self::table("a.com a:1"), "http://b.com/"), None);
    assert_eq!(line(&self::table(""), "http://b.com/"), None);
    assert_eq!(line(&self::table(",id=x a:1"), "http://b.com/"), None);
}

#[test]
fn the_longest_path_wins_by_bytes() {
    let table = table("a,path_beg=/p a:1\na a:1\na,path_beg=/path/ a:1\na,path_beg=/%70 a:1");
    assert_eq!(line(&table, "http://a/path"), Some(1));
    assert_eq!(line(&table, "http://a/path/x"), Some(3));
    assert_eq!(line(&table, "http://a/%70"), Some(4));
    assert_eq!(line(&table, "http://a/x"), Some(2));
}

#[test]
fn proto_beats_path_and_path_beats_ssl() {
    let table = table(
        "a,path_beg=/long a:1\na,proto=ws a:1\na,path_beg=/z a:1\na,ssl=no a:1\na,ssl=yes,path_beg=/z a:1",
    );
    assert_eq!(line(&table, "ws://a/long"), Some(2));
    assert_eq!(line(&table, "http://a/long"), Some(1));
    // The correction: in Pushpin line 4 would take this, being later.
    assert_eq!(line(&table, "http://a/z"), Some(3));
    assert_eq!(line(&table, "https://a/z"), Some(5));
    assert_eq!(line(&table, "http://a/"), Some(4));
    assert_eq!(line(&table, "https://a/"), None);
    assert_eq!(line(&table, "wss://a/z"), Some(2));
}

#[test]
fn addresses_in_either_spelling() {
    let table = table("[::1] a:1\n2001:DB8::0 b:1\n127.0.0.1 c:1");
    assert_eq!(line(&table, "http://[::1]/"), Some(1));
    let query = Query { host: "::1", path: "/", websocket: false, secure: false };
    assert_eq!(table.lookup(&query), Some(0));
    assert_eq!(line(&table, "http://[2001:db8::]/"), Some(2));
    assert_eq!(line(&table, "http://127.0.0.1/"), Some(3));
}

#[test]
fn bad_lines_are_skipped_and_the_others_load() {
    let file =
        b"* a:1\r\n\n  # comment\nb.com b\r\n*,debug,id=z b:1\nc.com,x=1 c:1,y\nd\xff.com d:1";
    let (table, problems) = Table::parse(file);
    let lines: Vec<u32> = table.routes().map(|route| route.line).collect();
    assert_eq!(lines, [1, 6]);
    let seen: Vec<_> = problems.iter().map(|p| (p.line, p.column, p.reason.as_str())).collect();
    let expected = [
        (4, 7, "target bad format"),
        (5, 1, DUPLICATE),
        (6, 7, "unknown condition property `x`"),
        (6, 15, "unknown target property `y`"),
        (7, 2, "not UTF-8"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(problems[1].brief("f"), "f:5 skipping duplicate condition");
    assert_eq!(problems[2].severity, Severity::Warning);
}

#[test]
fn a_byte_order_mark_is_none_of_the_first_line() {
    assert_eq!(line(&table("\u{feff}a.com a:1\nb.com a:1"), "http://a.com/"), Some(1));
    let (table, problems) = Table::parse("a.com a:1\n\u{feff}b.com a:1".as_bytes());
    assert_eq!((table.routes().len(), problems.len()), (2, 1));
}

#[test]
fn duplicates_have_the_same_host_proto_ssl_and_path() {
    let (table, problems) = Table::parse(
        b"a a:1\nA,id=b a:1\na,ssl=yes a:1\na,proto=http a:1\na,path_beg=/ a:1\na,path_beg=/ b:1\n,id=x a:1\n,id=y a:1",
    );
    assert_eq!(table.routes().len(), 6);
    assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), [2, 6]);
}

#[test]
fn many_lengths_on_one_host() {
    // More than are hashed at a time; and a `proto` rule behind them all.
    let mut file = String::from("a,proto=ws a:1\n");
    (1..200).for_each(|n| writeln!(file, "a,path_beg=/{} a:1", "x".repeat(n)).unwrap());
    let table = table(&file);
    for n in 1..300_usize {
        let path = format!("/{}", "x".repeat(n));
        assert_eq!(line(&table, &format!("http://a{path}")), Some(n.min(199) as u32 + 1));
        assert_eq!(line(&table, &format!("ws://a{path}y")), Some(1));
    }
    assert_eq!(line(&table, "http://a/"), None);
}

/// The specification's scan (routing 2.7), with the correction of its rule c.
fn scan(table: &Table, query: &Query<'_>) -> Option<usize> {
    let of_host = |host: Option<&str>| -> Vec<usize> {
        let is =
            |route: &Route| !route.condition.by_id_only && route.condition.host.as_deref() == host;
        (0..table.routes().len()).filter(|n| is(table.route(*n).unwrap())).collect()
    };
    let own = of_host(Some(query.host));
    let rules = if own.is_empty() { of_host(None) } else { own };
    let mut best: Option<usize> = None;
    let length = |c: &Condition| c.path_beg.as_ref().map_or(0, |p| p.len());
    for number in rules {
        let c = &table.route(number).unwrap().condition;
        if c.websocket.is_some_and(|w| w != query.websocket)
            || c.secure.is_some_and(|s| s != query.secure)
            || c.path_beg.as_ref().is_some_and(|p| !query.path.starts_with(p.as_ref()))
        {
            continue;
        }
        let better = best.is_none_or(|best| {
            let b = &table.route(best).unwrap().condition;
            if c.websocket.is_some() != b.websocket.is_some() {
                return c.websocket.is_some();
            }
            length(c) > length(b)
                || (length(c) == length(b) && c.secure.is_some() && b.secure.is_none())
        });
        if better {
            best = Some(number);
        }
    }
    best
}

fn condition() -> impl Strategy<Value = String> {
    let host = prop_oneof!["[a-c]", Just("*".to_owned()), Just("".to_owned())];
    let proto = prop_oneof![Just(""), Just(",proto=ws"), Just(",proto=http")];
    let ssl = prop_oneof![Just(""), Just(",ssl=yes"), Just(",ssl=no")];
    let path =
        prop_oneof![Just(String::new()), "/[ab/]{0,12}".prop_map(|p| format!(",path_beg={p}"))];
    let id = prop_oneof!["[i-l]".prop_map(|id| format!(",id={id}")), Just(",debug".to_owned())];
    (host, id, proto, ssl, path)
        .prop_map(|(host, id, proto, ssl, path)| format!("{host}{id}{proto}{ssl}{path}"))
}

/// The specification's table of lookups by id (routing 2.7), by looking at all routes.
fn scan_ids(table: &Table, id: &str, query: &Query<'_>, lenient: bool) -> Option<usize> {
    let has = |number: &usize| ids::Id(table.route(*number).unwrap()).to_string() == id;
    let all: Vec<usize> = (0..table.routes().len()).filter(has).collect();
    match all[..] {
        [only] => {
            let condition = &table.route(only).unwrap().condition;
            let front = condition.path_beg.as_deref().unwrap_or_default();
            query.path.starts_with(front).then_some(only)
        }
        [] => None,
        _ => lenient.then(|| scan(table, query)).flatten(),
    }
}

/// A text that a line can hold.
fn text() -> impl Strategy<Value = String> {
    "[ -~éß\t]{1,12}"
}

fn sockjs() -> impl Strategy<Value = sockjs::SockJs> {
    let limit = prop::option::of(1..=u32::MAX);
    ("(/[ -.0-~é]{1,9}){0,2}", prop::option::of("/[ -~]{0,9}"), any::<[bool; 2]>(), limit).prop_map(
        |(base, as_path, [websocket, cookie], response_bytes_max)| sockjs::SockJs {
            base: base.into(),
            as_path: as_path.map(Cow::Owned),
            websocket,
            cookie,
            response_bytes_max,
        },
    )
}

fn jsonp() -> impl Strategy<Value = cross_origin::JsonP> {
    let optional = || prop::option::of(text().prop_map(Cow::Owned));
    (any::<bool>(), text(), optional(), optional(), optional()).prop_map(
        |(extended, callback, body, default_callback, default_method)| cross_origin::JsonP {
            extended,
            callback: callback.into(),
            body,
            default_callback,
            default_method,
        },
    )
}

fn route() -> impl Strategy<Value = Route> {
    let optional = || prop::option::of(text().prop_map(Cow::Owned));
    let host = || {
        prop::option::of(
            r"([a-zA-Z0-9._-]{1,9}|\[::[1-9a-f]\])(:[1-9][0-9]{0,3})?".prop_map(Cow::Owned),
        )
    };
    let front = prop::option::of("[!$-;=@-_a-z|~]{0,9}".prop_map(Cow::Owned));
    let plain = "[a-z][a-z0-9.,# \"\\\\]{0,9}";
    let condition = (
        prop::option::of(plain.prop_map(Cow::Owned)),
        any::<bool>(),
        any::<Option<bool>>(),
        any::<Option<bool>>(),
        optional(),
    )
        .prop_map(|(host, by_id, websocket, secure, path_beg)| {
            let by_id_only = by_id && host.is_none();
            Condition { host, by_id_only, websocket, secure, path_beg }
        });
    let headers = prop::collection::vec(("[A-Za-z-]{1,9}", "|[!-~][ -~]{0,9}"), 0..3);
    let options = (
        (optional(), optional(), optional(), host(), front),
        (text(), any::<u32>(), any::<[bool; 5]>(), headers, 0..4_usize),
        prop::option::of(sockjs()),
        (jsonp(), any::<Option<u8>>(), 0..3_usize),
    )
        .prop_map(
            |(
                (id, sig_iss, sig_key, as_host, replace_beg),
                (prefix, path_rem, flags, headers, slow),
                sockjs,
                (jsonp, log_level, balance),
            )| {
                let [orig_headers, debug, no_grip, aco, session] = flags;
                let prefix = prefix.into();
                let headers = headers.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
                condition::Options {
                    id,
                    sig_iss,
                    sig_key,
                    prefix,
                    orig_headers,
                    as_host,
                    path_rem,
                    replace_beg,
                    debug,
                    headers,
                    no_grip,
                    slow: condition::Slow::ALL.get(slow).copied(),
                    sockjs,
                    aco,
                    jsonp,
                    session,
                    log_level,
                    balance: balance::Balance::ALL[balance],
                }
            },
        );
    let address = prop_oneof![
        Just(target::Address::Test),
        ("[a-z.-]{1,9}", 1..=u16::MAX).prop_map(|(h, p)| target::Address::Tcp(h.into(), p)),
        (any::<std::net::Ipv6Addr>(), 1..=u16::MAX)
            .prop_map(|(h, p)| target::Address::Tcp(h.to_string().into(), p)),
        // An equals sign would begin a property.
        "/[ -<>-~é]{0,9}".prop_map(|path| target::Address::Unix(path.into())),
    ];
    let subs = prop::collection::vec(text().prop_map(Cow::Owned), 0..3);
    let check = prop::option::of(text().prop_map(|text| Cow::Owned(format!("/{text}"))));
    let files = (optional(), optional(), check);
    let target = (address, any::<[bool; 6]>(), host(), subs, files).prop_map(
        |(address, flags, host, subs, (client_cert, client_key, check))| {
            let [tls, untrusted, trust_connect_host, insecure, over_http, one_event] = flags;
            let unix = matches!(address, target::Address::Unix(_));
            let (tls, untrusted) = (tls && !unix, untrusted && !unix);
            let subs = subs.into();
            target::Target {
                address,
                tls,
                untrusted,
                trust_connect_host,
                insecure,
                host,
                subs,
                over_http,
                one_event,
                client_cert,
                client_key,
                check,
            }
        },
    );
    (condition, options, prop::collection::vec(target, 1..4)).prop_map(
        |(condition, options, targets)| Route {
            condition,
            options,
            targets: targets.into(),
            line: 1,
        },
    )
}

proptest! {
    #[test]
    fn lookup_agrees_with_the_scan(
        conditions in prop::collection::vec(condition(), 0..60),
        queries in prop::collection::vec(("[a-d]", "/[ab/]{0,14}", any::<bool>(), any::<bool>()), 40),
    ) {
        let mut file = String::new();
        conditions.iter().for_each(|condition| writeln!(file, "{condition} t:1").unwrap());
        let (table, _) = Table::parse(file.as_bytes());
        for (host, path, websocket, secure) in &queries {
            let query = Query { host, path, websocket: *websocket, secure: *secure };
            prop_assert_eq!(table.lookup(&query), scan(&table, &query), "{:?}\n{}", query, file);
        }
    }

    #[test]
    fn lookup_by_id_agrees_with_the_scan(
        conditions in prop::collection::vec(condition(), 0..60),
        queries in prop::collection::vec(
            ("([i-m]|[a-c*],([*]|ws|http),([*]|ssl|no-ssl),([*]|/[ab/]{0,4}))", "/[ab/]{0,14}"),
            40,
        ),
        lenient in any::<bool>(),
    ) {
        let mut file = String::new();
        conditions.iter().for_each(|condition| writeln!(file, "{condition} t:1").unwrap());
        let (table, _) = Table::parse(file.as_bytes());
        let ids = queries.iter().map(|(id, path)| (id.clone(), path));
        let own = table.routes().map(|route| ids::Id(route).to_string());
        let own = own.zip(queries.iter().map(|query| &query.1));
        for (id, path) in ids.chain(own) {
            let query = Query { host: "a", path, websocket: false, secure: true };
            let found = table.lookup_named(Some(&id), &query, lenient);
            prop_assert_eq!(found, scan_ids(&table, &id, &query, lenient), "{}\n{}", id, file);
        }
    }

    #[test]
    fn explanations_agree_with_the_lookup(
        conditions in prop::collection::vec(condition(), 0..40),
        (host, path) in ("[a-d]", "/[ab/]{0,14}"),
        (websocket, secure) in any::<(bool, bool)>(),
        id in prop::option::of("[i-m]"),
        lenient in any::<bool>(),
    ) {
        let mut file = String::new();
        conditions.iter().for_each(|condition| writeln!(file, "{condition} t:1").unwrap());
        let (table, _) = Table::parse(file.as_bytes());
        let query = Query { host: &host, path: &path, websocket, secure };
        let chosen = table.lookup_named(id.as_deref(), &query, lenient);
        let verdicts = table.explain(id.as_deref(), &query, lenient);
        prop_assert_eq!(verdicts.len(), table.routes().len());
        for (number, verdict) in verdicts.iter().enumerate() {
            // Without all that beats it, a route that matches is found, and no other.
            let alone = Table::parse(table.route(number).unwrap().to_string().as_bytes()).0;
            let matches = match verdict {
                Verdict::Chosen => chosen == Some(number),
                Verdict::Beaten(_) => chosen.is_some() && alone.lookup(&query) == Some(0),
                Verdict::Differs(why) if why.contains(&Difference::Named) => id.is_some(),
                Verdict::Differs(why) => {
                    !why.is_empty()
                        && (alone.lookup(&query).is_none() || why == &[Difference::Shadowed])
                }
            };
            prop_assert!(matches, "{number} {verdict:?}\n{query:?} {id:?}\n{file}");
        }
        prop_assert_eq!(verdicts.contains(&Verdict::Chosen), chosen.is_some());
    }

    #[test]
    fn what_is_printed_reads_the_same(route in route()) {
        let line = route.to_string();
        let (table, problems) = Table::parse(line.as_bytes());
        prop_assert!(problems.iter().all(|p| p.severity == Severity::Warning), "{line}: {problems:?}");
        prop_assert_eq!(table.routes().collect::<Vec<_>>(), [&route], "{}", line);
    }

    #[test]
    fn nothing_panics(file in prop::collection::vec(any::<u8>(), 0..200)) {
        let (table, problems) = Table::parse(&file);
        problems.iter().for_each(|problem| drop(problem.report("f").to_string()));
        let _ = table.to_source();
    }

    #[test]
    fn nothing_that_looks_like_routes_panics(file in "([*ab.,=\"\\\\# \t:1\\[\\]\n]|proto|ssl|path_beg|test|é){0,80}", path in ".{0,9}") {
        let (table, problems) = Table::parse(file.as_bytes());
        for problem in problems {
            prop_assert!(problem.column >= 1 && problem.length >= 1);
            prop_assert!((problem.column as usize) <= problem.source.chars().count() + 1);
            let _ = problem.report("f").to_string();
        }
        let _ = table.lookup(&Query { host: "a", path: &path, websocket: false, secure: false });
    }
}
