//! The socket for commands, with peers that write bytes; and one that is `zeromq`'s.

use std::rc::Rc;

use tokio::net::TcpStream;
use zeromq::{Socket, SocketRecv, SocketSend, ZmqMessage};

use super::*;
use crate::shard::mailbox::mailbox;
use crate::stats::Stats;

/// An unknown method.
const REQUEST: &[u8] = b"25:2:id,1:7,6:method,4:none,}";
const REPLY: &[u8] = b"59:2:id,1:7,7:success,5:false!9:condition,16:method-not-found,}";

/// Runs `test` beside a command port, whose address it gets.
fn with_port<F: Future<Output = ()>>(spec: &str, test: impl FnOnce(String) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = Listener::bind(spec).unwrap();
        let spec = listener.spec().unwrap();
        let (mailbox, _inbox) = mailbox();
        let operator = Operator::new(vec![mailbox], Rc::new(Stats::default()));
        let (stop, stopping) = watch::channel(false);
        let serving = tokio::task::spawn_local(serve(listener, operator, stopping));
        let bound = std::time::Duration::from_secs(20);
        tokio::time::timeout(bound, test(spec)).await.expect("it hangs");
        stop.send(true).unwrap();
        serving.await.unwrap();
    });
}

async fn introduced(spec: &str) -> TcpStream {
    let address = spec.strip_prefix("tcp://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&zmtp::greeting()).await.unwrap();
    stream.write_all(&zmtp::ready("REQ")).await.unwrap();
    let mut theirs = vec![0; zmtp::GREETING_BYTES + zmtp::ready("REP").len()];
    stream.read_exact(&mut theirs).await.unwrap();
    assert_eq!(theirs, [&zmtp::greeting()[..], &zmtp::ready("REP")].concat());
    stream
}

fn frame(more: bool, payload: &'static [u8]) -> Bytes {
    let mut out = BytesMut::new();
    let payload = Bytes::from_static(payload);
    zmtp::put_frame(&Frame { is_command: false, more, payload }, &mut out);
    out.freeze()
}

#[test]
fn requests_are_answered_one_after_the_other_with_their_envelopes() {
    with_port("tcp://127.0.0.1:0", |spec| async move {
        let mut stream = introduced(&spec).await;
        let no_request = [frame(true, b"a"), frame(false, b"b")].concat();
        let plain = [frame(true, b""), frame(false, REQUEST)].concat();
        let routed = [frame(true, b"who"), frame(true, b""), frame(false, REQUEST)].concat();
        stream.write_all(&[no_request, plain, routed].concat()).await.unwrap();
        let replies = [
            frame(true, b""),
            frame(false, REPLY),
            frame(true, b"who"),
            frame(true, b""),
            frame(false, REPLY),
        ];
        let expected = replies.concat();
        let mut got = vec![0; expected.len()];
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&expected));
    });
}

#[test]
fn what_is_too_large_or_no_zmtp_ends_the_connection() {
    with_port("tcp://127.0.0.1:0", |spec| async move {
        let address = spec.strip_prefix("tcp://").unwrap().to_owned();
        let most = limits::OPERATOR_REQUEST_BYTES_MAX as u64;
        let large = [&b"\x02"[..], &(most + 1).to_be_bytes()].concat();
        let many = frame(true, b"").repeat(limits::OPERATOR_REQUEST_BYTES_MAX + 1);
        for bytes in [large, many] {
            let mut stream = introduced(&spec).await;
            // It may be gone before it has read all.
            let _ = stream.write_all(&bytes).await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            assert!(rest.is_empty());
        }
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let _ = stream.write_all(&[b'G'; zmtp::GREETING_BYTES]).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(rest, zmtp::greeting());
    });
}

#[test]
fn a_client_of_another_make() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("commands");
    let ipc = format!("ipc://{}", path.display());
    for spec in ["tcp://127.0.0.1:0", &ipc, &ipc] {
        with_port(spec, |spec| async move {
            let mut socket = zeromq::ReqSocket::new();
            socket.connect(&spec).await.unwrap();
            for _ in 0..3 {
                socket.send(ZmqMessage::from(REQUEST.to_vec())).await.unwrap();
                let reply = socket.recv().await.unwrap();
                assert_eq!(reply.get(0).unwrap(), REPLY);
            }
        });
        assert!(!path.exists(), "its file goes with it");
    }
    // What an earlier process has left behind is in nobody's way.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    with_port(&ipc, |_| async {});
}

#[test]
fn addresses_that_are_none() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    for spec in ["", "127.0.0.1:5563", "ipc://", "tcp://127.0.0.1", "pgm://x", "tcp://*:x"] {
        assert!(Listener::bind(spec).is_err(), "{spec}");
    }
}
