//! Requests of our own, on behalf of a hold: next links, gone links, HTTP filters (specification,
//! GRIP 3.4, 3.5 and 6.4).
//!
//! They carry nothing of the client. One that leads back to where the client's request came from
//! takes its route, others go to the host that they name. Called by `follow`, `gone` and whoever
//! asks HTTP filters; knows nothing of holds.

use std::rc::Rc;

use bytes::Bytes;
use http::header::{HOST, HeaderName};
use http::{HeaderMap, Method, Response};
use url::Url;

use super::answer::Answer;
use super::failure::Failure;
use super::inquiry::Inquiry;
use super::upload::Upload;
use crate::backend::Terms;
use crate::backend::body::RequestBody;
use crate::backend::connect::{To, ToTls};
use crate::backend::error::Error;
use crate::backend::journal::{Deed, Request};
use crate::backend::request::RequestHead;
use crate::forward::context::{Context, RouteRef};
use crate::forward::forwarded::CDN_LOOP;
use crate::forward::outgoing::{self, GRIP_FEATURE, GRIP_LAST, GRIP_SIG, Last};
use crate::forward::shared::Shared;
use crate::http::Incoming;
use crate::route::Route;
use crate::route::target::Target;
use crate::session::socket::Form;
use crate::wire::http1::Version;

/// The request on whose behalf errands are run.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Home {
    /// Its route.
    pub route: RouteRef,
    /// Who answered it: an index into the route's targets.
    pub target: usize,
    /// Its scheme is https (or wss).
    pub secure: bool,
    /// Its host and port, as its [`Context`] has them.
    pub host: Rc<str>,
}

/// A request of our own.
#[derive(Clone, Debug)]
pub struct Errand<'a> {
    /// The method.
    pub method: Method,
    /// Where it leads, absolute: see [`resolve`].
    pub url: &'a Url,
    /// For `Grip-Last`.
    pub lasts: &'a [Last],
    /// Further header fields; `Host`, what frames the body, and `Grip-*` are not among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// An errand could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ErrandError {
    /// The reference leads nowhere.
    #[error("{0:?} is not a URL that can be asked: {1}")]
    Url(String, &'static str),
    /// No target of the route answered.
    #[error("no target answered: {0:?}")]
    Route(Failure),
    /// The host that it names did not answer.
    #[error(transparent)]
    Backend(#[from] Error),
}

/// The URL of a client's request: what its links are resolved against.
///
/// # Errors
/// When the client's URL cannot be one (`*`).
pub fn url(context: &Context) -> Result<Url, ErrandError> {
    let scheme = if context.secure { "https" } else { "http" };
    let mut text = format!("{scheme}://{}{}", context.host, context.path);
    if let Some(query) = &context.query {
        text.push('?');
        text.push_str(query);
    }
    Url::parse(&text).map_err(|_| ErrandError::Url(text, "it does not parse"))
}

/// What `reference` leads to, seen from `base`. A fragment is left out.
///
/// # Errors
/// When it is no reference, or leads elsewhere than to HTTP.
pub fn resolve(base: &Url, reference: &str) -> Result<Url, ErrandError> {
    let mut url = base
        .join(reference)
        .map_err(|_| ErrandError::Url(reference.to_owned(), "it does not parse"))?;
    url.set_fragment(None);
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(ErrandError::Url(reference.to_owned(), "it is not http or https"));
    }
    Ok(url)
}

impl Home {
    /// Of a client's request.
    #[must_use]
    pub fn new(context: &Context, route: &RouteRef, target: usize) -> Home {
        let route = route.clone();
        Home { route, target, secure: context.secure, host: Rc::clone(&context.host) }
    }

    /// Whether errors are told to the client.
    #[must_use]
    pub fn debug(&self, shared: &Shared) -> bool {
        shared.settings.debug || self.route.options.debug
    }

    /// The target that answered.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.route.targets.get(self.target)
    }

    /// The client-side request that the URL is, if it leads back to where this one came from and
    /// `route` serves it.
    fn own(&self, route: &Route, errand: &Errand<'_>) -> Option<Context> {
        let url = errand.url;
        let secure = url.scheme() == "https";
        let host = host(url);
        let begins = |front: &str| url.path().starts_with(front);
        let matches = route.condition.path_beg.as_deref().is_none_or(begins);
        (secure == self.secure && *host == *self.host && matches).then(|| Context {
            peer: None,
            secure,
            method: errand.method.clone(),
            host: host.into(),
            path: url.path().into(),
            query: url.query().map(Into::into),
            headers: Rc::new(errand.headers.clone()),
            version: Version::Http11,
            websocket: false,
            trusted: false,
            form: Form::default(),
        })
    }
}

/// Host and port as a [`Context`] has them.
fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

/// Runs an errand; gives the answer's head, its body to be read. Redirects are not followed.
///
/// # Errors
/// When nobody answers.
pub async fn run(
    shared: &Shared,
    home: &Home,
    errand: Errand<'_>,
) -> Result<Response<Answer>, ErrandError> {
    // The routes may have changed since the hold began.
    let route = shared.routing.behind(&home.route).ok_or(ErrandError::Route(Failure::NoRoute))?;
    let Some(context) = home.own(&route, &errand) else {
        return abroad(shared, (home, &route), errand).await;
    };
    let inquiry = Inquiry {
        shared,
        context: &context,
        spelling: None,
        route: &route,
        lasts: errand.lasts,
        heard: None,
        named: false,
    };
    let upload: Upload<Incoming> = Upload::Whole(errand.body);
    let (_, answer) = inquiry.ask(&upload, |_| {}).await.map_err(ErrandError::Route)?;
    Ok(answer)
}

/// To a host that is none of ours. What an `untrusted` target names is no more trusted than itself.
async fn abroad(
    shared: &Shared,
    (home, route): (&Home, &Route),
    errand: Errand<'_>,
) -> Result<Response<Answer>, ErrandError> {
    let url = errand.url;
    let invalid = |why| ErrandError::Url(url.to_string(), why);
    let name = url.host_str().ok_or_else(|| invalid("it has no host"))?;
    let port = url.port_or_known_default().ok_or_else(|| invalid("it has no port"))?;
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    let to = To {
        host: bare,
        port,
        tls: (url.scheme() == "https").then_some(ToTls {
            name: bare,
            insecure: false,
            identity: None,
        }),
        untrusted: home.target().is_some_and(|target| target.untrusted),
    };
    let body = RequestBody::Whole(Some(errand.body).filter(|body| !body.is_empty()));
    let mut head = RequestHead::new(errand.method, url.path(), url.query());
    head.field(&HOST, host(url).as_bytes(), None);
    for (name, value) in errand.headers.iter().filter(|(name, _)| !is_ours(name)) {
        head.field(name, value.as_bytes(), None);
    }
    if let Some(token) = &shared.settings.forwarding.cdn_loop {
        head.field(&CDN_LOOP, token.as_bytes(), None);
    }
    if let Some(token) = outgoing::sign(&shared.settings, &shared.keys, route) {
        head.field(&GRIP_SIG, token.as_bytes(), None);
    }
    head.field(&GRIP_FEATURE, outgoing::FEATURES.as_bytes(), None);
    for last in errand.lasts {
        if let Some(value) = outgoing::grip_last(last) {
            head.field(&GRIP_LAST, value.as_bytes(), None);
        }
    }
    head.frame(&body, None, None);
    let method = head.method().clone();
    let terms = Terms::of(method.is_idempotent());
    let asked = shared.backend.ask(to, terms, head, body).await;
    Ok(asked
        .inspect_err(|error| {
            let target = format_args!("{bare}:{port}");
            let (path, attempt) = (url.path(), 1);
            let request = Request { target: &target, route, method: &method, path, attempt };
            shared.backend.journal().tell(&request, error, Deed::GivenUp);
        })?
        .map(Answer::Backend))
}

fn is_ours(name: &HeaderName) -> bool {
    *name == HOST || name.as_str().starts_with("grip-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::tests::{Company, Scripted, context, route, run as on_shard};

    fn client(path: &str) -> Context {
        Context { websocket: false, ..context(path, Some("q=1")) }
    }

    fn errand<'a>(url: &'a Url, lasts: &'a [Last]) -> Errand<'a> {
        let headers = HeaderMap::new();
        Errand { method: Method::GET, url, lasts, headers, body: Bytes::new() }
    }

    #[test]
    fn references_are_seen_from_the_request() {
        let base = url(&client("/a/b")).unwrap();
        assert_eq!(base.as_str(), "http://example.com/a/b?q=1");
        for (reference, resolved) in [
            ("c?x=2", "http://example.com/a/c?x=2"),
            ("?x", "http://example.com/a/b?x"),
            ("/c#part", "http://example.com/c"),
            ("//other/x", "http://other/x"),
            ("https://other:444/", "https://other:444/"),
        ] {
            assert_eq!(resolve(&base, reference).unwrap().as_str(), resolved);
        }
        for bad in ["mailto:a@b", "http://", "ftp://a/b", "http://[x"] {
            assert!(resolve(&base, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_leads_back_takes_the_route() {
        let route = route("*,path_beg=/a 127.0.0.1:1");
        let home = Home::new(&client("/a/b"), &route, 0);
        let own = |text: &str| home.own(&route, &errand(&Url::parse(text).unwrap(), &[])).is_some();
        assert!(own("http://example.com/a/x?y") && own("http://EXAMPLE.com:80/abc"));
        assert!(!own("http://example.com/b") && !own("https://example.com/a/x"));
        assert!(!own("http://example.com:81/a/x") && !own("http://example.org/a/x"));
    }

    #[test]
    fn errands_carry_nothing_of_the_client() {
        on_shard(async {
            let company = Company::new();
            let mut backend = Scripted::start().await;
            let line = format!("*,path_beg=/a,replace_beg=/b 127.0.0.1:{}", backend.port);
            let home = Home::new(&client("/a/b"), &route(&line), 0);
            let direct = format!("http://127.0.0.1:{}/a?z", backend.port);
            let last = [("c".into(), "5".into()), ("d d".into(), "a;b".into())];
            for (url, path, host) in [
                ("http://example.com/a/c?z", "/b/c?z", "example.com"),
                (&direct, "/a?z", &format!("127.0.0.1:{}", backend.port)),
            ] {
                let url = Url::parse(url).unwrap();
                let asked = async {
                    let asked = backend.next().await;
                    let head = asked.head.clone();
                    asked.raw(
                        "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".into(),
                    );
                    head
                };
                let ran = run(&company.shared, &home, errand(&url, &last));
                let (answer, head) = tokio::join!(ran, asked);
                assert_eq!(answer.unwrap().status(), 302);
                let features = outgoing::FEATURES.to_ascii_lowercase();
                let expected = format!(
                    "get {path} http/1.1\r\nhost: {host}\r\ngrip-feature: {features}\r\n\
                     grip-last: c; last-id=5\r\ngrip-last: d d; last-id=\"a;b\"\r\n\r\n"
                );
                assert_eq!(head, expected);
            }
        });
    }

    #[test]
    fn a_body_goes_along() {
        on_shard(async {
            let company = Company::new();
            let mut backend = Scripted::start().await;
            let home = Home::new(&client("/"), &route("* 127.0.0.1:1"), 0);
            let url = Url::parse(&format!("http://127.0.0.1:{}", backend.port)).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert("x-mine", "1".parse().unwrap());
            let errand = Errand {
                method: Method::POST,
                headers,
                body: Bytes::from_static(b"hello"),
                ..errand(&url, &[])
            };
            let ran = run(&company.shared, &home, errand);
            let asked = async {
                let asked = backend.next().await;
                assert!(asked.head.starts_with("post / http/1.1\r\n"), "{}", asked.head);
                assert!(asked.head.contains("\r\nx-mine: 1\r\n"));
                assert_eq!(asked.body, "hello");
                asked.raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into());
            };
            assert!(tokio::join!(ran, asked).0.is_ok());
        });
    }

    #[test]
    fn an_untrusted_backend_does_not_lead_inside() {
        on_shard(async {
            let company = Company::new();
            let backend = Scripted::start().await;
            let home = Home::new(&client("/"), &route("* a.example:80,untrusted"), 0);
            let url = Url::parse(&format!("http://127.0.0.1:{}/", backend.port)).unwrap();
            let refused = run(&company.shared, &home, errand(&url, &[])).await;
            assert!(matches!(refused, Err(ErrandError::Backend(_))));
        });
    }
}
