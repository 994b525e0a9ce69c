//! How the command's item gets to a server: one HTTP request, or one ZeroMQ message.
//!
//! Used by `command`, in a process of its own: blocking is fine here. Knows items only as a value
//! to encode.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use rustls::pki_types::ServerName;
use zeromq::{Socket, SocketSend, ZmqError};

use super::item_form::Value;
use crate::tls::client::ClientTls;

/// A server that makes no progress is given up after this.
const PROGRESS: Duration = Duration::from_secs(60);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 1_000_000;
/// Most header fields of an answer.
const ANSWER_HEADERS_MAX: usize = 100;
/// Bytes that ZeroMQ has taken are on their way to the system after this at the latest.
const FLUSH_MS: u64 = 10_000;

/// Who publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// `user:password`
    Basic(String),
    /// A token.
    Bearer(String),
}

/// Why an item was not published.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Credentials are only sent where nobody can read them.
    #[error("Authentication requires https")]
    NeedsTls,
    /// Credentials that do not fit in a header field.
    #[error("credentials contain control characters")]
    Credentials,
    /// An HTTP URL that cannot be used: a query, user information, a bad port.
    #[error("invalid URL")]
    Url,
    /// A ZeroMQ address that cannot be used.
    #[error("Invalid argument")]
    Address,
    /// A transport that is not spoken here.
    #[error("Protocol not supported")]
    Transport,
    /// No progress.
    #[error("timed out")]
    TimedOut,
    /// The answer's head is not HTTP.
    #[error("invalid data")]
    Answer,
    /// The server's answer, any but 200.
    #[error("{0}")]
    Refused(String),
    /// The transport failed.
    #[error("{0}")]
    Io(io::Error),
    /// ZeroMQ failed.
    #[error("{0}")]
    ZeroMq(ZmqError),
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> SendError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => SendError::TimedOut,
            _ => SendError::Io(error),
        }
    }
}

/// Sends `item` to `spec`: an HTTP URL, or the address of a ZeroMQ PULL socket.
pub fn send(item: &Value, spec: &str, credentials: Option<&Credentials>) -> Result<(), SendError> {
    let scheme = spec.split(':').next().unwrap_or_default();
    let secure = scheme.eq_ignore_ascii_case("https");
    if credentials.is_some() && !secure {
        return Err(SendError::NeedsTls);
    }
    if !secure && !scheme.eq_ignore_ascii_case("http") {
        return send_zeromq(item, spec);
    }
    let url = Url::parse(spec)?;
    let request = request(item, &url, credentials)?;
    let stream = connect(&url)?;
    if secure {
        let (tls, _) =
            ClientTls::from_system(Vec::new()).map_err(io::Error::other).map_err(SendError::Io)?;
        exchange(secured(stream, &url, tls.verifying)?, &request)
    } else {
        exchange(stream, &request)
    }
}

/// The parts of an HTTP URL that are used.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    /// Host and port as given.
    authority: &'a str,
    /// The host, without the brackets of an IPv6 address.
    host: &'a str,
    port: u16,
    /// The path as given, with its trailing slash, or empty.
    path: &'a str,
}

impl Url<'_> {
    fn parse(url: &str) -> Result<Url<'_>, SendError> {
        let (scheme, rest) = url.split_once("://").ok_or(SendError::Url)?;
        if rest.contains(['?', '#', '@']) || !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SendError::Url);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(address) => {
                let (host, port) = address.split_once(']').ok_or(SendError::Url)?;
                let port = if port.is_empty() { None } else { port.strip_prefix(':').or(Some("")) };
                (host, port)
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let default_port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
        let port = port.map_or(Ok(default_port), str::parse).map_err(|_| SendError::Url)?;
        if host.is_empty() {
            return Err(SendError::Url);
        }
        Ok(Url { authority, host, port, path })
    }
}

fn request(item: &Value, url: &Url<'_>, by: Option<&Credentials>) -> Result<Vec<u8>, SendError> {
    let body = serde_json::json!({ "items": [item.to_json()] }).to_string();
    let authorization = match by {
        None => String::new(),
        Some(Credentials::Basic(user)) => {
            format!("Authorization: Basic {}\r\n", STANDARD.encode(user))
        }
        Some(Credentials::Bearer(token)) if token.chars().any(char::is_control) => {
            return Err(SendError::Credentials);
        }
        Some(Credentials::Bearer(token)) => format!("Authorization: Bearer {token}\r\n"),
    };
    let (path, authority, length) = (url.path, url.authority, body.len());
    let request = format!(
        "POST {path}/publish/ HTTP/1.0\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{authorization}\r\n{body}"
    );
    Ok(request.into_bytes())
}

/// Tries the host's addresses in turn; the last one's failure is told.
fn connect(url: &Url<'_>) -> Result<TcpStream, SendError> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in (url.host, url.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PROGRESS) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PROGRESS))?;
                stream.set_write_timeout(Some(PROGRESS))?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure.into())
}

/// The server's name is the host without its port.
fn secured(
    stream: TcpStream,
    url: &Url<'_>,
    config: Arc<rustls::ClientConfig>,
) -> Result<impl Read + Write, SendError> {
    let name = ServerName::try_from(url.host.to_owned()).map_err(|_| SendError::Url)?;
    let connection = rustls::ClientConnection::new(config, name)
        .map_err(|error| SendError::Io(io::Error::other(error)))?;
    Ok(rustls::StreamOwned::new(connection, stream))
}

/// Sends the request and reads the answer. Only the status 200 is success.
fn exchange(mut stream: impl Read + Write, request: &[u8]) -> Result<(), SendError> {
    // A server may answer and close before it has read all: its answer counts, if there is one.
    let mut written = stream.write_all(request).and_then(|()| stream.flush());
    let mut answer = Vec::new();
    let mut input = stream.take(ANSWER_BYTES_MAX);
    let mut chunk = [0; 4096];
    let mut ended = false;
    loop {
        match read_answer(&answer, ended)? {
            Progress::Published => return Ok(()),
            Progress::Refused(text) => return Err(SendError::Refused(text)),
            Progress::More => {}
        }
        match input.read(&mut chunk) {
            Ok(0) => ended = true,
            Ok(n) => answer.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            // TLS without a goodbye.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => ended = true,
            Err(error) => {
                take(&mut written)?;
                return Err(error.into());
            }
        }
        if ended && answer.is_empty() {
            take(&mut written)?;
            return Err(
                io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected end of file").into()
            );
        }
    }
}

fn take(result: &mut io::Result<()>) -> io::Result<()> {
    std::mem::replace(result, Ok(()))
}

enum Progress {
    More,
    Published,
    Refused(String),
}

/// What `answer` says so far; `ended` when no more will come.
fn read_answer(answer: &[u8], ended: bool) -> Result<Progress, SendError> {
    let mut rest = answer;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; ANSWER_HEADERS_MAX];
        let mut head = httparse::Response::new(&mut headers);
        let mut lenient = httparse::ParserConfig::default();
        lenient.ignore_invalid_headers_in_responses(true);
        let head_bytes = match lenient.parse_response(&mut head, rest) {
            Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
            Ok(httparse::Status::Partial) if !ended => return Ok(Progress::More),
            _ => return Err(SendError::Answer),
        };
        let body = rest.get(head_bytes..).unwrap_or_default();
        match head.code {
            Some(200) => return Ok(Progress::Published),
            Some(100..=199) => rest = body,
            _ => {
                let body = body_of(&head, body, ended);
                return body.map_or(Ok(Progress::More), text);
            }
        }
    }
}

/// The whole body: as long as announced, or until the end.
fn body_of<'a>(head: &httparse::Response<'_, '_>, body: &'a [u8], ended: bool) -> Option<&'a [u8]> {
    let mut headers = head.headers.iter();
    let length = headers
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok());
    length.and_then(|length| body.get(..length)).or(ended.then_some(body))
}

fn text(body: &[u8]) -> Result<Progress, SendError> {
    let text = std::str::from_utf8(body).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8")
    })?;
    Ok(Progress::Refused(text.trim().to_owned()))
}

/// One bare tnetstring from a PUSH socket. As any PUSH socket, it waits for its peer.
fn send_zeromq(item: &Value, address: &str) -> Result<(), SendError> {
    let mut bytes = BytesMut::new();
    item.write_tnet(&mut bytes);
    match address.split_once("://") {
        None => return Err(SendError::Address),
        Some(("tcp" | "ipc", _)) => {}
        Some(_) => return Err(SendError::Transport),
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut socket = zeromq::PushSocket::new();
        socket.connect(address).await.map_err(of_zeromq)?;
        socket.send(bytes.freeze().into()).await.map_err(of_zeromq)?;
        // The message is written by a task of the library, which ends when the socket is gone and
        // all is written; nothing else tells.
        drop(socket);
        let until = crate::clock::now().plus_ms(FLUSH_MS);
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
            if crate::clock::now() >= until {
                return Err(SendError::TimedOut);
            }
            crate::clock::sleep_ms(1).await;
        }
        Ok(())
    })
}

fn of_zeromq(error: ZmqError) -> SendError {
    match error {
        ZmqError::Endpoint(_) => SendError::Address,
        ZmqError::Network(error) => error.into(),
        error => SendError::ZeroMq(error),
    }
}

#[cfg(test)]
mod tests;
