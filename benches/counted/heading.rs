//! A browser's request through the whole header pipeline, to the bytes that its target gets. Used
//! by `cases` and by the Criterion bench.

use std::path::PathBuf;
use std::rc::Rc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use linchpin::backend::body::RequestBody;
use linchpin::forward::context::Context;
use linchpin::forward::forwarded::ForRule;
use linchpin::forward::heading::Heading;
use linchpin::forward::shared::{Forwarding, Settings};
use linchpin::forward::signing::Keys;
use linchpin::route::Table;
use linchpin::session::socket::Form;
use linchpin::wire::http1::Version;
use linchpin::wire::names::Spelling;

/// What a browser sends.
pub const FIELDS: [(&str, &str); 15] = [
    ("host", "www.example.com"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://www.example.com/news/2025/"),
    ("dnt", "1"),
    ("connection", "keep-alive"),
    ("cookie", "session=0123456789abcdef0123456789abcdef; theme=dark; consent=1"),
    ("upgrade-insecure-requests", "1"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("priority", "u=0, i"),
    ("cache-control", "max-age=0"),
];

/// One request, ready to be written as often as one likes.
pub struct Written {
    settings: Settings,
    keys: Keys,
    context: Context,
    spelling: Option<Spelling>,
    table: Table,
}

impl Written {
    /// The request on this route, with these settings.
    pub fn new(route: &str, settings: Settings) -> Written {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = FIELDS.iter().map(pair).collect();
        let context = Context {
            peer: Some([192, 0, 2, 1].into()),
            secure: false,
            method: Method::GET,
            host: "www.example.com".into(),
            path: "/news/2025/a-page".into(),
            query: Some("page=2&sort=newest".into()),
            headers: Rc::new(headers),
            version: Version::Http11,
            websocket: false,
            trusted: false,
            form: Form::default(),
        };
        let (table, problems) = Table::parse(route.as_bytes());
        assert!(problems.is_empty(), "{problems:?}");
        Written { settings, keys: Keys::new(PathBuf::new()), context, spelling: None, table }
    }

    /// Writes its head; how long it is.
    pub fn write(&self) -> usize {
        let route = self.table.route(0).expect("one route");
        let (context, spelling) = (&self.context, self.spelling.as_ref());
        let heading = Heading { context, spelling, route, lasts: &[] };
        let to = ("www.example.com", None);
        let head = heading.write(&self.settings, &self.keys, to, &RequestBody::empty());
        head.expect("the head is good").as_bytes().len()
    }
}

/// Makes a request ready.
type Kind = fn() -> Written;

/// What is measured: names, and the request as it is for each.
pub fn kinds() -> [(&'static str, Kind); 3] {
    [
        ("heading, browser", default),
        ("heading, browser, names in lower case", in_lower_case),
        ("heading, browser, all options", with_options),
    ]
}

fn default() -> Written {
    let settings = Settings { sig_key: Some("changeme".into()), ..Settings::default() };
    Written::new("* 127.0.0.1:80", settings)
}

/// As browsers write some names, and other clients all of them.
fn in_lower_case() -> Written {
    let names: String = FIELDS.iter().flat_map(|(name, _)| [name, ":"]).collect();
    Written { spelling: Some(Spelling::new(names.as_bytes())), ..default() }
}

fn with_options() -> Written {
    let forwarding = Forwarding {
        for_rule: ForRule { keep: Some(1), append: true },
        cdn_loop: Some(HeaderValue::from_static("edge.example")),
        ..Forwarding::default()
    };
    let sig_key = Some("changeme".into());
    let settings = Settings { sig_key, forwarding, ..Settings::default() };
    Written::new("*,orig_headers 127.0.0.1:80", settings)
}
