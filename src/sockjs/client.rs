//! What a request's headers mean for the headers of its answer: CORS, caching and the cookie for
//! load balancers (specification, SockJS 6.2 and 6.9). Called by `answers`, and by `proxy` for
//! answers of backends that are relayed.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, COOKIE, ORIGIN,
    SET_COOKIE,
};
use http::{HeaderMap, HeaderValue};

/// Whoever has sent a request.
#[derive(Clone, Debug)]
pub struct Client {
    /// What `Access-Control-Allow-Origin` says.
    origin: HeaderValue,
    /// What `Access-Control-Allow-Headers` says.
    allowed_headers: Option<HeaderValue>,
    /// What `Set-Cookie` says.
    cookie: Option<HeaderValue>,
}

impl Client {
    /// Out of the headers of a request. `cookie` is the route's `sockjs_cookie`.
    #[must_use]
    pub fn of(headers: &HeaderMap, cookie: bool) -> Client {
        let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
        Client {
            origin: headers.get(ORIGIN).map_or(ANY, HeaderValue::clone),
            allowed_headers: asked.filter(|asked| !asked.is_empty()).cloned(),
            cookie: cookie.then(|| session_cookie(headers)),
        }
    }

    /// The same, as one who asks with `OPTIONS`. A browser that asks before a request of a page
    /// without an origin says which request; who does not say gets `*`, as release 0.3.3 of the
    /// SockJS protocol has it.
    #[must_use]
    pub fn asks_for_options(mut self, headers: &HeaderMap) -> Client {
        if self.origin == "null" && !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            self.origin = ANY;
        }
        self
    }

    /// Lets scripts of the client's origin see an answer.
    pub fn share(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if let Some(allowed) = &self.allowed_headers {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed.clone());
        }
    }

    /// Makes an answer one that nobody keeps, and shares it. For all but the iframe page and
    /// `OPTIONS`; also for what a backend has answered to the opening of a session.
    pub fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(NOT_CACHED));
        self.share(headers);
    }

    /// Sets the cookie, if the route has it set: on the answers of sessions.
    pub fn set_cookie(&self, headers: &mut HeaderMap) {
        if let Some(cookie) = &self.cookie {
            headers.insert(SET_COOKIE, cookie.clone());
        }
    }
}

const ANY: HeaderValue = HeaderValue::from_static("*");
const NOT_CACHED: &str = "no-store, no-cache, must-revalidate, max-age=0";

/// The client's `JSESSIONID` again, else a first one: load balancers only look whether there is
/// one.
fn session_cookie(headers: &HeaderMap) -> HeaderValue {
    let cookies = headers.get_all(COOKIE).into_iter();
    let mut pairs = cookies.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let value = pairs.find_map(|pair| pair.trim_ascii().strip_prefix(b"JSESSIONID="));
    let value = value.map_or(&b"dummy"[..], |value| value.trim_ascii());
    let cookie = [b"JSESSIONID=", value, b"; path=/"].concat();
    HeaderValue::from_bytes(&cookie).unwrap_or(HeaderValue::from_static("JSESSIONID=dummy; path=/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn marked(client: &Client) -> HeaderMap {
        let mut marked = HeaderMap::new();
        client.mark(&mut marked);
        client.set_cookie(&mut marked);
        marked
    }

    fn of(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        marked(&Client::of(&headers(pairs), false))
    }

    #[test]
    fn origins() {
        for (origin, allowed) in [("http://a.com", "http://a.com"), ("null", "null"), ("*", "*")] {
            let marked = of(&[("origin", origin)]);
            assert_eq!(marked["access-control-allow-origin"], allowed);
            assert_eq!(marked["access-control-allow-credentials"], "true");
        }
        let marked = of(&[]);
        assert_eq!(marked["access-control-allow-origin"], "*");
        assert_eq!(marked["access-control-allow-credentials"], "true");
        assert_eq!(marked["cache-control"], NOT_CACHED);
        assert_eq!(marked.len(), 3);
    }

    #[test]
    fn options_of_no_origin() {
        let allowed = |pairs: &[(&'static str, &'static str)]| {
            let headers = headers(pairs);
            marked(&Client::of(&headers, false).asks_for_options(&headers))
                .remove("access-control-allow-origin")
                .unwrap()
        };
        assert_eq!(allowed(&[("origin", "null")]), "*");
        let preflight = [("origin", "null"), ("access-control-request-method", "POST")];
        assert_eq!(allowed(&preflight), "null");
        assert_eq!(allowed(&[("origin", "test")]), "test");
    }

    #[test]
    fn request_headers() {
        let marked = of(&[("access-control-request-headers", "a, b, c")]);
        assert_eq!(marked["access-control-allow-headers"], "a, b, c");
        let none = of(&[("access-control-request-headers", "")]);
        assert!(!none.contains_key("access-control-allow-headers"));
    }

    #[test]
    fn cookies() {
        let set = |pairs: &[(&'static str, &'static str)]| {
            marked(&Client::of(&headers(pairs), true)).remove("set-cookie").unwrap()
        };
        assert_eq!(set(&[]), "JSESSIONID=dummy; path=/");
        assert_eq!(set(&[("cookie", "a=b")]), "JSESSIONID=dummy; path=/");
        assert_eq!(set(&[("cookie", "JSESSIONID=abc")]), "JSESSIONID=abc; path=/");
        assert_eq!(set(&[("cookie", "a=b; JSESSIONID=x ;c")]), "JSESSIONID=x; path=/");
        assert_eq!(set(&[("cookie", "a"), ("cookie", "JSESSIONID=y")]), "JSESSIONID=y; path=/");
        assert!(!of(&[("cookie", "JSESSIONID=x")]).contains_key("set-cookie"));
    }
}
