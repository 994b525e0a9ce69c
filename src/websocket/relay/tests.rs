//! The relay between two streams in memory: a client on one side, a backend on the other.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::forward::recovery::Missed;
use crate::forward::tests::{Company, context, from_client, route, run};
use crate::hub::slab::SessionId;
use crate::session::socket::Form;
use crate::websocket::compression::Hop;
use crate::wire::frame::{self, Opcode, Parsed, server_fragment, server_frame};

struct World {
    company: Company,
    client: DuplexStream,
    backend: DuplexStream,
    task: tokio::task::JoinHandle<()>,
    id: SessionId,
}

impl World {
    /// A relay over streams of `bytes` each, with GRIP if there is a prefix.
    fn new(prefix: Option<&[u8]>, bytes: usize) -> World {
        World::with(prefix, bytes, &Bounds::default())
    }

    fn with(prefix: Option<&[u8]>, bytes: usize, bounds: &Bounds) -> World {
        World::closing(prefix, bytes, bounds, limits::WEBSOCKET_CLOSE_MS)
    }

    fn closing(prefix: Option<&[u8]>, bytes: usize, bounds: &Bounds, close_ms: u64) -> World {
        let company = Company::new();
        let lease = company.shared.hub.open_socket(Form::Plain, clock::now());
        let id = lease.id();
        // It is not parked: what the hub sends waits for the relay.
        company.clients.borrow_mut().client(id).stalled = true;
        let channel = crate::grip::channel::ChannelName::new("s");
        company.shared.hub.with(|registry| registry.subscribe(id, &channel, true));
        let ((client, one), (backend, two)) = (duplex(bytes), duplex(bytes));
        let parties = Parties {
            lease,
            context: context("/ws", None),
            route: route("*,prefix=p- localhost:1"),
            client_hop: Hop::default(),
            backend_hop: Hop::default(),
            prefix: prefix.map(Into::into),
            target: 0,
            ears: Rc::clone(&company.shared.ears),
            askers: Rc::clone(&company.shared.askers),
        };
        let stats = Rc::clone(&company.shared.stats);
        let mut relay =
            Relay::new(parties, stats, bounds, (one, Bytes::new()), (two, Bytes::new()));
        relay.close_ms = close_ms;
        let task = tokio::task::spawn_local(relay.run());
        World { company, client, backend, task, id }
    }

    async fn client_sends(&mut self, opcode: Opcode, payload: &[u8]) {
        self.client.write_all(&from_client(opcode, payload)).await.unwrap();
    }

    async fn backend_sends(&mut self, frame: &[u8]) {
        self.backend.write_all(frame).await.unwrap();
    }

    async fn client_gets(&mut self, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        self.client.read_exact(&mut got).await.unwrap();
        assert_eq!(got, expected, "{:?}", String::from_utf8_lossy(&got));
    }

    /// The next frame that the backend gets, unmasked.
    async fn backend_gets(&mut self) -> (Opcode, bool, Vec<u8>) {
        let mut bytes = BytesMut::new();
        loop {
            match frame::head(&bytes).unwrap() {
                Parsed::Needs(needs) => {
                    let mut more = vec![0; needs];
                    self.backend.read_exact(&mut more).await.unwrap();
                    bytes.extend_from_slice(&more);
                }
                Parsed::Head(head, _) => {
                    let mut payload = vec![0; head.payload_bytes as usize];
                    self.backend.read_exact(&mut payload).await.unwrap();
                    frame::mask(&mut payload, head.mask.unwrap(), 0);
                    return (head.opcode, head.fin, payload);
                }
            }
        }
    }

    /// The relay has ended and both connections are closed.
    async fn ends(mut self) {
        self.task.await.unwrap();
        for stream in [&mut self.client, &mut self.backend] {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"");
        }
        assert!(self.company.shared.hub.with(|registry| registry.is_empty()));
    }

    fn publish(&self, message: &str) {
        self.company.publish(&format!(
            r#"{{"items":[{{"channel":"s","formats":{{"ws-message":{message}}}}}]}}"#
        ));
    }
}

fn control(text: &str) -> Bytes {
    server_frame(Opcode::Text, format!("c:{text}").as_bytes())
}

#[test]
fn frames_go_both_ways_as_they_are_and_then_closes() {
    run(async {
        let mut w = World::new(None, 4096);
        w.client_sends(Opcode::Text, b"\xff not UTF-8").await;
        w.client_sends(Opcode::Ping, b"p").await;
        w.client_sends(Opcode::Binary, b"").await;
        assert_eq!(w.backend_gets().await, (Opcode::Text, true, b"\xff not UTF-8".to_vec()));
        assert_eq!(w.backend_gets().await, (Opcode::Ping, true, b"p".to_vec()));
        assert_eq!(w.backend_gets().await, (Opcode::Binary, true, Vec::new()));
        for frame in [
            server_fragment(Opcode::Text, false, b"one"),
            server_frame(Opcode::Pong, b"between"),
            server_fragment(Opcode::Continuation, true, b"two"),
            control("{}"),
        ] {
            w.backend_sends(&frame).await;
            w.client_gets(&frame).await;
        }
        w.client_sends(Opcode::Close, b"\x0b\xb9bye").await;
        assert_eq!(w.backend_gets().await, (Opcode::Close, true, b"\x0b\xb9bye".to_vec()));
        w.client_sends(Opcode::Text, b"ignored").await;
        w.backend_sends(b"\x88\x00").await;
        w.client_gets(b"\x88\x02\x03\xe8").await;
        w.ends().await;
    });
}

#[test]
fn the_backend_closes_first() {
    run(async {
        let mut w = World::new(None, 4096);
        w.backend_sends(b"\x88\x03\x0f\xa1!").await;
        w.client_gets(b"\x88\x03\x0f\xa1!").await;
        w.client_sends(Opcode::Close, b"").await;
        assert_eq!(w.backend_gets().await, (Opcode::Close, true, b"\x03\xe8".to_vec()));
        w.ends().await;
    });
}

#[test]
fn a_large_message_goes_through_small_streams() {
    run(async {
        let mut w = World::new(Some(b"m:"), 100);
        let mut message = b"m:".to_vec();
        message.extend((0..300_000_u32).map(|n| n as u8));
        let frame = server_frame(Opcode::Binary, &message);
        let (mut client, mut backend) = (w.client, w.backend);
        let write = async {
            backend.write_all(&frame).await.unwrap();
            backend
        };
        let read = async {
            let mut reader = crate::ws::messages::Messages::new(Sender::Server);
            loop {
                let mut part = [0; 1000];
                let n = client.read(&mut part).await.unwrap();
                reader.feed(&part[..n]);
                if let Some(one) = reader.next(usize::MAX).unwrap() {
                    return (one, client);
                }
            }
        };
        let (backend, (one, client)) = tokio::join!(write, read);
        let crate::ws::messages::Incoming::Message(one) = one else { panic!() };
        assert!(one.content == message[2..]);
        (w.client, w.backend) = (client, backend);
        let mask = [1, 2, 3, 4];
        let large = vec![b'y'; 50_000];
        let sent = frame::client_fragment(Opcode::Text, true, mask, &large);
        let (mut client, mut got) = (w.client, Vec::new());
        w.client = duplex(1).0;
        let write = async { client.write_all(&sent).await.unwrap() };
        let read = async {
            let mut fin = false;
            while !fin {
                let (_, last, payload) = w.backend_gets().await;
                got.extend(payload);
                fin = last;
            }
        };
        tokio::join!(write, read);
        assert!(got == large);
    });
}

#[test]
fn the_rules_of_grip() {
    run(async {
        let mut w = World::new(Some(b"m:"), 4096);
        w.backend_sends(&control(r#"{"type":"subscribe","channel":"t"}"#)).await;
        w.backend_sends(&server_frame(Opcode::Text, b"no prefix")).await;
        // The whole of an unprefixed message is dropped.
        w.backend_sends(&server_fragment(Opcode::Text, false, b"x")).await;
        w.backend_sends(&server_fragment(Opcode::Continuation, true, b"m:y")).await;
        // A head and a payload that come byte by byte are one message all the same.
        for byte in server_frame(Opcode::Text, b"m:m:x").iter() {
            w.backend_sends(&[*byte]).await;
            tokio::task::yield_now().await;
        }
        let mut got = Vec::new();
        while !got.ends_with(b"x") {
            got.push(w.client.read_u8().await.unwrap());
        }
        let mut reader = crate::ws::messages::Messages::new(Sender::Server);
        reader.feed(&got);
        let text = format!("{:?}", reader.next(100).unwrap());
        assert!(text.contains("b\"m:x\""), "{text}");
        w.company
            .publish(r#"{"items":[{"channel":"p-t","formats":{"ws-message":{"content":"pub"}}}]}"#);
        w.client_gets(b"\x81\x03pub").await;
        // What a control message sends keeps its place.
        let delayed = r#"{"type":"send-delayed","content":"late","timeout":50}"#;
        w.backend_sends(&control(delayed)).await;
        let flush = [
            server_frame(Opcode::Text, b"m:1"),
            control(r#"{"type":"flush-delayed"}"#),
            server_frame(Opcode::Text, b"m:2"),
        ];
        w.backend_sends(&flush.concat()).await;
        w.client_gets(b"\x81\x011\x81\x04late\x81\x012").await;
    });
}

#[test]
fn what_is_published_waits_for_the_end_of_a_message() {
    run(async {
        let mut w = World::new(None, 4096);
        w.backend_sends(&server_fragment(Opcode::Text, false, b"one")).await;
        w.client_gets(b"\x01\x03one").await;
        w.publish(r#"{"content":"pub"}"#);
        w.backend_sends(&server_fragment(Opcode::Continuation, true, b"two")).await;
        w.client_gets(b"\x80\x03two\x81\x03pub").await;
    });
}

#[test]
fn a_published_close_reaches_both_sides() {
    run(async {
        let mut w = World::new(None, 4096);
        w.publish(r#"{"action":"close","code":4001,"reason":"bye"}"#);
        w.client_gets(b"\x88\x05\x0f\xa1bye").await;
        assert_eq!(w.backend_gets().await, (Opcode::Close, true, b"\x03\xe8".to_vec()));
        w.backend_sends(&server_frame(Opcode::Text, b"discarded")).await;
        w.client_sends(Opcode::Close, b"\x0f\xa1").await;
        w.ends().await;
    });
}

#[test]
fn detaching_keeps_the_client() {
    run(async {
        let mut w = World::new(Some(b"m:"), 4096);
        w.backend_sends(&control(r#"{"type":"detach"}"#)).await;
        assert_eq!(w.backend_gets().await, (Opcode::Close, true, b"\x03\xe8".to_vec()));
        w.backend_sends(&server_frame(Opcode::Text, b"m:discarded")).await;
        w.backend_sends(b"\x88\x02\x03\xe8").await;
        assert_eq!(w.backend.read(&mut [0]).await.unwrap(), 0);
        w.client_sends(Opcode::Text, b"discarded").await;
        w.publish(r#"{"content":"pub"}"#);
        w.client_gets(b"\x81\x03pub").await;
        w.client_sends(Opcode::Close, b"\x0f\xa1").await;
        w.client_gets(b"\x88\x02\x03\xe8").await;
        w.ends().await;
    });
}

#[test]
fn either_side_may_vanish() {
    run(async {
        let mut w = World::new(None, 4096);
        w.backend_sends(&server_frame(Opcode::Text, b"last")).await;
        w.backend = duplex(1).0;
        w.client_gets(b"\x81\x04last").await;
        w.ends().await;

        let mut w = World::new(None, 4096);
        w.client_sends(Opcode::Text, b"last").await;
        w.client = duplex(1).0;
        assert_eq!(w.backend_gets().await, (Opcode::Text, true, b"last".to_vec()));
        assert_eq!(w.backend.read(&mut [0]).await.unwrap(), 0);
    });
}

#[test]
fn either_side_may_break_the_protocol() {
    run(async {
        // What came before is answered; then the client is told, whatever the backend's code.
        let mut w = World::new(None, 4096);
        w.client_sends(Opcode::Text, b"before").await;
        w.client.write_all(b"\x81\x01x and what cannot be read").await.unwrap();
        assert_eq!(w.backend_gets().await, (Opcode::Text, true, b"before".to_vec()));
        assert_eq!(w.backend_gets().await, (Opcode::Close, true, b"\x03\xea".to_vec()));
        w.publish(r#"{"content":"not any more"}"#);
        w.backend_sends(&server_frame(Opcode::Text, b"answer")).await;
        w.backend_sends(&server_frame(Opcode::Close, b"\x03\xe8")).await;
        w.client_gets(b"\x81\x06answer\x88\x02\x03\xea").await;
        let stats = Rc::clone(&w.company.shared.stats);
        w.ends().await;
        assert_eq!(stats.socket_protocol_errors.get(), 1);

        // The backend goes without a word, or says nothing.
        let mut w = World::new(None, 4096);
        w.client.write_all(b"\x81\x01x").await.unwrap();
        assert_eq!(w.backend_gets().await.0, Opcode::Close);
        w.backend = duplex(1).0;
        w.client_gets(b"\x88\x02\x03\xea").await;
        w.ends().await;

        let mut w = World::new(None, 4096);
        w.backend_sends(&server_frame(Opcode::Text, b"before")).await;
        w.backend_sends(b"\x83\x00").await;
        assert_eq!(w.backend_gets().await, (Opcode::Close, true, b"\x03\xea".to_vec()));
        w.client_gets(b"\x81\x06before").await;
        let stats = Rc::clone(&w.company.shared.stats);
        w.ends().await;
        assert_eq!(stats.socket_backend_errors.get(), 1);
    });
}

#[test]
fn a_client_that_has_said_all_still_gets_the_answer_to_its_close() {
    run(async {
        let mut w = World::new(None, 4096);
        w.client_sends(Opcode::Close, b"\x0b\xb9").await;
        // What follows a CLOSE means nothing, whatever it is.
        w.client.write_all(b"\xff\xff\xff").await.unwrap();
        w.client.shutdown().await.unwrap();
        assert_eq!(w.backend_gets().await, (Opcode::Close, true, b"\x0b\xb9".to_vec()));
        w.backend_sends(&server_frame(Opcode::Text, b"last")).await;
        w.backend_sends(&server_frame(Opcode::Close, b"\x0b\xb9")).await;
        w.client_gets(b"\x81\x04last\x88\x02\x0b\xb9").await;
        w.ends().await;
    });
}

#[test]
fn a_client_that_ends_without_close_gets_what_came() {
    run(async {
        let mut w = World::new(None, 16);
        w.backend_sends(&server_frame(Opcode::Text, b"on its way")).await;
        w.client_sends(Opcode::Text, b"last").await;
        assert_eq!(w.backend_gets().await, (Opcode::Text, true, b"last".to_vec()));
        w.client.shutdown().await.unwrap();
        assert_eq!(w.backend.read(&mut [0]).await.unwrap(), 0);
        w.client_gets(b"\x81\x0aon its way").await;
        w.ends().await;
    });
}

#[test]
fn a_backend_that_has_said_all_still_gets_the_answer_to_its_close() {
    run(async {
        let mut w = World::new(None, 4096);
        w.backend_sends(b"\x88\x02\x0f\xa1\xff\xff").await;
        w.backend.shutdown().await.unwrap();
        w.client_gets(b"\x88\x02\x0f\xa1").await;
        w.client_sends(Opcode::Close, b"\x0f\xa1").await;
        assert_eq!(w.backend_gets().await, (Opcode::Close, true, b"\x0f\xa1".to_vec()));
        w.ends().await;
    });
}

#[test]
fn a_backend_that_ends_without_close_drops_the_client() {
    run(async {
        let mut w = World::new(None, 4096);
        w.backend_sends(&server_frame(Opcode::Text, b"last")).await;
        w.backend.shutdown().await.unwrap();
        w.client_gets(b"\x81\x04last").await;
        w.ends().await;
    });
}

#[test]
fn a_close_that_is_not_answered_ends_both() {
    run(async {
        let mut w = World::closing(None, 4096, &Bounds::default(), 50);
        w.client_sends(Opcode::Close, b"\x0f\xa1").await;
        assert_eq!(w.backend_gets().await, (Opcode::Close, true, b"\x0f\xa1".to_vec()));
        w.ends().await;

        let mut w = World::closing(None, 4096, &Bounds::default(), 50);
        w.backend_sends(b"\x88\x02\x0f\xa1").await;
        w.client_gets(b"\x88\x02\x0f\xa1").await;
        w.ends().await;

        // Who broke the protocol is told, even so.
        let mut w = World::closing(None, 4096, &Bounds::default(), 50);
        w.client.write_all(b"\xff\xff").await.unwrap();
        assert_eq!(w.backend_gets().await, (Opcode::Close, true, b"\x03\xea".to_vec()));
        w.client_gets(b"\x88\x02\x03\xea").await;
        w.ends().await;
    });
}

#[test]
fn nothing_for_too_long() {
    run(async {
        // Together the pauses are longer than the bound, and each is much shorter.
        let bounds = Bounds { idle_ms: 2000, ..Bounds::default() };
        let mut w = World::with(None, 4096, &bounds);
        for _ in 0..4 {
            clock::sleep_ms(550).await;
            w.client_sends(Opcode::Ping, b"").await;
            assert_eq!(w.backend_gets().await, (Opcode::Ping, true, Vec::new()));
        }
        let stats = Rc::clone(&w.company.shared.stats);
        w.ends().await;
        assert_eq!(stats.sockets_idle.get(), 1);
    });
}

#[test]
fn too_much_of_a_client_or_of_a_backend() {
    run(async {
        let bounds = Bounds {
            message_bytes_max: 10,
            frame_bytes_max: 6,
            fragments_max: 2,
            ..Bounds::default()
        };
        let mask = [1, 2, 3, 4];
        let part = |fin, opcode, text: &[u8]| frame::client_fragment(opcode, fin, mask, text);
        let long = part(true, Opcode::Text, b"1234567");
        let large =
            [part(false, Opcode::Text, b"123456"), part(true, Opcode::Continuation, b"12345")]
                .concat();
        let many = [
            part(false, Opcode::Text, b""),
            part(false, Opcode::Continuation, b""),
            part(true, Opcode::Continuation, b""),
        ]
        .concat();
        for (sent, code) in [(&long[..], 1009_u16), (&large, 1009), (&many, 1008)] {
            let mut w = World::with(None, 4096, &bounds);
            w.client_sends(Opcode::Text, b"123456").await;
            assert_eq!(w.backend_gets().await, (Opcode::Text, true, b"123456".to_vec()));
            w.client.write_all(sent).await.unwrap();
            let told = loop {
                match w.backend_gets().await {
                    (Opcode::Close, true, payload) => break payload,
                    (opcode, ..) => assert!(!opcode.is_control()),
                }
            };
            assert_eq!(told, code.to_be_bytes());
            w.backend_sends(b"\x88\x00").await;
            w.client_gets(&[&b"\x88\x02"[..], &told].concat()).await;
            w.client.shutdown().await.unwrap();
            w.task.await.unwrap();
            let stats = &w.company.shared.stats;
            let counted =
                (stats.socket_messages_too_large.get(), stats.socket_fragments_refused.get());
            assert_eq!(counted, if code == 1009 { (1, 0) } else { (0, 1) });
        }
        let mut w = World::with(None, 4096, &bounds);
        w.backend_sends(&server_frame(Opcode::Text, b"as long as it likes")).await;
        w.client_gets(b"\x81\x13as long as it likes").await;
        for (opcode, fin) in
            [(Opcode::Text, false), (Opcode::Continuation, false), (Opcode::Continuation, true)]
        {
            w.backend_sends(&server_fragment(opcode, fin, b"")).await;
        }
        assert_eq!(w.backend_gets().await, (Opcode::Close, true, b"\x03\xf0".to_vec()));
    });
}

#[test]
fn frames_of_no_bytes_are_held_back_too() {
    run(async {
        let mut w = World::new(None, 64 * 1024);
        let empty = server_frame(Opcode::Text, b"").repeat(100 * limits::RELAY_FRAMES_MAX);
        // The client's stream holds 64 KiB, and the queue no more than its bound of frames.
        let taken = tokio::time::timeout(Duration::from_millis(300), async {
            let mut taken = 0;
            while taken < empty.len() {
                taken += w.backend.write(&empty[taken..]).await.unwrap();
            }
        });
        assert!(taken.await.is_err(), "all was taken");
        let mut rest = vec![0; 1000];
        w.client.read_exact(&mut rest).await.unwrap();
        assert!(rest.chunks(2).all(|frame| frame == b"\x81\x00"));
    });
}

const RELIABLE: &str = r#"{"type":"subscribe","channel":"t","prev-id":"5"}"#;

impl World {
    /// The hub says that the client has missed something.
    fn misses(&self, channel: &str) {
        let missed = Missed { channel: channel.into(), prev_id: "5".into() };
        self.company.shared.ears.tell(self.id, missed);
    }

    /// All that the backend has said has been heard.
    async fn is_heard(&mut self) {
        self.backend_sends(&server_frame(Opcode::Text, b"m:heard")).await;
        self.client_gets(b"\x81\x05heard").await;
    }

    async fn backend_is_asked(&mut self, channel: &str) {
        let text = format!(r#"c:{{"type":"recover","channel":"{channel}","prev-id":"5"}}"#);
        assert_eq!(self.backend_gets().await, (Opcode::Text, true, text.into_bytes()));
    }
}

#[test]
fn a_backend_is_asked_for_what_was_missed_between_messages() {
    run(async {
        let mut w = World::new(Some(b"m:"), 4096);
        w.backend_sends(&control(r#"{"type":"subscribe","channel":"t"}"#)).await;
        w.is_heard().await;
        w.misses("unheard");
        w.backend_sends(&control(RELIABLE)).await;
        w.is_heard().await;
        w.misses("t");
        w.backend_is_asked("t").await;
        // Not within a message of the client.
        let mask = [1, 2, 3, 4];
        let part = |fin, opcode, text: &[u8]| frame::client_fragment(opcode, fin, mask, text);
        w.client.write_all(&part(false, Opcode::Text, b"one")).await.unwrap();
        assert_eq!(w.backend_gets().await, (Opcode::Text, false, b"one".to_vec()));
        w.misses("a");
        w.misses("b");
        // What the backend says of a channel meanwhile makes the question moot.
        w.backend_sends(&control(r#"{"type":"unsubscribe","channel":"a"}"#)).await;
        w.is_heard().await;
        w.client.write_all(&part(false, Opcode::Continuation, b"two")).await.unwrap();
        assert_eq!(w.backend_gets().await, (Opcode::Continuation, false, b"two".to_vec()));
        w.client_sends(Opcode::Ping, b"p").await;
        assert_eq!(w.backend_gets().await, (Opcode::Ping, true, b"p".to_vec()));
        w.client.write_all(&part(true, Opcode::Continuation, b"")).await.unwrap();
        assert_eq!(w.backend_gets().await, (Opcode::Continuation, true, Vec::new()));
        w.backend_is_asked("b").await;
    });
}

#[test]
fn a_detached_client_that_has_missed_something_is_closed() {
    run(async {
        let mut w = World::new(Some(b"m:"), 4096);
        w.backend_sends(&control(RELIABLE)).await;
        w.backend_sends(&control(r#"{"type":"detach"}"#)).await;
        assert_eq!(w.backend_gets().await, (Opcode::Close, true, b"\x03\xe8".to_vec()));
        w.misses("t");
        w.client_gets(b"\x88\x02\x03\xf3").await;
        w.client_sends(Opcode::Close, b"\x03\xf3").await;
        w.backend_sends(b"\x88\x00").await;
        w.ends().await;
    });
}
