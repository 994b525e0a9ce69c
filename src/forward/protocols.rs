//! Which other protocols a client may change to, on a connection to its backend (RFC 9110, 7.8).
//! Pure; for `tunnel`, and for the settings.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue};

/// Protocols that clients may change to; none by default, as with Pushpin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protocols {
    any: bool,
    /// In lower case, without versions.
    names: Vec<Box<str>>,
}

/// Never: HTTP in another form would carry requests past everything that is looked at here, a
/// WebSocket has its own way, and TLS within a connection is nothing that a proxy can be part of.
fn is_barred(name: &str) -> bool {
    matches!(name, "h2c" | "h2" | "http" | "tls" | "websocket" | "")
}

/// The name of a protocol, in lower case, without its version.
fn name(protocol: &str) -> String {
    protocol.split('/').next().unwrap_or_default().trim().to_ascii_lowercase()
}

impl Protocols {
    /// Of the option's words; `any` is all but those that are barred. The second part are words
    /// that name what is barred.
    #[must_use]
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> (Protocols, Vec<&'a str>) {
        let (mut protocols, mut barred) = (Protocols::default(), Vec::new());
        for word in words.into_iter().map(str::trim).filter(|word| !word.is_empty()) {
            match name(word) {
                any if any == "any" => protocols.any = true,
                name if is_barred(&name) => barred.push(word),
                name => protocols.names.push(name.into()),
            }
        }
        (protocols, barred)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.any && self.names.is_empty()
    }

    fn allows(&self, protocol: &str) -> bool {
        let name = name(protocol);
        !is_barred(&name) && (self.any || self.names.iter().any(|one| **one == *name))
    }

    /// What a backend is offered for a client's request: those protocols that the client asks for
    /// and that are allowed. `None` if there are none, or the client does not ask as it should.
    #[must_use]
    pub fn offered(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let asks = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
        if !asks {
            return None;
        }
        let offered: Vec<&str> =
            tokens(headers, &UPGRADE).filter(|token| self.allows(token)).collect();
        HeaderValue::try_from(offered.join(", ")).ok().filter(|value| !value.is_empty())
    }
}

/// Whether a backend changes to what it was offered.
#[must_use]
pub fn is_among(chosen: &HeaderMap, offered: &HeaderValue) -> bool {
    let offered = offered.to_str().unwrap_or_default();
    let mut chosen = tokens(chosen, &UPGRADE).peekable();
    chosen.peek().is_some()
        && chosen.all(|one| offered.split(", ").any(|other| one.eq_ignore_ascii_case(other)))
}

fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &http::HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowed(text: &str) -> Protocols {
        Protocols::parse(text.split(',')).0
    }

    fn headers(connection: &str, upgrade: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, connection.parse().unwrap());
        headers.insert(UPGRADE, upgrade.parse().unwrap());
        headers
    }

    fn offered(allowed_text: &str, upgrade: &str) -> Option<String> {
        let offered = allowed(allowed_text).offered(&headers("keep-alive, Upgrade", upgrade));
        offered.map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn what_is_asked_for_and_allowed_is_offered() {
        assert_eq!(offered("foo", "foo").as_deref(), Some("foo"));
        assert_eq!(offered("foo, Bar/1", "x, BAR/2 ,foo/1").as_deref(), Some("BAR/2, foo/1"));
        assert_eq!(offered("any", "foo, h2c, bar").as_deref(), Some("foo, bar"));
        assert_eq!(offered("", "foo"), None);
        assert_eq!(offered("foo", "bar"), None);
        assert_eq!(allowed("any").offered(&headers("close", "foo")), None, "as it should");
    }

    #[test]
    fn some_are_never_offered() {
        for barred in ["h2c", "H2C", "HTTP/2.0", "TLS/1.2", "tls", "websocket", "WebSocket", "/1"] {
            assert_eq!(offered("any", barred), None, "{barred}");
            assert_eq!(offered(barred, barred), None, "{barred}");
        }
        assert_eq!(Protocols::parse(["foo", "h2c"]).1, ["h2c"]);
        assert!(allowed("h2c,,").is_empty() && !allowed("foo").is_empty());
    }

    #[test]
    fn a_backend_takes_what_it_was_offered() {
        let offered = HeaderValue::from_static("foo/1, bar");
        let takes = |upgrade: &str| is_among(&headers("upgrade", upgrade), &offered);
        assert!(takes("FOO/1") && takes("bar") && takes("bar, foo/1"));
        assert!(!takes("foo") && !takes("") && !takes("bar, h2c"));
        assert!(!is_among(&HeaderMap::new(), &offered));
    }

    proptest! {
        #[test]
        fn http_is_never_offered(upgrade in "[ -~]{0,40}", words in "[ -~]{0,20}") {
            let Ok(value) = HeaderValue::try_from(upgrade.as_str()) else { return Ok(()) };
            let mut headers = headers("upgrade", "x");
            headers.insert(UPGRADE, value);
            let (mut protocols, _) = Protocols::parse(words.split(','));
            protocols.any = true;
            if let Some(offered) = protocols.offered(&headers) {
                for one in offered.to_str().unwrap().split(", ") {
                    prop_assert!(!is_barred(&name(one)), "{one}");
                }
            }
        }
    }
}
