//! What SockJS clients send: nothing panics, and messages that are framed again read the same.
#![no_main]

use bytes::{Bytes, BytesMut};
use http::Method;
use libfuzzer_sys::fuzz_target;
use linchpin::sockjs::path::{Endpoint, Sending, endpoint};
use linchpin::sockjs::sending;
use linchpin::sockjs::transport::Receiver;
use linchpin::wire::hixie;
use linchpin::wire::sockjs::{Bounds, from_socket, messages, parse, quote};

fuzz_target!(|bytes: &[u8]| {
    let text = Bytes::copy_from_slice(bytes);
    let bounds = Bounds { message_bytes_max: 64, text_bytes_max: 4096 };
    let _ = from_socket(&text, bounds);
    if let Ok(read) = parse(&sending::text(Sending::Jsonp, None, None, &text), bounds) {
        let quoted: Vec<Bytes> = read.iter().map(|message| quote(message)).collect();
        let again = parse(&messages(&quoted).slice(1..), Bounds::NONE);
        assert_eq!(again, Ok(read));
    }
    let _ = hixie::key(bytes);
    let mut buffered = BytesMut::from(bytes);
    while let Ok(Some(_)) = hixie::decode(&mut buffered, 64) {}
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    for method in [Method::GET, Method::POST] {
        if let Endpoint::Receive { transport, .. } = endpoint(&method, path, true)
            && let Ok(receiver) = Receiver::new(transport, Some(path))
        {
            let _ = receiver.write(bytes);
        }
    }
});
