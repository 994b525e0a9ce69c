//! Each rule of the header pipeline, of the path and of the destination.

use std::path::PathBuf;
use std::rc::Rc;

use super::*;
use crate::forward::forwarded::{ForRule, SetProtocol};
use crate::forward::shared::Forwarding;
use crate::route::condition::{Condition, Options};
use crate::route::target::Address;
use crate::session::socket::Form;
use crate::wire::http1::Version;

fn settings() -> Settings {
    Settings::default()
}

fn context(headers: &[(&str, &str)]) -> Context {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    Context {
        peer: Some([10, 0, 0, 1].into()),
        secure: false,
        method: Method::GET,
        host: "site.test".into(),
        path: "/a/b".into(),
        query: None,
        headers: Rc::new(map),
        version: Version::Http11,
        websocket: false,
        trusted: false,
        form: Form::default(),
    }
}

fn target() -> Target {
    Target {
        address: Address::Tcp("backend".into(), 8000),
        tls: false,
        untrusted: false,
        trust_connect_host: false,
        insecure: false,
        host: None,
        subs: Cow::Borrowed(&[]),
        over_http: false,
        one_event: false,
        client_cert: None,
        client_key: None,
        check: None,
    }
}

fn route(options: Options, path_beg: Option<&'static str>) -> Route {
    let condition = Condition {
        host: None,
        by_id_only: false,
        websocket: None,
        secure: None,
        path_beg: path_beg.map(Cow::Borrowed),
    };
    Route { condition, options, targets: vec![target()].into(), line: 1 }
}

fn made(context: &Context, route: &Route, target: &Target, kind: Kind) -> Outgoing {
    build(&settings(), &Keys::new(PathBuf::new()), context, route, target, kind).unwrap()
}

/// The header fields, one a line, as they would be sent.
fn sent(context: &Context, options: Options, kind: Kind) -> Vec<String> {
    made(context, &route(options, None), &target(), kind)
        .request
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .map(|line| line.replace(FEATURES, "(all)"))
        .collect()
}

/// The same with other settings.
fn sent_with(
    context: &Context,
    options: Options,
    kind: Kind,
    change: impl FnOnce(&mut Forwarding),
) -> Vec<String> {
    let mut settings = settings();
    change(&mut settings.forwarding);
    let (keys, route) = (Keys::new(PathBuf::new()), route(options, None));
    let made = build(&settings, &keys, context, &route, &target(), kind).unwrap();
    let fields = made.request.headers().iter();
    fields
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .filter(|line| !line.starts_with("grip-feature"))
        .collect()
}

/// The combined request of the specification (routing, 12.4).
fn combined() -> Context {
    context(&[
        ("Host", "site.test"),
        ("Accept", "*/*"),
        ("Grip-X", "1"),
        ("X-Forwarded-For", "1.1.1.1"),
        ("X-Forwarded-For", "2.2.2.2, 3.3.3.3"),
        ("X-Forwarded-Proto", "https"),
        ("CDN-Loop", "one"),
        ("CDN-Loop", "two"),
        ("eb9bf0f5-a", "b"),
        ("Accept-Encoding", "gzip"),
        ("Expect", "100-continue"),
        ("Connection", "keep-alive, X-Mine"),
        ("X-Mine", "1"),
        ("TE", "trailers"),
    ])
}

#[test]
fn the_combined_request_by_default() {
    assert_eq!(
        sent(&combined(), Options::default(), Kind::Http),
        [
            "host: site.test",
            "accept: */*",
            "cdn-loop: one",
            "cdn-loop: two",
            "te: trailers",
            "grip-feature: (all)",
            "x-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3",
        ]
    );
}

#[test]
fn the_combined_request_with_original_headers() {
    let options = Options { orig_headers: true, ..Options::default() };
    assert_eq!(
        sent(&combined(), options, Kind::Http),
        [
            "host: site.test",
            "accept: */*",
            "cdn-loop: one",
            "cdn-loop: two",
            "te: trailers",
            "eb9bf0f5-host: site.test",
            "eb9bf0f5-accept: */*",
            "eb9bf0f5-grip-x: 1",
            "eb9bf0f5-x-forwarded-for: 1.1.1.1",
            "eb9bf0f5-x-forwarded-for: 2.2.2.2, 3.3.3.3",
            "eb9bf0f5-x-forwarded-proto: https",
            "eb9bf0f5-cdn-loop: one",
            "eb9bf0f5-cdn-loop: two",
            "eb9bf0f5-a: b",
            "eb9bf0f5-accept-encoding: gzip",
            "eb9bf0f5-expect: 100-continue",
            "eb9bf0f5-connection: keep-alive, X-Mine",
            "eb9bf0f5-x-mine: 1",
            "eb9bf0f5-te: trailers",
            "grip-feature: (all)",
            "x-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3",
        ]
    );
}

#[test]
fn the_combined_request_without_grip_and_when_trusted() {
    let no_grip = Options { no_grip: true, ..Options::default() };
    let plain = sent(&combined(), no_grip, Kind::Http);
    assert!(plain.iter().all(|field| !field.starts_with("grip-")), "{plain:?}");
    let mut trusted = combined();
    trusted.trusted = true;
    let fields = sent(&trusted, Options::default(), Kind::Http);
    let grip: Vec<_> = fields.iter().filter(|field| field.starts_with("grip-")).collect();
    assert_eq!(grip, ["grip-x: 1"]);
    assert!(!fields.iter().any(|field| field.starts_with("eb9bf0f5-")));
    let originals = Options { orig_headers: true, ..Options::default() };
    let fields = sent(&trusted, originals, Kind::Http);
    let marked: Vec<_> = fields.iter().filter(|field| field.starts_with("eb9bf0f5-")).collect();
    assert_eq!(marked, ["eb9bf0f5-a: b"], "left alone");
}

#[test]
fn secure_clients_are_said_to_be() {
    let mut secure = context(&[]);
    secure.secure = true;
    assert!(
        sent(&secure, Options::default(), Kind::Http).contains(&"x-forwarded-proto: https".into())
    );
    for kind in [Kind::WebSocket, Kind::OverHttp] {
        let fields = sent(&secure, Options::default(), kind);
        assert!(fields.contains(&"x-forwarded-proto: wss".into()));
    }
}

#[test]
fn route_headers_are_set_first_and_last_to_first() {
    let headers = [("X-A", "b"), ("X-B", "c"), ("X-Gone", ""), ("Grip-Hold", "x"), ("Host", "no")];
    let headers: Vec<_> = headers.iter().map(|(n, v)| (Cow::from(*n), Cow::from(*v))).collect();
    let options = Options { headers: headers.into(), ..Options::default() };
    let client = context(&[("X-Gone", "1"), ("X-B", "theirs"), ("X-C", "d")]);
    assert_eq!(
        sent(&client, options, Kind::Http),
        ["host: site.test", "x-c: d", "x-b: c", "x-a: b", "grip-feature: (all)"]
    );
}

#[test]
fn websocket_handshakes() {
    let client = context(&[
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "k"),
        ("Sec-WebSocket-Protocol", "a"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Sec-WebSocket-Protocol", "b"),
        ("Origin", "o"),
        ("Accept", "x"),
        ("Content-Type", "y"),
        ("Connection-Id", "z"),
        ("Meta-User", "z"),
        ("Content-Length", "0"),
    ]);
    assert_eq!(
        sent(&client, Options::default(), Kind::WebSocket),
        [
            "host: site.test",
            "sec-websocket-protocol: a",
            "sec-websocket-protocol: b",
            "origin: o",
            "accept: x",
            "content-type: y",
            "connection-id: z",
            "meta-user: z",
            "grip-feature: (all)",
            "sec-websocket-extensions: grip",
        ]
    );
    assert_eq!(
        sent(&client, Options { no_grip: true, ..Options::default() }, Kind::OverHttp),
        [
            "host: site.test",
            "sec-websocket-version: 13",
            "sec-websocket-key: k",
            "sec-websocket-protocol: a",
            "sec-websocket-protocol: b",
            "origin: o",
        ]
    );
    let made = |kind| made(&client, &route(Options::default(), None), &target(), kind);
    assert_eq!(made(Kind::WebSocket).request.method(), Method::GET);
    assert_eq!(made(Kind::OverHttp).request.method(), Method::POST);
}

#[test]
fn upgrade_passes_and_one_length_stays() {
    let client = context(&[
        ("Connection", "Upgrade"),
        ("Upgrade", "h2c"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("X", "y"),
    ]);
    let options = Options { no_grip: true, ..Options::default() };
    assert_eq!(
        sent(&client, options, Kind::Http),
        ["host: site.test", "upgrade: h2c", "x: y", "content-length: 5"]
    );
}

#[test]
fn a_signature_needs_a_key() {
    let settings = Settings { sig_key: Some(String::new()), ..settings() };
    let keys = Keys::new(PathBuf::new());
    let route = route(Options::default(), None);
    let out = build(&settings, &keys, &context(&[]), &route, &target(), Kind::Http).unwrap();
    assert!(!out.request.headers().contains_key("grip-sig"));
    assert!(out.request.headers().contains_key("grip-feature"));
}

#[test]
fn requests_are_signed() {
    let settings = Settings { sig_key: Some("changeme".into()), ..settings() };
    let keys = Keys::new(PathBuf::new());
    let client = context(&[("Grip-Sig", "forged")]);
    let token = |options: Options| {
        let route = route(options, None);
        let out = build(&settings, &keys, &client, &route, &target(), Kind::Http).unwrap();
        let all: Vec<_> = out.request.headers().get_all("grip-sig").iter().cloned().collect();
        assert_eq!(all.len(), 1);
        all[0].to_str().unwrap().to_owned()
    };
    let shared = token(Options::default());
    assert_eq!(shared.split('.').count(), 3);
    let other = Options { sig_key: Some("own".into()), ..Options::default() };
    assert_ne!(shared, token(other));
    let unreadable = Options { sig_key: Some("file:nowhere".into()), ..Options::default() };
    assert_eq!(shared, token(unreadable), "the operator's key instead");
}

fn rewritten(options: Options, path_beg: Option<&'static str>, path: &str) -> String {
    let mut client = context(&[]);
    client.path = path.into();
    client.query = Some("q=1?2".into());
    made(&client, &route(options, path_beg), &target(), Kind::Http).request.uri().to_string()
}

#[test]
fn paths_are_rewritten() {
    let rem = |path_rem| Options { path_rem, ..Options::default() };
    let replace = |text: &'static str| Options { replace_beg: Some(text.into()), ..rem(9) };
    assert_eq!(rewritten(rem(0), None, "/a%20b"), "/a%20b?q=1?2");
    assert_eq!(rewritten(rem(4), None, "/abcdef"), "/def?q=1?2");
    assert_eq!(rewritten(rem(4), None, "/abc/def"), "/def?q=1?2");
    assert_eq!(rewritten(rem(99), None, "/abc"), "/?q=1?2");
    assert_eq!(rewritten(replace("/new"), Some("/old"), "/old/x"), "/new/x?q=1?2");
    assert_eq!(rewritten(replace(""), Some("/old"), "/old/x"), "/x?q=1?2");
    assert_eq!(rewritten(replace("new/"), Some("/old/"), "/old/x"), "/new/x?q=1?2");
    assert_eq!(rewritten(replace("/pre"), None, "/x"), "/pre/x?q=1?2");
    assert_eq!(rewritten(rem(0), None, "//a/b"), "//a/b?q=1?2");
    let mut star = context(&[]);
    star.path = "*".into();
    let out = made(&star, &route(rem(0), None), &target(), Kind::Http);
    assert_eq!(out.request.uri(), "*");
}

#[test]
fn an_empty_query_keeps_its_mark() {
    let mut client = context(&[]);
    client.query = Some("".into());
    let out = made(&client, &route(Options::default(), None), &target(), Kind::Http);
    assert_eq!(out.request.uri().to_string(), "/a/b?");
}

#[test]
fn the_host_is_the_last_one_given() {
    let host = |client: &str, as_host: Option<&'static str>, own: Option<&'static str>, tls| {
        let mut context = context(&[("Host", "ignored")]);
        context.host = client.into();
        let options = Options { as_host: as_host.map(Cow::from), ..Options::default() };
        let target = Target { host: own.map(Cow::from), tls, ..target() };
        let out = made(&context, &route(options, None), &target, Kind::Http);
        assert_eq!(out.request.headers().get_all(HOST).iter().count(), 1);
        out.request.headers()[HOST].to_str().unwrap().to_owned()
    };
    assert_eq!(host("a.test:81", None, None, false), "a.test:81");
    assert_eq!(host("a.test:443", None, None, true), "a.test");
    assert_eq!(host("a.test:80", None, None, true), "a.test:80");
    assert_eq!(host("a.test:81", Some("B.test"), None, false), "b.test");
    assert_eq!(host("a.test", Some("b.test"), Some("C.test:80"), false), "c.test");
    assert_eq!(host("[::1]:81", None, None, false), "[::1]:81");
    assert_eq!(host("[::1]", None, None, false), "[::1]");
}

#[test]
fn destinations() {
    let to = |target: &Target| {
        made(&context(&[]), &route(Options::default(), None), target, Kind::Http).destination
    };
    let plain = to(&target());
    assert_eq!((plain.host.as_str(), plain.port, plain.tls.is_none()), ("backend", 8000, true));
    let tls = Target { tls: true, insecure: true, untrusted: true, ..target() };
    let name = |target: &Target| to(target).tls.unwrap().name;
    assert_eq!(name(&tls), "site.test");
    assert_eq!(name(&Target { trust_connect_host: true, ..tls.clone() }), "backend");
    assert_eq!(name(&Target { host: Some("X.test:9".into()), ..tls.clone() }), "x.test");
    assert!(to(&tls).untrusted && to(&tls).tls.unwrap().insecure);
    let keys = Keys::new(PathBuf::new());
    let test = Target { address: Address::Test, ..target() };
    let route = route(Options::default(), None);
    let error = build(&settings(), &keys, &context(&[]), &route, &test, Kind::Http).err();
    assert_eq!(error, Some(OutgoingError::BuiltIn));
}

#[test]
fn the_combined_request_with_every_option() {
    let mut client = combined();
    client.secure = true;
    let every = |forwarding: &mut Forwarding| {
        forwarding.set_protocol = SetProtocol::Both;
        forwarding.for_rule = ForRule { keep: Some(1), append: true };
        forwarding.for_rule_trusted = ForRule { keep: None, append: true };
        forwarding.cdn_loop = Some(HeaderValue::from_static("us"));
    };
    let end = |xff| {
        ["cdn-loop: one, two, us", "x-forwarded-proto: https", "x-forwarded-protocol: https", xff]
    };
    let begin = ["host: site.test", "accept: */*", "te: trailers"];
    assert_eq!(
        sent_with(&client, Options::default(), Kind::Http, every),
        [&begin[..], &end("x-forwarded-for: 3.3.3.3, 10.0.0.1")].concat()
    );
    client.trusted = true;
    let begin = ["host: site.test", "accept: */*", "grip-x: 1", "te: trailers"];
    assert_eq!(
        sent_with(&client, Options::default(), Kind::Http, every),
        [&begin[..], &end("x-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.1")].concat()
    );
}

#[test]
fn what_is_said_of_the_protocol_may_be_left_alone() {
    let client = context(&[("X-Forwarded-Protocol", "a"), ("X-Forwarded-Proto", "b")]);
    let secure = Context { secure: true, ..client.clone() };
    let left = |context: &Context, accept, set| {
        sent_with(context, Options::default(), Kind::Http, |forwarding| {
            forwarding.accept_protocol = accept;
            forwarding.set_protocol = set;
        })
    };
    let alone = ["host: site.test", "x-forwarded-protocol: a", "x-forwarded-proto: b"];
    assert_eq!(left(&client, false, SetProtocol::Leave), alone);
    assert_eq!(left(&secure, false, SetProtocol::Leave), alone);
    assert_eq!(left(&secure, true, SetProtocol::Leave), ["host: site.test"]);
    assert_eq!(left(&client, false, SetProtocol::ProtoOnly), ["host: site.test"]);
    let said = ["host: site.test", "x-forwarded-proto: https"];
    assert_eq!(left(&secure, true, SetProtocol::ProtoOnly), said);
}

#[test]
fn some_fields_are_only_for_clients_to_mark() {
    let client = context(&[("Accept", "a"), ("X-One", "1"), ("eb9bf0f5-Accept", "theirs")]);
    let options = Options { orig_headers: true, ..Options::default() };
    assert_eq!(
        sent_with(&client, options, Kind::Http, |forwarding| {
            forwarding.need_mark = vec![ACCEPT];
        }),
        [
            "host: site.test",
            "accept: a",
            "x-one: 1",
            "eb9bf0f5-x-one: 1",
            "eb9bf0f5-accept: theirs"
        ]
    );
}

#[test]
fn the_route_that_a_client_names_is_ours() {
    let client = context(&[("Pushpin-Route", "r")]);
    let route = |accept| {
        let change = |forwarding: &mut Forwarding| forwarding.accept_route = accept;
        sent_with(&client, Options::default(), Kind::Http, change)
    };
    assert_eq!(route(true), ["host: site.test"]);
    assert_eq!(route(false), ["host: site.test", "pushpin-route: r"]);
}

#[test]
fn a_client_removes_nothing_that_its_route_adds() {
    let headers = vec![(Cow::from("X-Edge"), Cow::from("1"))];
    let options = Options { headers: headers.into(), ..Options::default() };
    let client = context(&[("Connection", "X-Edge, X-Mine"), ("X-Mine", "1"), ("X-Edge", "0")]);
    assert_eq!(sent_with(&client, options, Kind::Http, |_| {}), ["host: site.test", "x-edge: 1"]);
}

#[test]
fn nor_from_the_copies_of_what_it_sent() {
    let headers = vec![(Cow::from("X-Edge"), Cow::from("1"))];
    let options = Options { headers: headers.into(), orig_headers: true, ..Options::default() };
    let named = "X-Edge, X-Mine, Eb9bf0f5-X-Mine, Eb9bf0f5-Marked, CDN-Loop";
    let fields =
        [("Connection", named), ("X-Mine", "1"), ("Eb9bf0f5-Marked", "2"), ("CDN-Loop", "a")];
    let sent = sent_with(&context(&fields), options, Kind::Http, |_| {});
    let expected = [
        "host: site.test",
        "cdn-loop: a",
        "x-edge: 1",
        &format!("eb9bf0f5-connection: {named}"),
        "eb9bf0f5-x-mine: 1",
        "eb9bf0f5-marked: 2",
        "eb9bf0f5-cdn-loop: a",
        "eb9bf0f5-x-edge: 1",
    ];
    assert_eq!(sent, expected);
}
