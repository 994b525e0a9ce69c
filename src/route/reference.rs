//! A route by itself: who is held by a route keeps it, and not the whole table that it came from.
//! Made by the roof's `Table`; used by `proxy`.

use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;

use super::line::Route;

/// A route of a table that may have been replaced since. Two are the same if they are of the same
/// table: an equal route of another table is another one.
#[derive(Clone, Debug)]
pub struct RouteRef {
    route: Kept,
    number: usize,
}

#[derive(Clone, Debug)]
enum Kept {
    /// Of the table that was compiled in.
    Compiled(&'static Route),
    /// Of a table that was read.
    Loaded(Arc<Route>),
}

impl RouteRef {
    /// Which one it was in its table.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }
}

impl Deref for RouteRef {
    type Target = Route;

    fn deref(&self) -> &Route {
        match &self.route {
            Kept::Compiled(route) => route,
            Kept::Loaded(route) => route,
        }
    }
}

impl PartialEq for RouteRef {
    fn eq(&self, other: &RouteRef) -> bool {
        ptr::eq(&raw const **self, &raw const **other)
    }
}

impl Eq for RouteRef {}

impl Hash for RouteRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&raw const **self).hash(state);
    }
}

/// The routes of a table, in file order.
#[derive(Clone, Debug)]
pub(super) enum Routes {
    Compiled(&'static [Route]),
    Loaded(Arc<[Arc<Route>]>),
}

impl Routes {
    pub(super) fn len(&self) -> usize {
        match self {
            Routes::Compiled(routes) => routes.len(),
            Routes::Loaded(routes) => routes.len(),
        }
    }

    pub(super) fn at(&self, number: usize) -> Option<&Route> {
        match self {
            Routes::Compiled(routes) => routes.get(number),
            Routes::Loaded(routes) => routes.get(number).map(Deref::deref),
        }
    }

    pub(super) fn share(&self, number: usize) -> Option<RouteRef> {
        let route = match self {
            Routes::Compiled(routes) => Kept::Compiled(routes.get(number)?),
            Routes::Loaded(routes) => Kept::Loaded(Arc::clone(routes.get(number)?)),
        };
        Some(RouteRef { route, number })
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Route> + Clone {
        (0..self.len()).map(|number| match self {
            Routes::Compiled(routes) => &routes[number],
            Routes::Loaded(routes) => &*routes[number],
        })
    }
}

impl Default for Routes {
    fn default() -> Routes {
        Routes::Compiled(&[])
    }
}

impl PartialEq for Routes {
    fn eq(&self, other: &Routes) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Routes {}

impl From<Vec<Route>> for Routes {
    fn from(routes: Vec<Route>) -> Routes {
        Routes::Loaded(routes.into_iter().map(Arc::new).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Table;

    #[test]
    fn a_route_outlives_its_table_and_is_only_itself() {
        let read = || Table::parse(b"* test\na.com b:1\n").0;
        let (table, other) = (read(), read());
        assert_eq!(table, other);
        let route = table.share(1).unwrap();
        assert!(table.share(2).is_none());
        assert!(route == table.share(1).unwrap() && route != table.share(0).unwrap());
        assert!(route != other.share(1).unwrap());
        drop(table);
        assert_eq!(route.condition.host.as_deref(), Some("a.com"));
    }
}
