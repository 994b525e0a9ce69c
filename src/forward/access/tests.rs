//! What lines look like, field by field.

use http::HeaderValue;

use super::*;
use crate::forward::tests::{context, route};

/// A line of a request with these fields.
fn line(fields: &[(&'static str, &'static str)]) -> Line {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    Line {
        method: Method::GET,
        uri: "http://a.com/".into(),
        target: None,
        from: None,
        route: None,
        headers: Rc::new(headers),
        user_agent: false,
        retry: false,
        of_route: false,
        json: false,
        started: clock::now(),
        status: Cell::new(0),
        bytes: Cell::new(0),
        end: Cell::new(End::Open),
    }
}

fn text(change: impl FnOnce(&mut Line), fields: &[(&'static str, &'static str)]) -> String {
    let mut line = line(fields);
    change(&mut line);
    line.text()
}

#[test]
fn the_examples_of_the_specification() {
    let answered = |line: &mut Line| {
        line.target = Some("127.0.0.1:8001".into());
        (line.status, line.bytes) = (Cell::new(200), Cell::new(13));
        line.end = Cell::new(End::Complete);
    };
    assert_eq!(text(answered, &[]), "GET http://a.com/ -> 127.0.0.1:8001 code=200 13");
    assert_eq!(text(|_| {}, &[]), "GET http://a.com/ error");
    let again = |line: &mut Line| {
        line.target = Some("test".into());
        line.retry = true;
        line.end = Cell::new(End::Accepted);
    };
    assert_eq!(text(again, &[]), "GET http://a.com/ -> test accept retry");
}

#[test]
fn all_fields_in_their_order() {
    let fields = [
        ("referer", "https://b.com/x?y"),
        ("user-agent", "some one/1.0\t(x)"),
        ("grip-last", "c; last-id=5, d d; last-id=\"6;7\""),
        ("grip-last", "e;last-id=8"),
        ("grip-last", "none"),
    ];
    let all = |line: &mut Line| {
        line.target = Some("[::1]:8001[http]".into());
        line.from = Some([10, 0, 0, 1].into());
        line.route = Some("shop".into());
        line.user_agent = true;
        line.retry = true;
        line.end = Cell::new(End::Accepted);
    };
    assert_eq!(
        text(all, &fields),
        "GET http://a.com/ -> [::1]:8001[http] from=10.0.0.1 ref=https://b.com/x?y route=shop \
         accept retry ua=some one/1.0 (x) #c=5 #d d=6;7 #e=8"
    );
    assert_eq!(text(|_| {}, &fields[1..2]), "GET http://a.com/ error", "only if asked for");
}

#[test]
fn a_referer_is_a_url() {
    for bad in ["", "foo", "/a", "http://a b/", "http://["] {
        assert_eq!(text(|_| {}, &[("referer", bad)]), "GET http://a.com/ error", "{bad}");
    }
}

#[test]
fn where_clients_are_is_told_if_asked_for() {
    use crate::forward::shared::Forwarding;
    let from = |websocket, route: Option<&Route>, log_from| {
        let mut client = context("/", None);
        let mut headers = HeaderMap::clone(&client.headers);
        headers.insert("x-forwarded-for", HeaderValue::from_static("1.2.3.4"));
        client.peer = Some([10, 0, 0, 1].into());
        client.headers = Rc::new(headers);
        client.websocket = websocket;
        let forwarding = Forwarding { log_from, ..Forwarding::default() };
        let settings = Settings { forwarding, ..Settings::default() };
        let begin = || Access::begin(&client, route, &settings);
        let subscriber = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
        let access = tracing::subscriber::with_default(subscriber, begin).expect("a line");
        access.0.from.map(|from| from.to_string())
    };
    let route = route("* test");
    assert_eq!(from(false, Some(&route), true).as_deref(), Some("10.0.0.1"));
    assert_eq!(from(true, Some(&route), true).as_deref(), Some("1.2.3.4"));
    assert_eq!(from(false, None, true).as_deref(), Some("1.2.3.4"));
    assert_eq!(from(false, None, false), None);
}

#[test]
fn a_route_has_its_own_level() {
    let told = |level: tracing::Level, route_line: &str| {
        let (client, route) = (context("/", None), route(route_line));
        let begin = || Access::begin(&client, Some(&route), &Settings::default()).is_some();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(std::io::sink)
            .with_env_filter(format!("{level},access_of_route=info"))
            .finish();
        tracing::subscriber::with_default(subscriber, begin)
    };
    assert!(told(tracing::Level::INFO, "* test") && !told(tracing::Level::WARN, "* test"));
    for level in [tracing::Level::INFO, tracing::Level::WARN] {
        assert!(told(level, "*,log_level=2 test") && told(level, "*,log_level=4 test"));
        assert!(!told(level, "*,log_level=0 test") && !told(level, "*,log_level=1 test"));
    }
}
