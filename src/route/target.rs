//! Where a route sends its requests, and how: the further sections of a line (specification,
//! routing 2.5). Called by `line`; the types are used wherever a route is.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

use super::names;
use super::problem::{Fault, Span};
use super::token::Section;
use super::url_text;

/// What a target's value looks like.
const FORMS: &str = "`host:port`, `[ipv6]:port`, `unix:/path` or `test`";
/// What a port looks like.
const PORT: &str = "a port from 1 to 65535";

/// One target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub address: Address,
    /// https or wss to the backend.
    pub tls: bool,
    /// Refuse private and local addresses.
    pub untrusted: bool,
    /// TLS: check the certificate against the target's host, not the request's.
    pub trust_connect_host: bool,
    /// TLS: accept any certificate.
    pub insecure: bool,
    /// `host[:port]` for the URL, the Host header and SNI.
    pub host: Option<Cow<'static, str>>,
    /// Implicit subscriptions.
    pub subs: Cow<'static, [Cow<'static, str>]>,
    /// WebSocket-over-HTTP.
    pub over_http: bool,
    /// With `over_http`: at most one event a request.
    pub one_event: bool,
    /// TLS: the file with the certificate (PEM, chain) that we show.
    pub client_cert: Option<Cow<'static, str>>,
    /// TLS: the file with its key (PEM).
    pub client_key: Option<Cow<'static, str>>,
    /// The path that is asked for now and then, to see whether the target is well.
    pub check: Option<Cow<'static, str>>,
}

/// The address of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host name or address (IPv6 without brackets) and a port.
    Tcp(Cow<'static, str>, u16),
    /// The path of a unix socket. It begins with `/`.
    Unix(Cow<'static, str>),
    /// The built-in test backend.
    Test,
}

impl fmt::Display for Target {
    /// As logs and debug bodies show it: `host:port`, `[v6]:port`, `unix:/path`, `test`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp(host, port) => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{path}"),
            Address::Test => f.write_str("test"),
        }
    }
}

/// Reads one section after the first. What is wrong is added to `faults`; no target without a
/// usable address.
pub fn parse(section: &Section, faults: &mut Vec<Fault>) -> Option<Target> {
    let address = match address(&section.value, section.value_span) {
        Ok(address) => Some(address),
        Err(fault) => {
            faults.push(fault);
            None
        }
    };
    let mut target = Target::to(Address::Test);
    let mut subs = Vec::new();
    for prop in &section.props {
        let text = || (!prop.text.is_empty()).then(|| Cow::Owned(prop.text.clone()));
        match prop.name.as_str() {
            "ssl" => target.tls = true,
            "untrusted" => target.untrusted = true,
            "trust_connect_host" => target.trust_connect_host = true,
            "insecure" => target.insecure = true,
            "host" => target.host = url_text::host(prop, faults),
            "sub" if prop.text.is_empty() => {}
            "sub" => subs.push(Cow::Owned(prop.text.clone())),
            "over_http" => target.over_http = true,
            "one_event" => target.one_event = true,
            "client_cert" => target.client_cert = text(),
            "client_key" => target.client_key = text(),
            "check" if prop.text.starts_with('/') => target.check = text(),
            "check" => {
                let reason = "check must begin with '/'";
                faults.push(Fault::error(prop.text_span, reason, "`check=/...`"));
            }
            "ipc_file_mode" => {
                let reason = "ipc_file_mode has no effect: it is for `zhttp/ipc://...` targets";
                faults.push(Fault::warning(prop.span, reason, "a line without it"));
            }
            name => faults.push(names::unknown(prop.span, name, true)),
        }
    }
    if let Some(Address::Unix(_)) = &address {
        for (name, set) in [("ssl", target.tls), ("untrusted", target.untrusted)] {
            if set {
                let reason = format!("{name} cannot be had of a unix socket");
                let expected = format!("`host:port`, or a target without `{name}`");
                faults.push(Fault::error(section.value_span, reason, expected));
            }
        }
    }
    target.subs = subs.into();
    address.map(|address| Target { address, ..target })
}

impl Address {
    /// Where connections lead, as `backend` names it: a host and a port, or the path of a unix
    /// socket and 0. `None` for what is no connection.
    #[must_use]
    pub fn place(&self) -> Option<(&str, u16)> {
        match self {
            Address::Tcp(host, port) => Some((host, *port)),
            Address::Unix(path) => Some((path, 0)),
            Address::Test => None,
        }
    }
}

impl Target {
    /// The files of the certificate that we show and of its key; a key that is not named is in the
    /// same file.
    #[must_use]
    pub fn identity(&self) -> Option<(&str, &str)> {
        let certificate = self.client_cert.as_deref().filter(|_| self.tls)?;
        Some((certificate, self.client_key.as_deref().unwrap_or(certificate)))
    }

    /// A target at `address` without any property.
    #[must_use]
    pub const fn to(address: Address) -> Target {
        Target {
            address,
            tls: false,
            untrusted: false,
            trust_connect_host: false,
            insecure: false,
            host: None,
            subs: Cow::Borrowed(&[]),
            over_http: false,
            one_event: false,
            client_cert: None,
            client_key: None,
            check: None,
        }
    }
}

fn address(value: &str, span: Span) -> Result<Address, Fault> {
    if value == "test" {
        return Ok(Address::Test);
    }
    for scheme in ["zhttp/", "zhttpreq/"] {
        if value.starts_with(scheme) {
            return Err(Fault::not_built(span, scheme, FORMS));
        }
    }
    let bad_format = |expected: &str| Fault::error(span, "target bad format", expected);
    if let Some(path) = value.strip_prefix("unix:").filter(|path| path.parse::<u16>().is_err()) {
        // A name that no host has, so that it cannot be taken for one anywhere.
        return match path.starts_with('/') && !path.contains('\0') {
            true => Ok(Address::Unix(path.to_owned().into())),
            false => Err(bad_format("the whole path of a socket: `unix:/...`")),
        };
    }
    let (host, port) = if let Some(bracketed) = value.strip_prefix('[') {
        let (host, port) = bracketed.split_once("]:").ok_or_else(|| bad_format(FORMS))?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(bad_format("an IPv6 address between the brackets"));
        }
        (host, port)
    } else {
        value.split_once(':').ok_or_else(|| bad_format(FORMS))?
    };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let Some(number) = port.parse::<u16>().ok().filter(|port| digits && *port > 0) else {
        let at_port = Span { start: port_start(span, value, port), end: span.end };
        let expected = if port.starts_with("//") {
            "`host:port` without a scheme, and `,ssl` behind it for https"
        } else if value.parse::<Ipv6Addr>().is_ok() || port.contains(':') {
            "an IPv6 address to stand in brackets: `[ipv6]:port`"
        } else {
            PORT
        };
        return Err(Fault::error(at_port, "target invalid port", expected));
    };
    if host.is_empty() {
        return Err(bad_format("a host before the `:`"));
    }
    Ok(Address::Tcp(host.to_owned().into(), number))
}

/// Where the port begins in the line; the target's begin if quotes or escapes make that unclear.
fn port_start(span: Span, value: &str, port: &str) -> usize {
    let plain = span.end.saturating_sub(span.start) == value.len();
    if plain && !port.is_empty() { span.end.saturating_sub(port.len()) } else { span.start }
}

#[cfg(test)]
mod tests {
    use super::super::problem::Severity;
    use super::super::token::sections;
    use super::*;

    fn read(line: &str) -> (Option<Target>, Vec<Fault>) {
        let mut faults = Vec::new();
        let target = parse(&sections(line).unwrap()[0], &mut faults);
        (target, faults)
    }

    fn reason(line: &str) -> String {
        let (target, faults) = read(line);
        assert!(target.is_none(), "{line}");
        faults[0].reason.clone()
    }

    #[test]
    fn addresses() {
        for (line, address) in [
            ("test", Address::Test),
            ("localhost:80", Address::Tcp("localhost".into(), 80)),
            ("[2001:db8::1]:65535", Address::Tcp("2001:db8::1".into(), 65535)),
            ("unix:/run/a b.sock", Address::Unix("/run/a b.sock".into())),
            ("unix:80", Address::Tcp("unix".into(), 80)),
        ] {
            let target = read(&format!("\"{line}\"")).0.unwrap();
            assert_eq!((target.address.clone(), target.to_string()), (address, line.to_owned()));
        }
    }

    #[test]
    fn everything_at_once() {
        let (target, faults) = read(
            "a:1,ssl,untrusted,trust_connect_host,insecure,host=b:2,sub=x,sub=,sub=y,over_http,one_event,\
             client_cert=c.crt,client_key=c.key,check=/up",
        );
        assert!(faults.is_empty());
        let expected = Target {
            address: Address::Tcp("a".into(), 1),
            tls: true,
            untrusted: true,
            trust_connect_host: true,
            insecure: true,
            host: Some("b:2".into()),
            subs: vec!["x".into(), "y".into()].into(),
            over_http: true,
            one_event: true,
            client_cert: Some("c.crt".into()),
            client_key: Some("c.key".into()),
            check: Some("/up".into()),
        };
        assert_eq!(target, Some(expected));
    }

    #[test]
    fn errors_of_the_specification() {
        for bad in ["a", "[::1]", "[::1]80", "[x]:80", ":80", ",ssl", "Test", "unix:", "unix:a"] {
            assert_eq!(reason(bad), "target bad format", "{bad}");
        }
        for bad in ["a:", "a:0", "a:65536", "a:x", "a:1:2", "a:+1", "::1:80", "[::1]:"] {
            assert_eq!(reason(bad), "target invalid port", "{bad}");
        }
        for name in ["ssl", "untrusted"] {
            let faults = read(&format!("unix:/a,{name}")).1;
            assert_eq!(faults[0].reason, format!("{name} cannot be had of a unix socket"));
        }
        assert_eq!(read("a:99999").1[0].span, Span { start: 2, end: 7 });
        for (line, expected) in [
            ("http://a:80", "`host:port` without a scheme, and `,ssl` behind it for https"),
            ("::1:80", "an IPv6 address to stand in brackets: `[ipv6]:port`"),
            ("a:80/x", PORT),
        ] {
            assert_eq!(read(line).1[0].expected, expected);
        }
        assert_eq!(read("a:1,host=::1").1[0].reason, "host is not a host with an optional port");
    }

    #[test]
    fn what_is_not_built_is_said() {
        assert_eq!(reason("zhttp/tcp://127.0.0.1:1"), "`zhttp/` is not built yet");
        assert_eq!(reason("zhttpreq/ipc://x"), "`zhttpreq/` is not built yet");
        let idle = read("a:1,ipc_file_mode=7").1.remove(0);
        assert!(idle.reason.starts_with("ipc_file_mode has no effect"));
        assert_eq!(idle.severity, Severity::Warning);
        assert_eq!(read("a:1,check=up").1[0].reason, "check must begin with '/'");
        let unknown = read("a:1,oneway").1.remove(0);
        assert_eq!(unknown.reason, "unknown target property `oneway`");
        assert_eq!(unknown.severity, Severity::Warning);
    }
}
