//! permessage-deflate: what is agreed on with clients and with backends, and what then goes over
//! each hop, frame by frame.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::json;
use tokio::join;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::harness::backend::Exchange;
use super::harness::client::Head;
use super::harness::{Answer, Backend, Client, Publisher, Request, Server, WebSocket};

const OFFER: &str = "permessage-deflate";
/// What we ask of backends.
const OURS: &str = "permessage-deflate; client_no_context_takeover; server_no_context_takeover; \
    client_max_window_bits";
const ANSWER: &str = "permessage-deflate; client_no_context_takeover; server_no_context_takeover";
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// One frame as it came.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    fin: bool,
    deflated: bool,
    opcode: u8,
    payload: Vec<u8>,
}

/// A WebSocket of bare frames, in either role.
struct Peer {
    stream: Client,
    /// The mask of what it sends, as a client must.
    mask: Option<[u8; 4]>,
    /// Kept between messages only where that was agreed on.
    deflate: Compress,
    inflate: Decompress,
    keeps_context: bool,
}

fn deflated(state: &mut Compress, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 1000);
    state.compress_vec(content, &mut out, FlushCompress::Sync).expect("deflated");
    assert!(out.ends_with(&TAIL));
    out.truncate(out.len() - TAIL.len());
    out
}

impl Peer {
    fn over(stream: Client, mask: Option<[u8; 4]>, bits: u8) -> Peer {
        Peer {
            stream,
            mask,
            deflate: Compress::new_with_window_bits(Compression::best(), false, bits),
            inflate: Decompress::new_with_window_bits(false, bits),
            keeps_context: false,
        }
    }

    /// A client that offers this (nothing if empty), and the answer's head.
    async fn try_connect(server: &Server, path: &str, offers: &[&str]) -> (Peer, Head) {
        let mut stream = Client::connect(server.http).await;
        let mut head = format!(
            "GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        );
        for offer in offers.iter().filter(|offer| !offer.is_empty()) {
            head += &format!("Sec-WebSocket-Extensions: {offer}\r\n");
        }
        stream.send(format!("{head}\r\n")).await;
        let head = stream.head().await;
        (Peer::over(stream, Some([7, 0, 0x80, 0xff]), 15), head)
    }

    async fn connect(server: &Server, path: &str, offer: &str) -> Peer {
        let (peer, head) = Peer::try_connect(server, path, &[offer]).await;
        assert_eq!(head.status, "HTTP/1.1 101 Switching Protocols");
        let expected = Some(ANSWER).filter(|_| !offer.is_empty());
        assert_eq!(head.header("sec-websocket-extensions"), expected);
        peer
    }

    /// A backend that answers with these lines.
    async fn accept(mut exchange: Exchange, lines: &str, bits: u8) -> Peer {
        let key = exchange.request.header("sec-websocket-key").expect("a handshake").to_owned();
        let accept = derive_accept_key(key.as_bytes());
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\n";
        exchange.write(format!("{head}Sec-WebSocket-Accept: {accept}\r\n{lines}\r\n")).await;
        Peer::over(Client::over(exchange.stream), None, bits)
    }

    fn frame(&self, fin: bool, deflated: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let first = u8::from(fin) << 7 | u8::from(deflated) << 6 | opcode;
        let masked = u8::from(self.mask.is_some()) << 7;
        let mut out = vec![first];
        match payload.len() {
            short @ 0..126 => out.push(masked | short as u8),
            long => {
                out.push(masked | 127);
                out.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        let mask = self.mask.unwrap_or_default();
        out.extend(self.mask.into_iter().flatten());
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }

    async fn send(&mut self, fin: bool, deflated: bool, opcode: u8, payload: &[u8]) {
        let frame = self.frame(fin, deflated, opcode, payload);
        self.stream.send(frame).await;
    }

    fn deflated(&mut self, content: &[u8]) -> Vec<u8> {
        if !self.keeps_context {
            self.deflate.reset();
        }
        deflated(&mut self.deflate, content)
    }

    /// Sends a message deflated, in fragments of at most so many bytes.
    async fn say(&mut self, opcode: u8, content: &[u8], fragment: usize) {
        let payload = self.deflated(content);
        let parts: Vec<&[u8]> = payload.chunks(fragment).collect();
        for (place, part) in parts.iter().enumerate() {
            let first = place == 0;
            let opcode = if first { opcode } else { CONTINUATION };
            self.send(place + 1 == parts.len(), first, opcode, part).await;
        }
    }

    async fn plain(&mut self, content: &str) {
        self.send(true, false, TEXT, content.as_bytes()).await;
    }

    async fn next(&mut self) -> Frame {
        let head = self.stream.exactly(2).await;
        assert_eq!(head[0] & 0x30, 0);
        assert_eq!(head[1] & 0x80 != 0, self.mask.is_none(), "the other side's mask");
        let length = match head[1] & 0x7f {
            127 => u64::from_be_bytes(self.stream.exactly(8).await.try_into().expect("8")),
            126 => u16::from_be_bytes(self.stream.exactly(2).await.try_into().expect("2")).into(),
            short => short.into(),
        };
        let mask = match self.mask {
            Some(_) => vec![0; 4],
            None => self.stream.exactly(4).await,
        };
        let mut payload = self.stream.exactly(length as usize).await;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        let (fin, deflated) = (head[0] & 0x80 != 0, head[0] & 0x40 != 0);
        Frame { fin, deflated, opcode: head[0] & 15, payload }
    }

    /// The next message: whether it was deflated, its opcode and content. Without context every
    /// message must be readable by itself.
    async fn hear(&mut self) -> (bool, u8, Vec<u8>) {
        let first = self.next().await;
        assert!(first.opcode == TEXT || first.opcode == BINARY, "{first:?}");
        let mut payload = first.payload;
        let mut fin = first.fin;
        while !fin {
            let next = self.next().await;
            assert_eq!((next.opcode, next.deflated), (CONTINUATION, false));
            payload.extend_from_slice(&next.payload);
            fin = next.fin;
        }
        if !first.deflated {
            return (false, first.opcode, payload);
        }
        payload.extend_from_slice(&TAIL);
        if !self.keeps_context {
            self.inflate.reset(false);
        }
        let mut content = Vec::with_capacity(8 << 20);
        let flush = FlushDecompress::Sync;
        let before = self.inflate.total_in();
        self.inflate.decompress_vec(&payload, &mut content, flush).expect("inflated");
        assert_eq!(self.inflate.total_in() - before, payload.len() as u64);
        (true, first.opcode, content)
    }

    async fn expect(&mut self, deflated: bool, content: &str) {
        let (was_deflated, _, heard) = self.hear().await;
        assert_eq!(String::from_utf8_lossy(&heard), content);
        assert_eq!(was_deflated, deflated, "{content:.40}");
    }

    async fn expect_close(&mut self, code: u16) {
        let close = self.next().await;
        assert_eq!((close.opcode, close.deflated), (CLOSE, false));
        assert_eq!(close.payload[..2], code.to_be_bytes());
    }
}

fn compressing(routes: &[String]) -> Server {
    Server::start_with(routes, &["--allow-compression"])
}

/// Long enough, and gets shorter.
fn long(text: &str) -> String {
    format!("{text} ").repeat(40)
}

/// A client, and the backend that has accepted it, by a route with these options.
async fn connected(offer: &str, answer: &str, bits: u8) -> (Server, Peer, Peer, Request) {
    let mut backend = Backend::manual();
    let server = compressing(&[backend.route("*", "")]);
    let lines = match answer {
        "" => String::new(),
        answer => format!("Sec-WebSocket-Extensions: {answer}\r\n"),
    };
    let accepting = async {
        let exchange = backend.next().await;
        let request = exchange.request.clone();
        (Peer::accept(exchange, &lines, bits).await, request)
    };
    let (client, (behind, request)) = join!(Peer::connect(&server, "/", offer), accepting);
    (server, client, behind, request)
}

#[tokio::test]
async fn offers_and_their_answers() {
    let server = compressing(&["* test".into()]);
    let bits = |bits: u8| Some(format!("{ANSWER}; server_max_window_bits={bits}"));
    let answer = Some(ANSWER.to_owned());
    let eight = "permessage-deflate; server_max_window_bits=8";
    for (offers, expected) in [
        (vec![], None),
        (vec!["x-webkit-deflate-frame"], None),
        (vec![OFFER], answer.clone()),
        (vec!["permessage-deflate; client_max_window_bits"], answer.clone()),
        (vec!["permessage-deflate; client_max_window_bits=9"], answer.clone()),
        (vec!["permessage-deflate; client_max_window_bits=7"], None),
        (vec!["permessage-deflate; server_max_window_bits=15"], bits(15)),
        (vec!["permessage-deflate; server_max_window_bits=\"9\""], bits(9)),
        (vec!["permessage-deflate; server_max_window_bits"], None),
        (vec![eight], None),
        (vec![eight, "permessage-deflate; server_max_window_bits=10"], bits(10)),
        (vec!["permessage-deflate; server_no_context_takeover"], answer.clone()),
        (vec!["permessage-deflate; server_no_context_takeover=1"], None),
        (vec!["permessage-deflate; x, permessage-deflate"], answer.clone()),
        (vec!["permessage-deflate; client_max_window_bits; client_max_window_bits"], None),
        (vec!["foo; a=\"permessage-deflate, b\", permessage-deflate"], answer.clone()),
        (vec!["permessage-deflate; client_max_window_bits=\"1"], None),
    ] {
        let (_, head) = Peer::try_connect(&server, "/ws", &offers).await;
        assert_eq!(head.status, "HTTP/1.1 101 Switching Protocols", "{offers:?}");
        let answered = head.header("sec-websocket-extensions").map(str::to_owned);
        assert_eq!(answered, expected, "{offers:?}");
    }
    let mut server = server;
    assert_eq!(server.counted("sockets_compressed"), 9);
}

#[tokio::test]
async fn nothing_is_agreed_on_unless_it_is_allowed() {
    let mut backend = Backend::manual();
    let server = Server::start(&[backend.route("*,path_beg=/behind", ""), "* test".into()]);
    let (mut client, head) = Peer::try_connect(&server, "/ws", &[OFFER]).await;
    assert_eq!(head.header("sec-websocket-extensions"), None);
    client.say(TEXT, b"deflated nevertheless", 100).await;
    client.expect_close(1002).await;
    let accepting = async {
        let exchange = backend.next().await;
        assert_eq!(exchange.request.header("sec-websocket-extensions"), Some("grip"));
        let lines = format!("Sec-WebSocket-Extensions: {ANSWER}\r\n");
        Peer::accept(exchange, &lines, 15).await
    };
    let ((_, head), _) = join!(Peer::try_connect(&server, "/behind", &[OFFER]), accepting);
    assert_eq!(head.status, "HTTP/1.1 502 Bad Gateway", "an answer to no offer");
}

#[tokio::test]
async fn the_test_target_echoes() {
    let server = compressing(&["* test".into()]);
    let mut client = Peer::connect(&server, "/ws", OFFER).await;
    let text = long("an echo");
    client.say(TEXT, text.as_bytes(), 10_000).await;
    client.expect(true, &text).await;
    client.say(TEXT, text.as_bytes(), 3).await;
    client.expect(true, &text).await;
    client.plain(&text).await;
    client.expect(true, &text).await;
    // Too short, and what would not get shorter.
    client.say(TEXT, b"short", 100).await;
    client.expect(false, "short").await;
    client.say(TEXT, b"", 1).await;
    client.expect(false, "").await;
    let noise: Vec<u8> = (0..5000).map(|_| fastrand::u8(..)).collect();
    client.say(BINARY, &noise, 10_000).await;
    assert_eq!(client.hear().await, (false, BINARY, noise));
    client.send(true, false, PING, b"p").await;
    assert_eq!(client.next().await.payload, b"p");
    client.send(true, false, CLOSE, b"\x0f\xa1bye").await;
    client.expect_close(4001).await;
}

#[tokio::test]
async fn the_threshold_is_an_option() {
    let arguments = ["--allow-compression", "--compression-min-bytes", "20"];
    let server = Server::start_with(&["* test".into()], &arguments);
    let mut client = Peer::connect(&server, "/ws", OFFER).await;
    for (length, deflated) in [(19, false), (20, true)] {
        let text = "a".repeat(length);
        client.plain(&text).await;
        client.expect(deflated, &text).await;
    }
}

#[tokio::test]
async fn a_window_is_kept_to() {
    let server = compressing(&["* test".into()]);
    let offer = "permessage-deflate; server_max_window_bits=9";
    let (mut client, head) = Peer::try_connect(&server, "/ws", &[offer]).await;
    assert!(head.header("sec-websocket-extensions").is_some_and(|line| line.ends_with("bits=9")));
    client.inflate = Decompress::new_with_window_bits(false, 9);
    // Its second half repeats the first, further back than the window reaches.
    let half: String = (0..2000).map(|n| format!("{n:x}")).collect();
    let text = format!("{half}{half}");
    client.say(TEXT, text.as_bytes(), 100_000).await;
    let payload = {
        let frame = client.next().await;
        assert!(frame.fin && frame.deflated);
        [&frame.payload[..], &TAIL].concat()
    };
    let mut content = Vec::with_capacity(text.len() + 100);
    let mut state = Decompress::new_with_window_bits(false, 9);
    // A little at a time, so that only the window can be referred to.
    for byte in payload.chunks(1) {
        state.decompress_vec(byte, &mut content, FlushDecompress::Sync).expect("within the window");
    }
    assert_eq!(content, text.as_bytes());
}

#[tokio::test]
async fn over_http_the_backend_sees_events() {
    let mut backend = Backend::manual();
    let server = compressing(&[backend.route("*", ",over_http")]);
    let publisher = Publisher::new(&server);
    let opening = async {
        let exchange = backend.next().await;
        assert_eq!(exchange.request.header("sec-websocket-extensions"), Some("grip"));
        let control = "c:{\"type\":\"subscribe\",\"channel\":\"news\"}";
        let subscribe = format!("TEXT {:x}\r\n{control}\r\n", control.len());
        exchange.answer(Answer::open(subscribe)).await;
    };
    let (mut client, ()) = join!(Peer::connect(&server, "/", OFFER), opening);
    let text = long("to the backend");
    client.say(TEXT, text.as_bytes(), 20).await;
    let (event, reply) = (format!("TEXT {:x}\r\n{text}\r\n", text.len()), long("to the client"));
    let exchange = backend.next().await;
    assert_eq!(String::from_utf8_lossy(&exchange.request.body), event);
    let events = format!("TEXT {:x}\r\nm:{reply}\r\nTEXT 6\r\nm:tiny\r\n", reply.len() + 2);
    exchange.answer(Answer::events(events)).await;
    client.expect(true, &reply).await;
    client.expect(false, "tiny").await;
    let published = long("published");
    publisher.message("news", &published).await;
    client.expect(true, &published).await;
    publisher.message("news", "small").await;
    client.expect(false, "small").await;
}

#[tokio::test]
async fn each_hop_is_compressed_for_itself() {
    for (offer, answer) in [(OFFER, ANSWER), (OFFER, ""), ("", ANSWER), ("", "")] {
        let (_server, mut client, mut behind, request) = connected(offer, answer, 15).await;
        assert_eq!(request.all("sec-websocket-extensions"), ["grip", OURS]);
        let (one, two) = (!offer.is_empty(), !answer.is_empty());
        for round in 0..3 {
            let text = long(&format!("to the backend {round}"));
            match one {
                true => client.say(TEXT, text.as_bytes(), 10_000).await,
                false => client.plain(&text).await,
            }
            behind.expect(two, &text).await;
            let text = long(&format!("to the client {round}"));
            match two {
                true => behind.say(TEXT, text.as_bytes(), 10_000).await,
                false => behind.plain(&text).await,
            }
            client.expect(one, &text).await;
        }
        client.plain("short").await;
        behind.expect(false, "short").await;
        behind.send(true, false, BINARY, b"").await;
        assert_eq!(client.hear().await, (false, BINARY, vec![]));
    }
}

#[tokio::test]
async fn a_backend_may_keep_its_context() {
    let (_server, mut client, mut behind, _) = connected(OFFER, OFFER, 15).await;
    behind.keeps_context = true;
    let text = long("the same again and again");
    for _ in 0..5 {
        let before = behind.deflate.total_out();
        behind.say(TEXT, text.as_bytes(), 7).await;
        client.expect(true, &text).await;
        assert!(before == 0 || behind.deflate.total_out() - before < 30, "it refers to the first");
        client.say(TEXT, text.as_bytes(), 10_000).await;
        behind.expect(true, &text).await;
    }
}

#[tokio::test]
async fn a_backend_may_want_a_smaller_window() {
    let nine = format!("{ANSWER}; client_max_window_bits=9; server_max_window_bits=9");
    let (_server, mut client, mut behind, _) = connected(OFFER, &nine, 9).await;
    let text = long(&"0123456789abcdef".repeat(60));
    client.say(TEXT, text.as_bytes(), 100_000).await;
    behind.expect(true, &text).await;
    behind.say(TEXT, text.as_bytes(), 100_000).await;
    client.expect(true, &text).await;
    // What zlib cannot do is sent as it is.
    let eight = format!("{ANSWER}; client_max_window_bits=8");
    let (_server, mut client, mut behind, _) = connected(OFFER, &eight, 15).await;
    client.say(TEXT, text.as_bytes(), 100_000).await;
    behind.expect(false, &text).await;
    behind.say(TEXT, text.as_bytes(), 100_000).await;
    client.expect(true, &text).await;
}

#[tokio::test]
async fn a_backends_answer_must_be_one() {
    let mut backend = Backend::manual();
    let server = compressing(&[backend.route("*", "")]);
    for answer in [
        "permessage-deflate, permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; unknown",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits=\"9",
    ] {
        let lines = format!("Sec-WebSocket-Extensions: {answer}\r\n");
        let accepting = async { Peer::accept(backend.next().await, &lines, 15).await };
        let ((_, head), _) = join!(Peer::try_connect(&server, "/", &[OFFER]), accepting);
        assert_eq!(head.status, "HTTP/1.1 502 Bad Gateway", "{answer}");
    }
}

#[tokio::test]
async fn large_messages_in_many_frames() {
    let (_server, mut client, mut behind, _) = connected(OFFER, ANSWER, 15).await;
    let mut text = String::new();
    while text.len() < 3_000_000 {
        text += &format!("{}, {}; ", text.len(), fastrand::u32(..));
    }
    for fragment in [700, 40_000, 10_000_000] {
        join!(client.say(TEXT, text.as_bytes(), fragment), behind.expect(true, &text));
        join!(behind.say(TEXT, text.as_bytes(), fragment), client.expect(true, &text));
    }
    join!(behind.plain(&text), client.expect(true, &text));
}

#[tokio::test]
async fn control_frames_come_between_fragments() {
    let (_server, mut client, mut behind, _) = connected(OFFER, ANSWER, 15).await;
    let text = long("in two fragments");
    let payload = client.deflated(text.as_bytes());
    let (one, two) = payload.split_at(payload.len() / 2);
    client.send(false, true, TEXT, one).await;
    client.send(true, false, PING, b"between").await;
    let first = behind.next().await;
    assert_eq!((first.fin, first.deflated, first.opcode), (false, true, TEXT));
    let ping = Frame { fin: true, deflated: false, opcode: PING, payload: b"between".to_vec() };
    // The first fragment may come in several.
    let mut parts = vec![first.payload];
    loop {
        let next = behind.next().await;
        if next.opcode == PING {
            assert_eq!(next, ping);
            break;
        }
        parts.push(next.payload);
    }
    behind.send(true, false, PONG, b"between").await;
    assert_eq!(client.next().await.opcode, PONG);
    client.send(true, false, CONTINUATION, two).await;
    loop {
        let next = behind.next().await;
        assert_eq!((next.opcode, next.deflated), (CONTINUATION, false));
        parts.push(next.payload);
        if next.fin {
            break;
        }
    }
    let whole = [parts.concat(), TAIL.to_vec()].concat();
    let mut content = Vec::with_capacity(10_000);
    let mut state = Decompress::new(false);
    state.decompress_vec(&whole, &mut content, FlushDecompress::Sync).expect("inflated");
    assert_eq!(content, text.as_bytes());
}

#[tokio::test]
async fn what_is_corrupt_ends_with_1007() {
    let mut backend = Backend::manual();
    let routes = [
        "*,path_beg=/test test".into(),
        backend.route("*,path_beg=/http", ",over_http"),
        backend.route("*", ""),
    ];
    let mut server = compressing(&routes);
    for path in ["/test/ws", "/http", "/native"] {
        let mut behind = None;
        let accepting = async {
            if path == "/test/ws" {
                return;
            }
            let exchange = backend.next().await;
            match path {
                "/http" => exchange.answer(Answer::open("")).await,
                _ => behind = Some(Peer::accept(exchange, "", 15).await),
            }
        };
        let (mut client, ()) = join!(Peer::connect(&server, path, OFFER), accepting);
        client.send(true, true, TEXT, b"\x07no block").await;
        client.expect_close(1007).await;
        match (path, behind) {
            ("/http", _) => {
                let exchange = backend.next().await;
                assert_eq!(exchange.request.body, b"DISCONNECT\r\n");
                exchange.answer(Answer::events("")).await;
            }
            (_, Some(mut behind)) => behind.stream.expect_closed().await,
            _ => {}
        }
    }
    assert_eq!(server.counted("socket_protocol_errors"), 3);
}

#[tokio::test]
async fn the_bit_belongs_to_first_fragments() {
    let server = compressing(&["* test".into()]);
    for frames in [
        vec![(true, true, PING)],
        vec![(false, true, TEXT), (true, true, CONTINUATION)],
        vec![(false, false, TEXT), (true, true, CONTINUATION)],
        vec![(true, true, CLOSE)],
    ] {
        let mut client = Peer::connect(&server, "/ws", OFFER).await;
        for (fin, deflated, opcode) in &frames {
            client.send(*fin, *deflated, *opcode, b"").await;
        }
        client.expect_close(1002).await;
    }
}

#[tokio::test]
async fn a_bomb_goes_off_within_its_bounds() {
    let mut backend = Backend::manual();
    let routes = ["*,path_beg=/test test".into(), backend.route("*", ",over_http")];
    let mut server = compressing(&routes);
    // One message: it is too large as soon as so much of it has been inflated.
    let mut client = Peer::connect(&server, "/test/ws", OFFER).await;
    client.say(TEXT, &vec![b'0'; 50_000_000], 1 << 20).await;
    client.expect_close(1009).await;
    // Many messages at once: they wait as they are until the backend has had those before them.
    let opening = async { backend.next().await.answer(Answer::open("")).await };
    let (mut client, ()) = join!(Peer::connect(&server, "/", OFFER), opening);
    let mut bytes = Vec::new();
    for n in 0..40_u8 {
        let payload = client.deflated(&[b'a' + n % 26; 150_000]);
        bytes.extend(client.frame(true, true, BINARY, &payload));
    }
    client.stream.send(&bytes).await;
    client.say(TEXT, b"end", 100).await;
    let mut told = 0;
    loop {
        let exchange = backend.next().await;
        let body = exchange.request.body.clone();
        assert!(body.len() < 400_000, "{} bytes at once", body.len());
        exchange.answer(Answer::events("")).await;
        let mut rest = &body[..];
        while let Some(after) = rest.strip_prefix(b"BINARY 249f0\r\n") {
            assert!(after[..150_000].iter().all(|byte| *byte == b'a' + told % 26));
            rest = &after[150_002..];
            told += 1;
        }
        if rest == b"TEXT 3\r\nend\r\n" {
            break;
        }
        assert_eq!(rest, b"");
    }
    assert_eq!(told, 40);
    assert_eq!(server.counted("socket_messages_too_large"), 1);
}

#[tokio::test]
async fn a_bomb_is_relayed_as_fast_as_the_backend_reads() {
    let (_server, mut client, mut behind, _) = connected(OFFER, "", 15).await;
    let bomb = vec![b'0'; 6_000_000];
    let hearing = async { assert_eq!(behind.hear().await, (false, BINARY, bomb.clone())) };
    join!(client.say(BINARY, &bomb, 1 << 20), hearing);
}

#[tokio::test]
async fn what_is_published_and_what_is_relayed_keep_their_order() {
    let (server, mut client, mut behind, _) =
        connected(OFFER, &format!("grip, {ANSWER}"), 15).await;
    let publisher = Publisher::new(&server);
    let control = format!("c:{}", json!({ "type": "subscribe", "channel": "news" }));
    // A control message may be deflated as any other.
    behind.say(TEXT, control.as_bytes(), 5).await;
    behind.plain("m:ready").await;
    client.expect(false, "ready").await;
    for n in 0..10 {
        let relayed = long(&format!("relayed {n}"));
        behind.say(TEXT, format!("m:{relayed}").as_bytes(), 6 + n).await;
        client.expect(true, &relayed).await;
        let published = long(&format!("published {n}"));
        publisher.message("news", &published).await;
        client.expect(true, &published).await;
        publisher.message("news", "short").await;
        client.expect(false, "short").await;
        behind.say(TEXT, b"without a prefix: dropped", 4).await;
    }
}

#[tokio::test]
async fn clients_with_and_without_get_the_same() {
    let server = compressing(&["* test".into()]);
    let publisher = Publisher::new(&server);
    let mut small = {
        let offer = "permessage-deflate; server_max_window_bits=9";
        Peer::try_connect(&server, "/ws?channel=c", &[offer]).await.0
    };
    let mut deflating = Peer::connect(&server, "/ws?channel=c", OFFER).await;
    let mut plain = Peer::connect(&server, "/ws?channel=c", "").await;
    let mut library = WebSocket::connect(&server, "/ws?channel=c").await;
    for length in [10, 100, 400, 3000] {
        let text = "to all ".repeat(length / 7);
        publisher.message("c", &text).await;
        deflating.expect(length > 128, &text).await;
        plain.expect(false, &text).await;
        library.expect_text(&text).await;
        assert_eq!(small.hear().await.2, text.as_bytes());
    }
}
