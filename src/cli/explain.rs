//! `linchpin explain`: which route a request takes, why no other, and what would be sent.
//! Dispatched to by the roof.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::config::explain::{Asked, explain};
use crate::config::problem::Problem;
use crate::config::routes::{self, Loaded};
use crate::config::settings::{RoutesFrom, Settings};

/// There is no route for the request.
const EXIT_NO_ROUTE: u8 = 1;

/// See the module.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The request's URL: http, https, ws or wss.
    url: String,

    /// The request's method.
    #[arg(long, default_value = "GET", value_name = "METHOD")]
    method: String,

    /// A header field of the request; may be repeated.
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,

    /// What the request is; otherwise its URL says so.
    #[arg(long, value_name = "PROTO")]
    proto: Option<Proto>,

    /// The client's address.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDR")]
    from: IpAddr,

    /// Print JSON, with a verdict on each route.
    #[arg(long)]
    json: bool,
}

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Proto {
    /// An HTTP request.
    Http,
    /// A WebSocket's handshake.
    Ws,
}

impl ExplainArgs {
    fn asked(&self) -> Result<Asked, Problem> {
        let given = match self.url.contains("://") {
            true => self.url.clone(),
            false => format!("http://{}", self.url),
        };
        let uri: Uri = given
            .parse()
            .map_err(|error| Problem::of("URL", format!("{given:?} is none: {error}")))?;
        let (secure, websocket) = match uri.scheme_str() {
            Some("http") => (false, false),
            Some("https") => (true, false),
            Some("ws") => (false, true),
            Some("wss") => (true, true),
            _ => return Err(Problem::of("URL", "its scheme is none of http, https, ws, wss")),
        };
        let method = Method::from_bytes(self.method.as_bytes())
            .map_err(|_| Problem::of("--method", format!("{:?} is none", self.method)))?;
        let mut headers = HeaderMap::new();
        for field in &self.header {
            let (name, value) = field
                .split_once(':')
                .and_then(|(name, value)| {
                    let name = name.trim().parse::<HeaderName>().ok()?;
                    Some((name, HeaderValue::from_str(value.trim()).ok()?))
                })
                .ok_or_else(|| {
                    Problem::of("--header", format!("{field:?} is not `NAME: VALUE`"))
                })?;
            headers.append(name, value);
        }
        let websocket = self.proto.map_or(websocket, |proto| proto == Proto::Ws);
        Ok(Asked { peer: Some(self.from), secure, websocket, method, uri, headers })
    }
}

/// Explains a request.
///
/// # Errors
/// When it is none, or the routes cannot be read.
pub fn run(args: &ExplainArgs, settings: &Settings) -> Result<ExitCode, Problem> {
    let explanation = explain(settings, loaded(settings)?, args.asked()?)?;
    if args.json {
        println!("{:#}", explanation.json());
    } else {
        print!("{}", explanation.text());
    }
    let code = if explanation.is_found() { 0 } else { EXIT_NO_ROUTE };
    Ok(ExitCode::from(code))
}

/// The routes that would serve. Mistakes in them are shown, as they are at the start.
fn loaded(settings: &Settings) -> Result<Loaded, Problem> {
    let loaded = match &settings.routes {
        RoutesFrom::Compiled => Loaded {
            table: routes::compiled(),
            file: "compiled in".to_owned(),
            ..Loaded::default()
        },
        RoutesFrom::Lines(lines) => routes::from_lines(lines.iter().map(String::as_str)),
        RoutesFrom::File(file) => routes::load(file).map_err(|error| {
            Problem::of(file.display().to_string(), format!("cannot read the routes: {error}"))
        })?,
    };
    eprint!("{}", loaded.report());
    Ok(loaded)
}
