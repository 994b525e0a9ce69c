//! What a route matches, and its options: the first section of a line (specification, routing 2.3
//! and 2.4). Called by `line`; the types are used wherever a route is.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use super::balance::Balance;
use super::cross_origin::JsonP;
use super::host_text::HostText;
use super::names;
use super::problem::{Fault, Span};
use super::sockjs::{Draft, SockJs};
use super::token::{Prop, Section};
use super::url_text;

/// What a route matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The host; `None` for `*` and for routes that are reachable only by id.
    ///
    /// In lower case, as request hosts are. That is a deliberate correction: in Pushpin a host with
    /// an upper-case letter silently never matches. IPv6 addresses have no brackets and the
    /// canonical spelling.
    pub host: Option<Cow<'static, str>>,
    /// The route is reachable only by its id (the condition's value is empty).
    pub by_id_only: bool,
    /// `proto=ws` is `Some(true)`, `proto=http` is `Some(false)`.
    pub websocket: Option<bool>,
    /// `ssl=yes` is `Some(true)`, `ssl=no` is `Some(false)`.
    pub secure: Option<bool>,
    /// The path must start with these bytes (still percent-encoded).
    pub path_beg: Option<Cow<'static, str>>,
}

/// How a route's requests are treated (specification, routing 2.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The explicit id: lookup by id, and a label in logs.
    pub id: Option<Cow<'static, str>>,
    /// `iss` of `Grip-Sig`.
    pub sig_iss: Option<Cow<'static, str>>,
    /// Signing key, as written (`text`, `base64:...`, `file:...`).
    pub sig_key: Option<Cow<'static, str>>,
    /// Prepended to every channel name of this route's connections.
    pub prefix: Cow<'static, str>,
    /// Mirror client headers with a marker prefix.
    pub orig_headers: bool,
    /// Replaces host and port of the request URL.
    pub as_host: Option<Cow<'static, str>>,
    /// Drop so many bytes from the front of the encoded path.
    pub path_rem: u32,
    /// Drop `path_beg` from the front and prepend this; overrides `path_rem`.
    pub replace_beg: Option<Cow<'static, str>>,
    /// Informative error bodies.
    pub debug: bool,
    /// Headers to set (or, with an empty value, to remove) before all else, in file order; they are
    /// applied last to first.
    pub headers: Cow<'static, [(Cow<'static, str>, Cow<'static, str>)]>,
    /// A plain reverse proxy: nothing of GRIP is added or carried out.
    pub no_grip: bool,
    /// What is done with a held client that does not read; `None` is what is done with all.
    pub slow: Option<Slow>,
    /// SockJS is spoken below a path.
    pub sockjs: Option<SockJs>,
    /// Pages of other origins are served (CORS and JSON-P).
    pub aco: bool,
    /// How JSON-P is spoken, where it is.
    pub jsonp: JsonP,
    /// Sessions of requests are detected (only with a service for session state).
    pub session: bool,
    /// The highest level that this route's own log lines may have (0 is errors only); `None` is
    /// that of the process.
    pub log_level: Option<u8>,
    /// Which target a request goes to first.
    pub balance: Balance,
}

/// What is done with a client that does not read as fast as it is published to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// It is closed.
    Close,
    /// The oldest messages that wait for it are dropped.
    DropOldest,
    /// All messages that wait for it are dropped but the newest.
    Conflate,
}

impl Slow {
    /// All, in the order of [`Slow::number`].
    pub const ALL: [Slow; 3] = [Slow::Close, Slow::DropOldest, Slow::Conflate];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Slow::Close => "close",
            Slow::DropOldest => "drop-oldest",
            Slow::Conflate => "conflate",
        }
    }

    /// Its place in [`Slow::ALL`] plus one; 0 is none.
    #[must_use]
    pub const fn number(slow: Option<Slow>) -> u8 {
        match slow {
            None => 0,
            Some(slow) => slow as u8 + 1,
        }
    }
}

/// Reads the first section. What is wrong is added to `faults`; the values are of use only if no
/// error is among them.
pub fn parse(section: &Section, faults: &mut Vec<Fault>) -> (Condition, Options) {
    let value = section.value.as_str();
    let mut condition = Condition {
        host: (!matches!(value, "" | "*")).then(|| host(value).into()),
        by_id_only: value.is_empty(),
        websocket: None,
        secure: None,
        path_beg: None,
    };
    doubt_host(value, section.value_span, faults);
    let mut options = Options::default();
    let mut headers = Vec::new();
    let mut sockjs = Draft::default();
    for prop in &section.props {
        let text = || Some(Cow::Owned(prop.text.clone()));
        match prop.name.as_str() {
            "proto" => condition.websocket = either(prop, "ws", "http", faults),
            "ssl" => condition.secure = either(prop, "yes", "no", faults),
            "path_beg" if prop.text.is_empty() => {
                faults.push(Fault::error(prop.span, "path_beg cannot be empty", "`path_beg=/...`"));
            }
            "path_beg" => {
                url_text::doubt_beginning(prop, faults);
                condition.path_beg = text();
            }
            "id" => options.id = text().filter(|id| !id.is_empty()),
            "sig_iss" => options.sig_iss = text().filter(|issuer| !issuer.is_empty()),
            "sig_key" => options.sig_key = text().filter(|key| !key.is_empty()),
            "prefix" => options.prefix = prop.text.clone().into(),
            "orig_headers" => options.orig_headers = true,
            "as_host" => options.as_host = url_text::host(prop, faults),
            "path_rem" => options.path_rem = number(prop, "a number of bytes", faults),
            "replace_beg" => options.replace_beg = Some(url_text::encoded(&prop.text).into()),
            "debug" => options.debug = true,
            "header" => headers.extend(header(prop, faults)),
            "no_grip" => options.no_grip = true,
            "slow" => options.slow = slow(prop, faults),
            "aco" => options.aco = true,
            "session" => {
                options.session = true;
                let reason = "session has no effect: there is no service for session state";
                faults.push(Fault::warning(prop.span, reason, "a line without it"));
            }
            "log_level" => {
                let level = number(prop, "a number from 0 to 4", faults);
                options.log_level = Some(u8::try_from(level).unwrap_or(u8::MAX));
            }
            "balance" => options.balance = Balance::read(prop, faults),
            _ if options.jsonp.read(prop, faults) => {}
            _ if sockjs.read(prop, faults) => {}
            name => faults.push(names::unknown(prop.span, name, false)),
        }
    }
    options.headers = headers.into();
    options.sockjs = sockjs.finish(faults);
    (condition, options)
}

/// The host as lookups compare it: see [`Condition::host`].
fn host(value: &str) -> String {
    match HostText::new(value) {
        Some(address) => address.as_str().to_owned(),
        None => value.to_ascii_lowercase(),
    }
}

/// Warns of hosts that no request can have.
fn doubt_host(value: &str, span: Span, faults: &mut Vec<Fault>) {
    if matches!(value, "" | "*") || HostText::new(value).is_some() {
        return;
    }
    let (reason, expected) = if value.contains(':') {
        ("a condition's host has no port", "a host alone: a request's port does not matter")
    } else if value.contains('*') {
        ("a condition's host is matched as it is", "a whole host name, or `*` alone")
    } else if !value.is_ascii() {
        ("hosts of requests are never in Unicode", "the host's ASCII form (`xn--...`)")
    } else if url_text::is_number(value) && value.parse::<Ipv4Addr>().is_err() {
        ("a host that ends in a number is an address", "its usual form, as in `127.0.0.1`")
    } else {
        return;
    };
    faults.push(Fault::warning(span, reason, expected));
}

/// `Some(true)` for `yes`, `Some(false)` for `no`, both given by the caller.
fn either(prop: &Prop, yes: &str, no: &str, faults: &mut Vec<Fault>) -> Option<bool> {
    let (first, second) = if yes == "ws" { (no, yes) } else { (yes, no) };
    if prop.text != yes && prop.text != no {
        let reason = format!("{} must be set to '{first}' or '{second}'", prop.name);
        faults.push(Fault::error(prop.text_span, reason, format!("`{first}` or `{second}`")));
    }
    Some(prop.text == yes)
}

fn slow(prop: &Prop, faults: &mut Vec<Fault>) -> Option<Slow> {
    let slow = Slow::ALL.into_iter().find(|slow| slow.word() == prop.text);
    if slow.is_none() {
        let reason = "slow must be set to 'close', 'drop-oldest' or 'conflate'";
        let expected = "`close`, `drop-oldest` or `conflate`";
        faults.push(Fault::error(prop.text_span, reason, expected));
    }
    slow
}

/// As in Pushpin, what is not a number counts as 0; but it is told.
fn number(prop: &Prop, expected: &str, faults: &mut Vec<Fault>) -> u32 {
    prop.text.parse().unwrap_or_else(|_| {
        let reason = format!("{} is not a number and counts as 0", prop.name);
        faults.push(Fault::warning(prop.text_span, reason, expected));
        0
    })
}

type Header = (Cow<'static, str>, Cow<'static, str>);

fn header(prop: &Prop, faults: &mut Vec<Fault>) -> Option<Header> {
    let mut wrong = |reason: &str, expected: &str| {
        faults.push(Fault::error(prop.text_span, reason, expected));
        None
    };
    let Some((name, value)) = prop.text.split_once(':').filter(|(name, _)| !name.is_empty()) else {
        return wrong("header must use format 'name:value'", "`header=name:value`");
    };
    let value = value.trim_start_matches(' ');
    // Pushpin takes these and then sends what no backend can parse.
    if !name.bytes().all(token) {
        return wrong("invalid header name", "letters, digits and any of !#$%&'*+-.^_`|~");
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return wrong("invalid header value", "a value without control characters");
    }
    Some((name.to_owned().into(), value.to_owned().into()))
}

/// A character of a header's name (RFC 9110, 5.6.2).
fn token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::super::problem::Severity;
    use super::super::token::sections;
    use super::*;

    fn read(line: &str) -> (Condition, Options, Vec<Fault>) {
        let mut faults = Vec::new();
        let (condition, options) = parse(&sections(line).unwrap()[0], &mut faults);
        (condition, options, faults)
    }

    fn reasons(line: &str) -> Vec<String> {
        read(line).2.into_iter().map(|fault| fault.reason).collect()
    }

    #[test]
    fn everything_at_once() {
        let (condition, options, faults) = read(
            "A.com,proto=ws,ssl=no,path_beg=/x,id=i,sig_iss=s,sig_key=k,prefix=p-,orig_headers,\
             as_host=b:1,path_rem=4,replace_beg=/y,debug=false,header=X-A:b,header=\"X-B:  c d\",no_grip,slow=conflate,\
             sockjs=/sj,aco,jsonp_mode=basic,log_level=1,balance=least",
        );
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(condition.host.as_deref(), Some("a.com"));
        assert_eq!((condition.websocket, condition.secure), (Some(true), Some(false)));
        assert_eq!(condition.path_beg.as_deref(), Some("/x"));
        let headers = [("X-A".into(), "b".into()), ("X-B".into(), "c d".into())].to_vec();
        let expected = Options {
            id: Some("i".into()),
            sig_iss: Some("s".into()),
            sig_key: Some("k".into()),
            prefix: "p-".into(),
            orig_headers: true,
            as_host: Some("b:1".into()),
            path_rem: 4,
            replace_beg: Some("/y".into()),
            debug: true,
            headers: headers.into(),
            no_grip: true,
            slow: Some(Slow::Conflate),
            sockjs: read(",sockjs=/sj").1.sockjs,
            aco: true,
            jsonp: JsonP { extended: false, ..JsonP::DEFAULT },
            session: false,
            log_level: Some(1),
            balance: Balance::Least,
        };
        assert!(expected.sockjs.is_some());
        assert_eq!(options, expected);
    }

    #[test]
    fn values() {
        assert!(read("*").0.host.is_none() && !read("*").0.by_id_only);
        assert!(read("id=x").0.by_id_only && read(",id=x").0.by_id_only);
        for spelling in ["[::1]", "::1", "[0:0:0:0:0:0:0:1]", "[0::0001]"] {
            assert_eq!(read(spelling).0.host.as_deref(), Some("::1"));
        }
        assert_eq!(read("a,proto=http,proto=ws").0.websocket, Some(true));
        let (_, options, faults) = read("a,id=,sig_iss=,sig_key=,as_host=");
        assert_eq!((options, faults.len()), (Options::default(), 0));
        let (_, options, _) = read("a,header=X-A:");
        assert_eq!(options.headers.as_ref(), [("X-A".into(), "".into())]);
        for (number, slow) in (1..).zip(Slow::ALL) {
            let (_, options, faults) = read(&format!("a,slow={}", slow.word()));
            assert_eq!((options.slow, faults.len()), (Some(slow), 0));
            assert_eq!(Slow::number(Some(slow)), number);
        }
        assert_eq!(read("a").1.slow, None);
    }

    #[test]
    fn errors_of_the_specification() {
        assert_eq!(reasons("a,proto=tcp"), ["proto must be set to 'http' or 'ws'"]);
        assert_eq!(reasons("a,ssl"), ["ssl must be set to 'yes' or 'no'"]);
        assert_eq!(reasons("a,path_beg="), ["path_beg cannot be empty"]);
        for bad in ["a,header=x", "a,header=:x", "a,header"] {
            assert_eq!(reasons(bad), ["header must use format 'name:value'"]);
        }
        assert_eq!(reasons("a,header=\"X Y: z\""), ["invalid header name"]);
        assert_eq!(reasons("a,header=X:\u{1}"), ["invalid header value"]);
        assert_eq!(reasons("a,ssl=x,proto=y,path_beg").len(), 3);
        for bad in ["a,slow", "a,slow=", "a,slow=Close", "a,slow=drop_oldest"] {
            let expected = "slow must be set to 'close', 'drop-oldest' or 'conflate'";
            assert_eq!(reasons(bad), [expected]);
        }
    }

    #[test]
    fn what_is_unknown_is_said() {
        assert_eq!(reasons("a,sockjs_x"), ["unknown condition property `sockjs_x`"]);
        assert_eq!(reasons("a,method=GET"), ["unknown condition property `method`"]);
        assert!(read("a,method=GET").2[0].severity == Severity::Warning);
        let (_, options, faults) = read("a,session");
        assert_eq!((options.session, faults[0].severity), (true, Severity::Warning));
    }

    #[test]
    fn hosts_that_never_match_are_doubted() {
        for host in ["1.2.3.4", "1a", "a.1b", "0xg", "x0x1"] {
            assert!(read(host).2.is_empty(), "{host}");
        }
        for host in ["r.com:17", "*.a.com", "bücher.de", "127.1", "1.2.3.4.", "01.2.3.4", "a.0X1f"]
        {
            let faults = read(host).2;
            assert_eq!((faults.len(), faults[0].severity), (1, Severity::Warning), "{host}");
        }
        assert_eq!(read("a,path_rem=x").2[0].severity, Severity::Warning);
        assert_eq!(read("a,log_level=x").2[0].severity, Severity::Warning);
    }
}
