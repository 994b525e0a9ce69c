//! One exchange: framing both ways, and what is wrong with an answer.

use super::*;

#[test]
fn the_request_on_the_wire() {
    shard(async {
        let (listener, to) = listener().await;
        let mut request = post("hello");
        request.headers_mut().insert("x-one-two", "3".parse().unwrap());
        let backend = backend();
        let (response, seen) = tokio::join!(backend.send(&to, request), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let seen = read_until(&mut stream, "hello").await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            seen
        });
        assert_eq!(
            seen,
            "POST /post HTTP/1.1\r\nHost: h\r\nX-One-Two: 3\r\nContent-Length: 5\r\n\r\nhello"
        );
        assert_eq!(response.unwrap().version(), Version::HTTP_11);
    });
}

#[test]
fn framing() {
    let framed = |method: Method, body: RequestBody, given: Option<&str>| {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        if let Some(given) = given {
            request.headers_mut().insert("content-length", given.parse().unwrap());
        }
        let head = RequestHead::of(&request);
        let head = std::str::from_utf8(head.as_bytes()).unwrap();
        let length =
            head.split_once("Content-Length: ").map(|(_, rest)| rest.trim_end().to_owned());
        let chunks = "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n";
        (length, head.ends_with(chunks))
    };
    let whole = || RequestBody::Whole(Some(Bytes::from_static(b"abc")));
    let endless = || {
        let frames = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, BodyError>>();
        RequestBody::Streamed(Box::pin(StreamBody::new(frames)))
    };
    let known = || {
        RequestBody::Streamed(Box::pin(Full::new(Bytes::from_static(b"abcd")).map_err(Into::into)))
    };
    let length = |text: &str| (Some(text.to_owned()), false);
    assert_eq!(framed(Method::GET, RequestBody::empty(), None), (None, false));
    assert_eq!(framed(Method::GET, RequestBody::empty(), Some("0")), length("0"));
    assert_eq!(framed(Method::OPTIONS, RequestBody::empty(), Some("7")), (None, false));
    assert_eq!(framed(Method::POST, RequestBody::empty(), None), length("0"));
    assert_eq!(framed(Method::DELETE, RequestBody::Whole(Some(Bytes::new())), None), length("0"));
    assert_eq!(framed(Method::POST, whole(), None), length("3"));
    assert_eq!(framed(Method::POST, whole(), Some("9")), length("3"));
    assert_eq!(framed(Method::PUT, known(), None), length("4"));
    assert_eq!(framed(Method::GET, endless(), None), (None, true));
    assert_eq!(framed(Method::POST, endless(), Some("5")), (None, true));
}

#[test]
fn head_and_304_have_no_body_whatever_their_length_says() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend();
        let client = async {
            let mut head = get("/");
            *head.method_mut() = Method::HEAD;
            let response = backend.send(&to, head).await.unwrap();
            assert_eq!(response.headers()["content-length"], "100");
            assert_eq!(text(response).await, "");
            let response = backend.send(&to, get("/")).await.unwrap();
            assert_eq!(response.status(), 304);
            assert_eq!(text(response).await, "");
            assert_eq!(text(backend.send(&to, get("/")).await.unwrap()).await, "ok");
        };
        let server = async {
            let mut stream =
                answer(&listener, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").await;
            read_until(&mut stream, "\r\n\r\n").await;
            let unchanged = "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n";
            stream.write_all(unchanged.as_bytes()).await.unwrap();
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            stream
        };
        let _stream = tokio::join!(server, client);
    });
}

#[test]
fn informational_responses_are_skipped() {
    shard(async {
        let (listener, to) = listener().await;
        let all =
            format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{OK}");
        let backend = backend();
        let (response, _stream) =
            tokio::join!(backend.send(&to, get("/")), answer(&listener, &all));
        let response = response.unwrap();
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("link"));
        assert_eq!(text(response).await, "ok");
    });
}

#[test]
fn malformed_and_oversized_heads() {
    shard(async {
        let (listener, to) = listener().await;
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(70_000));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(101));
        let lengths =
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx".to_owned();
        for (kind, head) in [
            (Kind::TooLarge, long),
            (Kind::TooLarge, many),
            (Kind::Malformed, lengths),
            (Kind::Malformed, "SSH-2.0-x\r\n\r\n".to_owned()),
        ] {
            let backend = backend();
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                read_until(&mut stream, "\r\n\r\n").await;
                let _ = stream.write_all(head.as_bytes()).await;
                closed(&mut stream).await;
            };
            let (response, ()) = tokio::join!(backend.send(&to, get("/")), server);
            let error = response.err().unwrap();
            assert_eq!((error.stage, error.kind), (Stage::Head, kind), "{error}");
        }
    });
}

#[test]
fn truncated_bodies_are_errors() {
    shard(async {
        let (listener, to) = listener().await;
        for cut in [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            let backend = backend();
            let (response, stream) =
                tokio::join!(backend.send(&to, get("/")), answer(&listener, cut));
            let mut body = response.unwrap().into_body();
            let first = body.frame().await.unwrap().unwrap();
            assert_eq!(&first.into_data().unwrap()[..], b"abc");
            drop(stream);
            let error = body.frame().await.unwrap().err().unwrap();
            let error = error.downcast_ref::<Error>().unwrap();
            assert_eq!((error.stage, error.kind), (Stage::Body, Kind::Closed));
        }
    });
}

#[test]
fn an_upload_that_breaks_is_the_clients_fault() {
    shard(async {
        let (listener, to) = listener().await;
        let frames = futures_util::stream::iter([
            Ok(http_body::Frame::data(Bytes::from_static(b"part"))),
            Err(BodyError::from("the client left")),
        ]);
        let mut request = post("");
        *request.body_mut() = RequestBody::Streamed(Box::pin(StreamBody::new(frames)));
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            closed(&mut stream).await;
        };
        let backend = backend();
        let (response, ()) = tokio::join!(backend.send(&to, request), server);
        let error = response.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Send, Kind::Upload), "{error}");
    });
}

#[test]
fn names_keep_their_spelling() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend();
        let mut head = RequestHead::new(Method::GET, "/", Some("q"));
        for (name, spelled) in [("host", Some(&b"host"[..])), ("x-odd", Some(b"X-ODD"))] {
            head.field(&name.parse().unwrap(), b"1", spelled);
        }
        head.field(&"grip-feature".parse().unwrap(), b"", None);
        head.frame(&RequestBody::empty(), None, None);
        let ready = backend.reach(to.as_to(), None, 5_000).await.unwrap();
        let (response, seen) = tokio::join!(ready.send(head, RequestBody::empty(), None), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let seen = read_until(&mut stream, "\r\n\r\n").await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nx-ODD: y\r\nContent-Length: 0\r\n\r\n")
                .await
                .unwrap();
            seen
        });
        assert_eq!(seen, "GET /?q HTTP/1.1\r\nhost: 1\r\nX-ODD: 1\r\nGrip-Feature:\r\n\r\n");
        assert!(!response.unwrap().extensions().is_empty(), "the response's spelling");
    });
}

#[test]
fn uploads_stream_before_their_end() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend();
        let (tell, told) = mpsc::channel::<&'static str>(1);
        let frames = futures_util::stream::unfold(told, |mut told| async {
            let part = told.recv().await?;
            Some((Ok(http_body::Frame::data(Bytes::from_static(part.as_bytes()))), told))
        });
        let mut request = get("/up");
        *request.method_mut() = Method::POST;
        *request.body_mut() = RequestBody::Streamed(Box::pin(StreamBody::new(frames)));
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            tell.send("first").await.unwrap();
            let head = read_until(&mut stream, "5\r\nfirst\r\n").await;
            assert!(
                head.contains("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n")
            );
            tell.send("second").await.unwrap();
            drop(tell);
            read_until(&mut stream, "6\r\nsecond\r\n0\r\n\r\n").await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            stream
        };
        let (response, _stream) = tokio::join!(backend.send(&to, request), server);
        assert_eq!(text(response.unwrap()).await, "ok");
        assert_eq!(backend.idle_connections(), 1);
    });
}
