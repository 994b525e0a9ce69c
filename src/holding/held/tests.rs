//! Who is kept, what is shared, who is told when a hold is gone.

use super::*;
use crate::forward::tests::{Company, context, route};

fn link(uri: &str) -> instruction::Link {
    instruction::Link { uri: uri.into(), timeout_s: 0 }
}

#[test]
fn equal_requests_are_kept_once() {
    let held = Held::new(Company::new().shared);
    let route = route("* 127.0.0.1:1");
    let keep = |place: u32, path: &str, cookie: Option<&str>| {
        let mut context = Context { websocket: false, ..context(path, Some("a=b")) };
        let headers = Rc::make_mut(&mut context.headers);
        match cookie {
            Some(cookie) => headers.insert(COOKIE, cookie.parse().unwrap()),
            None => headers.remove(COOKIE),
        };
        context.peer = Some([10, 0, 0, place as u8].into());
        let id = SessionId { index: place, generation: 1 };
        let home = held.home(&context, &route, 0);
        held.keep_poll(id, (&context, None, &Bytes::new(), None), home, None);
        match held.entry(id).map(|entry| entry.kind) {
            Some(Kind::Poll(request)) => request,
            _ => panic!("not a long-poll"),
        }
    };
    let (a, b) = (keep(1, "/a", None), keep(2, "/a", None));
    assert!(Rc::ptr_eq(&a, &b) && a.is_shareable());
    let other = keep(3, "/b", None);
    assert!(!Rc::ptr_eq(&a, &other) && Rc::ptr_eq(&a.home, &other.home));
    let (c, d) = (keep(4, "/a", Some("c=1")), keep(5, "/a", Some("c=2")));
    assert!(!Rc::ptr_eq(&c, &d) && !c.is_shareable());
    assert_eq!(d.context().headers[COOKIE], "c=2");
    assert!(!d.context().websocket);
    assert_eq!(held.len(), 5);
}

#[test]
fn links_are_seen_from_where_they_were_given() {
    let held = Held::new(Company::new().shared);
    let base = Url::parse("http://a/b/c?d").unwrap();
    let (next, told) = held.next(&base, &link("e?after=5#x")).unwrap();
    assert_eq!((&*next.url, &*next.group), ("http://a/b/e?after=5", "http://a/b/e"));
    assert_eq!((told.timeout_ms, &*told.group), (0, "http://a/b/e"));
    let (other, _) = held.next(&base, &link("e?after=6")).unwrap();
    assert!(Rc::ptr_eq(&next.group, &other.group) && !Rc::ptr_eq(&next, &other));
    assert!(held.next(&base, &link("ftp://a/")).is_err());
    assert_eq!(&*held.gone(&base, &link("/g")).unwrap(), "http://a/g");
}

#[test]
fn nothing_is_kept_of_a_stream_without_links() {
    let held = Held::new(Company::new().shared);
    let context = context("/", None);
    let home = held.home(&context, &route("* 127.0.0.1:1"), 0);
    held.keep_stream(SessionId { index: 1, generation: 1 }, home, None, None);
    assert!(held.is_empty());
}
