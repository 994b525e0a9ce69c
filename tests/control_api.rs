//! The control API over real sockets: byte for byte with a bare socket, and with a usual client.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use linchpin::limits;
use linchpin::publish::http::{Settings, serve};
use linchpin::publish::publisher::{self, Publisher};
use linchpin::shard::mailbox::{Command, Inbox, Mailbox, Receipt, mailbox};
use linchpin::stats::Stats;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const DEADLINE: Duration = Duration::from_secs(20);

struct Api {
    address: SocketAddr,
    mailbox: Mailbox,
    inbox: Inbox,
    stats: Rc<Stats>,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

impl Api {
    async fn start() -> Api {
        Api::start_with(Settings::default()).await
    }

    async fn start_with(settings: Settings) -> Api {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mailbox, inbox) = mailbox();
        let stats = Rc::new(Stats::default());
        let waits = publisher::Settings { wait_ms: 50, receipt_ms: 50, ..Default::default() };
        let publisher = Publisher::new(vec![mailbox.clone()], waits, Rc::clone(&stats));
        let (stop, stopped) = watch::channel(false);
        let serving = serve(listener, publisher, settings, Rc::clone(&stats), stopped);
        Api { address, mailbox, inbox, stats, stop, served: tokio::task::spawn_local(serving) }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` and reads until the server closes.
    async fn exchange(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        stream.shutdown().await.unwrap();
        read_all(&mut stream).await
    }

    /// What reached the shard: the channels of each command.
    fn published(&mut self) -> Vec<Vec<String>> {
        let mut published = Vec::new();
        while let Some(command) = self.inbox.try_recv() {
            let Command::Publish(items) = command else { panic!("not a publish") };
            published.push(items.iter().map(|item| item.channel.as_str().to_owned()).collect());
        }
        published
    }
}

async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("in time")
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    in_time(stream.read_to_end(&mut all)).await.unwrap();
    String::from_utf8(all).unwrap()
}

/// Reads exactly `expected`.
async fn expect(stream: &mut TcpStream, expected: &str) {
    let mut got = vec![0; expected.len()];
    in_time(stream.read_exact(&mut got)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&got), expected);
}

fn local<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn last_answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn item(channel: &str) -> String {
    format!(
        r#"{{"items":[{{"channel":"{channel}","formats":{{"http-stream":{{"content":"x"}}}}}}]}}"#
    )
}

#[test]
fn the_root_answers_any_method() {
    local(async {
        let api = Api::start().await;
        let expected = answer("200 OK", "linchpin API\n");
        assert_eq!(api.exchange(b"GET / HTTP/1.1\r\n\r\n").await, expected);
        assert_eq!(api.exchange(b"OPTIONS // HTTP/1.1\r\nHost: a\r\n\r\n").await, expected);
        assert_eq!(api.exchange(&post("/", "", "whatever")).await, expected);
        // HEAD gets no body: the connection stays usable.
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n";
        assert_eq!(api.exchange(b"HEAD / HTTP/1.1\r\n\r\n").await, head);
    });
}

#[test]
fn requests_that_end_the_connection() {
    local(async {
        let api = Api::start().await;
        let expected = last_answer("200 OK", "linchpin API\n");
        assert_eq!(api.exchange(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await, expected);
        let old = expected.replace("HTTP/1.1", "HTTP/1.0");
        // The server closes by itself.
        let mut stream = api.connect().await;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        assert_eq!(read_all(&mut stream).await, old);
    });
}

#[test]
fn refused_for_the_framing() {
    local(async {
        let mut api = Api::start().await;
        let large = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(10_000));
        let endless = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(300_000));
        let rows = [
            ("GET /\r\n\r\n", "400 Bad Request", "Failed to parse request header.\n"),
            (" / HTTP/1.1\r\n\r\n", "400 Bad Request", "Failed to parse request header.\n"),
            (&large, "400 Bad Request", "Request header too large.\n"),
            (&endless, "400 Bad Request", "Request header too large.\n"),
            (
                "POST /publish/ HTTP/1.1\r\n\r\n",
                "411 Length Required",
                "Request requires Content-Length.\n",
            ),
            (
                "POST /publish/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "411 Length Required",
                "Request requires Content-Length.\n",
            ),
            (
                "POST /publish/ HTTP/1.1\r\nContent-Length: x\r\n\r\n{}",
                "400 Bad Request",
                "Bad Content-Length.\n",
            ),
            (
                "POST /publish/ HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
                "400 Bad Request",
                "Bad Content-Length.\n",
            ),
            (
                "POST /publish/ HTTP/1.1\r\nContent-Length: 1000001\r\n\r\n{}",
                "400 Bad Request",
                "Request body too large.\n",
            ),
            (
                "POST /publish/ HTTP/1.1\r\nContent-Length: -5\r\n\r\n{}",
                "400 Bad Request",
                "Request body exceeded Content-Length.\n",
            ),
            (
                "POST /publish/ HTTP/1.1\r\nContent-Length: 2147483648\r\n\r\n{}",
                "400 Bad Request",
                "Bad Content-Length.\n",
            ),
            (
                "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "411 Length Required",
                "Request requires Content-Length.\n",
            ),
            (
                "PATCH /nowhere HTTP/1.1\r\n\r\n",
                "411 Length Required",
                "Request requires Content-Length.\n",
            ),
            (
                "POST /publish/ HTTP/1.1\r\nContent-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n{\"items\":[]}",
                "400 Bad Request",
                "Request has both Content-Length and Transfer-Encoding.\n",
            ),
        ];
        for (request, status, body) in rows {
            // Without the client's closing: the server closes by itself.
            let mut stream = api.connect().await;
            stream.write_all(request.as_bytes()).await.unwrap();
            let expected = last_answer(status, body);
            assert_eq!(read_all(&mut stream).await, expected, "{request:.100}");
        }
        let old = api.exchange(b"POST / HTTP/1.0\r\n\r\n").await;
        assert!(old.starts_with("HTTP/1.0 411 Length Required\r\n"), "{old}");
        assert_eq!(api.stats.requests_malformed.get(), 15);
        assert!(api.published().is_empty());
    });
}

#[test]
fn a_large_body_that_is_refused_does_not_cost_the_answer() {
    local(async {
        let api = Api::start().await;
        let mut stream = api.connect().await;
        let mut request = b"POST /publish/ HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n".to_vec();
        request.resize(request.len() + 2_000_000, b' ');
        stream.write_all(&request).await.unwrap();
        let expected = last_answer("400 Bad Request", "Request body too large.\n");
        expect(&mut stream, &expected).await;
    });
}

#[test]
fn more_bytes_than_announced_on_a_connection_that_ends() {
    local(async {
        let mut api = Api::start().await;
        let mut request = post("/publish/", "Connection: close\r\n", &item("a"));
        request.push(b'x');
        let expected = last_answer("400 Bad Request", "Request body exceeded Content-Length.\n");
        assert_eq!(api.exchange(&request).await, expected);
        assert!(api.published().is_empty());
    });
}

#[test]
fn accept_then_path_then_method() {
    local(async {
        let api = Api::start().await;
        let not_acceptable = answer(
            "406 Not Acceptable",
            "Not Acceptable. Supported formats are text/plain and application/json.\n",
        );
        let not_found = answer("404 Not Found", "Not Found\n");
        for accept in ["foo/bar", "", "TEXT/plain"] {
            let request = format!("GET /nowhere HTTP/1.1\r\nAccept: {accept}\r\n\r\n");
            assert_eq!(api.exchange(request.as_bytes()).await, not_acceptable, "{accept}");
        }
        for path in [
            "/x",
            "/publish//",
            "/publish?x",
            "/publish#x",
            "http://h/publish",
            "publish",
            "*",
            "//publish",
        ] {
            let request = post(path, "", r#"{"items":[]}"#);
            assert_eq!(api.exchange(&request).await, not_found, "{path}");
        }
        for (method, path) in [("GET", "/publish"), ("DELETE", "/publish/"), ("GET", "/recover/")] {
            let request = format!("{method} {path} HTTP/1.1\r\n\r\n");
            let text = format!("Method not allowed: {method}.\n");
            let expected = answer("405 Method Not Allowed", &text)
                .replace("Content-Type", "Allow: POST\r\nContent-Type");
            assert_eq!(api.exchange(request.as_bytes()).await, expected);
        }
    });
}

#[test]
fn recover_is_told_to_the_shards() {
    local(async {
        let mut api = Api::start().await;
        let text = answer("200 OK", "Updated\n");
        // The body is ignored.
        assert_eq!(api.exchange(&post("/recover", "", "whatever")).await, text);
        let json = answer("200 OK", "{\"message\":\"Updated\"}\n")
            .replace("text/plain", "application/json");
        let accept = "Accept: application/json\r\n";
        assert_eq!(api.exchange(&post("/recover/", accept, "")).await, json);
        for _ in 0..2 {
            assert!(matches!(api.inbox.try_recv(), Some(Command::Recover)));
        }
        // After what was published before it on the same connection, and before what comes after.
        let ahead = [
            post("/publish", "", &item("1")),
            post("/recover", "", ""),
            post("/publish", "", &item("2")),
        ];
        let published = answer("200 OK", "Published\n");
        let expected = [published.as_str(), &text, &published].concat();
        assert_eq!(api.exchange(&ahead.concat()).await, expected);
        assert!(matches!(api.inbox.try_recv(), Some(Command::Publish(_))));
        assert!(matches!(api.inbox.try_recv(), Some(Command::Recover)));
        assert_eq!(api.published(), [["2"]]);
        // Without a length it is refused, although it has no body.
        let refused = last_answer("411 Length Required", "Request requires Content-Length.\n");
        assert_eq!(api.exchange(b"POST /recover HTTP/1.1\r\n\r\n").await, refused);
        for _ in 0..limits::MAILBOX_COMMANDS_MAX {
            api.mailbox.send(Command::Drain, 0).await.unwrap();
        }
        let busy = answer(
            "503 Service Unavailable",
            "not accepted: a worker does not keep up (waited 50 ms)\n",
        );
        assert_eq!(api.exchange(&post("/recover", "", "")).await, busy);
    });
}

const ASK: &str = "/publish/?receipt=1";
const JSON: &str = "Accept: application/json\r\n";

/// A shard that answers each publish so, if it is asked; what it was given.
fn shard(mut inbox: Inbox, receipt: Receipt) -> JoinHandle<Vec<String>> {
    tokio::task::spawn_local(async move {
        let mut channels = Vec::new();
        while let Some(command) = inbox.recv().await {
            let items = match command {
                Command::PublishCounted(items, reply) => {
                    let _ = reply.send(vec![receipt; items.len()]);
                    items
                }
                Command::Publish(items) => items,
                Command::Drain => break,
                _ => panic!("not a publish"),
            };
            channels.extend(items.iter().map(|item| item.channel.as_str().to_owned()));
        }
        channels
    })
}

#[test]
fn receipts_are_told_in_the_order_of_the_requests() {
    local(async {
        let mut api = Api::start().await;
        let inbox = std::mem::replace(&mut api.inbox, mailbox().1);
        let receipt = Receipt { matched: 3, queued: 2, refused: 1, waiting: false, dropped: false };
        let shard = shard(inbox, receipt);
        let with_id = r#"{"items":[{"channel":"c","id":"7","formats":{"x":1}},
            {"channel":"c","id":"7","formats":{"x":1}}]}"#;
        let ahead = [
            post("/publish", JSON, &item("1")),
            post(ASK, JSON, &item("2")),
            post("/publish?receipt=1", JSON, with_id),
            post("/publish", "", &item("3")),
            post(ASK, JSON, r#"{"items":[]}"#),
        ];
        let json = |body: &str| answer("200 OK", body).replace("text/plain", "application/json");
        let figures = r#""matched":3,"queued":2,"refused":1,"state":"delivered"}"#;
        let expected = [
            json("{\"message\":\"Published\"}\n"),
            json(&format!(
                "{{\"message\":\"Published\",\"complete\":true,\"items\":\
                 [{{\"channel\":\"2\",{figures}]}}\n"
            )),
            json(&format!(
                "{{\"message\":\"Published\",\"complete\":true,\"items\":\
                 [{{\"channel\":\"c\",\"id\":\"7\",{figures},\
                 {{\"channel\":\"c\",\"id\":\"7\",\"matched\":0,\"queued\":0,\"refused\":0,\
                 \"state\":\"duplicate\"}}]}}\n"
            )),
            answer("200 OK", "Published\n"),
            json("{\"message\":\"Published\",\"complete\":true,\"items\":[]}\n"),
        ];
        assert_eq!(api.exchange(&ahead.concat()).await, expected.concat());
        api.mailbox.send(Command::Drain, 1000).await.unwrap();
        assert_eq!(in_time(shard).await.unwrap(), ["1", "2", "c", "3"]);
        assert_eq!(api.stats.items_received.get(), 5);
        assert_eq!(api.stats.items_duplicate.get(), 1);
    });
}

#[test]
fn a_shard_that_does_not_answer_is_said() {
    local(async {
        let api = Api::start().await;
        let answered = api.exchange(&post(ASK, JSON, &item("a"))).await;
        assert!(answered.starts_with("HTTP/1.1 200 OK\r\n"), "{answered}");
        assert!(answered.contains("\"complete\":false"), "{answered}");
    });
}

#[test]
fn receipts_that_cannot_be_told_publish_nothing() {
    local(async {
        let mut api = Api::start().await;
        let text = answer(
            "406 Not Acceptable",
            "Not Acceptable. Receipts are supported as application/json only.\n",
        );
        for accept in ["", "Accept: text/plain\r\n", "Accept: */*\r\n"] {
            assert_eq!(api.exchange(&post(ASK, accept, &item("a"))).await, text, "{accept}");
        }
        let get = format!("GET {ASK} HTTP/1.1\r\n\r\n");
        assert!(api.exchange(get.as_bytes()).await.starts_with("HTTP/1.1 405 "));
        let bad = api.exchange(&post(ASK, JSON, "{}")).await;
        assert!(bad.ends_with("Invalid format: object does not contain 'items'\n"), "{bad}");
        for path in
            ["/publish?receipt=0", "/publish?receipt=1&x", "/recover?receipt=1", "/?receipt=1"]
        {
            let answered = api.exchange(&post(path, JSON, &item("a"))).await;
            assert_eq!(answered, answer("404 Not Found", "Not Found\n"), "{path}");
        }
        assert!(api.published().is_empty());
        for _ in 0..limits::MAILBOX_COMMANDS_MAX {
            api.mailbox.send(Command::Drain, 0).await.unwrap();
        }
        let busy = api.exchange(&post(ASK, JSON, &item("a"))).await;
        assert!(busy.starts_with("HTTP/1.1 503 "), "{busy}");
        assert_eq!(api.stats.items_received.get(), 0);
    });
}

#[test]
fn a_duplicate_is_told_as_published() {
    local(async {
        let mut api = Api::start().await;
        let body = r#"{"items":[{"channel":"c","id":"","formats":{"x":1}}]}"#;
        let published = answer("200 OK", "Published\n");
        for _ in 0..2 {
            assert_eq!(api.exchange(&post("/publish", "", body)).await, published);
        }
        assert_eq!(api.published(), [["c"]]);
        assert_eq!(api.stats.items_duplicate.get(), 1);
    });
}

#[test]
fn bodies_that_are_no_items() {
    local(async {
        let mut api = Api::start().await;
        let rows = [
            ("x", "Body is not valid JSON.\n"),
            ("", "Body is not valid JSON.\n"),
            ("1", "Body is not valid JSON.\n"),
            ("null", "Body is not valid JSON.\n"),
            (r#"{"items":[]} x"#, "Body is not valid JSON.\n"),
            (r#"{"items":[],}"#, "Body is not valid JSON.\n"),
            ("[]", "Invalid format.\n"),
            ("{}", "Invalid format: object does not contain 'items'\n"),
            (r#"{"items":1}"#, "Invalid format: object contains 'items' with wrong type\n"),
            (r#"{"items":[1]}"#, "Invalid format: publish item object is not an object\n"),
            (
                r#"{"items":[{"channel":"a","formats":{"http-stream":{"content":"x"}}},{"channel":"b"}]}"#,
                "Invalid format: no formats specified\n",
            ),
            (
                r#"{"items":[{"channel":"a","formats":{"ws-message":{"action":"x"}}}]}"#,
                "Invalid format: \n",
            ),
        ];
        let count = rows.len() as u64;
        for (body, text) in rows {
            let expected = answer("400 Bad Request", text);
            assert_eq!(api.exchange(&post("/publish", "", body)).await, expected, "{body}");
        }
        assert!(api.published().is_empty());
        assert_eq!(api.stats.publishes_invalid.get(), count);
    });
}

#[test]
fn published_as_text_and_as_json() {
    local(async {
        let mut api = Api::start().await;
        let text = answer("200 OK", "Published\n");
        let json = answer("200 OK", "{\"message\":\"Published\"}\n")
            .replace("text/plain", "application/json");
        assert_eq!(api.exchange(&post("/publish/", "", &item("a"))).await, text);
        assert_eq!(
            api.exchange(&post("/publish", "Accept: application/json\r\n", &item("b"))).await,
            json
        );
        let last_wins = "Accept: application/json;q=0, text/plain\r\nAccept: foo\r\n";
        assert_eq!(api.exchange(&post("/publish", last_wins, r#"{"items":[]}"#)).await, text);
        assert_eq!(api.published(), [["a"], ["b"]]);
    });
}

#[test]
fn requests_follow_each_other_and_may_be_sent_ahead() {
    local(async {
        let mut api = Api::start().await;
        let mut stream = api.connect().await;
        let published = answer("200 OK", "Published\n");
        for channel in ["1", "2"] {
            stream.write_all(&post("/publish", "", &item(channel))).await.unwrap();
            expect(&mut stream, &published).await;
        }
        let ahead = [
            post("/publish", "", &item("3")),
            post("/publish", "", &item("4")),
            b"\r\nGET / HTTP/1.1\r\n\r\noops\r\n\r\n".to_vec(),
            post("/publish", "", &item("not read")),
        ];
        stream.write_all(&ahead.concat()).await.unwrap();
        let expected = [
            published.clone(),
            published,
            answer("200 OK", "linchpin API\n"),
            last_answer("400 Bad Request", "Failed to parse request header.\n"),
        ];
        assert_eq!(read_all(&mut stream).await, expected.concat());
        // What comes in one turn may go to the shards together.
        assert_eq!(api.published().concat(), ["1", "2", "3", "4"]);
    });
}

#[test]
fn continue_is_told_before_the_body() {
    local(async {
        let mut api = Api::start().await;
        let mut stream = api.connect().await;
        let request = post("/publish", "Expect: 100-continue\r\n", &item("a"));
        let (head, body) = request.split_at(request.len() - item("a").len());
        stream.write_all(head).await.unwrap();
        expect(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
        stream.write_all(body).await.unwrap();
        expect(&mut stream, &answer("200 OK", "Published\n")).await;
        assert_eq!(api.published(), [["a"]]);
    });
}

#[test]
fn continue_is_told_only_to_whom_it_helps() {
    local(async {
        let api = Api::start().await;
        let expect = "Expect: 100-continue\r\n";
        let published = answer("200 OK", "Published\n");
        // Without a body, too: the client waits.
        let told = api.exchange(&post("/recover", expect, "")).await;
        assert_eq!(
            told,
            "HTTP/1.1 100 Continue\r\n\r\n".to_owned() + &answer("200 OK", "Updated\n")
        );
        // HTTP/1.0 knows no such answer.
        let old = post("/publish", expect, r#"{"items":[]}"#);
        let old = String::from_utf8(old).unwrap().replace("HTTP/1.1", "HTTP/1.0");
        let expected = last_answer("200 OK", "Published\n").replace("HTTP/1.1", "HTTP/1.0");
        assert_eq!(api.exchange(old.as_bytes()).await, expected);
        // Who is refused need not go on.
        let large = format!("POST /publish HTTP/1.1\r\n{expect}Content-Length: 1000001\r\n\r\n");
        let refused = last_answer("400 Bad Request", "Request body too large.\n");
        assert_eq!(api.exchange(large.as_bytes()).await, refused);
        assert_eq!(
            api.exchange(&post("/publish", "Expect: else\r\n", r#"{"items":[]}"#)).await,
            published
        );
    });
}

#[test]
fn heads_and_bodies_at_and_over_their_limits() {
    local(async {
        let settings = Settings { head_bytes_max: 100, body_bytes_max: 50, ..Settings::default() };
        let api = Api::start_with(settings).await;
        let head = |bytes: usize| {
            let start = "GET / HTTP/1.1\r\nA: ";
            format!("{start}{}\r\n\r\n", "a".repeat(bytes - start.len() - 4))
        };
        let greeting = answer("200 OK", "linchpin API\n");
        assert_eq!(api.exchange(head(100).as_bytes()).await, greeting);
        let large = last_answer("400 Bad Request", "Request header too large.\n");
        assert_eq!(api.exchange(head(101).as_bytes()).await, large);
        // As soon as so much has come without an end.
        let mut stream = api.connect().await;
        stream.write_all(&head(200).as_bytes()[..100]).await.unwrap();
        assert_eq!(read_all(&mut stream).await, large);
        let body = |bytes: usize| post("/publish", "", &format!("{:bytes$}", r#"{"items":[]}"#));
        assert_eq!(api.exchange(&body(50)).await, answer("200 OK", "Published\n"));
        let large = last_answer("400 Bad Request", "Request body too large.\n");
        assert_eq!(api.exchange(&body(51)).await, large);
        assert_eq!(api.stats.requests_malformed.get(), 3);
    });
}

#[test]
fn what_is_lenient() {
    local(async {
        let mut api = Api::start().await;
        let greeting = answer("200 OK", "linchpin API\n");
        for request in [
            "GET / HTTP/1.1\nAccept: */*\n\n",
            "GET / HTTP/1.1\r\nthere is no colon\r\n\r\n",
            "get / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            "\r\n\nGET / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(api.exchange(request.as_bytes()).await, greeting, "{request}");
        }
        // Who announced no body may send anything before the end.
        let extra = api.exchange(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\nextra").await;
        assert_eq!(extra, last_answer("200 OK", "linchpin API\n"));
        // Neither the type of the body nor credentials are looked at.
        let headers = "Content-Type: text/html\r\nAuthorization: Bearer x\r\n";
        let published = answer("200 OK", "Published\n");
        assert_eq!(api.exchange(&post("/publish", headers, &item("a"))).await, published);
        let bom = "\u{feff} {\"items\":[]}\n\n";
        assert_eq!(api.exchange(&post("/publish", "", bom)).await, published);
        assert_eq!(api.published(), [["a"]]);
    });
}

#[test]
fn a_client_that_leaves_within_its_body_publishes_nothing() {
    local(async {
        let mut api = Api::start().await;
        let request = post("/publish", "", &item("a"));
        assert_eq!(api.exchange(&request[..request.len() - 1]).await, "");
        assert!(api.published().is_empty());
    });
}

#[test]
fn shards_that_do_not_keep_up() {
    local(async {
        let mut api = Api::start().await;
        for _ in 0..limits::MAILBOX_COMMANDS_MAX {
            api.mailbox.send(Command::Drain, 0).await.unwrap();
        }
        let expected = answer(
            "503 Service Unavailable",
            "not accepted: a worker does not keep up (waited 50 ms)\n",
        );
        assert_eq!(api.exchange(&post("/publish", "", &item("a"))).await, expected);
        assert_eq!(api.stats.publishes_refused.get(), 1);
        while api.inbox.try_recv().is_some() {}
        let expected = answer("200 OK", "Published\n");
        assert_eq!(api.exchange(&post("/publish", "", &item("b"))).await, expected);
        assert_eq!(api.published(), [["b"]]);
    });
}

#[test]
fn a_usual_client_keeps_its_connection() {
    local(async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut api = Api::start().await;
        let client = reqwest::Client::new();
        for n in 0..3 {
            let url = format!("http://{}/publish/", api.address);
            let response = client.post(url).body(item(&n.to_string())).send().await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.text().await.unwrap(), "Published\n");
        }
        assert_eq!(api.published(), [["0"], ["1"], ["2"]]);
    });
}

#[test]
fn further_connections_wait_unaccepted() {
    local(async {
        let api = Api::start().await;
        let mut served = Vec::new();
        for n in 0..limits::CONTROL_CONNECTIONS_MAX - 1 {
            let mut stream = api.connect().await;
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            expect(&mut stream, &answer("200 OK", "linchpin API\n")).await;
            served.push((n, stream));
        }
        // The last place: held by a request that is not complete.
        let mut last = api.connect().await;
        last.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        // It is accepted, as its order in the backlog is before the next one's.
        let mut waiting = api.connect().await;
        waiting.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(200), waiting.readable()).await;
        assert!(early.is_err(), "served beyond the bound");
        // Those that are served still are.
        let (_, stream) = served.first_mut().unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        expect(stream, &last_answer("200 OK", "linchpin API\n")).await;
        // Being asked while all places are taken, it gave its own up.
        expect(&mut waiting, &last_answer("200 OK", "linchpin API\n")).await;
    });
}

#[test]
fn idle_publishers_do_not_keep_others_out() {
    local(async {
        let api = Api::start_with(Settings { connections_max: 2, ..Settings::default() }).await;
        let mut idle = Vec::new();
        for _ in 0..6 {
            let mut stream = api.connect().await;
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            in_time(stream.readable()).await.unwrap();
            let mut bytes = [0; 500];
            let n = in_time(stream.read(&mut bytes)).await.unwrap();
            assert!(bytes[..n].starts_with(b"HTTP/1.1 200 OK\r\n"));
            idle.push(stream);
        }
    });
}

#[test]
fn stopping_ends_what_is_idle_and_finishes_what_is_not() {
    local(async {
        let mut api = Api::start().await;
        let mut fresh = api.connect().await;
        let mut idle = api.connect().await;
        idle.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        expect(&mut idle, &answer("200 OK", "linchpin API\n")).await;
        let mut busy = api.connect().await;
        let request = post("/publish", "Expect: 100-continue\r\n", &item("a"));
        let (head, body) = request.split_at(request.len() - item("a").len());
        busy.write_all(head).await.unwrap();
        expect(&mut busy, "HTTP/1.1 100 Continue\r\n\r\n").await;

        api.stop.send(true).unwrap();
        assert_eq!(read_all(&mut fresh).await, "");
        assert_eq!(read_all(&mut idle).await, "");
        let refused = async { while TcpStream::connect(api.address).await.is_ok() {} };
        in_time(refused).await;
        busy.write_all(body).await.unwrap();
        let mut answered = read_all(&mut busy).await;
        assert!(answered.starts_with("HTTP/1.1 200 OK\r\n"), "{answered}");
        assert!(answered.split_off(answered.len() - 10).eq("Published\n"));
        drop(busy);
        in_time(&mut api.served).await.unwrap();
        assert_eq!(api.published(), [["a"]]);
    });
}

#[test]
fn stopping_is_bounded() {
    local(async {
        let mut api = Api::start_with(Settings { drain_ms: 50, ..Settings::default() }).await;
        let mut stuck = api.connect().await;
        stuck
            .write_all(
                b"POST /publish HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
            )
            .await
            .unwrap();
        expect(&mut stuck, "HTTP/1.1 100 Continue\r\n\r\n").await;
        api.stop.send(true).unwrap();
        in_time(&mut api.served).await.unwrap();
        assert_eq!(read_all(&mut stuck).await, "");
    });
}
