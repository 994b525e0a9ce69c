//! Answers on their way to pages of other origins (specification, routing 5): with CORS fields, or
//! wrapped for JSON-P, whole or as they come.
//!
//! Called by `exchange`, `hold` and `repeat` with what they would show any client. What a held
//! request is answered with is written by `session::answer`.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::answer::Answer;
use super::failure::Failure;
use crate::clock;
use crate::forward::fields;
use crate::grip::fields::written;
use crate::http::BodyError;
use crate::limits::{JSONP_WHOLE_BYTES_MAX, JSONP_WHOLE_MS};
use crate::session::cross_origin::{CrossOrigin, SCRIPT};
use crate::wire::http1;
use crate::wire::jsonp::{Head, Pieces, Wrapping};
use crate::wire::names::Spelling;

/// Adds the CORS fields that an answer lacks.
pub fn share(page: &CrossOrigin, headers: &mut HeaderMap, spelling: Option<&Spelling>) {
    let names: Vec<Bytes> = written(headers, spelling, |_| true).map(|(name, ..)| name).collect();
    let own = |name: &&[u8]| !name.eq_ignore_ascii_case(b"connection");
    let lacking = page.cors.lacking(names.iter().map(|name| &name[..]).filter(own));
    for (name, value) in lacking {
        let name = HeaderName::from_bytes(name.as_bytes());
        // What came out of a header field can stand in one.
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&value)) {
            headers.append(name, value);
        }
    }
}

/// An answer that is here whole: an error of ours, or what an instruction shows at once.
#[must_use]
pub fn whole(page: &CrossOrigin, mut response: Response<Bytes>) -> Response<Bytes> {
    let Some(wrapping) = &page.jsonp else {
        let spelling = response.extensions().get::<Spelling>().cloned();
        share(page, response.headers_mut(), spelling.as_ref());
        return response;
    };
    let reason = reason(&response);
    let (mut parts, body) = response.into_parts();
    let connection = parts.headers.remove(CONNECTION);
    let fields = shown(&parts);
    let fields = pairs(&fields);
    let head = Head { code: parts.status.as_u16(), reason: &reason, fields: &fields };
    let body = wrapping.relayed(head, &body).into();
    let mut response = script(&parts, true).map(|()| body);
    if let Some(connection) = connection {
        response.headers_mut().append(CONNECTION, connection);
    }
    response
}

/// An error of ours; the page sees its length too.
#[must_use]
pub fn refused(page: &CrossOrigin, mut response: Response<Bytes>) -> Response<Bytes> {
    if page.jsonp.is_some() {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().append(CONTENT_LENGTH, length);
    }
    whole(page, response)
}

/// A target's answer. What is whole soon is sent with its length; the rest is wrapped as it comes.
///
/// # Errors
/// When the backend breaks off before the page has seen anything.
pub async fn relayed(
    page: &CrossOrigin,
    answer: Response<Answer>,
) -> Result<Response<Answer>, Failure> {
    let reason = reason(&answer);
    let (mut parts, body) = answer.into_parts();
    parts.headers = fields::response_headers(parts.status, parts.headers);
    let Some(wrapping) = &page.jsonp else {
        share(page, &mut parts.headers, parts.extensions.get());
        return Ok(Response::from_parts(parts, body));
    };
    let (first, rest) = soon(body).await?;
    let fields = shown(&parts);
    let fields = pairs(&fields);
    let head = Head { code: parts.status.as_u16(), reason: &reason, fields: &fields };
    Ok(match rest {
        None => {
            let body = wrapping.relayed(head, &first).into();
            script(&parts, true).map(|()| Answer::whole(body))
        }
        Some(rest) => {
            let body = Wrapped::new(wrapping, head, &first, rest);
            script(&parts, false).map(|()| Answer::Wrapped(Box::pin(body)))
        }
    })
}

/// What comes of a body at once, and the rest if it is not all.
async fn soon(mut body: Answer) -> Result<(Bytes, Option<Answer>), Failure> {
    let mut first = BytesMut::new();
    if body.size_hint().lower() > JSONP_WHOLE_BYTES_MAX as u64 {
        return Ok((Bytes::new(), Some(body)));
    }
    let mut over = pin!(clock::sleep_ms(JSONP_WHOLE_MS));
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = &mut over => return Ok((first.freeze(), Some(body))),
        };
        match frame {
            None => return Ok((first.freeze(), None)),
            Some(Err(_)) => return Err(Failure::Backend),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    first.extend_from_slice(&data);
                }
            }
        }
        if first.len() > JSONP_WHOLE_BYTES_MAX {
            return Ok((first.freeze(), Some(body)));
        }
    }
}

/// The head of a script. Who has all of an answer may keep it as its backend says.
fn script(parts: &Parts, whole: bool) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    if let Ok(script) = HeaderValue::from_bytes(SCRIPT) {
        headers.append(CONTENT_TYPE, script);
    }
    for value in parts.headers.get_all(CACHE_CONTROL).iter().filter(|_| whole) {
        headers.append(CACHE_CONTROL, value.clone());
    }
    response
}

fn reason<B>(response: &Response<B>) -> Bytes {
    let standard = || Bytes::from_static(http1::reason(response.status().as_u16()).as_bytes());
    crate::http::reason(response).unwrap_or_else(standard)
}

/// The fields of an answer as a page reads them: their names as they were written.
fn shown(parts: &Parts) -> Vec<(Bytes, &HeaderValue)> {
    written(&parts.headers, parts.extensions.get(), |_| true).collect()
}

fn pairs<'f>(fields: &'f [(Bytes, &HeaderValue)]) -> Vec<(&'f [u8], &'f [u8])> {
    fields.iter().map(|(name, value)| (&name[..], value.as_bytes())).collect()
}

/// A body that is wrapped as it comes; of it nothing is kept but what cannot be said yet.
pub struct Wrapped {
    first: Option<Bytes>,
    rest: Answer,
    /// Nothing when its end has been said.
    pieces: Option<Pieces>,
}

impl Wrapped {
    fn new(wrapping: &Wrapping, head: Head<'_>, first: &[u8], rest: Answer) -> Wrapped {
        let mut out = Vec::new();
        let mut pieces = wrapping.begin(head, &mut out);
        pieces.piece(first, &mut out);
        Wrapped { first: Some(out.into()), rest, pieces: Some(pieces) }
    }
}

impl Body for Wrapped {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let mut out = Vec::new();
        while let Some(pieces) = &mut this.pieces {
            match ready!(Pin::new(&mut this.rest).poll_frame(cx)) {
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    pieces.piece(&data, &mut out);
                }
                None => {
                    if let Some(pieces) = this.pieces.take() {
                        pieces.end(&mut out);
                    }
                }
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.pieces.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(extended: Option<bool>) -> CrossOrigin {
        let jsonp = extended.map(|extended| Wrapping { callback: (*b"f").into(), extended });
        CrossOrigin { jsonp, ..CrossOrigin::default() }
    }

    fn refusal() -> Response<Bytes> {
        Failure::ClientBody.response(false, false)
    }

    #[test]
    fn errors_keep_what_they_say_of_the_connection() {
        let shown = refused(&page(None), refusal());
        assert_eq!(
            (shown.status(), shown.headers()[CONNECTION].as_bytes()),
            (StatusCode::BAD_REQUEST, &b"close"[..])
        );
        let (mut names, script) = (Vec::new(), refused(&page(Some(true)), refusal()));
        for (name, value) in script.headers() {
            names.push(format!("{name}: {}", value.to_str().unwrap()));
        }
        assert_eq!(names, ["content-type: application/javascript", "connection: close"]);
        assert_eq!(
            script.body(),
            "/**/f({\"code\": 400, \"reason\": \"Bad Request\", \"headers\": \
             {\"Content-Length\":\"33\",\"Content-Type\":\"text/plain\"}, \
             \"body\": \"Failed to read the request body.\\n\"});\n"
        );
    }

    #[test]
    fn the_connection_is_not_exposed() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_static("Transfer-Encoding"));
        share(&page(None), &mut headers, None);
        assert!(!headers.contains_key("access-control-expose-headers"));
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("etag", HeaderValue::from_static("1"));
        share(&page(None), &mut headers, None);
        assert_eq!(headers["access-control-expose-headers"], "X-A, Etag");
        assert_eq!(headers.get_all("access-control-max-age").iter().count(), 1);
    }

    #[test]
    fn a_wrapped_body_ends_once() {
        let head = Head { code: 200, reason: b"OK", fields: &[] };
        let wrapping = Wrapping { callback: (*b"f").into(), extended: false };
        let rest = Answer::whole(Bytes::from_static(b"c\n"));
        let mut body = Wrapped::new(&wrapping, head, b"ab\r", rest);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut seen = Vec::new();
        while !body.is_end_stream() {
            let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx) else {
                panic!("it has not ended");
            };
            seen.push(frame.into_data().unwrap());
        }
        assert_eq!(seen, ["/**/f(ab", "\rc", ");\n"]);
        assert!(matches!(Pin::new(&mut body).poll_frame(&mut cx), Poll::Ready(None)));
    }
}
