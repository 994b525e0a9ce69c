//! `linchpin publish`: sends one item, as `pushpin-publish` does (specification, GRIP 12).
//!
//! The arguments, what they mean, and the exit code. Dispatched to by the command line; sending is
//! in `send`, the item's encodings in `item_form`.

mod item_form;
mod send;

use std::io::Write;
use std::process::ExitCode;

use self::item_form::{Members, Value};
use self::send::Credentials;
pub use self::send::SendError;

/// Publish one message to the channel of a running server
#[derive(Clone, Debug, clap::Args)]
#[command(version)]
pub struct PublishArgs {
    /// Channel to send to
    pub channel: String,
    /// Content to use for HTTP body and WebSocket message; @FILE reads a file
    pub content: Option<String>,
    /// Payload ID
    #[arg(long, default_value = "", hide_default_value = true)]
    pub id: String,
    /// Previous payload ID
    #[arg(long, default_value = "", hide_default_value = true)]
    pub prev_id: String,
    /// Sender meta value
    #[arg(long, default_value = "", hide_default_value = true)]
    pub sender: String,
    /// HTTP response code to use
    #[arg(long, default_value = "200", allow_negative_numbers = true)]
    pub code: String,
    /// Add HTTP response header
    #[arg(short = 'H', long = "header", value_name = "\"K: V\"")]
    pub headers: Vec<String>,
    /// Add meta variable
    #[arg(short = 'M', long, value_name = "\"K=V\"")]
    pub meta: Vec<String>,
    /// Send hint instead of content
    #[arg(long)]
    pub hint: bool,
    /// Close streaming and WebSocket connections
    #[arg(long)]
    pub close: bool,
    /// Content is JSON patch
    #[arg(long)]
    pub patch: bool,
    /// Bypass sequencing buffer
    #[arg(long)]
    pub no_seq: bool,
    /// Don't add newline to HTTP payloads
    #[arg(long)]
    pub no_eol: bool,
    /// GRIP URL or ZeroMQ PUSH spec
    #[arg(long, env = "GRIP_URL", default_value = "http://localhost:5561")]
    pub spec: String,
    /// Authenticate using basic auth
    #[arg(short, long, value_name = "user:pass")]
    pub user: Option<String>,
    /// Authenticate using bearer token
    #[arg(short = 'B', long, value_name = "token")]
    pub bearer: Option<String>,
}

/// Why nothing was published. The texts are normative.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Neither content nor an action that needs none.
    #[error("must specify content")]
    NoContent,
    /// `--code` is not a number.
    #[error("failed to parse code: {0}")]
    Code(#[from] std::num::ParseIntError),
    /// `--code` is out of range.
    #[error("code must be an integer between 0 and 999")]
    CodeRange,
    /// `--header` without a colon.
    #[error("header must be in the form \"name: value\"")]
    Header,
    /// `--meta` without an equals sign.
    #[error("meta must be in the form \"name=value\"")]
    Meta,
    /// `--patch` with something else than a list.
    #[error("patch content must be a JSON array")]
    PatchNotArray,
    /// `--patch` with something that is not JSON.
    #[error("{0}")]
    Patch(#[from] serde_json::Error),
    /// A file that cannot be read.
    #[error("can't read file {name}: {error}")]
    File {
        /// The name as given.
        name: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// `--user` and `--bearer`.
    #[error("only one authentication method can be specified")]
    TwoCredentials,
    /// Not sent, or refused.
    #[error("{0}")]
    Send(#[from] SendError),
}

/// Publishes and says so on `out`, or says on `err` why not. Exit code 0 or 1.
pub fn run(args: &PublishArgs, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    // A terminal that is gone takes nothing away from what was published.
    match publish(args) {
        Ok(()) => {
            let _ = writeln!(out, "Published");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(err, "Error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Publishes; no network is used before all arguments are known to be right.
pub fn publish(args: &PublishArgs) -> Result<(), PublishError> {
    let item = item(args)?;
    let credentials = match (&args.user, &args.bearer) {
        (Some(_), Some(_)) => return Err(PublishError::TwoCredentials),
        (Some(user), None) => Some(Credentials::Basic(user.clone())),
        (None, Some(token)) => Some(Credentials::Bearer(token.clone())),
        (None, None) => None,
    };
    Ok(send::send(&item, &args.spec, credentials.as_ref())?)
}

/// What is to be published, of the four ways to say it.
enum Payload<'a> {
    Hint,
    Close,
    Patch(Vec<serde_json::Value>),
    Content(&'a str),
}

impl Payload<'_> {
    fn of(args: &PublishArgs) -> Result<Payload<'_>, PublishError> {
        if args.hint {
            return Ok(Payload::Hint);
        }
        if args.close {
            return Ok(Payload::Close);
        }
        let content = args.content.as_deref().ok_or(PublishError::NoContent)?;
        if !args.patch {
            return Ok(Payload::Content(content));
        }
        match serde_json::from_str(content)? {
            serde_json::Value::Array(operations) => Ok(Payload::Patch(operations)),
            _ => Err(PublishError::PatchNotArray),
        }
    }
}

/// The item that the arguments describe. Of several mistakes the same one is told as by
/// `pushpin-publish`: code, content, headers, meta, file.
fn item(args: &PublishArgs) -> Result<Value, PublishError> {
    let code: u16 = args.code.parse()?;
    if code > 999 {
        return Err(PublishError::CodeRange);
    }
    let payload = Payload::of(args)?;
    let headers = headers(args)?;
    let meta = meta(args)?;

    let mut item = Members::new();
    item.insert("channel".into(), Value::text(&args.channel));
    item.insert("formats".into(), formats(payload, code, headers, !args.no_eol)?);
    for (name, id) in [("id", &args.id), ("prev-id", &args.prev_id)] {
        if !id.is_empty() {
            item.insert(name.into(), Value::text(id));
        }
    }
    if !meta.is_empty() {
        item.insert("meta".into(), Value::Map(meta));
    }
    if args.no_seq {
        item.insert("no-seq".into(), Value::Bool(true));
    }
    Ok(Value::Map(item))
}

fn headers(args: &PublishArgs) -> Result<Vec<Value>, PublishError> {
    let header = |header: &String| {
        let (name, value) = header.split_once(':').ok_or(PublishError::Header)?;
        Ok(Value::List(vec![Value::text(name), Value::text(value.trim())]))
    };
    args.headers.iter().map(header).collect()
}

fn meta(args: &PublishArgs) -> Result<Members, PublishError> {
    let mut meta = Members::new();
    if !args.sender.is_empty() {
        meta.insert("sender".into(), Value::text(&args.sender));
    }
    for pair in &args.meta {
        let (name, value) = pair.split_once('=').ok_or(PublishError::Meta)?;
        meta.insert(name.to_owned(), Value::text(value.trim()));
    }
    Ok(meta)
}

fn formats(
    payload: Payload<'_>,
    code: u16,
    headers: Vec<Value>,
    newline: bool,
) -> Result<Value, PublishError> {
    let action = |name: &str| Value::map([("action", Value::text(name))]);
    let mut response = Members::from([("code".to_owned(), Value::Int(code.into()))]);
    if !headers.is_empty() {
        response.insert("headers".into(), Value::List(headers));
    }
    Ok(match payload {
        Payload::Hint => Value::map([
            ("http-response", action("hint")),
            ("http-stream", action("hint")),
            ("ws-message", action("hint")),
        ]),
        Payload::Close => {
            Value::map([("http-stream", action("close")), ("ws-message", action("close"))])
        }
        Payload::Patch(operations) => {
            response.insert("body-patch".into(), serde_json::Value::Array(operations).into());
            Value::map([("http-response", Value::Map(response))])
        }
        Payload::Content(content) => {
            let (message, body) = contents(content, newline)?;
            response.insert("body".into(), Value::Bytes(body.clone()));
            Value::map([
                ("http-response", Value::Map(response)),
                ("http-stream", Value::map([("content", Value::Bytes(body))])),
                ("ws-message", Value::map([("content", Value::Bytes(message))])),
            ])
        }
    })
}

/// The content for WebSockets and for HTTP. A file's bytes are used unchanged for both.
fn contents(content: &str, newline: bool) -> Result<(Vec<u8>, Vec<u8>), PublishError> {
    if let Some(name) = content.strip_prefix('@') {
        let bytes = std::fs::read(name)
            .map_err(|error| PublishError::File { name: name.to_owned(), error })?;
        return Ok((bytes.clone(), bytes));
    }
    let message = content.as_bytes().to_vec();
    let mut body = message.clone();
    if newline {
        body.push(b'\n');
    }
    Ok((message, body))
}

#[cfg(test)]
mod tests;
