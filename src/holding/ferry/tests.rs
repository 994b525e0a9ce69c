//! Tests of ferries: who shares an answer, what is broken off, who is left behind.

use super::*;
use crate::forward::order::Peers;
use crate::forward::tests::{Company, Scripted, context, route, run, until};

/// What becomes of an order that is given to another worker.
enum Fate {
    /// There is none: this one asks for everything.
    Alone,
    /// It has no room.
    Refused,
    /// It ends.
    Dropped,
}

impl Peers for Fate {
    fn own(&self) -> usize {
        0
    }

    fn owner(&self, _: u64) -> Option<usize> {
        (!matches!(self, Fate::Alone)).then_some(1)
    }

    fn order(&self, _: usize, order: Box<Order>) -> Result<(), Box<Order>> {
        if matches!(self, Fate::Refused) { Err(order) } else { Ok(()) }
    }
}

struct Case {
    company: Company,
    ferries: Rc<Ferries>,
    backend: Scripted,
    home: Home,
}

impl Case {
    async fn new(fate: Fate) -> Case {
        let company = Company::among(Some(Rc::new(fate)), |_| {});
        let backend = Scripted::start().await;
        let client = crate::forward::context::Context { websocket: false, ..context("/", None) };
        let home = Home::new(&client, &route(&format!("* 127.0.0.1:{}", backend.port)), 0);
        Case { ferries: Ferries::new(Rc::clone(&company.shared)), company, backend, home }
    }

    async fn ask(&self, query: &str, fresh: Option<Tick>) -> Result<String, String> {
        let url = Url::parse(&format!("http://example.com/next{query}")).unwrap();
        let lasts = [("c".into(), "5".into())];
        let link = (&url, "http://example.com/next");
        let asked = self.ferries.ask(&self.home, link, &lasts, fresh).await;
        let body = asked.map_err(|error| error.to_string())?.into_body();
        let bytes = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn counted(&self) -> (u64, u64) {
        let stats = &self.company.shared.stats;
        (stats.updates_made.get(), stats.updates_shared.get())
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn one_request_does_for_all_who_want_the_same() {
    run(async {
        let mut case = Case::new(Fate::Alone).await;
        let page = "0123456789".repeat(300_000);
        let mut backend = std::mem::replace(&mut case.backend, Scripted::start().await);
        let answering = async {
            let asked = backend.next().await;
            assert!(asked.head.contains("grip-last: c; last-id=5\r\n"), "{}", asked.head);
            asked.raw(ok(&page));
        };
        let (a, b) = (case.ask("?a", None), case.ask("?b", None));
        let (a, b, ()) = tokio::join!(a, b, answering);
        assert!(a.unwrap() == page && b.unwrap() == page);
        assert!(backend.is_idle());
        assert_eq!(case.counted(), (1, 1));
        until(|| case.ferries.under_way.borrow().is_empty()).await;
    });
}

#[test]
fn what_was_asked_before_a_hint_does_not_do() {
    run(async {
        let mut case = Case::new(Fate::Alone).await;
        let mut backend = std::mem::replace(&mut case.backend, Scripted::start().await);
        let answering = async {
            backend.next().await.raw(ok("old"));
            backend.next().await.raw(ok("new"));
        };
        let old = case.ask("", None);
        let news = async {
            until(|| case.counted().0 == 1).await;
            let hint = Some(clock::now());
            until(|| Some(clock::now()) > hint).await;
            tokio::join!(case.ask("", hint), case.ask("", hint))
        };
        let (old, news, ()) = tokio::join!(old, news, answering);
        assert_eq!(old.unwrap(), "old");
        assert_eq!((&*news.0.unwrap(), &*news.1.unwrap()), ("new", "new"));
        assert!(backend.is_idle());
        assert_eq!(case.counted(), (2, 1));
    });
}

#[test]
fn who_cannot_order_asks_itself() {
    run(async {
        let mut case = Case::new(Fate::Refused).await;
        let mut backend = std::mem::replace(&mut case.backend, Scripted::start().await);
        let answering = async { backend.next().await.raw(ok("mine")) };
        let (got, ()) = tokio::join!(case.ask("", None), answering);
        assert_eq!(got.unwrap(), "mine");
    });
}

#[test]
fn an_owner_that_ends_is_a_failure() {
    run(async {
        let case = Case::new(Fate::Dropped).await;
        assert_eq!(case.ask("", None).await.unwrap_err(), "the answer was broken off");
        assert_eq!(case.counted(), (0, 0));
    });
}

#[test]
fn what_is_broken_off_is_not_whole_for_anybody() {
    run(async {
        let mut case = Case::new(Fate::Alone).await;
        let mut backend = std::mem::replace(&mut case.backend, Scripted::start().await);
        let answering = async {
            // A chunk that is none.
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            backend.next().await.raw(format!("{head}3\r\nabc\r\nxyz\r\n"));
        };
        let (a, b, ()) = tokio::join!(case.ask("", None), case.ask("", None), answering);
        let broken = Err("the answer was broken off".to_owned());
        assert_eq!((a, b), (broken.clone(), broken));
        until(|| case.ferries.under_way.borrow().is_empty()).await;
    });
}

#[test]
fn a_failure_is_told_to_all() {
    run(async {
        let mut case = Case::new(Fate::Alone).await;
        case.home.route = route("* 127.0.0.1:1");
        let (a, b) = tokio::join!(case.ask("", None), case.ask("", None));
        assert!(a.clone().unwrap_err().contains("no target answered"), "{a:?}");
        assert_eq!(a, b);
        assert_eq!(case.counted(), (1, 1));
    });
}

#[test]
fn a_worker_that_does_not_take_is_left_behind_if_others_wait() {
    let key = Key {
        route: route("* 127.0.0.1:1"),
        target: 0,
        secure: false,
        host: "a".into(),
        group: "http://a/".into(),
        lasts: Box::default(),
    };
    let ferry = Ferry::new(key, "http://a/".to_owned());
    let ride = || {
        let (reply, replies) = mpsc::channel(FERRY_PIECES_MAX);
        let (key, url) = (ferry.key.clone(), ferry.url.clone());
        ferry.board(Order { key, url, fresh: None, from: 0, reply });
        replies
    };
    let piece = Reply::Data(Bytes::from_static(b"x"));
    ferry.kept.borrow_mut().extend(vec![piece; FERRY_PIECES_MAX + 1]);
    let mut slow = ride();
    // Alone it may take its time; no more than its channel holds waits for it.
    assert!(ferry.pass(Tick(0)).is_some());
    assert!(ferry.pass(Tick(10 * FERRY_LAG_MS)).is_some());
    assert_eq!(slow.len(), FERRY_PIECES_MAX);
    // What it takes gives it time.
    assert!(slow.try_recv().is_ok());
    assert!(ferry.pass(Tick(10 * FERRY_LAG_MS)).is_none());
    ferry.kept.borrow_mut().push(Reply::End);
    assert!(ferry.pass(Tick(10 * FERRY_LAG_MS)).is_some());
    let mut quick = ride();
    assert!(ferry.pass(Tick(11 * FERRY_LAG_MS - 1)).is_some());
    while quick.try_recv().is_ok() {}
    assert!(ferry.pass(Tick(11 * FERRY_LAG_MS)).is_none());
    assert!(matches!(quick.try_recv(), Ok(Reply::Data(_))));
    assert!(matches!(quick.try_recv(), Ok(Reply::End)));
    assert_eq!(ferry.riders.borrow().len(), 1);
    while slow.try_recv().is_ok() {}
    assert!(slow.is_closed());
}
