//! Routes as the build script prints them: rows of plain values, which the compiler turns into
//! [`Route`]s. Used only by the printed source (see `print`).
//!
//! Printed as they are, a hundred thousand routes would take the compiler minutes: what has a
//! destructor is dear in constants. Rows have none, and one loop makes routes of them all.

use std::borrow::Cow;
use std::mem::{forget, replace};

use super::condition::{Condition, Options};
use super::line::Route;
use super::target::{Address, Target};

/// A text that may be absent.
type Text = Option<&'static str>;
/// A list as the routes hold it.
type List<T> = &'static [T];

/// A route; its options and targets by their places in tables of different ones.
#[derive(Clone, Copy, Debug)]
pub struct RouteRow {
    /// `Condition::host`.
    pub host: Text,
    /// `Condition::path_beg`.
    pub path_beg: Text,
    /// `Options::id`.
    pub id: Text,
    /// `Condition::by_id_only`, `Condition::websocket`, `Condition::secure`.
    pub class: (bool, Option<bool>, Option<bool>),
    /// A place in the table of options.
    pub options: u32,
    /// A place in the table of target lists.
    pub targets: u32,
    /// `Route::line`.
    pub line: u32,
}

/// [`Options`] without the id.
#[derive(Clone, Copy, Debug)]
pub struct OptionsRow {
    /// `Options::sig_iss`.
    pub sig_iss: Text,
    /// `Options::sig_key`.
    pub sig_key: Text,
    /// `Options::prefix`.
    pub prefix: &'static str,
    /// `Options::as_host`.
    pub as_host: Text,
    /// `Options::path_rem`.
    pub path_rem: u32,
    /// `Options::replace_beg`.
    pub replace_beg: Text,
    /// `Options::headers`.
    pub headers: List<(Cow<'static, str>, Cow<'static, str>)>,
    /// `Options::orig_headers`, `Options::debug`, `Options::no_grip`.
    pub flags: [bool; 3],
}

/// A [`Target`].
#[derive(Clone, Copy, Debug)]
pub struct TargetRow {
    /// `Target::address`; `None` is the test backend.
    pub address: Option<(&'static str, u16)>,
    /// `Target::host`.
    pub host: Text,
    /// `Target::subs`.
    pub subs: List<Cow<'static, str>>,
    /// `tls`, `untrusted`, `trust_connect_host`, `insecure`, `over_http`, `one_event`.
    pub flags: [bool; 6],
}

const fn text(text: Text) -> Option<Cow<'static, str>> {
    match text {
        Some(text) => Some(Cow::Borrowed(text)),
        None => None,
    }
}

/// The routes of the rows. `N` is their number.
#[must_use]
pub const fn routes<const N: usize>(
    rows: &[RouteRow; N],
    options: &[OptionsRow],
    targets: &[List<Target>],
) -> [Route; N] {
    let mut routes = [const { EMPTY }; N];
    let mut at = 0;
    while at < N {
        let row = &rows[at];
        let list = targets[row.targets as usize];
        // What is replaced is `EMPTY`, which owns nothing; a constant cannot run destructors.
        forget(replace(&mut routes[at], route(row, &options[row.options as usize], list)));
        at += 1;
    }
    routes
}

/// The targets of the rows. `N` is their number.
#[must_use]
pub const fn targets<const N: usize>(rows: &[TargetRow; N]) -> [Target; N] {
    let mut targets = [const { Target::to(Address::Test) }; N];
    let mut at = 0;
    while at < N {
        forget(replace(&mut targets[at], target(&rows[at])));
        at += 1;
    }
    targets
}

/// `length` targets from place `from` on.
#[must_use]
pub const fn part(targets: List<Target>, from: usize, length: usize) -> List<Target> {
    targets.split_at(from).1.split_at(length).0
}

const EMPTY: Route = Route {
    condition: Condition {
        host: None,
        by_id_only: true,
        websocket: None,
        secure: None,
        path_beg: None,
    },
    options: Options {
        id: None,
        sig_iss: None,
        sig_key: None,
        prefix: Cow::Borrowed(""),
        orig_headers: false,
        as_host: None,
        path_rem: 0,
        replace_beg: None,
        debug: false,
        headers: Cow::Borrowed(&[]),
        no_grip: false,
    },
    targets: Cow::Borrowed(&[]),
    line: 0,
};

const fn route(row: &RouteRow, options: &OptionsRow, targets: List<Target>) -> Route {
    let (by_id_only, websocket, secure) = row.class;
    let [orig_headers, debug, no_grip] = options.flags;
    Route {
        condition: Condition {
            host: text(row.host),
            by_id_only,
            websocket,
            secure,
            path_beg: text(row.path_beg),
        },
        options: Options {
            id: text(row.id),
            sig_iss: text(options.sig_iss),
            sig_key: text(options.sig_key),
            prefix: Cow::Borrowed(options.prefix),
            orig_headers,
            as_host: text(options.as_host),
            path_rem: options.path_rem,
            replace_beg: text(options.replace_beg),
            debug,
            headers: Cow::Borrowed(options.headers),
            no_grip,
        },
        targets: Cow::Borrowed(targets),
        line: row.line,
    }
}

const fn target(row: &TargetRow) -> Target {
    let [tls, untrusted, trust_connect_host, insecure, over_http, one_event] = row.flags;
    let address = match row.address {
        Some((host, port)) => Address::Tcp(Cow::Borrowed(host), port),
        None => Address::Test,
    };
    let subs = Cow::Borrowed(row.subs);
    let host = text(row.host);
    Target {
        address,
        tls,
        untrusted,
        trust_connect_host,
        insecure,
        host,
        subs,
        over_http,
        one_event,
    }
}
