//! A table as Rust source: what the build script writes and `config` includes. Called by the roof.
//!
//! The source defines the constant `TABLE` and names our types by their last words; whoever
//! includes it imports `std::borrow::Cow` and from `route` `row`, `Route`, `Table`, `hosts::Index`
//! and `target::Target`.

use std::collections::HashMap;
use std::fmt::{Display, Write};
use std::hash::Hash;

use super::condition::{Condition, Options, Slow};
use super::cross_origin::JsonP;
use super::hosts::Index;
use super::line::Route;
use super::sockjs::SockJs;
use super::target::{Address, Target};

/// The source of a table.
#[must_use]
pub fn source<'a>(routes: impl Iterator<Item = &'a Route>, index: &Index) -> String {
    let mut parts = Parts::default();
    let rows: Vec<[usize; 7]> = routes.map(|route| parts.route(route)).collect();
    let Parts { texts, options, subs, lists } = parts;
    let lengths: Vec<usize> = lists.kinds.iter().map(Vec::len).collect();
    let targets: Vec<[usize; 8]> = lists.kinds.concat();

    let mut out = String::from("// Printed by build.rs.\n\n");
    array(&mut out, "TEXTS", "&str", texts.kinds.iter().map(quoted));
    array(&mut out, "SUBS", "&[Cow<'static, str>]", &subs.kinds);
    array(&mut out, "TARGET_ROWS", "row::TargetRow", targets.iter().map(numbers));
    array(&mut out, "LENGTHS_OF_LISTS", "u32", &lengths);
    array(&mut out, "OPTIONS", "row::OptionsRow", &options.kinds);
    array(&mut out, "ROUTE_ROWS", "row::RouteRow", rows.iter().map(numbers));
    let how = "row::targets(&TARGET_ROWS, &TEXTS, &SUBS)";
    made(&mut out, "TARGETS", "Target", targets.len(), how);
    made(&mut out, "LISTS", "&[Target]", lengths.len(), "row::lists(&TARGETS, &LENGTHS_OF_LISTS)");
    let parts = "row::Parts { texts: &TEXTS, options: &OPTIONS, lists: &LISTS }";
    made(&mut out, "ROUTES", "Route", rows.len(), &format!("row::routes(&ROUTE_ROWS, {parts})"));
    arrays_of(&mut out, index);
    let _ = writeln!(
        out,
        "/// The routes of the build.\n\
         const TABLE: Table = Table::compiled(&ROUTES, Index {{ \
         hosts: Cow::Borrowed(&HOSTS), paths: Cow::Borrowed(&PATHS), \
         records: Cow::Borrowed(&RECORDS), fallback: {:?}, ids: Cow::Borrowed(&IDS) }});",
        index.fallback
    );
    out
}

/// The arrays of the index.
fn arrays_of(out: &mut String, index: &Index) {
    array(out, "HOSTS", "u64", index.hosts.iter());
    array(out, "PATHS", "u64", index.paths.iter());
    array(out, "IDS", "u64", index.ids.iter());
    // As text: the compiler takes millions of single numbers badly.
    let (length, bytes) = (index.records.len(), index.records.escape_ascii());
    let _ = writeln!(out, "static RECORDS: [u8; {length}] = *b\"{bytes}\";");
}

/// A static array. Formatting into a string cannot fail.
fn array<I>(out: &mut String, name: &str, kind: &str, items: I)
where
    I: IntoIterator<Item: Display>,
{
    let mut text = String::new();
    let mut length = 0_usize;
    for item in items {
        let _ = writeln!(text, "{item},");
        length += 1;
    }
    let _ = writeln!(out, "static {name}: [{kind}; {length}] = [\n{text}];");
}

fn quoted(text: &String) -> String {
    format!("{text:?}")
}

fn numbers<const N: usize>(row: &[usize; N]) -> String {
    format!("{row:?}")
}

/// A static array that is made of others. Long ones take the compiler longer to evaluate than it
/// finds normal.
fn made(out: &mut String, name: &str, kind: &str, length: usize, how: &str) {
    out.push_str("#[allow(long_running_const_eval)]\n");
    let _ = writeln!(out, "static {name}: [{kind}; {length}] = {how};");
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

/// The different parts of routes, as they come.
#[derive(Default)]
struct Parts {
    texts: Numbered<String>,
    options: Numbered<String>,
    subs: Numbered<String>,
    lists: Numbered<Vec<[usize; 8]>>,
}

impl Parts {
    fn text(&mut self, text: Option<&str>) -> usize {
        text.map_or(0, |text| self.texts.number(text.to_owned()) + 1)
    }

    /// See [`row::RouteRow`](super::row::RouteRow).
    fn route(&mut self, route: &Route) -> [usize; 7] {
        let Condition { host, by_id_only, websocket, secure, path_beg } = &route.condition;
        let targets = route.targets.iter().map(|target| self.target(target)).collect();
        let yes = Some(true);
        let class =
            [*by_id_only, websocket.is_some(), *websocket == yes, secure.is_some(), *secure == yes];
        [
            self.text(host.as_deref()),
            self.text(path_beg.as_deref()),
            self.text(route.options.id.as_deref()),
            bits(&class),
            self.options.number(options_row(&route.options)),
            self.lists.number(targets),
            route.line as usize,
        ]
    }

    /// See [`row::TargetRow`](super::row::TargetRow).
    fn target(&mut self, target: &Target) -> [usize; 8] {
        let (host, port) = match &target.address {
            Address::Tcp(host, port) => (Some(host.as_ref()), *port),
            // No other target has port 0.
            Address::Unix(path) => (Some(path.as_ref()), 0),
            Address::Test => (None, 0),
        };
        let subs: Vec<String> = target.subs.iter().map(|sub| text(sub)).collect();
        let flags = [
            target.tls,
            target.untrusted,
            target.trust_connect_host,
            target.insecure,
            target.over_http,
            target.one_event,
        ];
        [
            self.text(host),
            usize::from(port),
            self.text(target.host.as_deref()),
            self.subs.number(format!("&[{}]", subs.join(", "))),
            bits(&flags),
            self.text(target.client_cert.as_deref()),
            self.text(target.client_key.as_deref()),
            self.text(target.check.as_deref()),
        ]
    }
}

fn bits(flags: &[bool]) -> usize {
    flags.iter().rev().fold(0, |bits, flag| bits << 1 | usize::from(*flag))
}

fn options_row(options: &Options) -> String {
    let headers = options.headers.iter();
    let headers = headers.map(|(name, value)| format!("({}, {})", text(name), text(value)));
    format!(
        "row::OptionsRow {{ sig_iss: {:?}, sig_key: {:?}, prefix: {:?}, as_host: {:?}, \
         path_rem: {}, replace_beg: {:?}, headers: &[{}], flags: {:?}, \
         slow: {}, sockjs: {:?}, jsonp: {:?}, log_level: {:?}, balance: {} }}",
        options.sig_iss,
        options.sig_key,
        options.prefix,
        options.as_host,
        options.path_rem,
        options.replace_beg,
        headers.collect::<Vec<_>>().join(", "),
        [options.orig_headers, options.debug, options.no_grip, options.aco, options.session],
        Slow::number(options.slow),
        options.sockjs.as_ref().map(|sockjs| {
            let SockJs { base, as_path, websocket, cookie, response_bytes_max } = sockjs;
            (base, as_path, [websocket, cookie], response_bytes_max)
        }),
        {
            let JsonP { extended, callback, body, default_callback, default_method } =
                &options.jsonp;
            (extended, callback, body, default_callback, default_method)
        },
        options.log_level,
        options.balance.number()
    )
}

/// A text as the routes hold it.
fn text(text: &str) -> String {
    format!("Cow::Borrowed({text:?})")
}
