//! Which endpoint a request is for: its method and the path behind the base (specification,
//! SockJS 6.3 and 6.9). Called by `proxy`.

use http::Method;

use super::transport::Transport;

/// What a request is for. Sessions are named as they stand in the path, percent-encoding and all;
/// the server's part of the path means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// The greeting.
    Greeting,
    /// What the client is to know before it chooses a transport.
    Info,
    /// The page that works for clients of other origins.
    Iframe,
    /// Waits for a session's frames; opens the session if there is none of that name.
    Receive {
        /// The session's name.
        session: &'a str,
        /// How it gets them.
        transport: Transport,
    },
    /// Brings messages of a client.
    Send {
        /// The session's name.
        session: &'a str,
        /// How they come.
        form: Sending,
    },
    /// A WebSocket with frames, a session of its own. Whether it asks well for one is yet to be
    /// seen (`answers::not_a_websocket`).
    WebSocket {
        /// A name that says nothing: another session may have it.
        session: &'a str,
    },
    /// A WebSocket without frames. Whether it asks well for one is yet to be seen.
    RawWebSocket,
    /// `OPTIONS`, of an endpoint with these methods.
    Options {
        /// All of them, as `Access-Control-Allow-Methods` lists them.
        allowed: &'static str,
    },
    /// There is an endpoint, but not for this method.
    WrongMethod {
        /// Those it is for, as `Allow` lists them.
        allowed: &'static str,
    },
    /// Nothing.
    NotFound,
}

/// How messages of a client come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// `xhr_send`: the body is the text.
    Xhr,
    /// `jsonp_send`: a form, or the text itself.
    Jsonp,
}

const GET: &str = "OPTIONS, GET";
const POST: &str = "OPTIONS, POST";
const BOTH: &str = "OPTIONS, GET, POST";

/// The endpoint of a request. `rest` is its path behind the base, without the query; `websocket`
/// says that it asks for a WebSocket, and asks well.
#[must_use]
pub fn endpoint<'a>(method: &Method, rest: &'a str, websocket: bool) -> Endpoint<'a> {
    let Some((endpoint, allowed)) = named(rest, websocket) else { return Endpoint::NotFound };
    let fits = match allowed {
        GET => matches!(*method, Method::GET | Method::HEAD),
        POST => method == Method::POST,
        _ => matches!(*method, Method::GET | Method::POST),
    };
    // Nobody can hold a receiver without a body, nor is a WebSocket asked for without an answer.
    let headless = matches!(endpoint, Endpoint::Greeting | Endpoint::Info | Endpoint::Iframe);
    if method == Method::OPTIONS {
        Endpoint::Options { allowed }
    } else if fits && (headless || method != Method::HEAD) {
        endpoint
    } else {
        Endpoint::WrongMethod { allowed }
    }
}

/// What is at a path, and the methods for it.
fn named(rest: &str, websocket: bool) -> Option<(Endpoint<'_>, &'static str)> {
    if rest.is_empty() {
        return Some((Endpoint::Greeting, GET));
    }
    let rest = rest.strip_prefix('/')?;
    match rest {
        "" => return Some((Endpoint::Greeting, GET)),
        "info" => return Some((Endpoint::Info, GET)),
        "websocket" => return Some((Endpoint::RawWebSocket, GET)),
        _ if is_iframe(rest) => return Some((Endpoint::Iframe, GET)),
        _ => {}
    }
    let mut parts = rest.split('/');
    let (server, session, last) = (parts.next()?, parts.next()?, parts.next()?);
    let is_name = |part: &str| !part.is_empty() && !part.contains('.');
    if parts.next().is_some() || !is_name(server) || !is_name(session) {
        return None;
    }
    let receive = |transport| Endpoint::Receive { session, transport };
    Some(match last {
        "xhr" => (receive(Transport::Xhr), POST),
        "xhr_streaming" => (receive(Transport::XhrStreaming), POST),
        "eventsource" => (receive(Transport::EventSource), GET),
        "htmlfile" => (receive(Transport::HtmlFile), GET),
        "jsonp" => (receive(Transport::Jsonp), BOTH),
        "xhr_send" => (Endpoint::Send { session, form: Sending::Xhr }, POST),
        "jsonp_send" => (Endpoint::Send { session, form: Sending::Jsonp }, BOTH),
        "websocket" => (Endpoint::WebSocket { session }, GET),
        // As Pushpin has it.
        _ if websocket && !last.is_empty() => (Endpoint::WebSocket { session }, GET),
        _ => return None,
    })
}

/// `iframe.html`, `iframe-1.2.3.html`, ...
fn is_iframe(rest: &str) -> bool {
    let version = rest.strip_prefix("iframe").and_then(|rest| rest.strip_suffix(".html"));
    version.is_some_and(|version| !version.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn get(rest: &str) -> Endpoint<'_> {
        endpoint(&Method::GET, rest, false)
    }

    fn post(rest: &str) -> Endpoint<'_> {
        endpoint(&Method::POST, rest, false)
    }

    #[test]
    fn pages() {
        assert_eq!((get(""), get("/")), (Endpoint::Greeting, Endpoint::Greeting));
        assert_eq!(get("/info"), Endpoint::Info);
        for page in ["", "-a", "-", "-0.1.2", "-0.1.2abc-dirty.2144"] {
            assert_eq!(get(&format!("/iframe{page}.html")), Endpoint::Iframe);
        }
        for no_page in [
            "/a",
            "/a.html",
            "//",
            "///",
            "/a/a",
            "/a/a/",
            "/a/",
            "x",
            "/info/",
            "/iframe.htm",
            "/iframe",
            "/IFRAME.HTML",
            "/IFRAME",
            "/iframe.HTML",
            "/iframe.xml",
            "/iframe-/.html",
            "/websocket/",
        ] {
            assert_eq!(get(no_page), Endpoint::NotFound, "{no_page}");
            assert_eq!(endpoint(&Method::OPTIONS, no_page, true), Endpoint::NotFound);
        }
        assert_eq!(endpoint(&Method::HEAD, "", false), Endpoint::Greeting);
        assert_eq!(post("/info"), Endpoint::WrongMethod { allowed: "OPTIONS, GET" });
    }

    #[test]
    fn sessions() {
        let receive = |session, transport| Endpoint::Receive { session, transport };
        assert_eq!(post("/000/s/xhr"), receive("s", Transport::Xhr));
        assert_eq!(post("/_/_/xhr_streaming"), receive("_", Transport::XhrStreaming));
        assert_eq!(get("/1/1/eventsource"), receive("1", Transport::EventSource));
        assert_eq!(get("/1/1/htmlfile"), receive("1", Transport::HtmlFile));
        assert_eq!(get("/1/1/jsonp"), receive("1", Transport::Jsonp));
        assert_eq!(post("/1/1/jsonp"), receive("1", Transport::Jsonp));
        assert_eq!(
            post("/abcdefgh_i-j%20/abcdefg_i-j%20/xhr"),
            receive("abcdefg_i-j%20", Transport::Xhr)
        );
        let send = |form| Endpoint::Send { session: "s", form };
        assert_eq!(post("/a/s/xhr_send"), send(Sending::Xhr));
        assert_eq!(post("/a/s/jsonp_send"), send(Sending::Jsonp));
        assert_eq!(get("/a/s/jsonp_send"), send(Sending::Jsonp));
    }

    #[test]
    fn paths_that_are_none() {
        for part in ["//", "/a./a", "/a/a.", "/./.", "/", "///", "/a", "/a/a/a", "", "/a//a"] {
            let path = format!("{part}/xhr");
            assert_eq!((get(&path), post(&path)), (Endpoint::NotFound, Endpoint::NotFound));
            assert_eq!(endpoint(&Method::GET, &path, true), Endpoint::NotFound, "{path}");
        }
        for last in ["xhr/", "other", "", "XHR", "xhr_stream"] {
            assert_eq!(post(&format!("/a/a/{last}")), Endpoint::NotFound, "{last}");
        }
    }

    #[test]
    fn websockets() {
        let session = |session| Endpoint::WebSocket { session };
        assert_eq!(get("/a/s/websocket"), session("s"));
        assert_eq!(endpoint(&Method::GET, "/a/s/websocket", true), session("s"));
        assert_eq!(endpoint(&Method::GET, "/a/s/else", true), session("s"));
        assert_eq!(endpoint(&Method::GET, "/a/s/", true), Endpoint::NotFound);
        assert_eq!(get("/websocket"), Endpoint::RawWebSocket);
        for path in ["/a/s/websocket", "/websocket"] {
            assert_eq!(post(path), Endpoint::WrongMethod { allowed: "OPTIONS, GET" });
        }
    }

    #[test]
    fn methods() {
        let options = |path| endpoint(&Method::OPTIONS, path, false);
        let allowed = |allowed| Endpoint::Options { allowed };
        assert_eq!(options("/info"), allowed("OPTIONS, GET"));
        for path in ["/abc/abc/xhr", "/abc/abc/xhr_send", "/abc/abc/xhr_streaming"] {
            assert_eq!(options(path), allowed("OPTIONS, POST"));
            assert_eq!(get(path), Endpoint::WrongMethod { allowed: "OPTIONS, POST" });
        }
        assert_eq!(options("/a/a/jsonp_send"), allowed("OPTIONS, GET, POST"));
        let head = endpoint(&Method::HEAD, "/a/a/eventsource", false);
        assert_eq!(head, Endpoint::WrongMethod { allowed: "OPTIONS, GET" });
        assert_eq!(
            endpoint(&Method::DELETE, "/a/a/jsonp", false),
            Endpoint::WrongMethod { allowed: "OPTIONS, GET, POST" }
        );
    }

    proptest! {
        #[test]
        fn a_session_has_a_plain_name(path in "(/|[a.%é]|xhr|jsonp|websocket){0,9}", ws: bool) {
            for method in [Method::GET, Method::POST] {
                if let Endpoint::Receive { session, .. }
                | Endpoint::Send { session, .. }
                | Endpoint::WebSocket { session } = endpoint(&method, &path, ws)
                {
                    prop_assert!(!session.is_empty() && !session.contains(['/', '.']));
                }
            }
        }
    }
}
