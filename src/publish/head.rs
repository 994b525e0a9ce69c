//! The head of a request to the control API: bytes in, what matters of it or a refusal out.
//!
//! Pure; called by `requests`. The leniency and the texts are normative (specification, GRIP 7.1
//! and 7.3); what would leave the framing in doubt is refused.

use super::accept::Format;

/// What a request may have at most, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Its head, the empty line included.
    pub head_bytes_max: usize,
    /// The body that it announces.
    pub body_bytes_max: usize,
}

/// What a path names. One trailing `/` is ignored; queries (but for the one of receipts) and
/// absolute URIs are not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/`
    Root,
    /// `/publish`
    Publish,
    /// `/publish?receipt=1`
    PublishWithReceipts,
    /// `/recover`
    Recover,
    /// Everything else.
    Unknown,
}

/// The method of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// `POST`
    Post,
    /// `HEAD`
    Head,
    /// Any other: a token.
    Other(Box<str>),
}

/// The head of a request: what the API goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// What the request target names.
    pub endpoint: Endpoint,
    /// The request said HTTP/1.0.
    pub http_1_0: bool,
    /// No other request follows on this connection.
    pub closes: bool,
    /// The client waits for `100 Continue`.
    pub expects_continue: bool,
    /// The form of answer that is asked for; `None` when the client accepts neither.
    pub format: Option<Format>,
    /// The length of the body.
    pub body_bytes: usize,
    /// There is a length, though it may be 0.
    pub has_length: bool,
}

/// Why a request is refused before it is looked at. The text is the body of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request line or a header field is malformed.
    #[error("Failed to parse request header.")]
    Malformed,
    /// No empty line within the limit.
    #[error("Request header too large.")]
    HeadTooLarge,
    /// The method may have a body, or an encoding is named, but there is no length.
    #[error("Request requires Content-Length.")]
    LengthRequired,
    /// Not a number, or two that differ.
    #[error("Bad Content-Length.")]
    BadLength,
    /// A length beyond the limit.
    #[error("Request body too large.")]
    BodyTooLarge,
    /// A negative length, or more bytes than announced on a connection that ends here.
    #[error("Request body exceeded Content-Length.")]
    BodyExceeded,
    /// Both ways of framing at once.
    #[error("Request has both Content-Length and Transfer-Encoding.")]
    TwoFramings,
}

/// A refusal, and the version to word it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedHead {
    /// Why.
    pub refusal: Refusal,
    /// The request said HTTP/1.0.
    pub http_1_0: bool,
}

impl Endpoint {
    fn of(target: &[u8]) -> Endpoint {
        if let b"/publish?receipt=1" | b"/publish/?receipt=1" = target {
            return Endpoint::PublishWithReceipts;
        }
        let path = match target {
            [path @ .., b'/'] if !path.is_empty() => path,
            path => path,
        };
        match path {
            b"/" => Endpoint::Root,
            b"/publish" => Endpoint::Publish,
            b"/recover" => Endpoint::Recover,
            _ => Endpoint::Unknown,
        }
    }
}

impl Method {
    /// The method as the request said it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Method::Post => "POST",
            Method::Head => "HEAD",
            Method::Other(token) => token,
        }
    }

    fn of(token: &str) -> Method {
        match token {
            "POST" => Method::Post,
            "HEAD" => Method::Head,
            _ => Method::Other(token.into()),
        }
    }
}

/// Reads a head from the start of `bytes`, with the number of bytes that it takes; `None` when it
/// is not complete. Empty lines before it are skipped and count as part of it.
pub fn read_head(bytes: &[u8], limits: HeadLimits) -> Result<Option<(Head, usize)>, RefusedHead> {
    let early = |refusal| RefusedHead { refusal, http_1_0: false };
    let Some(end) = end_of_head(bytes) else {
        if bytes.len() >= limits.head_bytes_max {
            return Err(early(Refusal::HeadTooLarge));
        }
        return Ok(None);
    };
    if end > limits.head_bytes_max {
        return Err(early(Refusal::HeadTooLarge));
    }
    let mut lines = lines(bytes.get(..end).unwrap_or_default()).skip_while(|line| line.is_empty());
    let line = lines.next().unwrap_or_default();
    let (method, target, version) = request_line(line).ok_or(early(Refusal::Malformed))?;
    let http_1_0 = version == b"HTTP/1.0";
    let refused = |refusal| RefusedHead { refusal, http_1_0 };

    let fields = Fields::read(lines).map_err(refused)?;
    let body_bytes = fields.body_bytes(method, limits.body_bytes_max).map_err(refused)?;
    // The path of CONNECT is no path, and a 200 would mean a tunnel.
    let endpoint = if method == "CONNECT" { Endpoint::Unknown } else { Endpoint::of(target) };
    let head = Head {
        method: Method::of(method),
        endpoint,
        http_1_0,
        closes: fields.close || version != b"HTTP/1.1",
        expects_continue: fields.expects_continue && !http_1_0,
        format: fields.format,
        body_bytes,
        has_length: fields.length.is_some(),
    };
    Ok(Some((head, end)))
}

/// What the header fields say.
struct Fields<'a> {
    length: Option<&'a [u8]>,
    encoded: bool,
    close: bool,
    expects_continue: bool,
    accepts: bool,
    format: Option<Format>,
}

impl<'a> Fields<'a> {
    fn read(lines: impl Iterator<Item = &'a [u8]>) -> Result<Fields<'a>, Refusal> {
        let mut fields = Fields {
            length: None,
            encoded: false,
            close: false,
            expects_continue: false,
            accepts: false,
            format: Some(Format::Text),
        };
        for line in lines {
            if matches!(line, [b' ' | b'\t', ..]) || has_control(line) {
                return Err(Refusal::Malformed);
            }
            // A line without a colon is ignored (specification, GRIP 7.3).
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let (name, value) = line.split_at(colon);
            fields.take(name, value.get(1..).unwrap_or_default().trim_ascii())?;
        }
        Ok(fields)
    }

    fn take(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Refusal> {
        if !is_token(name) {
            return Err(Refusal::Malformed);
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some_and(|length| length != value) {
                return Err(Refusal::BadLength);
            }
            self.length = Some(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.encoded = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.close |= has_element(value, b"close");
        } else if name.eq_ignore_ascii_case(b"expect") {
            self.expects_continue |= has_element(value, b"100-continue");
        } else if name.eq_ignore_ascii_case(b"accept") {
            // Several fields are one list.
            let before = self.format.filter(|_| self.accepts);
            self.format = Format::last_of(value).or(before);
            self.accepts = true;
        }
        Ok(())
    }

    fn body_bytes(&self, method: &str, max: usize) -> Result<usize, Refusal> {
        let Some(length) = self.length else {
            let bodiless = matches!(method, "HEAD" | "GET" | "DELETE" | "OPTIONS");
            return if self.encoded || !bodiless { Err(Refusal::LengthRequired) } else { Ok(0) };
        };
        let digits = match length {
            [b'-', digits @ ..] => digits,
            digits => digits,
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Refusal::BadLength);
        }
        // Existing servers count in 32 bits, with a sign.
        let value = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<i32>().ok());
        let Some(value) = value else { return Err(Refusal::BadLength) };
        if digits.len() != length.len() {
            return Err(Refusal::BodyExceeded);
        }
        if self.encoded {
            return Err(Refusal::TwoFramings);
        }
        usize::try_from(value).ok().filter(|&bytes| bytes <= max).ok_or(Refusal::BodyTooLarge)
    }
}

/// The index after the empty line that ends the head.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    let mut begun = false;
    for feed in memchr::memchr_iter(b'\n', bytes) {
        let line = without_return(bytes.get(start..feed).unwrap_or_default());
        if line.is_empty() && begun {
            return Some(feed + 1);
        }
        begun |= !line.is_empty();
        start = feed + 1;
    }
    None
}

/// The lines of a head, without their ends, up to the empty one.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = head;
    std::iter::from_fn(move || {
        let (line, after) = rest.split_at_checked(memchr::memchr(b'\n', rest)?)?;
        rest = after.get(1..).unwrap_or_default();
        Some(without_return(line))
    })
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Method, target and version: a request line has at least two spaces and a method.
fn request_line(line: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let mut parts = line.splitn(3, |&b| b == b' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    if !is_token(method) || has_control(line) {
        return None;
    }
    Some((std::str::from_utf8(method).ok()?, target, version))
}

fn has_element(list: &[u8], element: &[u8]) -> bool {
    list.split(|&b| b == b',').any(|e| e.trim_ascii().eq_ignore_ascii_case(element))
}

/// Whether there are control characters but the tab; a lone CR is among them. Looks at all bytes,
/// because without a way out in between several are looked at in one step.
fn has_control(line: &[u8]) -> bool {
    line.iter().fold(false, |found, b| found | ((*b < 0x20 && *b != b'\t') | (*b == 0x7f)))
}

/// A token of RFC 9110, 5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| TOKEN[usize::from(*b)])
}

/// Which bytes a token may have.
const TOKEN: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        allowed[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        allowed[others[at] as usize] = true;
        at += 1;
    }
    allowed
};

#[cfg(test)]
mod tests;
