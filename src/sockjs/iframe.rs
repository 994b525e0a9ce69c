//! The page that a client of another origin loads into a hidden frame, to speak from there
//! (specification, SockJS 6.3 and 6.9). Made once by `proxy`; answered by `answers`.

use std::fmt::Write;

use bytes::Bytes;
use http::HeaderValue;
use md5::{Digest, Md5};

/// The page with the address of the client library.
#[derive(Clone, Debug)]
pub struct Page {
    /// The page.
    pub body: Bytes,
    /// Names this very text: the hexadecimal MD5, in quotes.
    pub etag: HeaderValue,
}

impl Page {
    /// The page that loads the library from `url`.
    ///
    /// The library finds the function set up for it, as release 0.3.3 of the SockJS protocol has
    /// it; both old and present ones do.
    #[must_use]
    pub fn new(url: &str) -> Page {
        let url = url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        let body = format!(
            r#"<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script>
    document.domain = document.domain;
    _sockjs_onload = function(){{SockJS.bootstrap_iframe();}};
  </script>
  <script src="{url}"></script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"#
        );
        let mut etag = String::from("\"");
        for byte in Md5::digest(&body) {
            let _ = write!(etag, "{byte:02x}");
        }
        etag.push('"');
        // Quotes and hexadecimal digits always make a header.
        let etag = HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\""));
        Page { body: body.into(), etag }
    }

    /// Whether a client that says `If-None-Match` has it already.
    #[must_use]
    pub fn is_among(&self, if_none_match: &[u8]) -> bool {
        if_none_match.split(|byte| *byte == b',').any(|one| {
            let one = one.trim_ascii();
            let strong = one.strip_prefix(b"W/").unwrap_or(one);
            one == b"*" || strong == self.etag.as_bytes()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page() {
        let page = Page::new("http://a/b.js?x=\"1\"&y=<");
        let text = std::str::from_utf8(&page.body).unwrap();
        assert!(
            text.contains("<script src=\"http://a/b.js?x=&quot;1&quot;&amp;y=&lt;\"></script>")
        );
        assert!(text.contains("{SockJS.bootstrap_iframe();};\n"));
        let etag = page.etag.to_str().unwrap();
        assert!(etag.len() == 34 && etag.bytes().all(|b| b == b'"' || b.is_ascii_hexdigit()));
        assert_ne!(Page::new("/b.js").etag, page.etag);
    }

    #[test]
    fn etags() {
        let page = Page::new("/sockjs.js");
        let etag = page.etag.to_str().unwrap();
        for one in [etag.to_owned(), format!("\"x\", W/{etag}"), "*".into()] {
            assert!(page.is_among(one.as_bytes()), "{one}");
        }
        for other in ["", "\"\"", "x", etag.trim_matches('"')] {
            assert!(!page.is_among(other.as_bytes()), "{other}");
        }
    }
}
