//! From an id to the number of a route (specification, routing 2.7). Called by the roof.
//!
//! A route without `id` has an implicit one, made of its condition. It is written down nowhere:
//! the index holds hashes, and what is found is compared piece by piece. So a lookup allocates
//! nothing, and the build script prints an array of numbers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use super::condition::Condition;
use super::hash::{Slots, hash, probe, seed};
use super::line::Route;

/// The seed of the hashes of ids.
const IDS: u32 = u32::MAX - 1;
/// On a number: other routes have the same id. No number is so large.
const SHARED: u32 = 1 << 31;

/// What an id leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// To the route of this number.
    One(usize),
    /// To several.
    Shared,
    /// To none.
    Unknown,
}

/// The index.
#[must_use]
pub fn index<'a>(routes: impl Iterator<Item = &'a Route> + Clone) -> Cow<'static, [u64]> {
    let mut numbers: HashMap<String, u32> = HashMap::new();
    for (number, route) in (0_u32..).zip(routes) {
        let known = numbers.entry(Id(route).to_string());
        known.and_modify(|first| *first |= SHARED).or_insert(number);
    }
    let mut sorted: Vec<_> = numbers.into_iter().collect();
    // The same file gives the same array, whatever the order of the map.
    sorted.sort_unstable_by_key(|(_, number)| number & !SHARED);
    let mut slots = Slots::with_room_for(sorted.len());
    for (id, number) in sorted {
        slots.insert(hash(seed(IDS), id.as_bytes()), number);
    }
    slots.into()
}

/// What an id leads to; `route` gives the route of a number.
pub fn find<'a>(slots: &[u64], id: &str, route: impl Fn(usize) -> Option<&'a Route>) -> Named {
    for found in probe(slots, hash(seed(IDS), id.as_bytes())) {
        let number = (found & !SHARED) as usize;
        if route(number).is_some_and(|route| is(route, id)) {
            return if found & SHARED == 0 { Named::One(number) } else { Named::Shared };
        }
    }
    Named::Unknown
}

/// Whether this is the route's id.
fn is(route: &Route, id: &str) -> bool {
    match &route.options.id {
        Some(explicit) => **explicit == *id,
        None => pieces(&route.condition)
            .iter()
            .try_fold(id, |rest, piece| rest.strip_prefix(piece))
            .is_some_and(str::is_empty),
    }
}

/// What an implicit id consists of. `no-ssl` stands for `ssl=yes` and `ssl` for `ssl=no`: so it is
/// in Pushpin, and those who send ids know it so.
fn pieces(condition: &Condition) -> [&str; 7] {
    let host = condition.host.as_deref().unwrap_or("*");
    let proto = condition.websocket.map_or("*", |websocket| if websocket { "ws" } else { "http" });
    let ssl = condition.secure.map_or("*", |secure| if secure { "no-ssl" } else { "ssl" });
    let path = condition.path_beg.as_deref().unwrap_or("*");
    [host, ",", proto, ",", ssl, ",", path]
}

/// A route's id, explicit or implicit.
#[derive(Clone, Copy, Debug)]
pub struct Id<'a>(pub &'a Route);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.options.id {
            Some(id) => f.write_str(id),
            None => pieces(&self.0.condition).iter().try_for_each(|piece| f.write_str(piece)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Table;
    use super::*;

    fn table(lines: &[&str]) -> Table {
        let (table, problems) = Table::parse(lines.join("\n").as_bytes());
        assert!(problems.is_empty(), "{problems:?}");
        table
    }

    #[test]
    fn explicit_and_implicit() {
        let table = table(&[
            "* a:1",
            "a.com,ssl=no,path_beg=/x a:1",
            "a.com,ssl=yes,proto=ws a:1",
            "a.com,id=mine a:1",
            "[::1],proto=http a:1",
            ",id=hidden a:1",
        ]);
        for (id, number) in [
            ("*,*,*,*", 0),
            ("a.com,*,ssl,/x", 1),
            ("a.com,ws,no-ssl,*", 2),
            ("mine", 3),
            ("::1,http,*,*", 4),
            ("hidden", 5),
        ] {
            assert_eq!(table.named(id), Named::One(number), "{id}");
            assert_eq!(Id(table.route(number).unwrap()).to_string(), id);
        }
        for unknown in ["", "a.com", "a.com,*,*,*", "*,*,*,*,", "*,*,*,", "hidden "] {
            assert_eq!(table.named(unknown), Named::Unknown, "{unknown}");
        }
        assert_eq!(Table::default().named("x"), Named::Unknown);
    }

    #[test]
    fn an_id_of_several_is_none_of_theirs() {
        let table = table(&[
            "a.com,id=x a:1",
            "b.com,id=x a:1",
            "c.com,id=x a:1",
            "* a:1",
            ",debug a:1",
            "d.com,id=\"e.com,*,*,*\" a:1",
            "e.com a:1",
        ]);
        for shared in ["x", "*,*,*,*", "e.com,*,*,*"] {
            assert_eq!(table.named(shared), Named::Shared, "{shared}");
        }
        assert_eq!(table.named("d.com,*,*,*"), Named::Unknown);
    }
}
