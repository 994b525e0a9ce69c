//! The rules one by one; the pipeline that they are a part of is tested in `outgoing`.

use proptest::prelude::*;

use super::*;

fn fields(list: &[(&'static str, &'static str)]) -> Fields<'static> {
    let mut fields = Fields::default();
    for (name, value) in list {
        fields.add(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    fields
}

fn shown(fields: &Fields<'_>) -> Vec<String> {
    fields.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect()
}

fn rule(text: &str) -> ForRule {
    ForRule::parse(text.split(',')).0
}

const PEER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9)));

fn folded(rule_text: &str, given: &[&'static str], peer: Option<IpAddr>) -> Vec<String> {
    let mut all = vec![("a", "b")];
    all.extend(given.iter().map(|value| ("x-forwarded-for", *value)));
    all.push(("c", "d"));
    let mut fields = fields(&all);
    folded_for(&mut fields, &rule(rule_text), peer);
    let shown = shown(&fields);
    assert_eq!(shown[..2], ["a: b", "c: d"]);
    shown[2..].to_vec()
}

#[test]
fn the_empty_rule_folds_and_moves_to_the_end() {
    let given = ["1.1.1.1 ,2.2.2.2", " ::1"];
    assert_eq!(folded("", &given, PEER), ["x-forwarded-for: 1.1.1.1, 2.2.2.2, ::1"]);
    assert!(folded("", &[" , "], PEER).is_empty());
    assert!(folded("", &[], PEER).is_empty());
}

#[test]
fn truncating_keeps_the_last() {
    let given = ["1.1.1.1", "2.2.2.2, 3.3.3.3"];
    for (text, left) in [
        ("truncate:2", Some("2.2.2.2, 3.3.3.3")),
        ("truncate:1", Some("3.3.3.3")),
        ("truncate:9", Some("1.1.1.1, 2.2.2.2, 3.3.3.3")),
        ("truncate:-1", Some("1.1.1.1, 2.2.2.2, 3.3.3.3")),
        ("truncate:0", None),
        ("truncate:1,append", Some("3.3.3.3, 10.0.0.9")),
        ("append,truncate:0", Some("10.0.0.9")),
        ("append", Some("1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.9")),
    ] {
        let left: Vec<_> =
            left.map(|left| format!("x-forwarded-for: {left}")).into_iter().collect();
        assert_eq!(folded(text, &given, PEER), left, "{text}");
    }
}

#[test]
fn who_has_no_address_adds_none() {
    assert!(folded("append", &[], None).is_empty());
    assert_eq!(folded("append", &["1.1.1.1"], None), ["x-forwarded-for: 1.1.1.1"]);
    assert_eq!(folded("append", &[], PEER), ["x-forwarded-for: 10.0.0.9"]);
    let mapped = "::ffff:10.1.2.3".parse().ok();
    assert_eq!(folded("append", &[], mapped), ["x-forwarded-for: 10.1.2.3"]);
    let six = "2001:DB8::1".parse().ok();
    assert_eq!(folded("append", &[], six), ["x-forwarded-for: 2001:db8::1"]);
}

#[test]
fn a_bad_number_ends_a_rule() {
    let parse = |text: &'static str| ForRule::parse(text.split(','));
    assert_eq!(parse("truncate:x,append"), (ForRule::default(), vec!["truncate:x"]));
    assert_eq!(parse("append, truncate:"), (rule("append"), vec!["truncate:"]));
    assert_eq!(parse("prepend,append"), (rule("append"), vec!["prepend"]));
    assert_eq!(parse(""), (ForRule::default(), vec![]));
}

#[test]
fn what_is_said_of_the_protocol() {
    assert_eq!(SetProtocol::parse("true"), SetProtocol::Both);
    assert_eq!(SetProtocol::parse("proto-only"), SetProtocol::ProtoOnly);
    for leave in ["", "false", "TRUE", "yes"] {
        assert_eq!(SetProtocol::parse(leave), SetProtocol::Leave, "{leave}");
    }
    for (set, websocket, expected) in [
        (SetProtocol::Leave, false, vec![]),
        (SetProtocol::ProtoOnly, false, vec!["x-forwarded-proto: https"]),
        (SetProtocol::ProtoOnly, true, vec!["x-forwarded-proto: wss"]),
        (SetProtocol::Both, true, vec!["x-forwarded-proto: wss", "x-forwarded-protocol: wss"]),
    ] {
        let mut fields = Fields::default();
        protocol(&mut fields, set, websocket);
        assert_eq!(shown(&fields), expected);
    }
}

#[test]
fn the_first_that_says_something_of_the_protocol_counts() {
    let says = |list: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, HeaderValue::from_static(value));
        }
        says_secure(&headers)
    };
    let (one, other) = ("x-forwarded-proto", "x-forwarded-protocol");
    for secure in ["https", "wss"] {
        assert!(says(&[(one, secure)]) && says(&[(other, secure)]));
        assert!(says(&[(one, ""), (other, secure)]));
        assert!(says(&[(one, secure), (one, "http")]));
        assert!(!says(&[(one, "http"), (one, secure)]));
        assert!(!says(&[(one, "http"), (other, secure)]));
    }
    assert!(!says(&[(one, "HTTPS")]) && !says(&[]));
}

#[test]
fn where_a_client_is() {
    let at = |value: &'static str, rule_text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(FOR, HeaderValue::from_static(value));
        logical_address(&headers, &rule(rule_text), PEER).unwrap().to_string()
    };
    assert_eq!(at("1.2.3.4, 5.6.7.8", ""), "1.2.3.4");
    assert_eq!(at("1.2.3.4, 5.6.7.8", "truncate:1"), "1.2.3.4");
    assert_eq!(at("1.2.3.4, 5.6.7.8", "truncate:0,append"), "10.0.0.9");
    assert_eq!(at("unknown, 5.6.7.8", ""), "10.0.0.9");
    assert_eq!(logical_address(&HeaderMap::new(), &rule(""), None), None);
}

#[test]
fn loops_are_told_in_one_field() {
    let with = |given: &[&'static str]| {
        let given: Vec<_> = given.iter().map(|value| ("cdn-loop", *value)).collect();
        let mut fields = fields(&given);
        cdn_loop(&mut fields, &HeaderValue::from_static("us"));
        shown(&fields)
    };
    assert_eq!(with(&[]), ["cdn-loop: us"]);
    assert_eq!(with(&["a, b;x=\"1,2\"", " c,"]), ["cdn-loop: a, b;x=\"1,2\", c, us"]);
    assert_eq!(with(&["a;x=\"\\\",\", b"]), ["cdn-loop: a;x=\"\\\",\", b, us"]);
    assert_eq!(with(&["us"]), ["cdn-loop: us, us"], "it is told, not prevented");
}

proptest! {
    #[test]
    fn a_rule_never_invents(
        given in prop::collection::vec("[0-9a-f.:, ]{0,20}", 0..5),
        keep in prop::option::of(0_usize..5),
        append: bool,
    ) {
        let mut fields = Fields::default();
        for value in &given {
            fields.add(FOR, HeaderValue::from_str(value).unwrap());
        }
        folded_for(&mut fields, &ForRule { keep, append }, PEER);
        let before: Vec<_> = given.iter().flat_map(|v| addresses(v.as_bytes())).collect();
        let all: Vec<_> = fields.iter().collect();
        prop_assert!(all.len() <= 1);
        let mut after: Vec<_> =
            all.iter().flat_map(|(_, value)| addresses(value.as_bytes())).collect();
        if append {
            prop_assert_eq!(after.pop(), Some(&b"10.0.0.9"[..]));
        }
        let skipped = keep.map_or(0, |keep| before.len().saturating_sub(keep));
        prop_assert_eq!(after, before[skipped..].to_vec());
    }
}
