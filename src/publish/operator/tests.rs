//! Commands, with mailboxes that the test answers in the place of shards.

use super::*;
use crate::shard::mailbox::{Inbox, mailbox};

const ONE: &str = "7f0dca6e-6b3f-4b1c-9d3c-0a4c5c2f7a10";
const TWO: &str = "00000000-0000-4000-8000-000000000000";

fn dict(members: &[(&'static str, Value)]) -> Value {
    let member = |(name, value): &(&'static str, Value)| (Bytes::from(*name), value.clone());
    Value::Dict(members.iter().map(member).collect())
}

fn request(method: Value, args: Value) -> Value {
    dict(&[("id", Value::text("r1")), ("method", method), ("args", args)])
}

fn ids(ids: &[&str]) -> Value {
    Value::List(ids.iter().map(|id| Value::text(id)).collect())
}

fn failure(condition: &str) -> Value {
    let condition = Value::text(condition);
    dict(&[("id", Value::text("r1")), ("success", Value::Bool(false)), ("condition", condition)])
}

fn success(value: Value) -> Value {
    dict(&[("id", Value::text("r1")), ("success", Value::Bool(true)), ("value", value)])
}

/// Two shards: the first has the connection `ONE`, the second has none.
async fn shard(mut inbox: Inbox, has: Option<Uuid>) {
    while let Some(command) = inbox.recv().await {
        let Command::Ask(question, reply) = command else { panic!("{command:?}") };
        let answer = match question {
            Question::Refresh(name) => vec![has == Some(name)],
            Question::RefreshChannel(channel) => {
                assert_eq!(channel.as_str(), "p-c");
                Vec::new()
            }
            Question::AreLive(names) => names.iter().map(|name| has == Some(*name)).collect(),
        };
        reply.send(answer).unwrap();
    }
}

fn replies(requests: &[Value]) -> (Vec<Value>, Rc<Stats>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stats = Rc::new(Stats::default());
    let replies = tokio::task::LocalSet::new().block_on(&runtime, async {
        let (mailboxes, inboxes): (Vec<_>, Vec<_>) = (0..2).map(|_| mailbox()).unzip();
        let mut has = [Some(ONE.parse().unwrap()), None].into_iter();
        for inbox in inboxes {
            tokio::task::spawn_local(shard(inbox, has.next().unwrap()));
        }
        let operator = Operator::new(mailboxes, Rc::clone(&stats));
        let mut replies = Vec::new();
        for request in requests {
            let mut bytes = BytesMut::new();
            tnet::encode(request, &mut bytes);
            let reply = operator.reply(&bytes.freeze()).await;
            let (value, taken) = tnet::decode(&reply).unwrap();
            assert_eq!(taken, reply.len());
            replies.push(value);
        }
        replies
    });
    (replies, stats)
}

#[test]
fn the_table_of_commands() {
    let refresh = |args| request(Value::text("refresh"), args);
    let check = |args| request(Value::text("conncheck"), args);
    let cid = |cid: &str| refresh(dict(&[("cid", Value::text(cid))]));
    let cases = [
        (cid(ONE), success(Value::Null)),
        (cid(TWO), failure("item-not-found")),
        (cid("nobody"), failure("item-not-found")),
        (cid(&ONE.to_uppercase()), failure("item-not-found")),
        (refresh(dict(&[("channel", Value::text("p-c"))])), success(Value::Null)),
        (refresh(dict(&[("channel", Value::Int(1))])), failure("bad-request")),
        (refresh(dict(&[("cid", Value::Int(1))])), failure("bad-request")),
        (refresh(dict(&[])), failure("bad-request")),
        (refresh(Value::Null), failure("bad-request")),
        (check(dict(&[("ids", ids(&[TWO, ONE, "x", ONE]))])), success(ids(&[ONE, ONE]))),
        (check(dict(&[("ids", ids(&[]))])), success(ids(&[]))),
        (check(dict(&[("ids", Value::text(ONE))])), failure("bad-request")),
        (check(dict(&[("ids", Value::List(vec![Value::Int(1)]))])), failure("bad-request")),
        (check(dict(&[])), failure("bad-request")),
        (request(Value::text("get-zhttp-uris"), dict(&[])), failure("method-not-found")),
        (request(Value::Int(1), dict(&[])), failure("bad-request")),
        (dict(&[("id", Value::text("r1"))]), failure("bad-request")),
    ];
    let requests: Vec<_> = cases.iter().map(|(request, _)| request.clone()).collect();
    let (replies, stats) = replies(&requests);
    for ((request, expected), reply) in cases.iter().zip(replies) {
        assert_eq!(reply, *expected, "{request:?}");
    }
    assert_eq!(stats.commands_received.get(), cases.len() as u64);
    assert_eq!(stats.commands_failed.get(), 13);
}

#[test]
fn what_is_no_command_is_answered_too() {
    let (replies, _) = replies(&[Value::Null, Value::text("x")]);
    let bad = dict(&[("success", Value::Bool(false)), ("condition", Value::text("bad-request"))]);
    assert_eq!(replies, [bad.clone(), bad]);
}
