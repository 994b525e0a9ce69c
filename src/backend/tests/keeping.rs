//! What becomes of connections: reuse, staleness, silence, leaving.

use super::*;

#[test]
fn connections_are_used_again_once_read() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend();
        let client = async {
            assert_eq!(text(backend.send(&to, get("/1")).await.unwrap()).await, "ok");
            assert_eq!(text(backend.send(&to, get("/2")).await.unwrap()).await, "two\n");
            let response = backend.send(&to, get("/3")).await.unwrap();
            assert_eq!(response.status(), 204);
            drop(response); // nothing to read
            assert_eq!(text(backend.send(&to, get("/4")).await.unwrap()).await, "ok");
        };
        let server = async {
            let mut stream = answer(&listener, OK).await;
            for (path, response) in [
                (
                    "/2",
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntwo\n\r\n0\r\n\r\n",
                ),
                ("/3", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
                ("/4", OK),
            ] {
                assert!(read_until(&mut stream, "\r\n\r\n").await.contains(path));
                stream.write_all(response.as_bytes()).await.unwrap();
            }
            stream
        };
        let (_stream, ()) = tokio::join!(server, client);
        assert_eq!(backend.idle_connections(), 1);
    });
}

#[test]
fn a_stale_connection_is_replaced_once() {
    shard(async {
        for request in [get("/again"), post("again")] {
            let (listener, to) = listener().await;
            let backend = backend();
            let (first, mut stream) =
                tokio::join!(backend.send(&to, get("/")), answer(&listener, OK));
            text(first.unwrap()).await;
            let server = async {
                // The backend takes the request and closes: it had given the connection up.
                read_until(&mut stream, "again").await;
                drop(stream);
                let (mut stream, _) = listener.accept().await.unwrap();
                assert!(
                    read_until(&mut stream, "again").await.starts_with(request.method().as_str())
                );
                stream.write_all(OK.as_bytes()).await.unwrap();
                stream
            };
            let again = Request::new(request.body().replay().unwrap());
            let (mut parts, body) = again.into_parts();
            (parts.method, parts.uri) = (request.method().clone(), request.uri().clone());
            let again = Request::from_parts(parts, body);
            let (second, _stream) = tokio::join!(backend.send(&to, again), server);
            assert_eq!(text(second.unwrap()).await, "ok");
        }
    });
}

#[test]
fn an_idle_connection_that_the_backend_closes_is_dropped() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend();
        let (first, stream) = tokio::join!(backend.send(&to, get("/")), answer(&listener, OK));
        text(first.unwrap()).await;
        assert_eq!(backend.idle_connections(), 1);
        drop(stream);
        while backend.idle_connections() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_fresh_connection_that_is_closed_is_not_tried_again() {
    shard(async {
        let (listener, to) = listener().await;
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_until(&mut stream, "\r\n\r\n").await;
        };
        let backend = backend();
        let (response, ()) = tokio::join!(backend.send(&to, get("/")), server);
        let error = response.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Head, Kind::Closed));
        assert!(!error.next_target());
    });
}

#[test]
fn silence_times_out_before_the_head_and_within_the_body() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend_with(Settings { progress_ms: 1500, ..Settings::default() });
        let (response, stream) = tokio::join!(backend.send(&to, get("/")), answer(&listener, ""));
        let error = response.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Head, Kind::TimedOut));
        assert!(error.next_target());
        drop(stream);
        let part = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
        let (response, mut stream) =
            tokio::join!(backend.send(&to, get("/")), answer(&listener, part));
        let error = response.unwrap().into_body().collect().await.err().unwrap();
        assert_eq!(error.downcast_ref::<Error>().unwrap().kind, Kind::TimedOut);
        closed(&mut stream).await;
    });
}

#[test]
fn idle_connections_are_closed_in_time() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend_with(Settings { idle_ms: 40, ..Settings::default() });
        let (response, mut stream) =
            tokio::join!(backend.send(&to, get("/")), answer(&listener, OK));
        text(response.unwrap()).await;
        closed(&mut stream).await;
        assert_eq!(backend.idle_connections(), 0);
    });
}

#[test]
fn leaving_early_closes_the_backends_connection() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend();
        // While the head is awaited.
        let (tell, mut told) = mpsc::channel::<()>(1);
        let asking = async {
            tokio::select! {
                _ = backend.send(&to, get("/")) => panic!("nobody answers"),
                _ = told.recv() => {}
            }
        };
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_until(&mut stream, "\r\n\r\n").await;
            tell.send(()).await.unwrap();
            closed(&mut stream).await;
        };
        tokio::join!(asking, server);
        // Within the body, while the backend is quiet.
        let part = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
        let (response, mut stream) =
            tokio::join!(backend.send(&to, get("/")), answer(&listener, part));
        let mut body = response.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        closed(&mut stream).await;
        assert_eq!(backend.idle_connections(), 0);
    });
}
