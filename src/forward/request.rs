//! The head of a client's request into a [`Context`]: URL reconstruction (specification, routing
//! 3.2).
//!
//! Called once a request by the roof. The common request is taken as it is; only one that needs it
//! (dot segments, backslashes, an unusual host) goes through the URL parser.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{HOST, HeaderName, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Uri, Version as HttpVersion};
use url::{Host, Url};

use super::context::Context;
use super::forwarded;
use super::shared::Settings;
use crate::limits::CLIENT_CERTIFICATE_BYTES_MAX;
use crate::session::socket::Form;
use crate::wire::http1::Version;

/// What is known of the connection that a request came over.
#[derive(Clone, Debug)]
pub struct Client {
    /// The TCP peer.
    pub peer: Option<IpAddr>,
    /// The connection is encrypted.
    pub secure: bool,
    /// What it has shown.
    pub certificate: Certificate,
}

/// What backends are told of a client's certificate (RFC 9440).
#[derive(Clone, Debug)]
pub enum Certificate {
    /// Nothing, and what clients say of it themselves is passed on as any other field.
    Untold,
    /// It has none: no `Client-Cert`, whatever the client says.
    None,
    /// The value of `Client-Cert`.
    Shown(HeaderValue),
}

impl Certificate {
    /// The one with this content (DER). One that is too large for a header is as none.
    #[must_use]
    pub fn of(der: &[u8]) -> Certificate {
        if der.len() > CLIENT_CERTIFICATE_BYTES_MAX {
            return Certificate::None;
        }
        let text = format!(":{}:", BASE64_STANDARD.encode(der));
        HeaderValue::try_from(text).map_or(Certificate::None, Certificate::Shown)
    }

    fn tell(self, headers: &mut HeaderMap) {
        if matches!(self, Certificate::Untold) {
            return;
        }
        headers.remove(CLIENT_CERT);
        headers.remove(CLIENT_CERT_CHAIN);
        if let Certificate::Shown(value) = self {
            headers.insert(CLIENT_CERT, value);
        }
    }
}

/// What a client has shown, and how it is vouched for (RFC 9440).
pub(super) const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// Why a head cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The request target has characters that a URL cannot have.
    #[error("Failed to parse request: invalid token in the request target")]
    Target,
    /// The host is none.
    #[error("Failed to parse request: the Host header is not a host with an optional port")]
    Host,
    /// The request target is not one that a proxy in front of a backend can serve.
    #[error("CONNECT is not supported here")]
    Connect,
}

/// Reads a head.
///
/// # Errors
/// See [`HeadError`]; the answer to all but `Connect` is 400.
pub fn context(
    client: Client,
    method: &Method,
    uri: &Uri,
    version: HttpVersion,
    mut headers: HeaderMap,
) -> Result<Context, HeadError> {
    if *method == Method::CONNECT {
        return Err(HeadError::Connect);
    }
    let given = match uri.authority() {
        Some(authority) => Cow::Borrowed(authority.as_str()),
        None => match headers.get(HOST) {
            // In UTF-8 it is as good as in ASCII (WHATWG URL).
            Some(value) => Cow::Borrowed(match value.to_str() {
                Ok(ascii) => ascii,
                Err(_) => std::str::from_utf8(value.as_bytes()).map_err(|_| HeadError::Host)?,
            }),
            None => Cow::Borrowed("localhost"),
        },
    };
    // `host` alone is the form of CONNECT.
    if uri.scheme().is_none() && uri.authority().is_some() {
        return Err(HeadError::Target);
    }
    let host = host(&given, if client.secure { 443 } else { 80 })?;
    let (path, query) = target(uri)?;
    client.certificate.tell(&mut headers);
    let upgrade = headers.get(UPGRADE);
    let websocket = upgrade.is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"));
    Ok(Context {
        peer: client.peer,
        secure: client.secure,
        method: method.clone(),
        host,
        path,
        query,
        headers: Rc::new(headers),
        version: if version == HttpVersion::HTTP_10 { Version::Http10 } else { Version::Http11 },
        websocket,
        trusted: false,
        form: Form::default(),
    })
}

/// Finds out what of a client's head matters before its route is looked up: whether it is trusted,
/// and whether its connection is a secure one.
pub fn judge(context: &mut Context, settings: &Settings) {
    if let Some(upstream) = &settings.upstream {
        context.trusted = upstream.trusts(&context.headers);
    }
    let accepted = settings.forwarding.accept_protocol;
    context.secure |= accepted && forwarded::says_secure(&context.headers);
}

/// The host as URLs have it: lower case, without the scheme's own port.
fn host(given: &str, default_port: u16) -> Result<Rc<str>, HeadError> {
    let given = given.trim();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    let colon = memchr::memrchr(b':', given.as_bytes()).filter(|_| !given.ends_with(']'));
    let (name, port) = match colon.and_then(|at| given.split_at_checked(at)) {
        Some((name, port)) => (name, port.get(1..)),
        None => (given, None),
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse::<u16>().map_err(|_| HeadError::Host)?)
        }
        Some(_) => return Err(HeadError::Host),
    };
    let ends_in_digit = name.bytes().last().is_some_and(|b| b.is_ascii_digit());
    // std reads an IPv4 address only in the spelling that URLs give it.
    let usual = match ends_in_digit {
        true => name.parse::<Ipv4Addr>().is_ok(),
        false => !name.is_empty() && name.bytes().all(plain),
    };
    let name = if usual {
        Cow::Borrowed(name)
    } else {
        // What ends in a digit may be an IPv4 address in one of its many spellings.
        Cow::Owned(match Host::parse(name).map_err(|_| HeadError::Host)? {
            Host::Domain(name) if name.is_empty() => return Err(HeadError::Host),
            host => host.to_string(),
        })
    };
    Ok(match port.filter(|port| *port != default_port) {
        Some(_) if usual && !given.contains(":0") => given.into(),
        Some(port) => format!("{name}:{port}").into(),
        None => Rc::from(&*name),
    })
}

/// In [`ODDITIES`]: a dot, which matters behind a slash.
const DOT: u8 = 1;
/// In [`ODDITIES`]: a byte that has to be looked at.
const ODD: u8 = 2;

/// What of a target is not plain.
const ODDITIES: [u8; 256] = {
    let mut oddities = [ODD; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        let plain = matches!(byte, b'/' | b'-' | b'_' | b'~' | b'?' | b'=' | b'&' | b'+' | b',');
        if byte.is_ascii_alphanumeric() || plain {
            oddities[byte as usize] = 0;
        }
        byte += 1;
    }
    oddities[b'.' as usize] = DOT;
    oddities
};

/// Whether nothing of a target needs a second look, as of most.
fn is_plain(target: &str) -> bool {
    let odd = target.bytes().fold(0, |odd, byte| odd | ODDITIES[usize::from(byte)]);
    target.starts_with('/') && (odd == 0 || (odd == DOT && !target.contains("/.")))
}

/// Whether the URL parser would write the target differently.
fn is_unusual(path: &str, query: Option<&str>) -> bool {
    let bytes = path.as_bytes();
    let dots = bytes.windows(2).any(|pair| pair == b"/.");
    let encoded_dot =
        || bytes.windows(3).any(|w| w[0] == b'%' && w[1] == b'2' && matches!(w[2], b'e' | b'E'));
    let odd = bytes.iter().any(|b| matches!(b, b'\\' | b'{' | b'}' | b'^' | b'`'));
    dots || odd || encoded_dot() || query.is_some_and(|query| query.contains('\''))
}

fn target(uri: &Uri) -> Result<(Rc<str>, Option<Rc<str>>), HeadError> {
    let (path, query) = (uri.path(), uri.query());
    let whole = uri.path_and_query().map_or("/", |p| p.as_str());
    if is_plain(whole) {
        return Ok((path.into(), query.map(Rc::from)));
    }
    if whole.bytes().any(|b| b <= b' ' || b >= 0x7f || matches!(b, b'"' | b'<' | b'>')) {
        return Err(HeadError::Target);
    }
    if path == "*" {
        return Ok(("*".into(), None));
    }
    if path.is_empty() {
        return Ok(("/".into(), query.map(Rc::from)));
    }
    if !is_unusual(path, query) {
        return Ok((path.into(), query.map(Rc::from)));
    }
    let url = Url::parse(&format!("http://localhost{whole}")).map_err(|_| HeadError::Target)?;
    Ok((url.path().into(), url.query().map(Rc::from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str, hosts: &[&str]) -> Result<Context, HeadError> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        let client = Client { peer: None, secure: false, certificate: Certificate::Untold };
        context(client, &Method::GET, &uri.parse().unwrap(), HttpVersion::HTTP_11, headers)
    }

    fn host_of(given: &str) -> String {
        read("/", &[given]).unwrap().host.to_string()
    }

    #[test]
    fn hosts() {
        assert_eq!(host_of("A.com:80"), "a.com");
        assert_eq!(host_of("a.com:8080"), "a.com:8080");
        assert_eq!(host_of("127.0.0.1:7999"), "127.0.0.1:7999");
        assert_eq!(host_of("127.1:7999"), "127.0.0.1:7999");
        assert_eq!(host_of("127.0.0.01:080"), "127.0.0.1");
        assert_eq!(host_of("a.com:08080"), "a.com:8080");
        assert_eq!(host_of("[::1]:7999"), "[::1]:7999");
        assert_eq!(host_of("[::1]"), "[::1]");
        assert_eq!(host_of("Bücher.de:81"), "xn--bcher-kva.de:81");
        assert_eq!(&*read("/", &[]).unwrap().host, "localhost");
        assert_eq!(&*read("/", &["first", "second"]).unwrap().host, "first");
        assert_eq!(&*read("http://abs/x", &["other"]).unwrap().host, "abs");
        for bad in ["", "a b", "a:70000", "a:x", "[::1"] {
            assert_eq!(read("/", &[bad]).err(), Some(HeadError::Host), "{bad:?}");
        }
    }

    #[test]
    fn targets() {
        let path = |uri: &str| {
            let context = read(uri, &["a"]).unwrap();
            (context.path.to_string(), context.query.map(|q| q.to_string()))
        };
        assert_eq!(path("/a//b%2Fc?x=1"), ("/a//b%2Fc".into(), Some("x=1".into())));
        assert_eq!(path("/a/../b/%2e%2E/c"), ("/c".into(), None));
        assert_eq!(path("/a\\b"), ("/a/b".into(), None));
        assert_eq!(path("/p?"), ("/p".into(), Some("".into())));
        assert_eq!(path("/p?it's"), ("/p".into(), Some("it%27s".into())));
        assert_eq!(path("http://abs/x?y"), ("/x".into(), Some("y".into())));
        assert_eq!(path("*"), ("*".into(), None));
    }

    #[test]
    fn bytes_that_no_url_has_are_refused() {
        for bad in ["/a\"b", "/ü", "x", "a.example:80"] {
            assert_eq!(read(bad, &["a"]).err(), Some(HeadError::Target), "{bad}");
        }
    }
}
