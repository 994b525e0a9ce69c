//! Tests of the filters: the specification's vectors, and what existing servers say.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::limits::{FILTER_ARGUMENT_BYTES_MAX, FILTER_GROWTH_BYTES_MAX};

#[derive(Default)]
struct Connection {
    meta: HashMap<&'static str, String>,
    prev_ids: HashMap<&'static str, Option<&'static str>>,
}

impl Connection {
    fn with(meta: &[(&'static str, &str)]) -> Connection {
        let meta = meta.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Connection { meta, prev_ids: HashMap::new() }
    }

    fn on(mut self, channel: &'static str, prev_id: Option<&'static str>) -> Connection {
        self.prev_ids.insert(channel, prev_id);
        self
    }

    fn rewritten(&self, filter: Filter, content: &str) -> Result<String, String> {
        let content = Bytes::copy_from_slice(content.as_bytes());
        match try_apply(filter, self, &[], &content) {
            Ok(Outcome::Content(content)) => Ok(String::from_utf8(content.to_vec()).unwrap()),
            Ok(Outcome::Keep) => Ok(String::from_utf8(content.to_vec()).unwrap()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                let outcome = apply(filter, self, &[], &content);
                assert_eq!(outcome, Outcome::Content(Bytes::new()), "goes on without content");
                Err(error.to_string())
            }
        }
    }
}

impl Subject for Connection {
    fn meta(&self, name: &str) -> Option<&str> {
        self.meta.get(name).map(String::as_str)
    }

    fn is_subscribed(&self, channel: &str) -> bool {
        self.prev_ids.contains_key(channel)
    }

    fn prev_id(&self, channel: &str) -> Option<&str> {
        self.prev_ids.get(channel).copied().flatten()
    }
}

fn published(meta: &[(&str, &str)]) -> Vec<(Box<str>, Box<str>)> {
    meta.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn parse(names: &[&str]) -> Filters {
    Filters::parse(names.iter().copied()).unwrap()
}

#[test]
fn names_are_known_both_ways() {
    for filter in Filter::ALL {
        assert_eq!(Filter::from_name(filter.name()), Some(filter));
    }
    assert_eq!(Filter::from_name("Skip-Self"), None);
    assert_eq!(Filter::from_name(""), None);
}

#[test]
fn lists_keep_their_order_and_unknown_names_count() {
    let filters = parse(&["var-subst", "x", "skip-self", "var-subst"]);
    let names: Vec<_> = filters.iter().map(Filter::name).collect();
    assert_eq!(names, ["var-subst", "skip-self", "var-subst"]);
    assert!(parse(&["x"; 5]).is_empty());
    assert!(parse(&[]).is_empty());
    assert_eq!(parse(&["build-id"; 5]).iter().count(), 5);
    let error = Filters::parse(["x"; 6].into_iter()).unwrap_err();
    assert_eq!(error.for_channel("c"), "too many filters for channel 'c'");
    assert!(size_of::<Filters>() <= 8);
}

#[test]
fn content_filters_must_be_exactly_those_that_change_content() {
    let takes = |own: &[&str], names: &[&str]| {
        let names: Vec<Box<str>> = names.iter().map(|&name| name.into()).collect();
        parse(own).takes(Some(&names))
    };
    assert!(parse(&["build-id"]).takes(None));
    assert!(takes(&[], &[]));
    assert!(takes(&["skip-self", "x"], &[]));
    assert!(takes(&["build-id", "skip-self", "var-subst"], &["build-id", "var-subst"]));
    assert!(!takes(&["build-id"], &[]));
    assert!(!takes(&["build-id", "var-subst"], &["var-subst", "build-id"]));
    assert!(!takes(&["skip-self"], &["skip-self"]));
    assert!(!takes(&["x"], &["x"]));
    assert!(takes(&["http-modify", "http-check"], &["http-modify"]));
    let said = parse(&["build-id", "skip-self", "var-subst"]).mismatch(&["a".into(), "b".into()]);
    assert_eq!(said, "content filter mismatch: subscription=build-id,var-subst message=a,b");
    assert_eq!(Filters::default().mismatch(&[]), "content filter mismatch: subscription= message=");
}

#[test]
fn delivery_filters_drop_what_is_not_for_the_client() {
    let outcome = |filter, user: Option<&str>, item: &[(&str, &str)]| {
        let meta: Vec<_> = user.iter().map(|user| ("user", *user)).collect();
        let connection = Connection::with(&meta).on("here", None);
        apply(filter, &connection, &published(item), &Bytes::from_static(b"%"))
    };
    let skip_self = |user, sender| outcome(Filter::SkipSelf, user, &[("sender", sender)]);
    assert_eq!(skip_self(Some("alice"), "alice"), Outcome::Drop);
    assert_eq!(skip_self(Some("alice"), "Alice"), Outcome::Keep);
    assert_eq!(skip_self(Some(""), ""), Outcome::Keep);
    assert_eq!(skip_self(None, "alice"), Outcome::Keep);
    assert_eq!(outcome(Filter::SkipSelf, Some("alice"), &[]), Outcome::Keep);

    let skip_users = |user, list| outcome(Filter::SkipUsers, user, &[("skip_users", list)]);
    assert_eq!(skip_users(Some("alice"), " bob , alice ,,"), Outcome::Drop);
    assert_eq!(skip_users(Some("alice"), "bob,alices"), Outcome::Keep);
    assert_eq!(skip_users(Some(""), "bob,,"), Outcome::Keep);
    assert_eq!(skip_users(None, ""), Outcome::Keep);
    assert_eq!(outcome(Filter::SkipUsers, Some("alice"), &[]), Outcome::Keep);

    let require = |channel| outcome(Filter::RequireSub, None, &[("require_sub", channel)]);
    assert_eq!(require("elsewhere"), Outcome::Drop);
    assert_eq!(require("here"), Outcome::Keep);
    assert_eq!(require(""), Outcome::Keep);
    assert_eq!(outcome(Filter::RequireSub, None, &[]), Outcome::Keep);

    assert_eq!(outcome(Filter::HttpCheck, None, &[]), Outcome::Ask);
    assert_eq!(outcome(Filter::HttpModify, None, &[]), Outcome::Ask);
}

#[test]
fn variables_are_substituted() {
    let alice = Connection::with(&[("user", "alice"), ("empty", "")]);
    for (content, expected) in [
        ("plain", Ok("plain")),
        ("", Ok("")),
        ("hi %(user)s!", Ok("hi alice!")),
        ("a%%b%%", Ok("a%b%")),
        ("%(us\\er)s", Ok("alice")),
        ("[%(empty)s]", Ok("[]")),
        ("%", Err("Expected directive after '%' at position 0")),
        ("abc%", Err("Expected directive after '%' at position 3")),
        ("abc%(", Err("Expected character after '(' at position 4")),
        ("abc%(x", Err("Unterminated field starting at position 4")),
        ("abc%(x\\", Err("Expected character after '\\' at position 6")),
        ("abc%(x)", Err("Expected directive after ')' at position 6")),
        ("ab%z", Err("Unknown directive 'z' at position 3")),
        ("ab%(q)z", Err("Unknown directive 'z' at position 6")),
        ("ab%(q)%", Err("Unknown directive '%' at position 6")),
        ("ab%I", Err("Unknown directive 'I' at position 3")),
        ("ab%s", Err("Directive 's' requires argument at position 3")),
        ("ab%()s", Err("Directive 's' requires argument at position 5")),
        ("ab%(q)s", Err("No such variable 'q' at position 6")),
        ("%(us\\)er)s", Err("No such variable 'us)er' at position 9")),
        ("é%(é)q", Err("Unknown directive 'q' at position 7")),
        ("%é", Err("Unknown directive '\u{fffd}' at position 1")),
    ] {
        let expected = match expected {
            Ok(text) => Ok(text.to_owned()),
            Err(detail) => Err(format!("filter error: var-subst: {detail}")),
        };
        assert_eq!(alice.rewritten(Filter::VarSubst, content), expected, "{content}");
    }
}

#[test]
fn ids_are_built_from_the_template() {
    let build = |template: &str, encoding: Option<&str>, content| {
        let mut meta = vec![("id_format", template)];
        meta.extend(encoding.map(|encoding| ("id_encoding", encoding)));
        let connection = Connection::with(&meta).on("CH", Some("5")).on("new", None);
        connection.rewritten(Filter::BuildId, content)
    };
    let ok = |text: &str| Ok(text.to_owned());
    assert_eq!(build("%(CH)s-x", None, "id %I"), ok("id 5-x"));
    assert_eq!(build("%(CH)s-x", Some("hex"), "id %I"), ok("id 352d78"));
    assert_eq!(build("%(CH)s-x", Some("hex"), "%I %(ab)I"), ok("352d78 6162"));
    assert_eq!(build("%%", None, "%I|%(lit)I|%()I|%%"), ok("%|lit|%|%"));
    assert_eq!(build("", None, "[%I]"), ok("[]"));
    assert_eq!(build("x", None, "nothing"), ok("nothing"));

    let error = |detail: &str| Err(format!("filter error: build-id: {detail}"));
    let id = |detail: &str| error(&format!("failed to render ID: {detail}"));
    assert_eq!(build("%(o)s", None, "x"), id("No such variable 'o' at position 4"));
    assert_eq!(build("%(new)s", None, "x"), id("No such variable 'new' at position 6"));
    assert_eq!(build("a%s", None, "x"), id("Directive 's' requires argument at position 2"));
    assert_eq!(build("a%", None, "x"), id("Expected directive after '%' at position 1"));
    assert_eq!(build("ab%(CH)q", None, "x"), id("Unknown directive 'q' at position 7"));
    assert_eq!(build("x", Some("HEX"), "x"), error("unsupported encoding: HEX"));
    assert_eq!(build("x", Some(""), "x"), error("unsupported encoding: "));
    assert_eq!(build("x", None, "%s"), error("Unknown directive 's' at position 1"));
    let bare = Connection::default().rewritten(Filter::BuildId, "x");
    assert_eq!(bare, error("no sub meta 'id_format'"));
}

/// The rewriter of a subscription with these variables.
fn rewriter(meta: &'static [(&str, &str)]) -> ResponseRewriter {
    let value = |name: &str| meta.iter().find(|(known, _)| *known == name).map(|(_, v)| *v);
    ResponseRewriter::new([Filter::VarSubst, Filter::BuildId, Filter::BuildId], value).unwrap()
}

#[test]
fn bodies_of_responses_are_rewritten_without_an_id() {
    let whole = |body: &str| rewriter(&[("id_format", "%q")]).whole(body.as_bytes());
    for (body, expected) in [
        ("", Ok("")),
        ("plain", Ok("plain")),
        ("abc%(x)I", Ok("abcx")),
        ("a%%b", Ok("a%b")),
        ("ab%(a\\)b)I", Ok("aba)b")),
        ("ab%(a(b)I", Ok("aba(b")),
        ("abc%I", Err("No ID specified and no default ID in context at position 4")),
        ("ab%()I", Err("No ID specified and no default ID in context at position 5")),
        ("ab%(q)s", Err("Unknown directive 's' at position 6")),
        // What is unfinished is counted from its `%`.
        ("abc%", Err("Expected directive after '%' at position 0")),
        ("abc%(", Err("Expected character after '(' at position 1")),
        ("abc%(x", Err("Unterminated field starting at position 1")),
        ("abc%(x\\", Err("Expected character after '\\' at position 3")),
        ("abc%(x)", Err("Expected directive after ')' at position 3")),
    ] {
        let got = whole(body).map_err(|error| error.to_string());
        let expected = match expected {
            Ok(text) => Ok(Bytes::from_static(text.as_bytes())),
            Err(detail) => Err(format!("filter error: build-id: {detail}")),
        };
        assert_eq!(got, expected, "{body}");
    }
    let hex = rewriter(&[("id_format", ""), ("id_encoding", "hex")]);
    assert_eq!(hex.whole("[%(A bé)I]".as_bytes()).unwrap(), "[412062c3a9]");
}

#[test]
fn only_build_id_concerns_responses() {
    let none = |_: &str| None::<&str>;
    let others = Filter::ALL.into_iter().filter(|filter| *filter != Filter::BuildId);
    assert!(ResponseRewriter::new(others, none).is_none());
    assert!(ResponseRewriter::new(Filter::ALL, none).is_some());
}

#[test]
fn wrong_variables_are_said_with_the_body() {
    let said = "filter error: build-id: no sub meta 'id_format'";
    assert_eq!(rewriter(&[]).push(b"x").unwrap_err().to_string(), said);
    assert_eq!(rewriter(&[]).end().unwrap_err().to_string(), said);
    let said = "filter error: build-id: unsupported encoding: b";
    let b = || rewriter(&[("id_format", "x"), ("id_encoding", "b")]);
    assert_eq!(b().whole(b"").unwrap_err().to_string(), said);
}

#[test]
fn growth_has_a_bound() {
    let content = |directives: usize| format!("{}!", "%(v)s".repeat(directives));
    let value = "x".repeat(1005);
    let connection = Connection::with(&[("v", &value)]);
    // Every directive adds a thousand bytes.
    let most = FILTER_GROWTH_BYTES_MAX / 1000;
    assert!(connection.rewritten(Filter::VarSubst, &content(most)).is_ok());
    assert_eq!(
        connection.rewritten(Filter::VarSubst, &content(most + 1)).unwrap_err(),
        "filter error: var-subst: Content grew by more than 100000 bytes at position 504"
    );
    let long = "%(CH)s".repeat(FILTER_GROWTH_BYTES_MAX);
    let connection = Connection::with(&[("id_format", &long)]).on("CH", Some("12345678"));
    let error = connection.rewritten(Filter::BuildId, "x").unwrap_err();
    assert!(error.contains("failed to render ID: Content grew"), "{error}");
}

#[test]
fn arguments_have_a_bound() {
    let body = |length: usize| ["%(", &"x".repeat(length), ")I"].concat();
    let whole = |body: &str| rewriter(&[("id_format", "x")]).whole(body.as_bytes());
    assert_eq!(whole(&body(FILTER_ARGUMENT_BYTES_MAX)).unwrap().len(), FILTER_ARGUMENT_BYTES_MAX);
    assert_eq!(
        whole(&body(FILTER_ARGUMENT_BYTES_MAX + 1)).unwrap_err().to_string(),
        "filter error: build-id: Unterminated field starting at position 1"
    );
}

/// Text in which directives are likely.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(b"%".to_vec()),
        Just(b"%%".to_vec()),
        Just(b"%(".to_vec()),
        Just(b")".to_vec()),
        Just(b"\\".to_vec()),
        Just(b"I".to_vec()),
        Just(b"%(ab)I".to_vec()),
        Just(b"%(user)s".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn where_a_body_is_cut_does_not_matter(body in text(), cuts in any::<u64>()) {
        let new = || rewriter(&[("id_format", "x")]);
        let in_pieces = || {
            let (mut rewriter, mut all) = (new(), Vec::new());
            let mut from = 0;
            for at in 1..=body.len() {
                if at == body.len() || cuts >> (at % 64) & 1 == 1 {
                    all.extend_from_slice(&rewriter.push(&body[from..at])?);
                    from = at;
                }
            }
            rewriter.end().map(|()| Bytes::from(all))
        };
        prop_assert_eq!(in_pieces(), new().whole(&body));
    }

    #[test]
    fn text_without_directives_stays(body in "[^%]*") {
        let whole = rewriter(&[("id_format", "x")]).whole(body.as_bytes()).unwrap();
        prop_assert_eq!(&whole[..], body.as_bytes());
    }

    #[test]
    fn escaped_text_is_itself(body in any::<Vec<u8>>()) {
        let escaped: Vec<u8> =
            body.iter().flat_map(|&b| if b == b'%' { vec![b, b] } else { vec![b] }).collect();
        let whole = rewriter(&[("id_format", "x")]).whole(&escaped).unwrap();
        prop_assert_eq!(&whole[..], &body[..]);
    }

    #[test]
    fn nothing_panics_and_growth_is_bounded(
        content in text(),
        template in "[%(CH)s]{0,8}",
        user in any::<String>(),
        item in any::<String>(),
    ) {
        let connection = Connection::with(&[("id_format", &template), ("user", &user)])
            .on("CH", Some("5"));
        let names = ["sender", "skip_users", "require_sub"];
        let item = published(&names.map(|name| (name, item.as_str())));
        let content = Bytes::from(content);
        for filter in Filter::ALL {
            if let Outcome::Content(made) = apply(filter, &connection, &item, &content) {
                prop_assert!(made.len() <= content.len() + FILTER_GROWTH_BYTES_MAX);
            }
        }
    }
}
