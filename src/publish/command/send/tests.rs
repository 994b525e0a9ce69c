//! Tests of `send`, with servers that answer from a script.

use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;

fn item() -> Value {
    Value::map([("channel", Value::text("c"))])
}

/// A server for one connection: reads one request, answers `answer`, closes; gives the request.
fn serve(answer: &'static [u8]) -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        answer_one(stream, answer)
    });
    (address, server)
}

fn answer_one(mut stream: impl Read + Write, answer: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    while !request.ends_with(br#"{"items":[{"channel":"c"}]}"#) {
        let mut chunk = [0; 1000];
        let n = stream.read(&mut chunk).unwrap();
        assert_ne!(n, 0, "an incomplete request: {}", request.escape_ascii());
        request.extend_from_slice(&chunk[..n]);
    }
    stream.write_all(answer).unwrap();
    stream.flush().unwrap();
    request
}

fn outcome(answer: &'static [u8]) -> String {
    let (address, server) = serve(answer);
    let sent = send(&item(), &format!("http://{address}"), None);
    server.join().unwrap();
    sent.map_or_else(|error| error.to_string(), |()| "Published".into())
}

#[test]
fn one_http_1_0_request() {
    let (address, server) = serve(b"HTTP/1.0 200 OK\r\n\r\n");
    send(&item(), &format!("http://{address}/base/"), None).unwrap();
    let expected = format!(
        "POST /base//publish/ HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: 27\r\n\r\n{{\"items\":[{{\"channel\":\"c\"}}]}}"
    );
    assert_eq!(String::from_utf8(server.join().unwrap()).unwrap(), expected);
}

#[test]
fn only_200_is_success() {
    for (answer, expected) in [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nPublished\n".as_slice(), "Published"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "Published"),
        (b"HTTP/1.0 200 OK\r\nno colon\r\n\r\n", "Published"),
        (b"HTTP/1.1 202 Accepted\r\n\r\nhm", "hm"),
        (b"HTTP/1.0 400 Bad\r\n\r\n  Invalid format: x \n\n", "Invalid format: x"),
        (b"HTTP/1.0 400 Bad\r\nContent-Length: 3\r\n\r\nabcdef", "abc"),
        (b"HTTP/1.0 400 Bad\r\nContent-Length: 30\r\n\r\nabc", "abc"),
        (b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n", ""),
        (b"", "unexpected end of file"),
        (b"garbage\r\n\r\n", "invalid data"),
        (b"HTTP/1.0 2", "invalid data"),
        (b"HTTP/1.0 abc x\r\n\r\n", "invalid data"),
        (b"HTTP/1.0 500 x\r\n\r\n\xff\xfe", "stream did not contain valid UTF-8"),
    ] {
        assert_eq!(outcome(answer), expected, "{}", answer.escape_ascii());
    }
}

#[test]
fn nobody_listens() {
    // It stays bound, so that nobody else listens there.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let error = send(&item(), &format!("http://{address}"), None).unwrap_err();
    assert_eq!(error.to_string(), "Connection refused (os error 111)");
}

#[test]
fn urls() {
    let url = |url: &'static str| Url::parse(url).map(|url| (url.host, url.port, url.path));
    assert_eq!(url("http://a").unwrap(), ("a", 80, ""));
    assert_eq!(url("https://a/b").unwrap(), ("a", 443, "/b"));
    assert_eq!(url("http://a:5561/").unwrap(), ("a", 5561, "/"));
    assert_eq!(url("http://[::1]:5561").unwrap(), ("::1", 5561, ""));
    assert_eq!(url("http://[::1]/x").unwrap(), ("::1", 80, "/x"));
    assert_eq!(Url::parse("https://a:1").unwrap().authority, "a:1");
    for bad in [
        "http:",
        "http:a",
        "http://",
        "http:///x",
        "http://a:",
        "http://a:70000",
        "http://a:x",
        "http://a?iss=b",
        "http://a/?iss=b",
        "http://a/#b",
        "http://u:p@a",
        "http://a/b c",
        "http://[::1",
        "http://[::1]x",
        "http://a\r\nb: c",
        "http://:1",
        "http://[]",
    ] {
        assert!(matches!(Url::parse(bad), Err(SendError::Url)), "{bad}");
    }
}

#[test]
fn credentials_need_https() {
    let basic = Credentials::Basic("user:pass".into());
    let refused = send(&item(), "http://127.0.0.1:1", Some(&basic)).unwrap_err();
    assert_eq!(refused.to_string(), "Authentication requires https");
    let url = Url::parse("https://a").unwrap();
    let head = String::from_utf8(request(&item(), &url, Some(&basic)).unwrap()).unwrap();
    assert!(head.contains("\r\nContent-Length: 27\r\nAuthorization: Basic dXNlcjpwYXNz\r\n\r\n"));
    let bearer = Credentials::Bearer("tok".into());
    let head = String::from_utf8(request(&item(), &url, Some(&bearer)).unwrap()).unwrap();
    assert!(head.contains("\r\nAuthorization: Bearer tok\r\n\r\n"));
    let injected = Credentials::Bearer("a\r\nb: c".into());
    assert!(request(&item(), &url, Some(&injected)).is_err());
}

/// A server configuration for `localhost`, and roots that trust it.
fn certified() -> (rustls::ServerConfig, rustls::RootCertStore) {
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key =
        rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    (config, roots)
}

#[test]
fn https_with_a_port() {
    let (config, roots) = certified();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        answer_one(rustls::StreamOwned::new(connection, stream), b"HTTP/1.0 400 x\r\n\r\n no \n")
    });
    let text = format!("https://localhost:{port}");
    let url = Url::parse(&text).unwrap();
    let bytes = request(&item(), &url, None).unwrap();
    let stream =
        secured(connect(&url).unwrap(), &url, ClientTls::with_roots(roots).unwrap().verifying)
            .unwrap();
    assert_eq!(exchange(stream, &bytes).unwrap_err().to_string(), "no");
    let received = String::from_utf8(server.join().unwrap()).unwrap();
    assert!(received.contains(&format!("\r\nHost: localhost:{port}\r\n")), "{received}");
}

#[test]
fn an_unknown_certificate_is_refused() {
    let (config, _) = certified();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        connection.complete_io(&mut stream).is_err()
    });
    let error = send(&item(), &format!("https://localhost:{port}"), None).unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert!(server.join().unwrap());
}

#[test]
fn addresses_that_are_not_zeromq_s() {
    for (address, text) in [
        ("", "Invalid argument"),
        ("foo:", "Invalid argument"),
        ("tcp://127.0.0.1", "Invalid argument"),
        ("tcp://127.0.0.1:70000", "Invalid argument"),
        ("udp://127.0.0.1:1", "Protocol not supported"),
    ] {
        assert_eq!(send(&item(), address, None).unwrap_err().to_string(), text, "{address}");
    }
}

#[test]
fn one_message_over_zeromq() {
    use zeromq::SocketRecv;
    let (told, address) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut pull = zeromq::PullSocket::new();
            let endpoint = pull.bind("tcp://127.0.0.1:0").await.unwrap();
            told.send(endpoint.to_string()).unwrap();
            let received = tokio::time::timeout(Duration::from_secs(20), pull.recv()).await;
            received.expect("a message in time").unwrap()
        })
    });
    // Larger than what the system takes at once.
    let large = Value::map([("channel", Value::Bytes(vec![b'x'; 3_000_000]))]);
    send(&large, &address.recv().unwrap(), None).unwrap();
    let message = server.join().unwrap();
    assert_eq!(message.len(), 1);
    let mut expected = bytes::BytesMut::new();
    large.write_tnet(&mut expected);
    assert!(message.get(0).unwrap() == &expected, "another message");
}
