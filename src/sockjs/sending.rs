//! Where in a send the text of its messages is (specification, SockJS 6.6 and 6.9). Called by
//! `proxy`, which then has `wire::sockjs::parse` read it.

use bytes::Bytes;
use url::form_urlencoded;

use super::path::Sending;

/// The text of a send's messages; empty if there is none. `content_type`, `query` and `body` are
/// the request's.
///
/// A `jsonp_send` is a form with a field `d`, or a query with one, or the text itself. Its content
/// type says which; but a body that begins as the form does is one, whatever it is called, as
/// Pushpin has it.
#[must_use]
pub fn text(
    form: Sending,
    content_type: Option<&[u8]>,
    query: Option<&str>,
    body: &Bytes,
) -> Bytes {
    match form {
        Sending::Xhr => body.clone(),
        Sending::Jsonp if body.is_empty() => field(query.unwrap_or_default().as_bytes()),
        Sending::Jsonp if is_form(content_type) || body.starts_with(b"d=") => field(body),
        Sending::Jsonp => body.clone(),
    }
}

fn is_form(content_type: Option<&[u8]>) -> bool {
    let kind = content_type.unwrap_or_default().split(|byte| *byte == b';').next();
    let kind = kind.unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

fn field(form: &[u8]) -> Bytes {
    let found = form_urlencoded::parse(form).find(|(name, _)| name == "d");
    found.map_or_else(Bytes::new, |(_, value)| value.into_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Option<&[u8]> = Some(b"application/x-www-form-urlencoded");

    fn of(kind: Option<&[u8]>, query: Option<&str>, body: &'static str) -> Bytes {
        text(Sending::Jsonp, kind, query, &Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn forms() {
        assert_eq!(of(FORM, None, "d=%5B%22x+%C3%A9%22%5D"), "[\"x é\"]");
        assert_eq!(of(Some(b"Application/X-WWW-Form-Urlencoded ; a=b"), None, "p=p&d=1"), "1");
        for nothing in ["", "d=", "d", "p=p"] {
            assert!(of(FORM, None, nothing).is_empty(), "{nothing}");
        }
        assert_eq!(of(None, None, "d=%5B%5D"), "[]");
    }

    #[test]
    fn texts() {
        assert_eq!(of(Some(b"text/plain"), None, "[\"%61bc\"]"), "[\"%61bc\"]");
        assert_eq!(of(None, None, "[\"a\"]"), "[\"a\"]");
        let body = Bytes::from_static(b"d=1");
        assert_eq!(text(Sending::Xhr, FORM, Some("d=2"), &body), "d=1");
    }

    #[test]
    fn queries() {
        assert_eq!(of(None, Some("a=b&d=%5B%22x%22%5D"), ""), "[\"x\"]");
        assert_eq!(of(None, Some("a=b"), ""), "");
        assert_eq!(of(FORM, Some("d=1"), "d=2"), "2");
    }
}
