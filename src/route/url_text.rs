//! What a line has of URLs: hosts that stand in them, and beginnings of paths. Called by
//! `condition` and `target`, so that what could only go wrong at each request is told when the line
//! is read. Knows no URL as a whole.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::Ipv6Addr;

use super::problem::Fault;
use super::token::Prop;

/// The `host[:port]` that a property gives to URLs; none if its text is empty.
///
/// A port that is none counts as none, as in Pushpin; but it is told.
pub(super) fn host(prop: &Prop, faults: &mut Vec<Fault>) -> Option<Cow<'static, str>> {
    let text = prop.text.as_str();
    if text.is_empty() {
        return None;
    }
    match parts(text) {
        None => {
            let reason = format!("{} is not a host with an optional port", prop.name);
            let expected = "`host`, `host:port` or `[ipv6]:port`";
            faults.push(Fault::error(prop.text_span, reason, expected));
        }
        Some(Some(port)) if !port.parse::<u16>().is_ok_and(|port| port > 0) => {
            let reason = format!("{} has no valid port and counts as without one", prop.name);
            faults.push(Fault::warning(prop.text_span, reason, "a port from 1 to 65535"));
        }
        Some(_) => {}
    }
    Some(Cow::Owned(text.to_owned()))
}

/// What stands for the port, if anything does; `None` if there is no host before it.
fn parts(text: &str) -> Option<Option<&str>> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        return if rest.is_empty() { Some(None) } else { rest.strip_prefix(':').map(Some) };
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte);
    // What has another colon is an address without its brackets.
    let single = port.is_none_or(|port| !port.contains(':'));
    (single && !host.is_empty() && host.bytes().all(named)).then_some(port)
}

/// Whether URLs take a host for an IPv4 address: its last part is a number.
pub(super) fn is_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    match last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")) {
        Some(rest) => rest.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Warns of a `path_beg` that no path begins with.
pub(super) fn doubt_beginning(prop: &Prop, faults: &mut Vec<Fault>) {
    let text = prop.text.as_str();
    let encoded = encoded(text);
    let (reason, expected) = if encoded != text {
        let expected = format!("`path_beg={encoded}`");
        ("paths are compared as they stand in URLs, percent-encoded", expected)
    } else if text != "*" && !text.starts_with('/') {
        ("no path begins with this: paths begin with '/'", "`path_beg=/...`".to_owned())
    } else if text.contains('\\') || text.contains("/./") || text.contains("/../") {
        let reason = "no path has this: `.` and `..` are resolved in requests, and `\\` is `/`";
        (reason, "a path as it is then".to_owned())
    } else {
        return;
    };
    faults.push(Fault::warning(prop.text_span, reason, expected));
}

/// A part of a path as URLs have it: what cannot stand there is percent-encoded, and nothing else.
pub(super) fn encoded(text: &str) -> String {
    let mut path = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'#' | b'<' | b'>' | b'?' | b'`' | b'{' | b'}' => {}
            b'!'..=b'~' => {
                path.push(char::from(byte));
                continue;
            }
            _ => {}
        }
        // Writing to a String cannot fail.
        let _ = write!(path, "%{byte:02X}");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::super::condition;
    use super::super::problem::Severity;
    use super::super::token::sections;
    use super::*;

    /// What is wrong with a condition, and what its property has become.
    fn read(line: &str) -> (condition::Options, Vec<(Severity, String, String)>) {
        let mut faults = Vec::new();
        let (_, options) = condition::parse(&sections(line).unwrap()[0], &mut faults);
        let faults = faults.into_iter().map(|f| (f.severity, f.reason, f.expected)).collect();
        (options, faults)
    }

    #[test]
    fn hosts_of_urls() {
        for good in ["b", "B.com:81", "a_b-c.", "[::1]", "[::1]:65535", "1.2.3.4:1"] {
            let (options, faults) = read(&format!("a,as_host={good}"));
            assert_eq!((options.as_host.as_deref(), faults.len()), (Some(good), 0), "{good}");
        }
        assert_eq!(read("a,as_host=").0.as_host, None);
        let odd = ["\"a b\"", ":80", "::1", "fe80::1", "[::1", "[x]", "[::1]80", "a/b", "é", "u@h"];
        for bad in odd {
            let (severity, reason, _) = read(&format!("a,as_host={bad}")).1.remove(0);
            let expected = "as_host is not a host with an optional port";
            assert_eq!((severity, reason.as_str()), (Severity::Error, expected), "{bad}");
        }
        for port in ["", "0", "x", "65536", "-1"] {
            for host in ["b", "[::1]"] {
                let (severity, reason, _) = read(&format!("a,as_host={host}:{port}")).1.remove(0);
                let expected = "as_host has no valid port and counts as without one";
                assert_eq!((severity, reason.as_str()), (Severity::Warning, expected), "{port}");
            }
        }
    }

    #[test]
    fn beginnings_that_no_path_has() {
        for good in ["/", "*", "/a%20b/", "/.well-known/", "/..a", "/a;b=c@d|e^[f]~", "/%7B"] {
            assert_eq!(read(&format!("a,\"path_beg={good}\"")).1, [], "{good}");
        }
        for (bad, expected) in [
            ("/a b", "`path_beg=/a%20b`"),
            ("/é?{x}", "`path_beg=/%C3%A9%3F%7Bx%7D`"),
            ("api/", "`path_beg=/...`"),
            ("/a/../b", "a path as it is then"),
            ("/./", "a path as it is then"),
        ] {
            let faults = read(&format!("a,\"path_beg={bad}\"")).1;
            assert_eq!((faults[0].0, faults[0].2.as_str()), (Severity::Warning, expected), "{bad}");
        }
    }

    #[test]
    fn what_is_put_before_a_path_can_stand_there() {
        for (given, put) in [
            ("/b", "/b"),
            ("/b c", "/b%20c"),
            ("/é", "/%C3%A9"),
            ("/b?c=", "/b%3Fc="),
            ("/100%25/%zz", "/100%25/%zz"),
            ("//h/../\\", "//h/../\\"),
            ("", ""),
        ] {
            assert_eq!(encoded(given), put);
            assert_eq!(encoded(put), put);
            if !given.contains('\\') {
                let (options, faults) = read(&format!("a,\"replace_beg={given}\""));
                assert_eq!((options.replace_beg.as_deref(), faults.len()), (Some(put), 0));
            }
        }
    }
}
