//! Commands of operators over ZeroMQ. The client is the crate's; one that is not ours in any way is
//! in `tests/interop`.

use bytes::{Bytes, BytesMut};
use linchpin::wire::tnet::{self, Value};
use serde_json::json;
use tokio::join;
use zeromq::{Socket, SocketRecv, SocketSend, ZmqMessage};

use super::harness::{Answer, Backend, Publisher, Server, WebSocket, within};

struct Commands(zeromq::ReqSocket);

impl Commands {
    async fn connect(server: &mut Server) -> Commands {
        let line = server.wait_for_line("commands on ");
        let spec = line.split("commands on ").nth(1).expect("an address").trim().to_owned();
        let mut socket = zeromq::ReqSocket::new();
        within("the command port", socket.connect(&spec)).await.expect("it is there");
        Commands(socket)
    }

    async fn ask(&mut self, method: &str, args: &[(&'static str, Value)]) -> Result<Value, String> {
        let dict = |members: &[(&'static str, Value)]| {
            let member =
                |(name, value): &(&'static str, Value)| (Bytes::from(*name), value.clone());
            Value::Dict(members.iter().map(member).collect())
        };
        let members =
            [("id", Value::text("1")), ("method", Value::text(method)), ("args", dict(args))];
        let mut bytes = BytesMut::new();
        tnet::encode(&dict(&members), &mut bytes);
        self.0.send(ZmqMessage::from(bytes.to_vec())).await.expect("it is sent");
        let reply = within("a reply", self.0.recv()).await.expect("a message");
        let (reply, _) = tnet::decode(reply.get(0).expect("a frame")).expect("a value");
        assert_eq!(reply.member(b"id"), Some(&Value::text("1")));
        match (reply.member(b"success"), reply.member(b"condition")) {
            (Some(Value::Bool(true)), None) => Ok(reply.member(b"value").expect("one").clone()),
            (Some(Value::Bool(false)), Some(Value::Bytes(condition))) => {
                Err(String::from_utf8_lossy(condition).into_owned())
            }
            _ => panic!("{reply:?}"),
        }
    }

    async fn live(&mut self, ids: &[&str]) -> Value {
        let ids = Value::List(ids.iter().map(|id| Value::text(id)).collect());
        self.ask("conncheck", &[("ids", ids)]).await.expect("a list")
    }
}

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test]
async fn connections_are_known_by_their_ids() {
    let mut backend = Backend::manual();
    let routes = [
        backend.route("*,path_beg=/http", ",over_http,sub=room"),
        backend.route("*,path_beg=/native", ",sub=room"),
        "*,path_beg=/test test".to_owned(),
    ];
    let options = ["--command-spec", "tcp://127.0.0.1:0"];
    let mut server = Server::start_with(&routes, &options);
    let mut commands = Commands::connect(&mut server).await;
    let mut connections = Vec::new();
    for _ in 0..3 {
        let opening = async {
            let exchange = backend.next().await;
            let id = exchange.request.header("connection-id").expect("an id").to_owned();
            exchange.answer(Answer::open("")).await;
            id
        };
        connections.push(join!(WebSocket::connect(&server, "/http"), opening));
    }
    let native = async { WebSocket::accept(backend.next().await, "").await };
    let (_client, _behind) = join!(WebSocket::connect(&server, "/native"), native);
    let (last, id) = connections.pop().expect("three");
    let (_, second) = &connections[1];
    let both = Value::List(vec![Value::text(second), Value::text(&id)]);
    assert_eq!(commands.live(&[NOBODY, second, "x", &id]).await, both);

    // One connection, whichever worker has it.
    let refreshed = commands.ask("refresh", &[("cid", Value::text(&id))]).await;
    assert_eq!(refreshed, Ok(Value::Null));
    let exchange = backend.next().await;
    assert_eq!(exchange.request.body, b"");
    assert_eq!(exchange.request.header("connection-id"), Some(&*id));
    exchange.answer(Answer::events("")).await;
    assert!(!backend.has_seen_more());

    // All that are subscribed to a channel.
    let refreshed = commands.ask("refresh", &[("channel", Value::text("room"))]).await;
    assert_eq!(refreshed, Ok(Value::Null));
    let mut seen = Vec::new();
    for _ in 0..3 {
        let exchange = backend.next().await;
        assert_eq!(exchange.request.body, b"");
        seen.push(exchange.request.header("connection-id").expect("an id").to_owned());
        exchange.answer(Answer::events("")).await;
    }
    seen.sort();
    let mut all: Vec<_> =
        connections.iter().map(|(_, id)| id.clone()).chain([id.clone()]).collect();
    all.sort();
    assert_eq!(seen, all);

    // Nobody, and one that has left.
    let not_found = Err("item-not-found".to_owned());
    assert_eq!(commands.ask("refresh", &[("cid", Value::text(NOBODY))]).await, not_found);
    drop(last);
    let exchange = backend.next().await;
    assert_eq!(exchange.request.body, b"DISCONNECT\r\n");
    exchange.answer(Answer::events("")).await;
    within("it to be forgotten", async {
        while commands.ask("refresh", &[("cid", Value::text(&id))]).await != not_found {}
    })
    .await;
    assert_eq!(commands.live(&[second, &id]).await, Value::List(vec![Value::text(second)]));
    assert_eq!(commands.ask("refresh", &[]).await, Err("bad-request".to_owned()));
    assert_eq!(commands.ask("reload", &[]).await, Err("method-not-found".to_owned()));

    // The channel of nobody is no mistake, and a client goes on after all of it.
    let nobody = commands.ask("refresh", &[("channel", Value::text("nobody"))]).await;
    assert_eq!(nobody, Ok(Value::Null));
    let publisher = Publisher::new(&server);
    publisher.formats("room", json!({ "ws-message": { "content": "hello" } })).await;
    connections[0].0.expect_text("hello").await;
    assert_eq!(server.counted("commands_failed"), 4);
}

#[test]
fn an_address_that_cannot_be_used_prevents_the_start() {
    let mut command = super::harness::server::command();
    command.args(["--port", "0", "--control", "127.0.0.1:0", "--route", "* test"]);
    let output = command.args(["--command-spec", "pgm://x"]).output().expect("it ends");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--command-spec"), "{output:?}");
}
