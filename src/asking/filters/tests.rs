//! Tests of HTTP filters: requests and answers over real sockets.

use std::sync::Arc;

use bytes::Bytes;

use super::asking::ask;
use super::*;
use crate::forward::context::Context;
use crate::forward::tests::{Company, Scripted, context, refusing, route, run};
use crate::grip::item::parse_items;
use crate::limits::HTTP_FILTER_REPLY_BYTES_MAX;

/// A request for an item of bob's.
fn request(modify: bool, sub_meta: &[(&str, &str)]) -> FilterRequest {
    let body = r#"{"items":[{"channel":"c","http-stream":{"content":"x"},
        "meta":{"sender":"bob\u007f","a":"é\n"}}]}"#;
    let item = parse_items(body.as_bytes()).unwrap().remove(0);
    FilterRequest {
        modify,
        sub_meta: sub_meta.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        item: Arc::new(item),
        content: Bytes::from_static(b"content"),
        lasts: vec![("c".into(), "5".into()), ("d".into(), "x".into())],
    }
}

/// Who asks on behalf of a request.
fn asker(line: &str, context: &Context) -> Asker {
    let Home { route, target, secure, host } = Home::new(context, &route(line), 0);
    Asker { route, target, secure, host, base: errand::url(context).ok() }
}

/// What comes of an answer (`None` breaks the connection), and what the backend got.
async fn answered(
    modify: bool,
    answer: Option<&str>,
) -> (Result<FilterAnswer, NetworkFilterError>, String) {
    let (company, mut backend) = (Company::new(), Scripted::start().await);
    let line = format!("*,path_beg=/a,replace_beg=/b 127.0.0.1:{}", backend.port);
    let asker = asker(&line, &context("/a/b", None));
    let request = request(modify, &[("user", "alice"), ("url", "flt"), ("b", "2")]);
    let url = url(Some(&asker), &request).unwrap();
    let home = home(&asker);
    let asked = ask(&company.shared, &home, &url, &request, 5_000);
    let said = async {
        let asked = backend.next().await;
        let got = format!("{}{}", asked.head, asked.body);
        if let Some(answer) = answer {
            asked.raw(answer.to_owned());
        }
        got
    };
    tokio::join!(asked, said)
}

#[test]
fn a_check_sends_all_but_the_content() {
    run(async {
        let (answer, got) = answered(false, Some("HTTP/1.1 204 No Content\r\n\r\n")).await;
        assert_eq!(answer, Ok(FilterAnswer::Keep));
        // The backend of these tests shows heads in lower case.
        let expected = "post /b/flt http/1.1\r\nhost: example.com\r\n\
            sub-meta: {\"b\":\"2\",\"url\":\"flt\",\"user\":\"alice\"}\r\n\
            pub-meta: {\"a\":\"é\\n\",\"sender\":\"bob\\u007f\"}\r\n";
        assert!(got.starts_with(expected), "{got}");
        assert!(got.contains("\r\ngrip-feature: "), "{got}");
        assert!(got.contains("grip-last: c; last-id=5\r\ngrip-last: d; last-id=x\r\n"), "{got}");
        assert!(got.contains("\r\ncontent-length: 0\r\n") && got.ends_with("\r\n\r\n"), "{got}");
        for of_the_client in ["cookie", "meta-user", "content-type", "sec-websocket"] {
            assert!(!got.contains(&format!("\r\n{of_the_client}")), "{got}");
        }
    });
}

#[test]
fn a_modification_sends_the_content() {
    run(async {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew";
        let (answer, got) = answered(true, Some(answer)).await;
        assert_eq!(answer, Ok(FilterAnswer::Content(Bytes::from_static(b"new"))));
        assert!(got.contains("\r\ncontent-length: 7\r\n"), "{got}");
        assert!(got.ends_with("\r\n\r\ncontent"), "{got}");
    });
}

#[test]
fn answers_mean_what_the_table_says() {
    use NetworkFilterError::{Disconnected, Status};
    let new = FilterAnswer::Content(Bytes::from_static(b"new"));
    let (keep, drop) = (FilterAnswer::Keep, FilterAnswer::Drop);
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n";
    let none = "HTTP/1.1 204 No Content\r\n";
    for (head, check, modify) in [
        (format!("{ok}\r\nnew"), Ok(keep.clone()), Ok(new.clone())),
        (format!("{ok}Action: drop\r\n\r\nnew"), Ok(drop.clone()), Ok(drop.clone())),
        (format!("{ok}action: Drop\r\n\r\nnew"), Ok(keep.clone()), Ok(new)),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
            Ok(keep.clone()),
            Ok(FilterAnswer::Content(Bytes::new())),
        ),
        (format!("{none}\r\n"), Ok(keep.clone()), Ok(keep.clone())),
        (format!("{none}Action: drop\r\n\r\n"), Ok(drop.clone()), Ok(drop)),
        (
            "HTTP/1.1 201 Created\r\nAction: drop\r\nContent-Length: 0\r\n\r\n".into(),
            Err(Status(201)),
            Err(Status(201)),
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".into(),
            Err(Status(302)),
            Err(Status(302)),
        ),
        ("no HTTP\r\n\r\n".into(), Err(Status(502)), Err(Status(502))),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnew\r\nx\r\n".into(),
            Ok(keep),
            Err(Disconnected),
        ),
    ] {
        run(async {
            assert_eq!(answered(false, Some(&head)).await.0, check, "{head}");
            assert_eq!(answered(true, Some(&head)).await.0, modify, "{head}");
        });
    }
}

#[test]
fn new_content_has_a_bound() {
    let answer = |length: usize| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
    };
    run(async {
        let most = answered(true, Some(&answer(HTTP_FILTER_REPLY_BYTES_MAX))).await.0;
        assert!(matches!(most, Ok(FilterAnswer::Content(content)) if content.len() == 100_000));
        let more = answer(HTTP_FILTER_REPLY_BYTES_MAX + 1);
        let error = answered(true, Some(&more)).await.0.unwrap_err();
        assert_eq!(error.to_string(), "network response exceeded 100000 bytes");
        assert_eq!(answered(false, Some(&more)).await.0, Ok(FilterAnswer::Keep));
    });
}

#[test]
fn who_does_not_answer_fails() {
    run(async {
        let error = answered(true, None).await.0.unwrap_err();
        assert_eq!(error.to_string(), "unexpected network request status: code=502");

        let (company, backend) = (Company::new(), Scripted::start().await);
        let asker = asker("* 127.0.0.1:1", &context("/", None));
        let request = request(false, &[]);
        let ask = async |port: u16, within_ms: u64| {
            let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
            ask(&company.shared, &home(&asker), &url, &request, within_ms).await.unwrap_err()
        };
        let silent = ask(backend.port, 50).await.to_string();
        assert_eq!(silent, "network request failed: request timed out");
        assert_eq!(ask(refusing(), 30_000).await, NetworkFilterError::Status(502));
    });
}

#[test]
fn urls_are_seen_from_the_request_or_the_last_link() {
    let mut asker = asker("* 127.0.0.1:1", &context("/a/b", Some("q")));
    let seen = |asker: Option<&Asker>, value: Option<&str>| {
        let meta: Vec<_> = value.iter().map(|value| ("url", *value)).collect();
        url(asker, &request(false, &meta)).map(|url| url.to_string()).map_err(|e| e.to_string())
    };
    let is = |text: &str| Ok(text.to_owned());
    assert_eq!(seen(Some(&asker), Some("c")), is("http://example.com/a/c"));
    assert_eq!(seen(Some(&asker), Some("/c?d")), is("http://example.com/c?d"));
    assert_eq!(seen(Some(&asker), Some("https://x/")), is("https://x/"));
    for missing in [None, Some("")] {
        assert_eq!(seen(Some(&asker), missing), Err("missing url value".into()));
    }
    for invalid in ["http://", "ftp://a/", "ws://a/"] {
        assert_eq!(seen(Some(&asker), Some(invalid)), Err("invalid url value".into()));
    }
    assert_eq!(seen(None, Some("c")), Err("invalid url value".into()));
    asker.base = Some(Url::parse("http://other/x/y").unwrap());
    assert_eq!(seen(Some(&asker), Some("c")), is("http://other/x/c"));
    asker.base = None;
    assert_eq!(seen(Some(&asker), Some("c")), Err("invalid url value".into()));
}
