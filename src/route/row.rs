//! Routes as the build script prints them: rows of plain values, which the compiler turns into
//! [`Route`]s. Used only by the printed source (see `print`).
//!
//! Printed as they are, a hundred thousand routes would take the compiler an hour: structures are
//! dear to check and what has a destructor is dear in constants. Arrays of numbers and texts are
//! cheap, and a loop for each kind makes structures of them all.

use std::borrow::Cow;
use std::mem::{forget, replace};

use super::balance::Balance;
use super::condition::{Condition, Options, Slow};
use super::cross_origin::JsonP;
use super::line::Route;
use super::sockjs::SockJs;
use super::target::{Address, Target};

/// A list as the routes hold it.
type List<T> = &'static [T];
/// A text that may be absent.
type Text = Option<&'static str>;
/// The texts of a table, each different one once.
type Texts<'a> = &'a [&'static str];

/// A route: `host`, `path_beg` and `id` as places in the texts plus one (0: none); the class, see
/// [`class`]; its options and its targets as places in their lists; its line.
pub type RouteRow = [u32; 7];

/// A target: the host, or the path of a unix socket, as a place in the texts plus one (0: the test
/// backend); the port (0: a unix socket); `host` as a
/// place in the texts plus one; the place of `subs` in their list; the flags, in the bits of
/// [`target`]; `client_cert`, `client_key` and `check` as places in the texts plus one.
pub type TargetRow = [u32; 8];

/// The parts of a table that are as they are in the routes.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// All texts.
    pub texts: Texts<'a>,
    /// Different options.
    pub options: &'a [OptionsRow],
    /// Different lists of targets.
    pub lists: &'a [List<Target>],
}

/// [`SockJs`]: `base`, `as_path`, `websocket` and `cookie`, `response_bytes_max`.
pub type SockJsRow = (&'static str, Text, [bool; 2], Option<u32>);

/// [`JsonP`]: its fields.
pub type JsonPRow = (bool, &'static str, Text, Text, Text);

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
    /// `orig_headers`, `debug`, `no_grip`, `aco` and `session` of [`Options`].
    pub flags: [bool; 5],
    /// `Options::slow` by its number.
    pub slow: u8,
    /// `Options::sockjs`.
    pub sockjs: Option<SockJsRow>,
    /// `Options::jsonp`.
    pub jsonp: JsonPRow,
    /// `Options::log_level`.
    pub log_level: Option<u8>,
    /// `Options::balance` by its number.
    pub balance: u8,
}

/// The text at `place` less one.
const fn text(texts: Texts<'_>, place: u32) -> Option<Cow<'static, str>> {
    match place {
        0 => None,
        _ => Some(Cow::Borrowed(texts[place as usize - 1])),
    }
}

const fn owned(text: Text) -> Option<Cow<'static, str>> {
    match text {
        Some(text) => Some(Cow::Borrowed(text)),
        None => None,
    }
}

/// Whether a bit is set.
const fn bit(bits: u32, place: u32) -> bool {
    bits >> place & 1 == 1
}

/// Two bits: whether there is an answer, and whether it is yes.
const fn answer(bits: u32, place: u32) -> Option<bool> {
    if bit(bits, place) { Some(bit(bits, place + 1)) } else { None }
}

/// The routes of the rows. `N` is their number.
#[must_use]
pub const fn routes<const N: usize>(rows: &[RouteRow; N], parts: Parts<'_>) -> [Route; N] {
    let mut routes = [const { EMPTY }; N];
    let mut at = 0;
    while at < N {
        // What is replaced is `EMPTY`, which owns nothing; a constant cannot run destructors.
        forget(replace(&mut routes[at], route(&rows[at], parts)));
        at += 1;
    }
    routes
}

/// The targets of the rows. `N` is their number.
#[must_use]
pub const fn targets<const N: usize>(
    rows: &[TargetRow; N],
    texts: Texts<'_>,
    subs: &[List<Cow<'static, str>>],
) -> [Target; N] {
    let mut targets = [const { Target::to(Address::Test) }; N];
    let mut at = 0;
    while at < N {
        forget(replace(&mut targets[at], target(&rows[at], texts, subs)));
        at += 1;
    }
    targets
}

/// Consecutive parts of `targets`, each of so many targets. `N` is the number of parts.
#[must_use]
pub const fn lists<const N: usize>(targets: List<Target>, lengths: &[u32; N]) -> [List<Target>; N] {
    let mut lists: [List<Target>; N] = [&[]; N];
    let mut rest = targets;
    let mut at = 0;
    while at < N {
        (lists[at], rest) = rest.split_at(lengths[at] as usize);
        at += 1;
    }
    lists
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
        slow: None,
        sockjs: None,
        aco: false,
        jsonp: JsonP::DEFAULT,
        session: false,
        log_level: None,
        balance: Balance::First,
    },
    targets: Cow::Borrowed(&[]),
    line: 0,
};

const fn route(row: &RouteRow, parts: Parts<'_>) -> Route {
    let [host, path_beg, id, class, options, targets, line] = *row;
    let options = &parts.options[options as usize];
    let [orig_headers, debug, no_grip, aco, session] = options.flags;
    Route {
        condition: Condition {
            host: text(parts.texts, host),
            by_id_only: bit(class, 0),
            websocket: answer(class, 1),
            secure: answer(class, 3),
            path_beg: text(parts.texts, path_beg),
        },
        options: Options {
            id: text(parts.texts, id),
            sig_iss: owned(options.sig_iss),
            sig_key: owned(options.sig_key),
            prefix: Cow::Borrowed(options.prefix),
            orig_headers,
            as_host: owned(options.as_host),
            path_rem: options.path_rem,
            replace_beg: owned(options.replace_beg),
            debug,
            headers: Cow::Borrowed(options.headers),
            no_grip,
            slow: match options.slow {
                0 => None,
                number => Some(Slow::ALL[number as usize - 1]),
            },
            sockjs: match options.sockjs {
                None => None,
                Some(row) => Some(sockjs(row)),
            },
            aco,
            jsonp: jsonp(options.jsonp),
            session,
            log_level: options.log_level,
            balance: Balance::ALL[options.balance as usize],
        },
        targets: Cow::Borrowed(parts.lists[targets as usize]),
        line,
    }
}

const fn sockjs(row: SockJsRow) -> SockJs {
    let (base, as_path, [websocket, cookie], response_bytes_max) = row;
    let as_path = owned(as_path);
    SockJs { base: Cow::Borrowed(base), as_path, websocket, cookie, response_bytes_max }
}

const fn jsonp(row: JsonPRow) -> JsonP {
    let (extended, callback, body, default_callback, default_method) = row;
    JsonP {
        extended,
        callback: Cow::Borrowed(callback),
        body: owned(body),
        default_callback: owned(default_callback),
        default_method: owned(default_method),
    }
}

const fn target(row: &TargetRow, texts: Texts<'_>, subs: &[List<Cow<'static, str>>]) -> Target {
    let [address, port, host, sub, flags, client_cert, client_key, check] = *row;
    Target {
        address: match address {
            0 => Address::Test,
            _ if port == 0 => Address::Unix(Cow::Borrowed(texts[address as usize - 1])),
            _ => Address::Tcp(Cow::Borrowed(texts[address as usize - 1]), port as u16),
        },
        tls: bit(flags, 0),
        untrusted: bit(flags, 1),
        trust_connect_host: bit(flags, 2),
        insecure: bit(flags, 3),
        host: text(texts, host),
        subs: Cow::Borrowed(subs[sub as usize]),
        over_http: bit(flags, 4),
        one_event: bit(flags, 5),
        client_cert: text(texts, client_cert),
        client_key: text(texts, client_key),
        check: text(texts, check),
    }
}
