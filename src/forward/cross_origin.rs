//! Requests of pages of other origins, on routes that serve such pages: what is remembered of them
//! for their answers, and the request that a JSON-P script means (specification, routing 5).
//!
//! Called by the roof between route and access line; whatever follows sees the rewritten request.
//! What becomes of answers is `cross_origin_answer`'s affair.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CONNECTION,
    CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderName, ORIGIN, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method};
use std::rc::Rc;

use super::context::Context;
use super::fields::KEEP_ALIVE;
use super::shared::Settings;
use crate::route::Route;
use crate::route::cross_origin::JsonP;
use crate::session::cross_origin::CrossOrigin;
use crate::wire::cors::Cors;
use crate::wire::jsonp::Wrapping;
use crate::wire::jsonp::query::{self, Asked, Names, QueryError};
use crate::wire::names::Spelling;

/// What a request's answers need, if its route (or all of them) serves pages of other origins.
#[must_use]
pub fn of(context: &Context, settings: &Settings, route: Option<&Route>) -> Option<CrossOrigin> {
    let active = settings.forwarding.cross_origin || route.is_some_and(|route| route.options.aco);
    if !active || context.websocket {
        return None;
    }
    let first = |name: &HeaderName| context.headers.get(name).map(HeaderValue::as_bytes);
    let asked = context.headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS);
    let cors = Cors::new(
        first(&ORIGIN),
        first(&ACCESS_CONTROL_REQUEST_METHOD),
        asked.iter().map(HeaderValue::as_bytes),
    );
    Some(CrossOrigin { cors, jsonp: None })
}

/// If the request is a script's, makes of it the request that the script means, and has its answers
/// wrapped. The body that it has instead of the client's, if there is one.
///
/// # Errors
/// When what it means makes no sense; then nothing has changed.
pub fn rewrite(
    page: &mut CrossOrigin,
    context: &mut Context,
    spelling: &mut Option<Spelling>,
    route: Option<&Route>,
) -> Result<Option<Bytes>, QueryError> {
    if context.method != Method::GET {
        return Ok(None);
    }
    let jsonp = route.map_or(&JsonP::DEFAULT, |route| &route.options.jsonp);
    let names = Names {
        callback: &jsonp.callback,
        body: jsonp.body.as_deref(),
        default_callback: jsonp.default_callback.as_deref(),
    };
    let query = context.query.as_deref().unwrap_or_default();
    let Some(asked) = query::read(query, names).transpose()? else { return Ok(None) };
    let method = asked.method.as_deref().unwrap_or(jsonp.method());
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| QueryError::Method)?;
    let (headers, given) = headers(context, &asked);
    *spelling = Spelling::after(&given, spelling.take());
    context.method = method;
    context.headers = Rc::new(headers);
    context.query = asked.rest.map(Rc::from);
    let callback = asked.callback.into();
    page.jsonp = Some(Wrapping { callback, extended: jsonp.extended });
    Ok(asked.body.map(Bytes::from))
}

/// What a script says comes first, then what every request has, then what the browser says. Beside
/// the fields, the names that are the script's as it wrote them, each with a colon behind it.
fn headers(context: &Context, asked: &Asked) -> (HeaderMap, Vec<u8>) {
    let mut given = Vec::new();
    let mut headers = HeaderMap::with_capacity(context.headers.len() + asked.headers.len() + 3);
    for (written, value) in &asked.headers {
        let name = HeaderName::from_bytes(written.as_bytes());
        // What is one line was looked at before.
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) else {
            continue;
        };
        if !(is_not_for_scripts(&name) || asked.json && name == CONTENT_TYPE) {
            headers.append(name, value);
            given.extend([written.as_bytes(), b":"].concat());
        }
    }
    if asked.json {
        given.extend(b"Content-Type:");
        headers.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Ok(host) = HeaderValue::from_str(&context.host) {
        headers.append(HOST, host);
    }
    headers.append(ACCEPT, HeaderValue::from_static("*/*"));
    let framing = [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT];
    for (name, value) in context.headers.iter() {
        let replaced = asked.body.is_some() && framing.contains(name);
        if ![HOST, ACCEPT].contains(name) && !replaced {
            headers.append(name.clone(), value.clone());
        }
    }
    (headers, given)
}

/// What a script cannot set: what we say ourselves, and what the connections say.
fn is_not_for_scripts(name: &HeaderName) -> bool {
    [HOST, ACCEPT, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, UPGRADE].contains(name)
        || *name == KEEP_ALIVE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::tests::{context, route};

    fn read(
        line: &str,
        query: &str,
        fields: &[(&'static str, &str)],
    ) -> (CrossOrigin, Context, Option<Bytes>) {
        let mut context = Context { websocket: false, ..context("/x", Some(query)) };
        context.headers = Rc::default();
        for (name, value) in fields {
            Rc::make_mut(&mut context.headers).append(*name, value.parse().unwrap());
        }
        let route = route(line);
        let mut page = CrossOrigin::default();
        let body = rewrite(&mut page, &mut context, &mut None, Some(&route)).unwrap();
        (page, context, body)
    }

    fn shown(context: &Context) -> String {
        let fields = context.headers.iter();
        let fields = fields.map(|(n, v)| format!("{n}={}|", String::from_utf8_lossy(v.as_bytes())));
        let query = context.query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
        format!("{} {}{query} {}", context.method, context.path, fields.collect::<String>())
    }

    #[test]
    fn the_request_that_is_meant() {
        let headers = "%7B%22X-b%22:%221%22,%22Host%22:%22q%22,%22accept%22:%22z%22,\
            %22A%22:%222%22,%22connection%22:%22close%22,%22Content-Length%22:%2299%22,\
            %22Content-Type%22:%22t%22%7D";
        let query = format!("x=1&callback=cb&y&_method=PUT&_headers={headers}&_body=a+b");
        let client = [("x-z", "1"), ("accept", "foo"), ("host", "h"), ("x-b", "2")];
        let (page, context, body) = read("*,aco 127.0.0.1:1", &query, &client);
        assert_eq!(
            shown(&context),
            "PUT /x?x=1&y a=2|content-type=t|x-b=1|x-b=2|host=example.com|accept=*/*|x-z=1|"
        );
        assert_eq!(body.as_deref(), Some(&b"a+b"[..]));
        let wrapping = page.jsonp.unwrap();
        assert_eq!((&wrapping.callback[..], wrapping.extended), (&b"cb"[..], true));
    }

    #[test]
    fn bodies_of_json_and_modes() {
        let line = "*,aco,jsonp_mode=basic,jsonp_body=data,jsonp_defcb=d 127.0.0.1:1";
        let query = "data=5&_headers=%7B%22content-type%22:%22q%22%7D";
        let (page, context, body) = read(line, query, &[("content-length", "3")]);
        let expected = "POST /x content-type=application/json|host=example.com|accept=*/*|";
        assert_eq!((shown(&context).as_str(), body.as_deref()), (expected, Some(&b"5"[..])));
        assert!(page.jsonp.is_some_and(|wrapping| !wrapping.extended));
    }

    #[test]
    fn what_is_no_script_stays() {
        let (page, context, body) = read("*,aco 127.0.0.1:1", "a=b", &[("accept", "x")]);
        assert_eq!((shown(&context).as_str(), body), ("GET /x?a=b accept=x|", None));
        assert_eq!(page, CrossOrigin::default());
    }

    #[test]
    fn only_where_it_is_asked_for() {
        let company = crate::forward::tests::Company::new();
        let mut settings = company.shared.settings.clone();
        let plain = Context { websocket: false, ..context("/", None) };
        let (aco, none) = (route("*,aco 127.0.0.1:1"), route("* 127.0.0.1:1"));
        assert!(of(&plain, &settings, Some(&aco)).is_some());
        assert!(
            of(&plain, &settings, Some(&none)).is_none() && of(&plain, &settings, None).is_none()
        );
        assert!(of(&context("/", None), &settings, Some(&aco)).is_none(), "a WebSocket");
        settings.forwarding.cross_origin = true;
        assert!(
            of(&plain, &settings, Some(&none)).is_some() && of(&plain, &settings, None).is_some()
        );
    }
}
