//! Tests of `connection`: order, bursts, and a client that does not read.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{DuplexStream, ReadBuf, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::limits;
use crate::publish::publisher::{Publisher, Settings};
use crate::shard::mailbox::{Command, Inbox, Mailbox, mailbox};

const LIMITS: HeadLimits = HeadLimits { head_bytes_max: 1000, body_bytes_max: 100_000 };
const GREETING: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nlinchpin API\n";
const PUBLISHED: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nPublished\n";

/// A stream that counts the writes to it.
struct Counted(DuplexStream, Rc<std::cell::Cell<usize>>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, room)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.1.set(self.1.get() + 1);
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A connection that is served, from its client's side.
struct Client {
    stream: DuplexStream,
    writes: Rc<std::cell::Cell<usize>>,
    api: Rc<Api>,
    mailbox: Mailbox,
    inbox: Inbox,
    served: JoinHandle<io::Result<()>>,
}

impl Client {
    /// `between` bytes fit between the two, each way.
    fn new(between: usize) -> Client {
        let (stream, server) = duplex(between);
        let writes = Rc::default();
        let server = Counted(server, Rc::clone(&writes));
        let (mailbox, inbox) = mailbox();
        let publisher = Publisher::new(vec![mailbox.clone()], Settings::default(), Rc::default());
        let api = Rc::new(Api::new(publisher, Rc::default(), 2));
        let serving = Rc::clone(&api);
        let served = tokio::task::spawn_local(async move {
            serve(server, &serving, LIMITS, std::future::pending()).await
        });
        Client { stream, writes, api, mailbox, inbox, served }
    }

    async fn expect(&mut self, expected: &str) {
        let mut got = vec![0; expected.len()];
        self.stream.read_exact(&mut got).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&got), expected);
    }

    /// The channels of what was published since.
    fn published(&mut self) -> Vec<String> {
        published(&mut self.inbox)
    }
}

fn published(inbox: &mut Inbox) -> Vec<String> {
    let mut channels = Vec::new();
    while let Some(command) = inbox.try_recv() {
        if let Command::Publish(items) = command {
            channels.extend(items.iter().map(|item| item.channel.as_str().to_owned()));
        }
    }
    channels
}

fn publish(channel: impl std::fmt::Display) -> String {
    let body = format!(r#"{{"items":[{{"channel":"{channel}","formats":{{"x":1}}}}]}}"#);
    format!("POST /publish/ HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn local<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let deadline = std::time::Duration::from_secs(20);
    let in_time = async { tokio::time::timeout(deadline, future).await.expect("in time") };
    tokio::task::LocalSet::new().block_on(&runtime, in_time)
}

/// Lets everything else run until it waits.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_burst_is_answered_with_one_write_in_order() {
    local(async {
        let mut client = Client::new(64 * 1024);
        let mut burst: String = (0..50).map(publish).collect();
        burst.insert_str(0, "GET / HTTP/1.1\r\n\r\n");
        client.stream.write_all(burst.as_bytes()).await.unwrap();
        client.expect(&(GREETING.to_owned() + &PUBLISHED.repeat(50))).await;
        assert_eq!(client.writes.get(), 1);
        let expected: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        assert_eq!(client.published(), expected);
        assert_eq!(client.api.stats.items_received.get(), 50);
        drop(client.stream);
        client.served.await.unwrap().unwrap();
    });
}

#[test]
fn bytes_may_come_one_by_one() {
    local(async {
        let mut client = Client::new(64 * 1024);
        for byte in (publish("a") + "\r\n" + &publish("b")).into_bytes() {
            client.stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        client.expect(&PUBLISHED.repeat(2)).await;
        assert_eq!(client.published(), ["a", "b"]);
    });
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    local(async {
        let mut client = Client::new(1000);
        let (count, burst) = (5_000, (0..5_000).map(publish).collect::<String>());
        let (mut reader, mut writer) = tokio::io::split(client.stream);
        let writing = tokio::task::spawn_local(async move {
            writer.write_all(burst.as_bytes()).await.unwrap();
            writer
        });
        settle().await;
        assert!(!writing.is_finished());
        let accepted = client.api.stats.items_received.get();
        let most = ANSWERS_BYTES_MAX / PUBLISHED.len() + 20_000 / publish(0).len();
        assert!(accepted > 0 && accepted < most as u64, "{accepted}");
        settle().await;
        assert_eq!(client.api.stats.items_received.get(), accepted);
        // As soon as it reads, all is answered, in order.
        let mut answers = vec![0; PUBLISHED.len() * count];
        let reading = async {
            let mut channels = Vec::new();
            for answer in answers.chunks_mut(PUBLISHED.len()) {
                reader.read_exact(answer).await.unwrap();
                assert_eq!(answer, PUBLISHED.as_bytes());
                channels.extend(published(&mut client.inbox));
            }
            settle().await;
            channels.extend(published(&mut client.inbox));
            channels
        };
        let channels = reading.await;
        let expected: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        assert_eq!(channels, expected);
        drop(writing.await.unwrap());
    });
}

#[test]
fn what_was_accepted_is_told_before_waiting_for_a_shard() {
    local(async {
        let mut client = Client::new(64 * 1024);
        // Room for the one, not for the other.
        let body = publish("a").split_once("\r\n\r\n").unwrap().1.to_owned();
        let one = crate::grip::item::parse_items(body.as_bytes()).unwrap()[0].memory_bytes();
        let taken = limits::MAILBOX_BYTES_MAX as usize - one - one / 2;
        client.mailbox.reserve(taken).await.unwrap().fill(Command::Drain);
        let ahead = publish("a") + &publish("b") + "GET / HTTP/1.1\r\n\r\n";
        client.stream.write_all(ahead.as_bytes()).await.unwrap();
        client.expect(PUBLISHED).await;
        settle().await;
        assert_eq!(client.writes.get(), 1);
        assert_eq!(client.published(), ["a"]);
        client.expect(&(PUBLISHED.to_owned() + GREETING)).await;
        assert_eq!(client.published(), ["b"]);
    });
}

#[test]
fn items_that_are_too_much_for_the_mailbox_wait() {
    local(async {
        let mut client = Client::new(64 * 1024);
        let all = limits::MAILBOX_BYTES_MAX as usize;
        client.mailbox.reserve(all).await.unwrap().fill(Command::Drain);
        client.stream.write_all(publish("a").as_bytes()).await.unwrap();
        settle().await;
        assert_eq!(client.writes.get(), 0);
        assert!(client.published().is_empty());
        client.expect(PUBLISHED).await;
        assert_eq!(client.published(), ["a"]);
    });
}

#[test]
fn a_refusal_follows_the_answers_before_it_and_ends_the_connection() {
    local(async {
        let mut client = Client::new(64 * 1024);
        let bytes = publish("a") + "oops\r\n\r\n" + &publish("not read");
        client.stream.write_all(bytes.as_bytes()).await.unwrap();
        let refusal = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
            Connection: close\r\nContent-Length: 32\r\n\r\nFailed to parse request header.\n";
        let mut all = String::new();
        client.stream.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, PUBLISHED.to_owned() + refusal);
        assert_eq!(client.published(), ["a"]);
        assert_eq!(client.api.stats.requests_malformed.get(), 1);
        // What it still sends is dropped until it closes.
        client.stream.write_all(publish("dropped").as_bytes()).await.unwrap();
        drop(client.stream);
        client.served.await.unwrap().unwrap();
    });
}
