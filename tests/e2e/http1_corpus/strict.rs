//! A strict reader of HTTP/1.1 messages (RFC 9112) for judging others' bytes: it takes one reading
//! only, and says why when there is none or more than one. Written apart from the server's own.

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The three words of the first line.
    pub start: [String; 3],
    /// Names as they were written.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Without its framing.
    pub body: Vec<u8>,
    /// How many bytes it took.
    pub length: usize,
}

impl Message {
    /// All values of a field.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let same = |(each, _): &&(String, Vec<u8>)| each.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, value)| value.as_slice()).collect()
    }

    fn one(&self, name: &str) -> Result<Option<&[u8]>, String> {
        match self.all(name)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(format!("several {name}")),
        }
    }
}

/// What there is of a message.
pub type Found = Result<Option<Message>, String>;

/// The request at the front of `bytes`, as a proxy may write it; `None` if it is not whole.
pub fn request(bytes: &[u8]) -> Found {
    let Some(mut message) = head(bytes)? else { return Ok(None) };
    let [method, target, version] = &message.start;
    if !is_token(method.as_bytes()) || version != "HTTP/1.1" {
        return Err(format!("not a request line: {:?}", message.start));
    }
    let visible = |byte: u8| byte > b' ' && byte < 0x7f && !b"\"<>".contains(&byte);
    if !(target == "*" || target.starts_with('/')) || !target.bytes().all(visible) {
        return Err(format!("not a target: {target:?}"));
    }
    let host = message.one("host")?.ok_or("no Host")?;
    if host.is_empty() || host.iter().any(|byte| b" \t/?#@".contains(byte) || !byte.is_ascii()) {
        return Err(format!("not a Host: {:?}", host.escape_ascii().to_string()));
    }
    for name in ["keep-alive", "expect"] {
        if !message.all(name).is_empty() {
            return Err(format!("{name} is left over"));
        }
    }
    let chunked = is_chunked(&message)?;
    match (message.one("connection")?, chunked) {
        (None, _) | (Some(b"Transfer-Encoding"), true) => {}
        (Some(other), _) => {
            return Err(format!("Connection is left over: {}", other.escape_ascii()));
        }
    }
    let size = if chunked { None } else { Some(length(&message)?.unwrap_or(0)) };
    body(bytes, &mut message, size).map(|whole| whole.then_some(message))
}

/// The response at the front of `bytes`. `bodyless`: it answers a HEAD. `ended`: nothing comes
/// after `bytes`, so a body that goes on until the end is whole.
pub fn response(bytes: &[u8], bodyless: bool, ended: bool) -> Found {
    let Some(mut message) = head(bytes)? else { return Ok(None) };
    let [version, status, _] = &message.start;
    let digits = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    if version != "HTTP/1.1" && version != "HTTP/1.0" || !digits {
        return Err(format!("not a status line: {:?}", message.start));
    }
    message.one("connection")?;
    let (chunked, given) = (is_chunked(&message)?, length(&message)?);
    let none = status.starts_with('1') || status == "204" || status == "304";
    if (status.starts_with('1') || status == "204") && (chunked || given.is_some()) {
        return Err(format!("{status} with a length"));
    }
    let until_end = !chunked && given.is_none() && !none && !bodyless;
    if until_end {
        message.body = bytes[message.length..].to_vec();
        message.length = bytes.len();
        return Ok(ended.then_some(message));
    }
    let size = match (none || bodyless, chunked) {
        (true, _) => Some(0),
        (false, true) => None,
        (false, false) => given,
    };
    body(bytes, &mut message, size).map(|whole| whole.then_some(message))
}

fn is_token(text: &[u8]) -> bool {
    let of_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !text.is_empty() && text.iter().all(of_token)
}

/// A line and the rest.
type Line<'a> = (&'a [u8], &'a [u8]);

/// A line, and what follows its CR LF; `None` if it has no end.
fn line(bytes: &[u8]) -> Result<Option<Line<'_>>, String> {
    let Some(at) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let (text, rest) = (&bytes[..at], &bytes[at + 2..]);
    if text.iter().any(|byte| b"\r\n\0".contains(byte)) {
        return Err(format!("CR, LF or NUL within a line: {}", text.escape_ascii()));
    }
    Ok(Some((text, rest)))
}

fn head(bytes: &[u8]) -> Found {
    let Some((first, mut rest)) = line(bytes)? else { return Ok(None) };
    let text = String::from_utf8(first.to_vec()).map_err(|_| "the first line is not ASCII")?;
    let mut words = text.splitn(3, ' ').map(str::to_owned);
    let mut word = || words.next().ok_or_else(|| format!("not three words: {text:?}"));
    let start = [word()?, word()?, word()?];
    let mut fields = Vec::new();
    loop {
        let Some((text, after)) = line(rest)? else { return Ok(None) };
        rest = after;
        if text.is_empty() {
            break;
        }
        let colon = text.iter().position(|byte| *byte == b':').ok_or("a field without colon")?;
        let (name, value) = (&text[..colon], text[colon + 1..].trim_ascii());
        if !is_token(name) {
            return Err(format!("not a field name: {}", name.escape_ascii()));
        }
        if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
            return Err(format!("a control byte in a value: {}", value.escape_ascii()));
        }
        fields.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    }
    let length = bytes.len() - rest.len();
    Ok(Some(Message { start, fields, body: Vec::new(), length }))
}

fn is_chunked(message: &Message) -> Result<bool, String> {
    match message.one("transfer-encoding")? {
        None => Ok(false),
        Some(b"chunked") if message.all("content-length").is_empty() => Ok(true),
        Some(b"chunked") => Err("a length and a coding".to_owned()),
        Some(other) => Err(format!("a coding {}", other.escape_ascii())),
    }
}

fn length(message: &Message) -> Result<Option<usize>, String> {
    let Some(value) = message.one("content-length")? else { return Ok(None) };
    let text = String::from_utf8_lossy(value).into_owned();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).map(Some).ok_or(format!("a length {text:?}"))
}

/// Takes the body in: `size` bytes, or chunks. False if it is not whole.
fn body(bytes: &[u8], message: &mut Message, size: Option<usize>) -> Result<bool, String> {
    let mut rest = &bytes[message.length..];
    if let Some(size) = size {
        message.body = rest.get(..size).unwrap_or(rest).to_vec();
        message.length += message.body.len();
        return Ok(message.body.len() == size);
    }
    loop {
        let Some((text, after)) = line(rest)? else { return Ok(false) };
        let text = std::str::from_utf8(text).map_err(|_| "a chunk size that is not ASCII")?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(text, 16).ok().filter(|_| digits);
        let size = size.ok_or_else(|| format!("a chunk size {text:?}"))?;
        let Some(chunk) = after.get(..size.saturating_add(2)) else {
            return Ok(false);
        };
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk without its end, or trailers".to_owned());
        }
        message.body.extend_from_slice(&chunk[..size]);
        rest = &after[chunk.len()..];
        if size == 0 {
            message.length = bytes.len() - rest.len();
            return Ok(true);
        }
    }
}

#[test]
fn one_reading_only() {
    let whole = |text: &str| request(text.as_bytes()).unwrap().unwrap();
    let post = "POST /x HTTP/1.1\r\nHost: a\r\n";
    assert_eq!(whole(&format!("{post}Content-Length: 2\r\n\r\nabc")).body, b"ab");
    let chunks = format!("{post}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET");
    assert_eq!((whole(&chunks).body, whole(&chunks).length), (b"ab".to_vec(), chunks.len() - 3));
    assert_eq!(request(format!("{post}Content-Length: 2\r\n\r\na").as_bytes()), Ok(None));
    for bad in [
        "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "Content-Length: +1\r\n\r\na",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0;x\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
        "Connection: close\r\n\r\n",
        "Host: b\r\n\r\n",
        "X: a\nb\r\n\r\n",
        "X : a\r\n\r\n",
        " X: a\r\n\r\n",
        "Expect: x\r\n\r\n",
    ] {
        assert!(request(format!("{post}{bad}").as_bytes()).is_err(), "{bad:?}");
    }
    for bad in ["GET x HTTP/1.1", "GET /\u{e9} HTTP/1.1", "GET / HTTP/1.0", "G(T / HTTP/1.1"] {
        assert!(request(format!("{bad}\r\nHost: a\r\n\r\n").as_bytes()).is_err(), "{bad:?}");
    }
    let ok = |fields: &str, ended| {
        response(format!("HTTP/1.1 200 OK\r\n{fields}").as_bytes(), false, ended)
    };
    assert_eq!(ok("\r\nab", true).unwrap().unwrap().body, b"ab");
    assert_eq!(ok("\r\nab", false), Ok(None));
    assert_eq!(ok("Content-Length: 3\r\n\r\nab", true), Ok(None));
}
