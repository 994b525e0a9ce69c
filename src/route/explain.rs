//! Why a request takes its route and no other (specification, routing 2.7). Called by the roof, for
//! `linchpin explain`.
//!
//! Looks at every route, as one would who reads the file: it knows nothing of the index that
//! lookups use, and a test holds the two to each other.

use std::fmt;

use super::host_text::HostText;
use super::hosts::Query;
use super::line::Route;

/// What one route is to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request takes it.
    Chosen,
    /// It does not match, for each of these reasons.
    Differs(Vec<Difference>),
    /// It matches, but the chosen one is better.
    Beaten(Better),
}

/// Why a route does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It is found by its id only.
    ByIdOnly,
    /// It is for another host.
    Host,
    /// It is for hosts without rules of their own, and the request's has some.
    Shadowed,
    /// It is for the other kind of request.
    Proto,
    /// It is for the other kind of scheme.
    Ssl,
    /// The path begins otherwise.
    PathBeg,
    /// The request names another route by its id, or one that cannot serve it.
    Named,
}

/// Why the chosen route beats one that matches too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// It has `proto`.
    Proto,
    /// Its `path_beg` is longer.
    PathBeg,
    /// It has `ssl`.
    Ssl,
}

/// One verdict for each route. `chosen` is what the lookup found; `named` says that it went by an
/// id.
#[must_use]
pub fn verdicts<'a>(
    routes: impl Iterator<Item = &'a Route> + Clone,
    query: &Query<'_>,
    chosen: Option<usize>,
    named: bool,
) -> Vec<Verdict> {
    let text = HostText::new(query.host);
    let host = text.as_ref().map_or(query.host, HostText::as_str);
    let own = |route: &Route| route.condition.host.as_deref() == Some(host);
    let has_own = routes.clone().any(own);
    let best = chosen.and_then(|number| routes.clone().nth(number));
    let verdict = |(number, route): (usize, &Route)| {
        if chosen == Some(number) {
            return Verdict::Chosen;
        }
        if named {
            return Verdict::Differs(vec![Difference::Named]);
        }
        let differences = differences(route, query, own(route), has_own);
        match best {
            Some(best) if differences.is_empty() => Verdict::Beaten(better(best, route)),
            _ => Verdict::Differs(differences),
        }
    };
    routes.clone().enumerate().map(verdict).collect()
}

fn differences(route: &Route, query: &Query<'_>, own: bool, has_own: bool) -> Vec<Difference> {
    let condition = &route.condition;
    let mut found = Vec::new();
    if condition.by_id_only {
        return vec![Difference::ByIdOnly];
    }
    match &condition.host {
        Some(_) if !own => found.push(Difference::Host),
        None if has_own => found.push(Difference::Shadowed),
        _ => {}
    }
    if condition.websocket.is_some_and(|websocket| websocket != query.websocket) {
        found.push(Difference::Proto);
    }
    if condition.secure.is_some_and(|secure| secure != query.secure) {
        found.push(Difference::Ssl);
    }
    if condition.path_beg.as_deref().is_some_and(|front| !query.path.starts_with(front)) {
        found.push(Difference::PathBeg);
    }
    found
}

fn better(best: &Route, than: &Route) -> Better {
    let (best, than) = (&best.condition, &than.condition);
    let length = |path: &Option<_>| path.as_deref().map_or(0, str::len);
    if best.websocket.is_some() && than.websocket.is_none() {
        Better::Proto
    } else if length(&best.path_beg) > length(&than.path_beg) {
        Better::PathBeg
    } else {
        Better::Ssl
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Difference::ByIdOnly => "it has no host: it is found by its id only",
            Difference::Host => "another host",
            Difference::Shadowed => "the host has rules of its own, so those of `*` do not count",
            Difference::Proto => "proto differs",
            Difference::Ssl => "ssl differs",
            Difference::PathBeg => "the path does not begin with its path_beg",
            Difference::Named => "the request names a route by its id",
        })
    }
}

impl fmt::Display for Better {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Better::Proto => "which has proto",
            Better::PathBeg => "whose path_beg is longer",
            Better::Ssl => "which has ssl",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Table;
    use super::*;

    fn explain(lines: &[&str], query: &Query<'_>) -> Vec<Verdict> {
        let (table, problems) = Table::parse(lines.join("\n").as_bytes());
        assert!(problems.is_empty(), "{problems:?}");
        table.explain(None, query, false)
    }

    #[test]
    fn every_reason() {
        let lines = [
            "* a:1",
            "a.com a:1",
            "a.com,path_beg=/x a:1",
            "a.com,path_beg=/x,ssl=no a:1",
            "a.com,proto=http,path_beg=/x,ssl=yes a:1",
            "a.com,proto=http,ssl=no a:1",
            "b.com a:1",
            ",id=i a:1",
            "a.com,path_beg=/y,proto=ws,ssl=yes a:1",
        ];
        let query = Query { host: "a.com", path: "/x/y", websocket: false, secure: false };
        let differs = |difference| Verdict::Differs(vec![difference]);
        use Difference::{ByIdOnly, Host, PathBeg, Proto, Shadowed, Ssl};
        let mut expected = [
            differs(Shadowed),
            Verdict::Beaten(Better::Proto),
            Verdict::Beaten(Better::Proto),
            Verdict::Beaten(Better::Proto),
            differs(Ssl),
            Verdict::Chosen,
            differs(Host),
            differs(ByIdOnly),
            Verdict::Differs(vec![Proto, Ssl, PathBeg]),
        ];
        assert_eq!(explain(&lines, &query), expected);
        let socket = Query { websocket: true, ..query };
        expected[1] = Verdict::Beaten(Better::PathBeg);
        expected[2] = Verdict::Beaten(Better::Ssl);
        expected[3] = Verdict::Chosen;
        expected[4] = Verdict::Differs(vec![Proto, Ssl]);
        expected[5] = differs(Proto);
        expected[8] = Verdict::Differs(vec![Ssl, PathBeg]);
        assert_eq!(explain(&lines, &socket), expected);
    }

    #[test]
    fn a_named_route_needs_no_reasons() {
        let (table, _) = Table::parse(b"* a:1\nb,id=i,path_beg=/x a:1\n");
        let query = Query { host: "a.com", path: "/x/y", websocket: false, secure: false };
        let differs = Verdict::Differs(vec![Difference::Named]);
        assert_eq!(table.explain(Some("i"), &query, false), [differs.clone(), Verdict::Chosen]);
        let query = Query { path: "/", ..query };
        assert_eq!(table.explain(Some("i"), &query, false), [differs.clone(), differs]);
    }
}
