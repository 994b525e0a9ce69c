//! The routes file: grammar, table, lookup. std only: `build.rs` includes this folder as it is and
//! prints the table as a constant; at run time `config` reads files with the same code. One type
//! and one matcher for both. Knows no file: it takes bytes and gives routes and problems.

pub mod balance;
pub mod condition;
pub mod cross_origin;
pub mod explain;
mod hash;
mod host_text;
pub mod hosts;
pub mod ids;
pub mod line;
mod names;
pub mod print;
pub mod problem;
mod records;
pub mod reference;
pub mod row;
pub mod sockjs;
pub mod target;
pub mod token;
mod url_text;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use condition::Condition;
use explain::Verdict;
use hosts::Index;
pub use hosts::Query;
use ids::Named;
pub use line::Route;
use problem::{DUPLICATE, Fault, Problem, Span};
use reference::{RouteRef, Routes};

/// All routes, indexed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    routes: Routes,
    index: Index,
}

impl Table {
    /// A table whose index was made of just these routes: what the build script prints.
    #[must_use]
    pub const fn compiled(routes: &'static [Route], index: Index) -> Table {
        Table { routes: Routes::Compiled(routes), index }
    }

    /// Reads a routes file: the routes of its good lines, and all that is wrong with it, in the
    /// order of the lines. Lines end in LF or CRLF.
    #[must_use]
    pub fn parse(file: &[u8]) -> (Table, Vec<Problem>) {
        let mut builder = Builder::default();
        builder.file(file);
        builder.finish()
    }

    /// The number (place in `routes`) of the route for a request (specification, routing 2.7).
    #[must_use]
    pub fn lookup(&self, query: &Query<'_>) -> Option<usize> {
        self.index.lookup(query)
    }

    /// What an id leads to.
    #[must_use]
    pub fn named(&self, id: &str) -> Named {
        ids::find(&self.index.ids, id, |number| self.route(number))
    }

    /// The number of the route for a request that names one by its id; without one, that of
    /// [`Table::lookup`]. A route that is named serves if the path begins as it wants; host, proto
    /// and ssl do not matter. An id that several routes have counts as none for WebSockets and for
    /// requests that are made again (`lenient`), and leads nowhere for others.
    #[must_use]
    pub fn lookup_named(
        &self,
        id: Option<&str>,
        query: &Query<'_>,
        lenient: bool,
    ) -> Option<usize> {
        let Some(id) = id else { return self.lookup(query) };
        match self.named(id) {
            Named::One(number) => {
                let beginning = self.route(number)?.condition.path_beg.as_deref();
                beginning
                    .is_none_or(|beginning| query.path.starts_with(beginning))
                    .then_some(number)
            }
            Named::Shared if lenient => self.lookup(query),
            Named::Shared | Named::Unknown => None,
        }
    }

    /// What each route is to a request that goes by [`Table::lookup_named`], in file order.
    #[must_use]
    pub fn explain(&self, id: Option<&str>, query: &Query<'_>, lenient: bool) -> Vec<Verdict> {
        let chosen = self.lookup_named(id, query, lenient);
        let shared = || id.is_some_and(|id| self.named(id) == Named::Shared);
        let named = id.is_some() && !(lenient && shared());
        explain::verdicts(self.routes(), query, chosen, named)
    }

    /// The routes in file order.
    #[must_use]
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &Route> + Clone {
        self.routes.iter()
    }

    /// The route of this number.
    #[must_use]
    pub fn route(&self, number: usize) -> Option<&Route> {
        self.routes.at(number)
    }

    /// The same, for whoever keeps it longer than the table is in use.
    #[must_use]
    pub fn share(&self, number: usize) -> Option<RouteRef> {
        self.routes.share(number)
    }

    /// Rust source with a constant `TABLE` that is this table; see [`print`].
    #[must_use]
    pub fn to_source(&self) -> String {
        print::source(self.routes(), &self.index)
    }
}

/// What no two routes may have in common: host, proto, ssl and path_beg.
type Key = (Option<Cow<'static, str>>, Option<bool>, Option<bool>, Option<Cow<'static, str>>);

/// Looks at the files that a target names: which one cannot be used, and why.
pub type Look = fn(&target::Target) -> Result<(), (String, String)>;

/// Looks at what a `sig_key` names: why it cannot sign.
pub type LookAtKey = fn(&str) -> Option<String>;

/// Reads lines one after another.
#[derive(Debug, Default)]
pub struct Builder {
    look: Option<Look>,
    look_at_key: Option<LookAtKey>,
    /// What was found out about keys: many lines may name the same one.
    keys_seen: HashMap<Cow<'static, str>, Option<String>>,
    routes: Vec<Route>,
    conditions: HashSet<Key>,
    problems: Vec<Problem>,
    keys: Option<PathBuf>,
}

impl Builder {
    /// From now on a `sig_key=file:...` with a relative path is one of this folder.
    pub fn keys_relative_to(&mut self, folder: &Path) {
        self.keys = Some(folder.to_owned());
    }

    /// From now on a line is left out if `look` says that files of its targets cannot be used.
    pub fn look_with(&mut self, look: Look) {
        self.look = Some(look);
    }

    /// From now on a key of which `look` says that it cannot sign is told.
    pub fn look_at_keys_with(&mut self, look: LookAtKey) {
        self.look_at_key = Some(look);
    }

    /// Reads the lines of a file, numbered from 1. A byte order mark before them is none of theirs.
    pub fn file(&mut self, file: &[u8]) {
        let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
        for (number, line) in (1_u32..).zip(file.split(|byte| *byte == b'\n')) {
            self.line(number, line);
        }
    }

    /// Reads one line, which may end in CR. A line that cannot serve is left out.
    pub fn line(&mut self, number: u32, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = String::from_utf8_lossy(line);
        let mut faults = Vec::new();
        if let (Some(at), Cow::Owned(_)) = (text.find(char::REPLACEMENT_CHARACTER), &text) {
            let span = Span { start: at, end: at + char::REPLACEMENT_CHARACTER.len_utf8() };
            faults.push(Fault::error(span, "not UTF-8", "text in UTF-8"));
        } else if let Some(route) = line::parse(&text, number, &mut faults) {
            self.add(route, &text, &mut faults);
        }
        let problem = |fault| Problem::new(number, &text, fault);
        self.problems.extend(faults.into_iter().map(problem));
    }

    fn add(&mut self, route: Route, text: &str, faults: &mut Vec<Fault>) {
        let Condition { host, by_id_only, websocket, secure, path_beg } = &route.condition;
        let key = (host.clone(), *websocket, *secure, path_beg.clone());
        let start = text.len() - text.trim_start_matches(' ').len();
        let span = Span { start, end: text.len() };
        let seen = self.look.map_or(Ok(()), |look| route.targets.iter().try_for_each(look));
        if let Err((file, reason)) = seen {
            let start = text.find(&file).unwrap_or(start);
            let span = Span { start, end: start.saturating_add(file.len()).min(text.len()) };
            faults.push(Fault::error(span, reason, "a PEM file that can be read"));
            return;
        }
        if self.routes.len() >= hosts::ROUTES_MAX {
            faults.push(Fault::error(span, "too many routes", "fewer routes"));
        } else if !by_id_only && !self.conditions.insert(key) {
            let expected = "a host, `proto`, `ssl` or `path_beg` that no earlier line has";
            faults.push(Fault::error(span, DUPLICATE, expected));
        } else {
            let route = self.with_key(route);
            self.look_at_key(&route, text, faults);
            self.routes.push(route);
        }
    }

    fn look_at_key(&mut self, route: &Route, text: &str, faults: &mut Vec<Fault>) {
        let (Some(look), Some(key)) = (self.look_at_key, &route.options.sig_key) else { return };
        let seen = self.keys_seen.entry(key.clone()).or_insert_with(|| look(key));
        let Some(reason) = seen else { return };
        let start = text.find("sig_key").unwrap_or(0);
        let length = text.get(start..).and_then(|from| from.find([',', ' ']));
        let end = start.saturating_add(length.unwrap_or(text.len())).min(text.len());
        faults.push(Fault::warning(
            Span { start, end },
            reason.clone(),
            "`sig_key=` and text, base64:... or file:... (PEM or hex)",
        ));
    }

    fn with_key(&self, mut route: Route) -> Route {
        let key = route.options.sig_key.as_deref().and_then(|key| key.strip_prefix("file:"));
        if let (Some(folder), Some(key)) = (&self.keys, key) {
            // A folder whose name is not UTF-8 cannot be a part of a key's text.
            if let Some(path) = folder.join(key).to_str() {
                route.options.sig_key = Some(format!("file:{path}").into());
            }
        }
        route
    }

    /// The table, and what was wrong.
    #[must_use]
    pub fn finish(self) -> (Table, Vec<Problem>) {
        let mut index = Index::new(&self.routes);
        index.ids = ids::index(self.routes.iter());
        (Table { routes: self.routes.into(), index }, self.problems)
    }
}

#[cfg(test)]
mod tests;
