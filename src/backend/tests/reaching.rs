//! Reaching a backend: addresses, TLS, switched protocols.

use super::*;

#[test]
fn refused_goes_to_the_next_target() {
    shard(async {
        // It stays bound, so that nobody else listens there.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let to = destination(socket.local_addr().unwrap().as_socket().unwrap());
        let error = backend().send(&to, get("/")).await.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Connect, Kind::Refused));
        assert!(error.next_target());
    });
}

#[test]
fn who_is_gone_without_a_word_is_found_out() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend();
        let opening = backend.upgrade(&to, get("/"), None, 5_000, None);
        let switched = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
        let (opened, _stream) = tokio::join!(opening, answer(&listener, switched));
        let Ok(Opened::Switched { io: BackendStream::Plain(tcp), .. }) = opened else { panic!() };
        let socket = socket2::SockRef::from(&tcp);
        assert!(socket.keepalive().unwrap() && tcp.nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
    });
}

#[test]
fn unknown_names_go_to_the_next_target() {
    shard(async {
        let to = Destination {
            host: "does-not-exist.invalid".into(),
            port: 80,
            tls: None,
            untrusted: false,
        };
        let error = backend().send(&to, get("/")).await.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Resolve, Kind::NotFound));
        assert!(error.next_target());
    });
}

#[test]
fn an_address_that_led_nowhere_is_not_tried_first_again() {
    shard(async {
        // As long as the test lasts.
        let backend = backend_with(Settings { names_known_ms: u64::MAX, ..Settings::default() });
        let dead: SocketAddr = match std::net::TcpListener::bind("[::1]:0") {
            Ok(_) => "[::1]:0".parse().unwrap(),
            Err(_) => "127.0.0.2:0".parse().unwrap(),
        };
        // Nobody listens there, and nobody else may.
        let (listener, to, holder) = loop {
            let (listener, to) = listener().await;
            let domain = socket2::Domain::for_address(dead);
            let holder = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
            if holder.bind(&SocketAddr::new(dead.ip(), to.port).into()).is_ok() {
                break (listener, to, holder);
            }
        };
        backend.0.resolver.set("two.example", &[dead, "127.0.0.1:0".parse().unwrap()]);
        let to = Destination { host: "two.example".to_owned(), ..to };
        let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
        for _ in 0..3 {
            // Its own connections: none is kept.
            let (response, _stream) =
                tokio::join!(backend.send(&to, get("/")), answer(&listener, closing));
            assert_eq!(text(response.unwrap()).await, "ok");
        }
        let stats = backend.0.journal.stats();
        assert_eq!(stats.backend_connections.get(), 3);
        assert_eq!(stats.backend_addresses_passed_over.get(), 1, "only the first one tried it");
        // The address that answered is gone, the other one serves: nothing is lost.
        drop(listener);
        holder.listen(1).unwrap();
        holder.set_nonblocking(true).unwrap();
        let back = TcpListener::from_std(holder.into()).unwrap();
        let (response, _stream) = tokio::join!(backend.send(&to, get("/")), answer(&back, closing));
        assert_eq!(text(response.unwrap()).await, "ok");
        assert_eq!(stats.backend_addresses_passed_over.get(), 2);
    });
}

#[test]
fn untrusted_targets_may_not_be_local() {
    shard(async {
        let (_listener, mut to) = listener().await;
        to.untrusted = true;
        let error = backend().send(&to, get("/")).await.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Policy, Kind::Forbidden));
        assert!(!error.next_target());
    });
}

#[test]
fn upgrades_switch_or_are_answered() {
    shard(async {
        let (listener, to) = listener().await;
        let backend = backend();
        let handshake = || {
            let mut request = get("/ws");
            request.headers_mut().insert("connection", "Upgrade".parse().unwrap());
            request.headers_mut().insert("upgrade", "websocket".parse().unwrap());
            request
        };
        let switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nearly";
        let (opened, mut stream) = tokio::join!(
            backend.upgrade(&to, handshake(), None, 5_000, None),
            answer(&listener, switched)
        );
        let Ok(Opened::Switched { response, mut io, read_ahead, .. }) = opened else { panic!() };
        assert_eq!(response.status(), 101);
        assert_eq!(&read_ahead[..], b"early");
        io.write_all(b"there").await.unwrap();
        read_until(&mut stream, "there").await;
        stream.write_all(b"back").await.unwrap();
        let mut buffer = [0_u8; 4];
        io.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"back");
        drop(io);
        closed(&mut stream).await;

        let refusal = "HTTP/1.1 401 No\r\nContent-Length: 4\r\n\r\nwho?";
        let (opened, stream) = tokio::join!(
            backend.upgrade(&to, handshake(), None, 5_000, None),
            answer(&listener, refusal)
        );
        let Ok(Opened::Answered(response)) = opened else { panic!() };
        assert_eq!(response.status(), 401);
        assert_eq!(text(response).await, "who?");
        drop(stream);
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_until(&mut stream, "\r\n\r\n").await;
        };
        let (opened, ()) =
            tokio::join!(backend.upgrade(&to, handshake(), None, 5_000, None), server);
        assert_eq!(opened.err().unwrap().kind, Kind::Closed);
    });
}

#[test]
fn tls_towards_backends() {
    shard(async {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["b.test".to_owned()]).unwrap();
        std::fs::write(folder.path().join("default.crt"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("default.key"), made.signing_key.serialize_pem())
            .unwrap();
        let (certificates, _) = crate::tls::Certificates::load(folder.path());
        let server =
            crate::tls::ServerTls::new(&crate::tls::Edge::new(certificates).unwrap(), 443).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(server.config());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let backend =
            Backend::new(Settings::default(), ClientTls::with_roots(roots).unwrap(), Rc::default());
        let (listener, to) = listener().await;
        let named = |name: &str, insecure| Destination {
            tls: Some(ServerTls { name: name.to_owned(), insecure, identity: None }),
            ..to.clone()
        };
        let serve = async || {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut buffer = [0_u8; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(OK.as_bytes()).await;
            let _ = stream.read(&mut buffer).await;
        };
        for (name, insecure) in [("b.test", false), ("other.test", true), ("127.0.0.1", true)] {
            let to = named(name, insecure);
            let asking = async {
                assert_eq!(text(backend.send(&to, get("/")).await.unwrap()).await, "ok");
            };
            let serving = async {
                serve().await;
                std::future::pending().await
            };
            tokio::select! {
                () = asking => {}
                () = serving => {}
            }
        }
        let to = named("other.test", false);
        let (response, ()) = tokio::join!(backend.send(&to, get("/")), serve());
        let error = response.err().unwrap();
        assert_eq!((error.stage, error.kind), (Stage::Tls, Kind::Certificate), "{error}");
        assert!(error.next_target());
    });
}
