//! A response's head on its way in. Pure.
//!
//! Used by `exchange`; a request's head is in `request`. What a response's head says of the
//! connection is obeyed here and left out: `Connection` that only says whether it persists,
//! `Keep-Alive`, and the transfer coding, which is taken off.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use smallvec::SmallVec;

use crate::http::spelling;
use crate::wire::names;

/// Most header fields of a response.
const HEADERS_MAX: usize = 100;

/// How long a response's body is (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Exact(u64),
    /// Until the last chunk.
    Chunked,
    /// Until the connection ends.
    UntilClose,
}

/// A response's head as it was read.
#[derive(Debug)]
pub struct ResponseHead {
    /// Status, header fields, and how hyper is to write their names; if others write them, a
    /// [`names::Spelling`]. The version is ours, whatever the backend's is (RFC 9112, 2.3).
    pub response: Response<()>,
    /// How its body is framed.
    pub length: Length,
    /// The connection may be used again after the body.
    pub persistent: bool,
    /// For so long its backend keeps it idle, if it says so (`Keep-Alive: timeout=`), in seconds.
    pub idle_s: Option<u32>,
}

/// Why bytes are not a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// They are not HTTP/1.
    #[error("not the head of a response: {0}")]
    Syntax(httparse::Error),
    /// The fields that say where the body ends are in doubt.
    #[error("the response's framing is in doubt")]
    Framing,
    /// It is over the limit.
    #[error("the response's head is too large")]
    TooLarge,
    /// 1xx follow each other without end.
    #[error("too many interim responses")]
    Interim,
}

/// The reason phrase of a head that is good, if it is one that `httparse` leaves out because it is
/// not ASCII (RFC 9112, 4).
fn obs_text(head: &[u8]) -> &[u8] {
    let begin = head.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or_default();
    let rest = head.get(begin..).unwrap_or_default();
    let line = rest.split(|byte| b"\r\n".contains(byte)).next().unwrap_or_default();
    line.get(b"HTTP/1.1 200 ".len()..).unwrap_or_default()
}

/// Takes a head off the front of `bytes`; `None` if it is not whole yet. Of the first `seen` bytes
/// it is known that they do not end one. 1xx are heads of their own, without a body. How names were
/// written is told if it is asked for (`named`), and of what hyper does not write.
///
/// # Errors
/// See [`HeadError`].
pub fn response(
    bytes: &mut BytesMut,
    seen: usize,
    (method, named): (&Method, bool),
    limit_bytes: usize,
) -> Result<Option<ResponseHead>, HeadError> {
    if seen > 0 && !ends(bytes, seen) {
        return if bytes.len() > limit_bytes { Err(HeadError::TooLarge) } else { Ok(None) };
    }
    let mut fields = Fields::default();
    let mut room = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, bytes, &mut room)
        .map_err(HeadError::Syntax)?;
    let httparse::Status::Complete(length) = status else {
        return if bytes.len() > limit_bytes { Err(HeadError::TooLarge) } else { Ok(None) };
    };
    if length > limit_bytes {
        return Err(HeadError::TooLarge);
    }
    let code = parsed.code.unwrap_or_default();
    let status =
        StatusCode::from_u16(code).map_err(|_| HeadError::Syntax(httparse::Error::Status))?;
    let http10 = parsed.version == Some(0);
    let begin = bytes.as_ptr() as usize;
    // An empty part may stand nowhere.
    let at = |part: &[u8]| match part.len() {
        0 => 0,
        _ => (part.as_ptr() as usize).saturating_sub(begin),
    };
    let reason = match parsed.reason.map(str::as_bytes).unwrap_or_default() {
        b"" => obs_text(bytes),
        reason => reason,
    };
    let reason = (status.canonical_reason().map(str::as_bytes) != Some(reason))
        .then(|| Bytes::copy_from_slice(reason));
    // Where they stand: they are cut out of the shared bytes below.
    let places: SmallVec<[(usize, usize, usize, usize); 24]> = parsed
        .headers
        .iter()
        .map(|field| {
            (at(field.name.as_bytes()), field.name.len(), at(field.value), field.value.len())
        })
        .collect();
    let head = bytes.split_to(length).freeze();
    let mut headers = HeaderMap::with_capacity(places.len());
    for (name, name_length, value, value_length) in &places {
        let name = head.get(*name..name + name_length).unwrap_or_default();
        let value = head.slice(*value..value + value_length);
        fields.take(name, value, &mut headers)?;
    }
    if fields.encoded {
        // It lies, or is of no use.
        headers.remove(CONTENT_LENGTH);
    }
    let (length, persistent) = fields.framing(status, http10, method)?;
    let mut response = Response::new(());
    if fields.unusual {
        let mut all: SmallVec<[u8; 512]> = SmallVec::new();
        let mut grip = false;
        for (name, length, ..) in &places {
            let written = head.get(*name..=name + length).unwrap_or_default();
            grip |= written.get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case(b"grip-"));
            all.extend_from_slice(written);
        }
        // hyper does not write what is no answer yet, nor what is no HTTP any more.
        let unanswered = status.is_informational();
        if !unanswered {
            *response.extensions_mut() = spelling::for_hyper(&all);
        }
        // What is held is written by others too.
        if named || grip || unanswered {
            response.extensions_mut().insert(names::Spelling::new(&all));
        }
    }
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if let Some(reason) = reason {
        crate::http::set_reason(&mut response, &reason);
    }
    Ok(Some(ResponseHead { response, length, persistent, idle_s: fields.idle_s }))
}

/// Whether a head may end within what follows the first `seen` bytes.
fn ends(bytes: &[u8], seen: usize) -> bool {
    let fresh = bytes.get(seen.saturating_sub(3)..).unwrap_or_default();
    memchr::memchr_iter(b'\n', fresh).any(|at| {
        matches!(fresh.get(at.saturating_add(1)..), Some([b'\n', ..] | [b'\r', b'\n', ..]))
    })
}

/// What the fields of a head say of its body and of the connection.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    /// `Transfer-Encoding: chunked`.
    encoded: bool,
    /// The backend's notion of framing is an old one.
    doubtful: bool,
    close: bool,
    keep_alive: bool,
    unusual: bool,
    idle_s: Option<u32>,
}

impl Fields {
    /// Takes one field in, and keeps it if it is not only the connection's.
    fn take(
        &mut self,
        name: &[u8],
        value: Bytes,
        headers: &mut HeaderMap,
    ) -> Result<(), HeadError> {
        self.unusual |= !names::is_usual(name);
        let syntax = |_| HeadError::Syntax(httparse::Error::HeaderName);
        let name = HeaderName::from_bytes(name).map_err(syntax)?;
        if name == CONNECTION {
            if self.connection(&value) {
                return Ok(());
            }
        } else if name == CONTENT_LENGTH {
            let known = self.length.is_some();
            let length = self.content_length(&value)?;
            // Said once, whoever reads it has no choice (RFC 9112, 6.3).
            if known {
                return Ok(());
            }
            if value.contains(&b',') {
                let _ = headers.try_append(name, HeaderValue::from(length));
                return Ok(());
            }
        } else if name == TRANSFER_ENCODING {
            self.transfer_encoding(&value)?;
            return Ok(());
        } else if name == KEEP_ALIVE {
            self.keeps(&value);
            return Ok(());
        }
        let value = HeaderValue::from_maybe_shared(value)
            .map_err(|_| HeadError::Syntax(httparse::Error::HeaderValue))?;
        // Full only beyond 24,000 fields.
        let _ = headers.try_append(name, value);
        Ok(())
    }

    /// Reads a `Connection`; whether it says nothing beyond this connection's persistence.
    fn connection(&mut self, value: &[u8]) -> bool {
        let mut only = true;
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else {
                only = false;
            }
        }
        only
    }

    /// Reads a `Keep-Alive`: for how long, and for how many further requests (RFC 2068, 19.7.1.1).
    fn keeps(&mut self, value: &[u8]) {
        for parameter in value.split(|byte| *byte == b',') {
            let mut parts = parameter.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
            let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
            let value = value.strip_prefix(b"\"").unwrap_or(value);
            let value = value.strip_suffix(b"\"").unwrap_or(value);
            let Some(number) = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok())
            else {
                continue;
            };
            if name.eq_ignore_ascii_case(b"timeout") {
                self.idle_s = Some(number);
            }
            if number == 0 && (name.eq_ignore_ascii_case(b"max") || self.idle_s == Some(0)) {
                self.close = true;
            }
        }
    }

    /// Only `chunked`, once: we ask for no other coding and take none off (RFC 9112, 7.4).
    /// `identity` is a word of older servers for none.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), HeadError> {
        let value = value.trim_ascii();
        if value.eq_ignore_ascii_case(b"chunked") && !self.encoded && !self.doubtful {
            self.encoded = true;
        } else if value.eq_ignore_ascii_case(b"identity") && !self.encoded {
            self.doubtful = true;
        } else {
            return Err(HeadError::Framing);
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<u64, HeadError> {
        let mut length = None;
        for text in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(text).ok().filter(|_| digits);
            let number = number.and_then(|text| text.parse().ok()).ok_or(HeadError::Framing)?;
            if self.length.or(length).is_some_and(|other| other != number) {
                return Err(HeadError::Framing);
            }
            length = Some(number);
        }
        self.length = length;
        length.ok_or(HeadError::Framing)
    }

    fn framing(
        &self,
        status: StatusCode,
        http10: bool,
        method: &Method,
    ) -> Result<(Length, bool), HeadError> {
        let persistent = !self.close && !self.doubtful && (!http10 || self.keep_alive);
        let bodyless = status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
            || *method == Method::HEAD;
        Ok(match (self.encoded, self.length) {
            _ if bodyless => (Length::Exact(0), persistent),
            (true, _) if http10 => return Err(HeadError::Framing),
            // A length beside a coding: whoever sends that may be wrong about where it ends.
            (true, length) => (Length::Chunked, persistent && length.is_none()),
            (false, Some(length)) => (Length::Exact(length), persistent),
            _ => (Length::UntilClose, false),
        })
    }
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

#[cfg(test)]
mod tests;
