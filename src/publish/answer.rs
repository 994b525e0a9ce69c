//! What the control API answers: one table of statuses and texts (specification, GRIP 7), and how
//! an answer is written.
//!
//! Made by `api`, and by `connection` for what is refused for its framing. Knows nothing of
//! connections.

use std::borrow::Cow;

use bytes::BytesMut;

use super::accept::Format;
use super::head::{Head, Method, Refusal, RefusedHead};
use super::publisher::Refused;
use super::receipts::Receipts;
use crate::grip::item::ItemsError;
use crate::wire::http1;

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// This is the API.
    Api,
    /// All items were accepted.
    Published(Format),
    /// All items were accepted, and this came of them.
    Receipts(Receipts),
    /// What is held will be recovered.
    Updated(Format),
    /// No such path.
    NotFound,
    /// The path exists, but only for POST.
    MethodNotAllowed(Box<str>),
    /// Nothing that the client accepts.
    NotAcceptable,
    /// Receipts were asked for, but not in the form that they have.
    ReceiptsAreJson,
    /// The body is not a list of items.
    Invalid(ItemsError),
    /// The items were not accepted by the shards.
    NotAccepted(Refused),
    /// The request was refused for its framing.
    Refused(Refusal),
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// The request said HTTP/1.0.
    pub http_1_0: bool,
    /// The connection ends with this answer.
    pub close: bool,
    /// The request was HEAD: the length is said, the body is not sent.
    pub head_only: bool,
}

impl Form {
    /// For the answer to a request with this head.
    #[must_use]
    pub fn of(head: &Head, close: bool) -> Form {
        Form { http_1_0: head.http_1_0, close, head_only: head.method == Method::Head }
    }

    /// For a head that was refused: where the next request would begin is in doubt.
    #[must_use]
    pub fn of_refused(refused: RefusedHead) -> Form {
        Form { http_1_0: refused.http_1_0, close: true, head_only: false }
    }
}

impl Answer {
    fn code(&self) -> u16 {
        match self {
            Answer::Api | Answer::Published(_) | Answer::Receipts(_) | Answer::Updated(_) => 200,
            Answer::NotFound => 404,
            Answer::MethodNotAllowed(_) => 405,
            Answer::NotAcceptable | Answer::ReceiptsAreJson => 406,
            Answer::Refused(Refusal::LengthRequired) => 411,
            Answer::Invalid(_) | Answer::Refused(_) => 400,
            Answer::NotAccepted(_) => 503,
        }
    }

    fn content_type(&self) -> &'static [u8] {
        match self {
            Answer::Published(Format::Json)
            | Answer::Updated(Format::Json)
            | Answer::Receipts(_) => b"application/json",
            _ => b"text/plain",
        }
    }

    fn body(&self) -> Cow<'static, str> {
        match self {
            Answer::Api => "linchpin API\n".into(),
            Answer::Published(Format::Text) => "Published\n".into(),
            Answer::Published(Format::Json) => "{\"message\":\"Published\"}\n".into(),
            Answer::Receipts(receipts) => receipts.to_json().into(),
            Answer::Updated(Format::Text) => "Updated\n".into(),
            Answer::Updated(Format::Json) => "{\"message\":\"Updated\"}\n".into(),
            Answer::NotFound => "Not Found\n".into(),
            Answer::MethodNotAllowed(method) => format!("Method not allowed: {method}.\n").into(),
            Answer::NotAcceptable => {
                "Not Acceptable. Supported formats are text/plain and application/json.\n".into()
            }
            Answer::ReceiptsAreJson => {
                "Not Acceptable. Receipts are supported as application/json only.\n".into()
            }
            Answer::Invalid(error) => format!("{error}\n").into(),
            Answer::NotAccepted(refused) => format!("{refused}\n").into(),
            Answer::Refused(refusal) => format!("{refusal}\n").into(),
        }
    }

    /// Appends the whole answer to `out`.
    pub fn write(&self, out: &mut BytesMut, form: Form) {
        let code = self.code();
        let answer = http1::Answer {
            version: if form.http_1_0 { http1::Version::Http10 } else { http1::Version::Http11 },
            code,
            reason: http1::reason(code).as_bytes(),
            head_only: form.head_only,
            persistent: !form.close,
        };
        let allow = matches!(self, Answer::MethodNotAllowed(_));
        // To HTTP/1.0 too: publishers compare what existing servers say.
        let close = form.http_1_0 && form.close;
        let fields: [(bool, &[u8], &[u8]); 3] = [
            (allow, b"Allow", b"POST"),
            (true, b"Content-Type", self.content_type()),
            (close, b"Connection", b"close"),
        ];
        let fields = fields.into_iter().filter(|(said, ..)| *said).map(|(_, n, v)| (n, v));
        answer.write(out, fields, self.body().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(answer: &Answer, form: Form) -> String {
        let mut out = BytesMut::new();
        answer.write(&mut out, form);
        String::from_utf8(out.to_vec()).unwrap()
    }

    const PLAIN: Form = Form { http_1_0: false, close: false, head_only: false };

    #[test]
    fn a_refusal_is_written_whole() {
        let refused = RefusedHead { refusal: Refusal::LengthRequired, http_1_0: true };
        let expected = "HTTP/1.0 411 Length Required\r\nContent-Type: text/plain\r\n\
            Connection: close\r\nContent-Length: 33\r\n\r\nRequest requires Content-Length.\n";
        assert_eq!(written(&Answer::Refused(refused.refusal), Form::of_refused(refused)), expected);
    }

    #[test]
    fn what_shards_refuse_is_told_as_503() {
        let answer = Answer::NotAccepted(Refused::Busy { waited_ms: 5000 });
        let expected = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n\
            Content-Length: 57\r\n\r\n\
            not accepted: a worker does not keep up (waited 5000 ms)\n";
        assert_eq!(written(&answer, PLAIN), expected);
    }

    #[test]
    fn what_is_allowed_comes_first() {
        let answer = Answer::MethodNotAllowed("HEAD".into());
        let expected = "HTTP/1.1 405 Method Not Allowed\r\nAllow: POST\r\n\
            Content-Type: text/plain\r\nConnection: close\r\nContent-Length: 26\r\n\r\n";
        let form = Form { close: true, head_only: true, ..PLAIN };
        assert_eq!(written(&answer, form), expected);
    }

    #[test]
    fn every_code_has_its_phrase() {
        for answer in [
            Answer::Api,
            Answer::NotFound,
            Answer::MethodNotAllowed("X".into()),
            Answer::NotAcceptable,
            Answer::Refused(Refusal::LengthRequired),
            Answer::Refused(Refusal::Malformed),
            Answer::NotAccepted(Refused::Stopping),
            Answer::ReceiptsAreJson,
            Answer::Updated(Format::Json),
        ] {
            assert_ne!(http1::reason(answer.code()), "Undefined Reason", "{answer:?}");
        }
    }
}
