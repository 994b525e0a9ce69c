//! Which route a request takes: a client's, one that is made again, or one of our own.
//!
//! The roof asks for clients' requests and sets the table; `repeat` and `errand` ask for the
//! others. The table may be replaced at any time, so each asks anew; who keeps a route keeps that
//! alone, not its table.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use super::context::{Context, RouteRef};
use crate::route::explain::Verdict;
use crate::route::ids::{Id, Named};
use crate::route::{Query, Table};

/// The header field by which a client names its route.
const PUSHPIN_ROUTE: &str = "pushpin-route";

/// The routes of a shard.
#[derive(Default)]
pub struct Routing {
    /// Without one, every route stays as it is.
    table: RefCell<Option<Arc<Table>>>,
}

/// The id by which a client names its route. One that is no text is that of no route.
fn named(context: &Context, may_name: bool) -> Option<Cow<'_, str>> {
    let named = may_name.then(|| context.headers.get(PUSHPIN_ROUTE)).flatten()?;
    Some(String::from_utf8_lossy(named.as_bytes())).filter(|id| !id.is_empty())
}

/// What a lookup goes by.
fn query(context: &Context) -> Query<'_> {
    let colon = memchr::memrchr(b':', context.host.as_bytes());
    let host = match colon.and_then(|at| context.host.split_at_checked(at)) {
        Some((name, port)) if port.bytes().skip(1).all(|b| b.is_ascii_digit()) => name,
        _ => &context.host,
    };
    let Context { path, websocket, secure, .. } = context;
    Query { host, path, websocket: *websocket, secure: *secure }
}

impl Routing {
    /// From now on requests go by these routes.
    pub fn set(&self, table: Arc<Table>) {
        self.table.replace(Some(table));
    }

    /// The route of a client's request. If it may name one, the header field `Pushpin-Route` counts
    /// (specification, routing 2.7).
    #[must_use]
    pub fn of(&self, context: &Context, may_name: bool) -> Option<RouteRef> {
        let table = self.table.borrow();
        let table = table.as_ref()?;
        let id = named(context, may_name);
        table.share(table.lookup_named(id.as_deref(), &query(context), context.websocket)?)
    }

    /// What each route is to such a request.
    #[must_use]
    pub fn explain(&self, context: &Context, may_name: bool) -> Vec<Verdict> {
        let id = named(context, may_name);
        let explain =
            |table: &Arc<Table>| table.explain(id.as_deref(), &query(context), context.websocket);
        self.table.borrow().as_ref().map(explain).unwrap_or_default()
    }

    /// The route of a request that is made again: that which has the same id now. `None` if it is
    /// gone, or does not serve the path any more.
    #[must_use]
    pub fn again(&self, route: &RouteRef, context: &Context) -> Option<RouteRef> {
        let table = self.table.borrow();
        let Some(table) = table.as_ref() else { return Some(route.clone()) };
        if is_of(table, route) {
            return Some(route.clone());
        }
        let id = Id(route).to_string();
        table.share(table.lookup_named(Some(&id), &query(context), true)?)
    }

    /// The route on whose behalf we ask something ourselves (specification, routing 3.15): that
    /// which has the same id now. `None` if it is gone, or several have the id.
    #[must_use]
    pub fn behind(&self, route: &RouteRef) -> Option<RouteRef> {
        let table = self.table.borrow();
        let Some(table) = table.as_ref() else { return Some(route.clone()) };
        if is_of(table, route) {
            return Some(route.clone());
        }
        match table.named(&Id(route).to_string()) {
            Named::One(number) => table.share(number),
            Named::Shared | Named::Unknown => None,
        }
    }
}

/// Whether the table still is the one that the route came from.
fn is_of(table: &Table, route: &RouteRef) -> bool {
    table.share(route.number()).is_some_and(|now| now == *route)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::forward::tests::context;

    fn table(lines: &[&str]) -> Arc<Table> {
        let (table, problems) = Table::parse(lines.join("\n").as_bytes());
        assert!(problems.is_empty(), "{problems:?}");
        Arc::new(table)
    }

    fn asking(path: &str, websocket: bool, id: Option<&str>) -> Context {
        let mut context = Context { websocket, ..context(path, None) };
        if let Some(id) = id {
            let headers = Rc::make_mut(&mut context.headers);
            headers.insert(PUSHPIN_ROUTE, id.parse().unwrap());
        }
        context
    }

    #[test]
    fn clients_name_their_routes_where_they_may() {
        let routing = Routing::default();
        routing.set(table(&[
            "* a:1",
            "b,id=b,path_beg=/b a:1",
            "c,id=s a:1",
            "d,id=s a:1",
            ",id=h a:1",
        ]));
        let line = |path, websocket, id, may_name| {
            let route = routing.of(&asking(path, websocket, id), may_name);
            route.map(|route| route.line)
        };
        for websocket in [false, true] {
            for (path, id, found) in [
                ("/", None, Some(1)),
                ("/", Some(""), Some(1)),
                ("/b/x", Some("b"), Some(2)),
                ("/x", Some("b"), None),
                ("/", Some("h"), Some(5)),
                ("/", Some("*,*,*,*"), Some(1)),
                ("/", Some("unknown"), None),
                ("/", Some("s"), websocket.then_some(1)),
            ] {
                assert_eq!(line(path, websocket, id, true), found, "{path} {id:?}");
                assert_eq!(line(path, websocket, id, false), Some(1));
            }
        }
    }

    #[test]
    fn a_route_is_found_again_by_its_id() {
        let routing = Routing::default();
        let before =
            table(&["* a:1", "b,id=b a:1", "c,path_beg=/x a:1", "d,id=s a:1", "e,id=s a:1"]);
        let route = |number| before.share(number).unwrap();
        let path = asking("/x", false, None);
        assert!(routing.again(&route(1), &path).is_some_and(|now| now == route(1)));
        routing.set(Arc::clone(&before));
        for number in 0..5 {
            assert!(routing.again(&route(number), &path).is_some_and(|now| now == route(number)));
            assert!(routing.behind(&route(number)).is_some_and(|now| now == route(number)));
        }
        routing.set(table(&[
            "d,id=s a:1",
            "other,id=b,path_beg=/b a:1",
            "e,id=s a:1",
            "c,path_beg=/x a:2",
            "f a:1",
        ]));
        let line = |route: Option<RouteRef>| route.map(|route| route.line);
        assert_eq!(line(routing.again(&route(0), &path)), None);
        assert_eq!(line(routing.again(&route(1), &path)), None);
        assert_eq!(line(routing.again(&route(1), &asking("/b", false, None))), Some(2));
        assert_eq!(line(routing.again(&route(2), &path)), Some(4));
        assert_eq!(line(routing.again(&route(3), &path)), None);
        let of_f = Context { host: "f".into(), ..path };
        assert_eq!(line(routing.again(&route(3), &of_f)), Some(5));
        assert_eq!(line(routing.behind(&route(0))), None);
        assert_eq!(line(routing.behind(&route(1))), Some(2));
        assert_eq!(line(routing.behind(&route(3))), None);
    }

    #[test]
    fn who_keeps_a_route_does_not_keep_its_table() {
        let routing = Routing::default();
        let before = table(&["* a:1", "b a:1"]);
        let known = Arc::downgrade(&before);
        routing.set(before);
        let kept = routing.of(&asking("/", false, None), false).unwrap();
        assert_eq!(known.strong_count(), 1);
        routing.set(table(&["* a:2"]));
        assert_eq!(known.strong_count(), 0);
        assert_eq!(kept.to_string(), "* a:1");
    }
}
