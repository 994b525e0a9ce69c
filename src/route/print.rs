//! A table as Rust source: what the build script writes and `config` includes. Called by the roof.
//!
//! The source defines the constant `TABLE` and names our types by their last words; whoever includes
//! it imports `std::borrow::Cow` and from `route` `row`, `Route`, `Table`, `hosts::{Group, Index}`
//! and `target::Target`.

use std::collections::HashMap;
use std::fmt::{Display, Write};
use std::hash::Hash;

use super::condition::Options;
use super::hosts::{Group, Index};
use super::line::Route;
use super::target::{Address, Target};

/// The source of a table.
#[must_use]
pub fn source(routes: &[Route], index: &Index) -> String {
    let mut options = Numbered::default();
    let mut lists = Numbered::default();
    let mut rows = Vec::with_capacity(routes.len());
    for route in routes {
        let options = options.number(options_row(&route.options));
        let targets: Vec<String> = route.targets.iter().map(target_row).collect();
        rows.push(route_row(route, options, lists.number(targets)));
    }
    let mut from = 0;
    let parts = lists.kinds.iter().map(|list| {
        let part = format!("row::part(&TARGETS, {from}, {})", list.len());
        from += list.len();
        part
    });
    let parts: Vec<String> = parts.collect();
    let targets: Vec<String> = lists.kinds.concat();

    let mut out = String::from("// Printed by build.rs.\n\n");
    array(&mut out, "TARGET_ROWS", "row::TargetRow", &targets);
    // Long tables take the evaluator of constants longer than it finds normal.
    let patience = "#[allow(long_running_const_eval)]\n";
    let (count, target_count) = (rows.len(), targets.len());
    let _ = writeln!(
        out,
        "{patience}static TARGETS: [Target; {target_count}] = row::targets(&TARGET_ROWS);"
    );
    array(&mut out, "LISTS", "&[Target]", &parts);
    array(&mut out, "OPTIONS", "row::OptionsRow", &options.kinds);
    array(&mut out, "ROUTE_ROWS", "row::RouteRow", &rows);
    let _ = writeln!(
        out,
        "{patience}static ROUTES: [Route; {count}] = row::routes(&ROUTE_ROWS, &OPTIONS, &LISTS);"
    );
    numbers(&mut out, index);
    let _ = writeln!(
        out,
        "/// The routes of the build.\n\
         const TABLE: Table = Table::compiled(&ROUTES, Index {{ \
         hosts: Cow::Borrowed(&HOSTS), groups: Cow::Borrowed(&GROUPS), \
         entries: Cow::Borrowed(&ENTRIES), lengths: Cow::Borrowed(&LENGTHS), \
         paths: Cow::Borrowed(&PATHS), fallback: {:?} }});",
        index.fallback
    );
    out
}

/// The arrays of the index.
fn numbers(out: &mut String, index: &Index) {
    let slots = |slots: &[u64]| slots.iter().map(|slot| format!("{slot:#x}")).collect::<Vec<_>>();
    array(out, "HOSTS", "u64", &slots(&index.hosts));
    array(out, "PATHS", "u64", &slots(&index.paths));
    let group = |Group { entries, lengths }: &Group| {
        format!("Group {{ entries: {entries}, lengths: {lengths} }}")
    };
    array(out, "GROUPS", "Group", &index.groups.iter().map(group).collect::<Vec<_>>());
    array(out, "ENTRIES", "u32", &index.entries);
    array(out, "LENGTHS", "u32", &index.lengths);
}

/// A static array. Formatting into a string cannot fail.
fn array(out: &mut String, name: &str, kind: &str, items: &[impl Display]) {
    let _ = writeln!(out, "static {name}: [{kind}; {}] = [", items.len());
    for item in items {
        let _ = writeln!(out, "{item},");
    }
    out.push_str("];\n");
}

/// Different things, numbered as they come.
struct Numbered<K> {
    numbers: HashMap<K, usize>,
    kinds: Vec<K>,
}

impl<K> Default for Numbered<K> {
    fn default() -> Self {
        Numbered { numbers: HashMap::new(), kinds: Vec::new() }
    }
}

impl<K: Clone + Eq + Hash> Numbered<K> {
    fn number(&mut self, kind: K) -> usize {
        let next = self.kinds.len();
        let number = *self.numbers.entry(kind.clone()).or_insert(next);
        if number == next {
            self.kinds.push(kind);
        }
        number
    }
}

fn route_row(route: &Route, options: usize, targets: usize) -> String {
    let condition = &route.condition;
    format!(
        "row::RouteRow {{ host: {:?}, path_beg: {:?}, id: {:?}, class: ({:?}, {:?}, {:?}), \
         options: {options}, targets: {targets}, line: {} }}",
        condition.host,
        condition.path_beg,
        route.options.id,
        condition.by_id_only,
        condition.websocket,
        condition.secure,
        route.line
    )
}

fn options_row(options: &Options) -> String {
    let headers = options.headers.iter();
    let headers = headers.map(|(name, value)| format!("({}, {})", text(name), text(value)));
    format!(
        "row::OptionsRow {{ sig_iss: {:?}, sig_key: {:?}, prefix: {:?}, as_host: {:?}, \
         path_rem: {}, replace_beg: {:?}, headers: &[{}], flags: {:?} }}",
        options.sig_iss,
        options.sig_key,
        options.prefix,
        options.as_host,
        options.path_rem,
        options.replace_beg,
        headers.collect::<Vec<_>>().join(", "),
        [options.orig_headers, options.debug, options.no_grip]
    )
}

fn target_row(target: &Target) -> String {
    let Target { tls, untrusted, trust_connect_host, insecure, over_http, one_event, .. } = target;
    let address = match &target.address {
        Address::Tcp(host, port) => Some((host, port)),
        Address::Test => None,
    };
    let subs: Vec<String> = target.subs.iter().map(|sub| text(sub)).collect();
    format!(
        "row::TargetRow {{ address: {address:?}, host: {:?}, subs: &[{}], flags: {:?} }}",
        target.host,
        subs.join(", "),
        [tls, untrusted, trust_connect_host, insecure, over_http, one_event]
    )
}

/// A text as the routes hold it.
fn text(text: &str) -> String {
    format!("Cow::Borrowed({text:?})")
}
