//! The commands of operators: what they say and what is answered (specification, WebSockets 8.2).
//!
//! Called by `command_port` with each request; the shards are asked through their mailboxes.

use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::clock;
use crate::grip::channel::ChannelName;
use crate::limits;
use crate::shard::mailbox::{Command, Mailbox, Question};
use crate::stats::Stats;
use crate::wire::tnet::{self, Value};

/// Carries commands out; stays on the control thread.
#[derive(Clone, Debug)]
pub struct Operator {
    mailboxes: Rc<[Mailbox]>,
    stats: Rc<Stats>,
}

/// A request.
#[derive(Debug, PartialEq)]
enum Request {
    RefreshConnection(Option<Uuid>),
    RefreshChannel(ChannelName),
    /// The ids as they were written, and as what they are.
    Check(Vec<(Bytes, Option<Uuid>)>),
}

/// Why a command is not carried out; the words are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Condition {
    #[error("bad-request")]
    BadRequest,
    #[error("method-not-found")]
    MethodNotFound,
    #[error("item-not-found")]
    ItemNotFound,
    /// A shard did not answer in time. Ours alone.
    #[error("timeout")]
    Timeout,
}

impl Operator {
    /// For these shards; counts in `stats`.
    #[must_use]
    pub fn new(mailboxes: Vec<Mailbox>, stats: Rc<Stats>) -> Operator {
        Operator { mailboxes: mailboxes.into(), stats }
    }

    /// Carries out one request; its reply.
    pub async fn reply(&self, request: &Bytes) -> Bytes {
        self.stats.commands_received.inc();
        let request = tnet::decode(request).ok().filter(|(_, bytes)| *bytes == request.len());
        let request = request.map_or(Value::Null, |(value, _)| value);
        let outcome = match parse(&request) {
            Ok(request) => self.carry_out(request).await,
            Err(condition) => Err(condition),
        };
        let mut reply = Vec::new();
        let mut say = |name: &'static str, value| {
            reply.push((Bytes::from_static(name.as_bytes()), value));
        };
        if let Some(id) = request.member(b"id") {
            say("id", id.clone());
        }
        say("success", Value::Bool(outcome.is_ok()));
        match outcome {
            Ok(value) => say("value", value),
            Err(condition) => {
                self.stats.commands_failed.inc();
                say("condition", Value::text(&condition.to_string()));
            }
        }
        let mut out = BytesMut::new();
        tnet::encode(&Value::Dict(reply), &mut out);
        out.freeze()
    }

    async fn carry_out(&self, request: Request) -> Result<Value, Condition> {
        match request {
            Request::RefreshConnection(name) => {
                let name = name.ok_or(Condition::ItemNotFound)?;
                let found = self.ask(&Question::Refresh(name), 1).await?;
                if found == [true] { Ok(Value::Null) } else { Err(Condition::ItemNotFound) }
            }
            Request::RefreshChannel(channel) => {
                self.ask(&Question::RefreshChannel(channel), 0).await?;
                Ok(Value::Null)
            }
            Request::Check(ids) => {
                let names: Arc<[Uuid]> = ids.iter().filter_map(|(_, name)| *name).collect();
                let live = self.ask(&Question::AreLive(Arc::clone(&names)), names.len()).await?;
                let mut live = live.into_iter();
                let is_live = |name: &Option<Uuid>| name.is_some() && live.next() == Some(true);
                let mut is_live = is_live;
                let ids = ids.into_iter().filter(|(_, name)| is_live(name));
                Ok(Value::List(ids.map(|(id, _)| Value::Bytes(id)).collect()))
            }
        }
    }

    /// Asks all shards; for each of so many connections, whether any shard has said so.
    async fn ask(&self, question: &Question, count: usize) -> Result<Vec<bool>, Condition> {
        let mut answers = Vec::new();
        for mailbox in &*self.mailboxes {
            let (reply, answer) = oneshot::channel();
            let command = Command::Ask(question.clone(), reply);
            let sent = mailbox.send(command, limits::OPERATOR_WAIT_MS).await;
            sent.map_err(|_| Condition::Timeout)?;
            answers.push(answer);
        }
        let mut all = vec![false; count];
        for answer in answers {
            let said = tokio::select! {
                said = answer => said.map_err(|_| Condition::Timeout)?,
                () = clock::sleep_ms(limits::OPERATOR_WAIT_MS) => return Err(Condition::Timeout),
            };
            for (any, said) in all.iter_mut().zip(said) {
                *any |= said;
            }
        }
        Ok(all)
    }
}

fn parse(request: &Value) -> Result<Request, Condition> {
    let Some(Value::Bytes(method)) = request.member(b"method") else {
        return Err(Condition::BadRequest);
    };
    let args = request.member(b"args").unwrap_or(&Value::Null);
    match &method[..] {
        b"refresh" => match (args.member(b"cid"), args.member(b"channel")) {
            (Some(Value::Bytes(cid)), _) => Ok(Request::RefreshConnection(connection(cid))),
            (None, Some(Value::Bytes(channel))) => {
                let name = std::str::from_utf8(channel).map_err(|_| Condition::BadRequest)?;
                Ok(Request::RefreshChannel(ChannelName::new(name)))
            }
            _ => Err(Condition::BadRequest),
        },
        b"conncheck" => {
            let Some(Value::List(ids)) = args.member(b"ids") else {
                return Err(Condition::BadRequest);
            };
            let id = |id: &Value| match id {
                Value::Bytes(id) => Ok((id.clone(), connection(id))),
                _ => Err(Condition::BadRequest),
            };
            Ok(Request::Check(ids.iter().map(id).collect::<Result<_, _>>()?))
        }
        _ => Err(Condition::MethodNotFound),
    }
}

/// The id of a connection, if it is written as ours are: lower case, with hyphens.
fn connection(text: &[u8]) -> Option<Uuid> {
    let name = Uuid::try_parse_ascii(text).ok()?;
    let mut own = Uuid::encode_buffer();
    (name.as_hyphenated().encode_lower(&mut own).as_bytes() == text).then_some(name)
}

#[cfg(test)]
mod tests;
