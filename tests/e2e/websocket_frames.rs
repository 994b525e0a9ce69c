//! What becomes of frames between a client and a WebSocket backend, byte for byte: control frames,
//! CLOSE in every form, ends of streams, what breaks the protocol, and sides that do not read.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::client::Client;
use super::harness::frames::{Ends, from_client, from_server};
use super::harness::wait::{soon, within_seconds};

const CLOSE: u8 = 0x88;

#[tokio::test]
async fn control_frames_may_come_between_fragments() {
    let mut ends = Ends::open("", &[]).await;
    for (first, payload) in
        [(0x01, &b"one"[..]), (0x89, b"ping"), (0x00, b"two"), (0x8a, b""), (0x80, b"three")]
    {
        ends.client.send(from_client(first, payload)).await;
        ends.behind.expect_frame(first, payload).await;
        ends.behind.send(from_server(first, payload)).await;
        ends.client.expect_frame(first, payload).await;
    }
    // A CLOSE ends it, whatever is open.
    ends.client.send(from_client(0x02, "begun")).await;
    ends.client.send(from_client(CLOSE, [0x0f, 0xa1])).await;
    ends.behind.expect_frame(0x02, "begun").await;
    ends.behind.expect_frame(CLOSE, [0x0f, 0xa1]).await;
}

#[tokio::test]
async fn payloads_are_nobodys_business() {
    let mut ends = Ends::open("", &[]).await;
    let longest = [7; 125];
    let mut masks = Vec::new();
    for (first, payload) in [
        (0x81, &b"\xff\xfe no UTF-8"[..]),
        (0x81, b""),
        (0x82, b"\x00"),
        (0x89, &longest),
        (0x8a, &longest),
        (0x89, b""),
    ] {
        ends.client.send(from_client(first, payload)).await;
        let (got, content, masked) = ends.behind.frame().await;
        assert_eq!((got, content.as_slice(), masked), (first, payload, true));
        ends.behind.send(from_server(first, payload)).await;
        let (got, content, masked) = ends.client.frame().await;
        assert_eq!((got, content.as_slice(), masked), (first, payload, false));
    }
    // The masks are fresh ones.
    for _ in 0..2 {
        ends.client.send(from_client(0x81, "")).await;
        masks.push(ends.behind.exactly(6).await);
    }
    assert!(masks[0] != masks[1] && masks[0][..2] == [0x81, 0x80], "{masks:?}");
}

#[tokio::test]
async fn closes_of_every_form() {
    for (sent, relayed) in [
        (&b""[..], &b"\x03\xe8"[..]),
        (b"\x03\xe7", b"\x03\xe7"),
        (b"\x03\xed", b"\x03\xed"),
        (b"\xff\xff\xc3\xa9", b"\xff\xff\xc3\xa9"),
        (&[b'a'; 125], &[b'a'; 125]),
    ] {
        let mut ends = Ends::open("", &[]).await;
        ends.client.send(from_client(CLOSE, sent)).await;
        ends.behind.expect_frame(CLOSE, relayed).await;
        // The backend answers with something else, after something more.
        ends.behind.send(from_server(0x81, "last")).await;
        ends.behind.send(from_server(CLOSE, b"\x03\xe9bye")).await;
        ends.client.expect_frame(0x81, "last").await;
        ends.client.expect_frame(CLOSE, b"\x03\xe9bye").await;
        ends.client.expect_closed().await;
        ends.behind.expect_closed().await;

        let mut ends = Ends::open("", &[]).await;
        ends.behind.send(from_server(CLOSE, sent)).await;
        ends.client.expect_frame(CLOSE, relayed).await;
        ends.client.send(from_client(CLOSE, b"\x03\xe9bye")).await;
        ends.behind.expect_frame(CLOSE, b"\x03\xe9bye").await;
        ends.client.expect_closed().await;
        ends.behind.expect_closed().await;
    }
}

#[tokio::test]
async fn what_follows_a_close_is_ignored() {
    let mut ends = Ends::open("", &[]).await;
    let close = from_client(CLOSE, "");
    ends.client.send([&close[..], &from_client(0x81, "late"), b"\xff\xff\xff\xff"].concat()).await;
    ends.behind.expect_frame(CLOSE, b"\x03\xe8").await;
    ends.behind.send([&b"\x88\x00"[..], &from_server(0x81, "late"), b"\xff\xff"].concat()).await;
    ends.client.expect_frame(CLOSE, b"\x03\xe8").await;
    ends.client.expect_closed().await;
    ends.behind.expect_closed().await;
}

#[tokio::test]
async fn a_side_that_shuts_down_after_its_close_gets_the_answer() {
    let mut ends = Ends::open("", &[]).await;
    ends.client.send(from_client(CLOSE, b"\x0f\xa1")).await;
    ends.client.stream.shutdown().await.expect("shut down");
    ends.behind.expect_frame(CLOSE, b"\x0f\xa1").await;
    ends.behind.send(from_server(CLOSE, b"\x0f\xa1")).await;
    ends.client.expect_frame(CLOSE, b"\x0f\xa1").await;
    ends.client.expect_closed().await;

    let mut ends = Ends::open("", &[]).await;
    ends.behind.send(from_server(CLOSE, b"\x0f\xa1")).await;
    ends.behind.stream.shutdown().await.expect("shut down");
    ends.client.expect_frame(CLOSE, b"\x0f\xa1").await;
    ends.client.send(from_client(CLOSE, b"\x0f\xa1")).await;
    ends.behind.expect_frame(CLOSE, b"\x0f\xa1").await;
    ends.behind.expect_closed().await;
    ends.client.expect_closed().await;
}

#[tokio::test]
async fn a_side_that_ends_without_close_drops_the_other() {
    let mut ends = Ends::open("", &[]).await;
    ends.behind.send(from_server(0x81, "last")).await;
    ends.behind.stream.shutdown().await.expect("shut down");
    ends.client.expect_frame(0x81, "last").await;
    ends.client.expect_closed().await;

    let mut ends = Ends::open("", &[]).await;
    ends.client.send(from_client(0x81, "last")).await;
    ends.client.stream.shutdown().await.expect("shut down");
    ends.behind.expect_frame(0x81, "last").await;
    ends.behind.expect_closed().await;

    // Within a frame.
    let mut ends = Ends::open("", &[]).await;
    ends.behind.send(&from_server(0x81, "cut off")[..5]).await;
    drop(ends.behind);
    let rest = ends.client.rest().await;
    assert!(rest.is_empty() || rest == b"\x01\x03cut", "{rest:?}");
}

/// What breaks the protocol, whoever sends it: the frame's bytes from a client and from a server,
/// and the code that says so.
type Broken = (&'static str, Vec<u8>, Vec<u8>, [u8; 2]);

fn violations() -> Vec<Broken> {
    let both = |name, first: u8, payload: &[u8], code: u16| {
        (name, from_client(first, payload), from_server(first, payload), code.to_be_bytes())
    };
    let mut all = vec![
        both("a reserved opcode", 0x83, b"", 1002),
        both("a reserved control opcode", 0x8b, b"", 1002),
        both("RSV1", 0xc1, b"x", 1002),
        both("RSV2", 0xa1, b"x", 1002),
        both("RSV3", 0x91, b"x", 1002),
        both("a continuation of nothing", 0x80, b"x", 1002),
        both("a ping in fragments", 0x09, b"", 1002),
        both("a long ping", 0x89, &[b'x'; 126], 1002),
        both("a long close", CLOSE, &[b'x'; 126], 1002),
        both("a close of one byte", CLOSE, b"\x0f", 1002),
        both("a reason that is no text", CLOSE, b"\x03\xe8\xff", 1007),
    ];
    let nested_client = [from_client(0x01, "a"), from_client(0x81, "b")].concat();
    let nested_server = [from_server(0x01, "a"), from_server(0x81, "b")].concat();
    all.push(("a message within a message", nested_client, nested_server, [0x03, 0xea]));
    all.push(("masks", from_server(0x81, "x"), from_client(0x81, "x"), [0x03, 0xea]));
    all
}

#[tokio::test]
async fn who_breaks_the_protocol_is_told_and_the_other_dropped() {
    for (name, client, server, code) in violations() {
        let mut ends = Ends::open("", &[]).await;
        ends.client.send(&client).await;
        ends.behind_is_told(code).await;
        // What came before is still answered.
        ends.behind.send([from_server(0x81, "answer"), from_server(CLOSE, "")].concat()).await;
        ends.client.expect_frame(0x81, "answer").await;
        ends.client.expect_frame(CLOSE, code).await;
        ends.client.expect_closed().await;
        ends.behind.expect_closed().await;
        assert_eq!(ends.server.counted("socket_protocol_errors"), 1, "{name}");

        let mut ends = Ends::open("", &[]).await;
        ends.behind.send(&server).await;
        ends.behind.expect_frame(CLOSE, code).await;
        ends.behind.expect_closed().await;
        let seen = ends.client.rest().await;
        assert!(seen.is_empty() || seen == b"\x01\x01a", "{name}: {seen:?}");
        assert_eq!(ends.server.counted("socket_backend_errors"), 1, "{name}");
    }
}

impl Ends {
    /// The backend gets a CLOSE with this code, perhaps behind a part of a message.
    async fn behind_is_told(&mut self, code: [u8; 2]) {
        loop {
            let (first, payload, _) = self.behind.frame().await;
            if first == CLOSE {
                return assert_eq!(payload, code);
            }
            assert!(first & 0x0f < 3, "{first:#x}");
        }
    }
}

/// Sends frames until nothing more is taken; how many bytes were, of these frames.
async fn fill(stream: &mut TcpStream, frames: &[u8]) -> usize {
    let mut taken = 0;
    while taken < frames.len() {
        let mut wrote = 0;
        let more = async { wrote = stream.write(&frames[taken..]).await.expect("written") };
        if !soon(500, more).await {
            break;
        }
        taken += wrote;
    }
    taken
}

/// Sends the rest, reads all messages, which must be as they were.
async fn drain(from: &mut TcpStream, to: &mut Client, rest: &[u8], message: &[u8], count: usize) {
    let write = async { from.write_all(rest).await.expect("written") };
    let read = async {
        for number in 0..count {
            let got = to.message().await;
            assert!(got == message, "message {number} has {} bytes", got.len());
        }
    };
    within_seconds("all of it", 60, async { tokio::join!(write, read) }).await;
}

const MESSAGES: usize = 60;
/// What kernels may hold in two pairs of sockets, and some; of 60 MB.
const HELD_BYTES_MAX: usize = 30_000_000;
/// What the process may need more for it; allocators take memory in pieces of some megabytes.
const GROWTH_BYTES_MAX: usize = 16 * 1024 * 1024;

fn large() -> Vec<u8> {
    (0..1_000_000_u32).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_its_backend() {
    let mut ends = Ends::open("", &[]).await;
    let message = large();
    let frames = from_server(0x82, &message).repeat(MESSAGES);
    let taken = fill(&mut ends.behind.stream, &frames).await;
    assert!(taken < HELD_BYTES_MAX, "{taken} bytes were taken");
    // The other direction is not affected.
    ends.client.send(from_client(0x81, "still here")).await;
    ends.behind.expect_frame(0x81, "still here").await;
    drain(&mut ends.behind.stream, &mut ends.client, &frames[taken..], &message, MESSAGES).await;
}

#[tokio::test]
async fn a_backend_that_does_not_read_stops_its_client() {
    let mut ends = Ends::open("", &[]).await;
    let message = large();
    let frames = from_client(0x82, &message).repeat(MESSAGES);
    let taken = fill(&mut ends.client.stream, &frames).await;
    assert!(taken < HELD_BYTES_MAX, "{taken} bytes were taken");
    ends.behind.send(from_server(0x81, "still here")).await;
    ends.client.expect_frame(0x81, "still here").await;
    drain(&mut ends.client.stream, &mut ends.behind, &frames[taken..], &message, MESSAGES).await;
}

#[tokio::test]
async fn memory_stays_bounded_while_nobody_reads() {
    let mut ends = Ends::open("", &[]).await;
    let before = ends.server.resident_bytes();
    let message = large();
    let down = from_server(0x82, &message).repeat(MESSAGES);
    let up = from_client(0x82, &message).repeat(MESSAGES);
    let downwards = fill(&mut ends.behind.stream, &down).await;
    let upwards = fill(&mut ends.client.stream, &up).await;
    assert!(downwards + upwards < 2 * HELD_BYTES_MAX);
    let grown = ends.server.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more, of {downwards} and {upwards}");
    // Empty frames cost more memory than they have bytes.
    let mut ends = Ends::open("", &[]).await;
    let before = ends.server.resident_bytes();
    let empty = from_server(0x81, "").repeat(10_000_000);
    let taken = fill(&mut ends.behind.stream, &empty).await;
    assert!(taken < empty.len());
    let grown = ends.server.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more, of {taken}");
    let mut all = vec![0; 1_000_000];
    ends.client.stream.read_exact(&mut all).await.expect("read");
    assert!(all.chunks(2).all(|frame| frame == b"\x81\x00"));
}
