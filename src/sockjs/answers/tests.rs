//! Each answer, header by header.

use super::*;

fn client() -> Client {
    Client::of(&HeaderMap::new(), true)
}

fn asked(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// Status, `Content-Type` and body.
fn shown(response: &Response<Bytes>) -> (u16, &str, &str) {
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.map_or("", |kind| kind.to_str().unwrap());
    (response.status().as_u16(), kind, std::str::from_utf8(response.body()).unwrap())
}

fn is_not_cached(response: &Response<Bytes>) {
    let headers = response.headers();
    assert_eq!(headers["cache-control"], "no-store, no-cache, must-revalidate, max-age=0");
    assert!(!headers.contains_key("expires") && !headers.contains_key("last-modified"));
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert_eq!(headers["access-control-allow-credentials"], "true");
}

#[test]
fn pages() {
    let greeting = greeting(&client());
    assert_eq!(shown(&greeting), (200, "text/plain; charset=UTF-8", "Welcome to SockJS!\n"));
    assert!(!greeting.headers().contains_key("set-cookie"));

    let info = info(&client(), false, true, 4_294_967_295);
    let expected = "{\"cookie_needed\":true,\"entropy\":4294967295,\"origins\":[\"*:*\"],\
                    \"websocket\":false}\n";
    assert_eq!(shown(&info), (200, "application/json; charset=UTF-8", expected));
    is_not_cached(&info);
    assert!(!info.headers().contains_key("set-cookie"));
}

#[test]
fn the_iframe_page() {
    let page = Page::new("/sockjs.js");
    let answer = |pairs: &[_]| iframe(&client(), &page, &asked(pairs), 784_111_777);
    let whole = answer(&[]);
    let body = std::str::from_utf8(&page.body).unwrap();
    assert_eq!(shown(&whole), (200, "text/html; charset=UTF-8", body));
    assert_eq!(whole.headers()["cache-control"], "public, max-age=31536000");
    assert_eq!(whole.headers()["expires"], "Mon, 06 Nov 1995 08:49:37 GMT");
    assert_eq!(whole.headers()["etag"], page.etag);
    assert!(!whole.headers().contains_key("set-cookie"));

    let etag: &'static str = Box::leak(page.etag.to_str().unwrap().to_owned().into());
    let known = answer(&[("if-none-match", "\"x\""), ("if-none-match", etag)]);
    assert_eq!(shown(&known), (304, "", ""));
    assert_eq!(known.headers()["etag"], page.etag);
    assert_eq!(answer(&[("if-none-match", "\"x\"")]).status(), 200);
    assert!(!iframe(&client(), &page, &asked(&[]), u64::MAX).headers().contains_key("expires"));
}

#[test]
fn options_of_an_endpoint() {
    let asked = asked(&[("origin", "test"), ("access-control-request-headers", "x-a")]);
    let answer = options(&Client::of(&asked, true), &asked, "OPTIONS, POST", 0);
    assert_eq!(shown(&answer), (204, "", ""));
    let expected = [
        ("access-control-allow-methods", "OPTIONS, POST"),
        ("access-control-max-age", "31536000"),
        ("access-control-allow-origin", "test"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-headers", "x-a"),
        ("cache-control", "public, max-age=31536000"),
        ("expires", "Fri, 01 Jan 1971 00:00:00 GMT"),
        ("vary", "Origin"),
    ];
    for (name, value) in expected {
        assert_eq!(answer.headers()[name], value, "{name}");
    }
    assert_eq!(answer.headers().len(), expected.len());
}

#[test]
fn refusals() {
    let text = "text/plain; charset=UTF-8";
    let broken = malformed(&client(), Malformed::Broken);
    assert_eq!(shown(&broken), (500, text, "Broken JSON encoding.\n"));
    let empty = malformed(&client(), Malformed::NoPayload);
    assert_eq!(shown(&empty), (500, text, "Payload expected.\n"));
    assert_eq!(malformed(&client(), Malformed::TooLarge).status(), 400);
    assert_eq!(malformed(&client(), Malformed::MessageTooLarge).status(), 400);
    let missing = no_callback(&client(), CallbackFault::Missing);
    assert_eq!(shown(&missing), (500, text, "\"callback\" parameter required\n"));
    assert_eq!(shown(&not_found(&client())), (404, text, "Not Found\n"));
    assert_eq!(shown(&already_sending(&client())), (400, text, "Already sending\n"));
    assert_eq!(shown(&terminated(&client())), (410, text, "Session terminated\n"));
    let method = wrong_method(&client(), "OPTIONS, GET");
    assert_eq!(shown(&method), (405, "", ""));
    assert_eq!(method.headers()["allow"], "OPTIONS, GET");
    for answer in [broken, missing, method] {
        is_not_cached(&answer);
    }
}

#[test]
fn what_asks_for_no_websocket() {
    let of = |pairs: &[_]| {
        let answer = not_a_websocket(&client(), &asked(pairs))?;
        Some((answer.status().as_u16(), String::from_utf8(answer.body().to_vec()).unwrap()))
    };
    let upgrade = Some((400, "Can \"Upgrade\" only to \"WebSocket\".\n".to_owned()));
    assert_eq!(of(&[]), upgrade);
    assert_eq!(of(&[("upgrade", "h2c"), ("connection", "upgrade")]), upgrade);
    let connection = Some((400, "\"Connection\" must be \"Upgrade\".\n".to_owned()));
    assert_eq!(of(&[("upgrade", "WebSocket"), ("connection", "close")]), connection);
    assert_eq!(of(&[("upgrade", "WebSocket")]), connection);
    assert_eq!(of(&[("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade")]), None);
}

#[test]
fn sessions() {
    let script = "application/javascript; charset=UTF-8";
    let receiver = Receiver::new(Transport::Xhr, None).unwrap();
    let polled = polled(&client(), &receiver, b"o");
    assert_eq!(shown(&polled), (200, script, "o\n"));
    let sent = xhr_sent(&client());
    assert_eq!(shown(&sent), (204, "text/plain; charset=UTF-8", ""));
    let jsonp = jsonp_sent(&client(), Some("x=y"));
    assert_eq!(shown(&jsonp), (200, "text/plain; charset=UTF-8", "ok"));
    let called = jsonp_sent(&client(), Some("c=f"));
    assert_eq!(shown(&called), (200, script, "f(\"ok\");\r\n"));
    for answer in [polled, sent, jsonp, called] {
        is_not_cached(&answer);
        assert_eq!(answer.headers()["set-cookie"], "JSESSIONID=dummy; path=/");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    }
    let receiver = Receiver::new(Transport::EventSource, None).unwrap();
    let head = receiving(&client(), &receiver);
    assert_eq!(head.headers()["content-type"], "text/event-stream; charset=UTF-8");
}
