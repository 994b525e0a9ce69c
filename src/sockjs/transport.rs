//! How frames reach a client: each transport's content type, beginning and way of writing a frame
//! (specification, SockJS 6.5 and 6.9). Called by `proxy` for each receiver.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;
use url::form_urlencoded;

use crate::limits;

/// A way in which frames reach a client that has no WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `xhr`: one frame an answer.
    Xhr,
    /// `xhr_streaming`: frames as lines.
    XhrStreaming,
    /// `eventsource`: frames as events.
    EventSource,
    /// `htmlfile`: frames as scripts of a page that never ends.
    HtmlFile,
    /// `jsonp`: one frame, as a script.
    Jsonp,
}

impl Transport {
    /// The last part of the path of its requests.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Transport::Xhr => "xhr",
            Transport::XhrStreaming => "xhr_streaming",
            Transport::EventSource => "eventsource",
            Transport::HtmlFile => "htmlfile",
            Transport::Jsonp => "jsonp",
        }
    }

    /// Whether its answer goes on after a frame.
    #[must_use]
    pub const fn is_streaming(self) -> bool {
        matches!(self, Transport::XhrStreaming | Transport::EventSource | Transport::HtmlFile)
    }

    /// Of its answer.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Transport::Xhr | Transport::XhrStreaming | Transport::Jsonp => {
                "application/javascript; charset=UTF-8"
            }
            Transport::EventSource => "text/event-stream; charset=UTF-8",
            Transport::HtmlFile => "text/html; charset=UTF-8",
        }
    }

    /// Whether its frames name a function of the client's.
    #[must_use]
    pub const fn has_callback(self) -> bool {
        matches!(self, Transport::HtmlFile | Transport::Jsonp)
    }
}

/// What is wrong with the name of a client's function. The text is what the client is told.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CallbackFault {
    /// There is none.
    #[error("\"callback\" parameter required")]
    Missing,
    /// It is more than a name.
    #[error("invalid \"callback\" parameter")]
    Invalid,
}

/// The name of a function of the client's: letters, digits and any of `-_.` only, so that it can
/// stand in a script without being one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback(String);

impl Callback {
    /// Out of a request's query: `c`, else `callback`.
    ///
    /// # Errors
    ///
    /// See [`CallbackFault`].
    pub fn of(query: Option<&str>) -> Result<Callback, CallbackFault> {
        let find = |wanted: &str| {
            let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
            pairs.find(|(name, value)| name == wanted && !value.is_empty())
        };
        let (_, name) = find("c").or_else(|| find("callback")).ok_or(CallbackFault::Missing)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.len() > limits::SOCKJS_CALLBACK_BYTES_MAX || !name.bytes().all(is_plain) {
            return Err(CallbackFault::Invalid);
        }
        Ok(Callback(name.into_owned()))
    }

    /// A script that calls the function with `text`.
    #[must_use]
    pub fn call(&self, text: &[u8]) -> Bytes {
        let mut script = BytesMut::with_capacity(self.0.len() + text.len() + 32);
        script.put_slice(self.0.as_bytes());
        argument(text, &mut script);
        script.put_slice(b");\r\n");
        script.freeze()
    }
}

/// One request's way of getting frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    transport: Transport,
    /// Only of transports that have one.
    callback: Option<Callback>,
}

impl Receiver {
    /// Of a request with this query.
    ///
    /// # Errors
    ///
    /// The transport needs a callback, and the query has no good one: `answers::fault`.
    pub fn new(transport: Transport, query: Option<&str>) -> Result<Receiver, CallbackFault> {
        let callback = if transport.has_callback() { Some(Callback::of(query)?) } else { None };
        Ok(Receiver { transport, callback })
    }

    /// The transport.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// What the answer's body begins with, before any frame; empty for polling transports. It does
    /// not count for the limit of a streaming answer. It is to leave in a piece of its own.
    #[must_use]
    pub fn prelude(&self) -> Bytes {
        match self.transport {
            Transport::Xhr | Transport::Jsonp => Bytes::new(),
            Transport::XhrStreaming => Bytes::from_static(&XHR_PRELUDE),
            Transport::EventSource => Bytes::from_static(b"\r\n"),
            Transport::HtmlFile => html_head(&self.function()),
        }
    }

    /// A frame (`o`, `h`, `a[...]`, `c[...]`) as it is written. Its length counts for the limit of
    /// a streaming answer. It is to leave in a piece of its own.
    #[must_use]
    pub fn write(&self, frame: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(frame.len() + 48);
        match self.transport {
            Transport::Xhr | Transport::XhrStreaming => {
                out.put_slice(frame);
                out.put_u8(b'\n');
            }
            Transport::EventSource => {
                out.put_slice(b"data: ");
                out.put_slice(frame);
                out.put_slice(b"\r\n\r\n");
            }
            Transport::HtmlFile => {
                out.put_slice(b"<script>\np");
                argument(frame, &mut out);
                out.put_slice(b");\n</script>\r\n");
            }
            Transport::Jsonp => return Callback(self.function()).call(frame),
        }
        out.freeze()
    }

    fn function(&self) -> String {
        self.callback.as_ref().map_or_else(String::new, |callback| callback.0.clone())
    }
}

/// Browsers show a client what has come only after so much.
static XHR_PRELUDE: [u8; 2049] = {
    let mut prelude = [b'h'; 2049];
    prelude[2048] = b'\n';
    prelude
};

/// An opening parenthesis and the text as a string of JavaScript. Frames have no control
/// characters and none that JavaScript and JSON see differently (`wire::sockjs::quote`); a `<` is
/// escaped, so that no message can end the script that it stands in.
fn argument(text: &[u8], out: &mut BytesMut) {
    out.put_slice(b"(\"");
    for &byte in text {
        match byte {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'<' => out.put_slice(b"\\u003c"),
            _ => out.put_u8(byte),
        }
    }
    out.put_u8(b'"');
}

/// The beginning of the page, padded with spaces: browsers run its scripts only after so much.
fn html_head(function: &str) -> Bytes {
    let head = format!(
        r#"<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.{function};
    c.start();
    function p(d) {{c.message(d);}};
    window.onload = function() {{c.stop();}};
  </script>
"#
    );
    format!("{head:<1100}\r\n\r\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sockjs::quote;
    use proptest::prelude::*;

    fn receiver(transport: Transport) -> Receiver {
        Receiver::new(transport, Some("t=1&c=%63allback")).unwrap()
    }

    fn written(transport: Transport, frame: &str) -> String {
        String::from_utf8(receiver(transport).write(frame.as_bytes()).to_vec()).unwrap()
    }

    #[test]
    fn frames() {
        assert_eq!(written(Transport::Xhr, "o"), "o\n");
        assert_eq!(written(Transport::XhrStreaming, r#"a["x"]"#), "a[\"x\"]\n");
        assert_eq!(written(Transport::EventSource, r#"a["x"]"#), "data: a[\"x\"]\r\n\r\n");
        let script = "<script>\np(\"a[\\\"x\\\"]\");\n</script>\r\n";
        assert_eq!(written(Transport::HtmlFile, r#"a["x"]"#), script);
        assert_eq!(written(Transport::Jsonp, "o"), "callback(\"o\");\r\n");
        assert_eq!(written(Transport::Jsonp, r#"a["\n"]"#), "callback(\"a[\\\"\\\\n\\\"]\");\r\n");
        let script = "<script>\np(\"a[\\\"\\u003c/script>\\\"]\");\n</script>\r\n";
        assert_eq!(written(Transport::HtmlFile, r#"a["</script>"]"#), script);
    }

    #[test]
    fn preludes() {
        assert!(receiver(Transport::Xhr).prelude().is_empty());
        assert!(receiver(Transport::Jsonp).prelude().is_empty());
        let prelude = receiver(Transport::XhrStreaming).prelude();
        assert_eq!(prelude, [&[b'h'; 2048][..], b"\n"].concat());
        assert_eq!(receiver(Transport::EventSource).prelude(), "\r\n");
        let head = receiver(Transport::HtmlFile).prelude();
        let head = std::str::from_utf8(&head).unwrap();
        assert!(head.len() > 1024 && head.starts_with("<!doctype html>\n"), "{}", head.len());
        assert!(head.contains("var c = parent.callback;\n") && head.contains("{c.message(d);};"));
        assert!(head.trim_end().ends_with("</script>"));
    }

    #[test]
    fn kinds() {
        for transport in [Transport::XhrStreaming, Transport::EventSource, Transport::HtmlFile] {
            assert!(transport.is_streaming());
        }
        assert!(!Transport::Xhr.is_streaming() && !Transport::Jsonp.is_streaming());
        assert_eq!(Receiver::new(Transport::Xhr, None).unwrap().transport(), Transport::Xhr);
        assert_eq!(Transport::HtmlFile.content_type(), "text/html; charset=UTF-8");
    }

    #[test]
    fn callbacks() {
        let of = |query: &str| Callback::of(Some(query)).map(|callback| callback.0);
        assert_eq!(of("c=a.b_c-1").unwrap(), "a.b_c-1");
        assert_eq!(of("callback=cb").unwrap(), "cb");
        assert_eq!(of("callback=x&c=y").unwrap(), "y");
        assert_eq!(of("c=&callback=x").unwrap(), "x");
        for missing in ["", "c", "c=", "d=x", "C=x"] {
            assert_eq!(of(missing), Err(CallbackFault::Missing), "{missing}");
        }
        assert_eq!(Callback::of(None), Err(CallbackFault::Missing));
        for invalid in ["c=a(", "c=a%28", "c=a%20", "c=a+b", "c=%ff", "c=%3Cscript%3E", "c=a;b"] {
            assert_eq!(of(invalid), Err(CallbackFault::Invalid), "{invalid}");
        }
        let most = "x".repeat(limits::SOCKJS_CALLBACK_BYTES_MAX);
        assert_eq!(of(&format!("c={most}")).unwrap(), most);
        assert_eq!(of(&format!("c={most}x")), Err(CallbackFault::Invalid));
        assert_eq!(CallbackFault::Missing.to_string(), "\"callback\" parameter required");
        assert_eq!(CallbackFault::Invalid.to_string(), "invalid \"callback\" parameter");
    }

    proptest! {
        #[test]
        fn a_script_holds_the_frame(text: String) {
            let frame = crate::wire::sockjs::messages(&[quote(text.as_bytes())]);
            for transport in [Transport::HtmlFile, Transport::Jsonp] {
                let script = receiver(transport).write(&frame);
                let script = std::str::from_utf8(&script).unwrap();
                let (from, to) = (script.find('"').unwrap(), script.rfind('"').unwrap());
                let string: String = serde_json::from_str(&script[from..=to]).unwrap();
                prop_assert_eq!(string.as_bytes(), &frame[..]);
                prop_assert_eq!(script.matches("</").count(), usize::from(transport.is_streaming()));
            }
        }
    }
}
