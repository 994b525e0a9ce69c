//! Backends that fail: what is made once more, what is tried elsewhere, what is told to whom; and
//! that closing idle connections costs nobody an answer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::harness::backend::{refusing, swallowing};
use crate::harness::{Act, Answer, Backend, Client, Mortal, Server, within};

const LONG: Duration = Duration::from_secs(60);

fn ok(_: &crate::harness::Request) -> Act {
    Act::Answer(Answer::ok("ok"))
}

/// Sends one request; its status.
async fn ask(client: &mut Client, method: &str, target: &str, id: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: a.example\r\nX-Id: {id}\r\n");
    client.send(format!("{head}Content-Length: {length}\r\n\r\n{body}")).await;
    let (head, _) = client.response().await;
    head.status.split(' ').nth(1).expect("a status").to_owned()
}

/// Bursts of requests of so many clients, over connections that have been idle for about as long as
/// their backend keeps them; how many were made, and which were answered otherwise than 200.
#[allow(clippy::disallowed_methods)] // connections have to grow old
async fn bursts(
    address: SocketAddr,
    path: &str,
    count: usize,
    waits: &[u64],
) -> (usize, Vec<String>) {
    let (mut sent, mut wrong) = (0, Vec::new());
    let large = "x".repeat(30_000);
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(Client::connect(address).await);
    }
    for (round, wait) in waits.iter().enumerate() {
        let asking = clients.drain(..).enumerate().map(|(n, mut client)| {
            let large = &large;
            async move {
                let (method, body) = match n % 3 {
                    0 => ("GET", ""),
                    1 => ("POST", "once"),
                    _ => ("PUT", &**large),
                };
                let id = format!("{method}-{round}-{n}");
                let status = ask(&mut client, method, path, &id, body).await;
                (client, id, status)
            }
        });
        for (client, id, status) in join_all(asking).await {
            clients.push(client);
            sent += 1;
            if status != "200" {
                wrong.push(format!("{path} {id} before {wait} ms: {status}"));
            }
        }
        // This is what is tested: connections that have been idle for just so long.
        tokio::time::sleep(Duration::from_millis(*wait)).await;
    }
    (sent, wrong)
}

fn made_twice(seen: &HashMap<String, u32>, method: &str) -> Vec<String> {
    let of = |id: &&String| id.starts_with(method);
    let twice = seen.iter().filter(|(id, count)| of(id) && **count != 1);
    twice.map(|(id, count)| format!("{id}: {count}")).collect()
}

#[tokio::test]
async fn idle_connections_that_backends_close_cost_nobody_an_answer() {
    // As Node does, scaled down: the time is said, or it is not. A fifth of it is for the way, and
    // has to do on a busy machine.
    const IDLE: Duration = Duration::from_millis(3000);
    let kept = |says: bool| {
        Mortal::new(IDLE, move |_| {
            let answer = Answer::ok("ok");
            Act::Answer(if says { answer.header("Keep-Alive", "timeout=3") } else { answer })
        })
    };
    // As simple servers do: closed after an answer that does not say so.
    let hasty = Mortal::new(LONG, |_| Act::AnswerAndClose(Answer::ok("ok")));
    // Around that time, each of a backend of its own.
    let waits: Vec<u64> = (0..7).map(|n| 2970 + 10 * n).collect();
    let mut backends = vec![("/hasty/".to_owned(), vec![0; 40], 90, hasty)];
    for wait in &waits {
        for (says, word) in [(true, "says"), (false, "silent")] {
            backends.push((format!("/{word}/{wait}/"), vec![*wait, *wait, 0], 30, kept(says)));
        }
    }
    let routes: Vec<_> = backends
        .iter()
        .map(|(path, _, _, backend)| format!("*,path_beg={path} {}", backend.address))
        .collect();
    let mut server = Server::start(&routes);
    let mut first = Client::connect(server.http).await;
    for n in 0..20 {
        assert_eq!(ask(&mut first, "GET", "/hasty/", &format!("first-{n}"), "").await, "200");
    }
    let all =
        backends.iter().map(|(path, waits, count, _)| bursts(server.http, path, *count, waits));
    let all = join_all(all).await;
    assert_eq!(all.iter().map(|(sent, _)| sent).sum::<usize>(), 90 * 40 + 14 * 30 * 3);
    for (_, wrong) in all {
        assert!(wrong.is_empty(), "{wrong:?}");
    }
    for (_, _, _, backend) in &backends {
        let seen = backend.seen();
        assert!(made_twice(&seen, "POST").is_empty(), "{:?}", made_twice(&seen, "POST"));
        assert!(seen.values().all(|count| *count <= 2));
    }
    assert!(server.counted("backend_connections") > 0);
    assert!(server.counted("backend_idle_closed") > 0, "backends closed idle connections");
}

#[tokio::test]
async fn a_request_is_made_once_more_only_if_that_does_no_harm() {
    // Breaks off in the middle once for each request that asks for it.
    let once = |broken: RefCell<Vec<String>>| {
        move |request: &crate::harness::Request| {
            let id = request.header("x-id").unwrap_or_default().to_owned();
            let mut broken = broken.borrow_mut();
            if request.target.ends_with("break") && !broken.contains(&id) {
                broken.push(id);
                return Act::Close;
            }
            Act::Answer(Answer::ok("ok"))
        }
    };
    let backend = Mortal::new(LONG, once(Default::default()));
    let arguments = ["--workers", "1", "--backend-fails", "0"];
    let mut server = Server::start_with(&[format!("* {}", backend.address)], &arguments);
    let mut client = Client::connect(server.http).await;
    let large = "x".repeat(50_000);
    let too_large = "x".repeat(150_000);
    for (method, body, key, status) in [
        ("GET", "", "", "200"),
        ("HEAD", "", "", "200"),
        ("OPTIONS", "", "", "200"),
        ("PUT", "body", "", "200"),
        ("DELETE", "", "", "200"),
        ("PUT", &*large, "", "200"),
        // It cannot be had once more.
        ("PUT", &*too_large, "", "502"),
        ("POST", "body", "", "502"),
        ("PATCH", "body", "", "502"),
        ("POST", "body", "Idempotency-Key: 7\r\n", "200"),
    ] {
        for reused in [true, false] {
            let id = format!("{method}-{}-{key:.1}-{reused}", body.len());
            if reused {
                assert_eq!(ask(&mut client, "GET", "/", "before", "").await, "200");
            } else {
                backend.die().await;
                backend.live().await;
            }
            let head =
                format!("{method} /break HTTP/1.1\r\nHost: a.example\r\nX-Id: {id}\r\n{key}");
            client.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await;
            let answer = match method {
                "HEAD" => client.head().await,
                _ => client.response().await.0,
            };
            assert_eq!(answer.status.split(' ').nth(1), Some(status), "{id}");
            let times = backend.seen().get(&id).copied();
            assert_eq!(times, Some(if status == "200" { 2 } else { 1 }), "{id}");
        }
    }
    let line = server.wait_for_line("reused=true");
    assert!(line.contains("reset before head") && line.contains("retried"), "{line}");
    assert!(server.counted("backend_repeats") >= 14);
}

#[tokio::test]
async fn what_breaks_off_goes_to_another_target_once() {
    let (a, b, c) = (
        Mortal::new(LONG, |_| Act::Close),
        Mortal::new(LONG, |_| Act::Close),
        Mortal::new(LONG, ok),
    );
    let route = |second: &Mortal| format!("* {} {} {}", a.address, second.address, c.address);
    let server = Server::start_with(&[route(&c)], &["--backend-fails", "0"]);
    let mut client = Client::connect(server.http).await;
    assert_eq!(ask(&mut client, "GET", "/", "get", "").await, "200");
    assert_eq!(ask(&mut client, "POST", "/", "post", "x").await, "502");
    assert_eq!((a.seen()["get"], a.seen()["post"]), (1, 1));
    assert_eq!(c.seen().get("post"), None);
    // What makes one backend after the other break off does not go through all of them.
    let server = Server::start_with(&[route(&b)], &["--backend-fails", "0"]);
    let mut client = Client::connect(server.http).await;
    assert_eq!(ask(&mut client, "GET", "/", "poison", "").await, "502");
    assert_eq!((a.seen()["poison"], b.seen()["poison"]), (1, 1));
    assert_eq!(c.seen().get("poison"), None);
}

#[tokio::test]
async fn each_failure_is_told_and_counted_by_its_reason() {
    let raw =
        |bytes: String| Mortal::new(LONG, move |_| Act::AnswerAndClose(Answer::raw(&bytes, true)));
    let head = "HTTP/1.1 200 OK\r\n";
    let backends = [
        ("reset before head", Mortal::new(LONG, |_| Act::Close)),
        ("head cut short", raw(head.to_owned())),
        ("head malformed", raw("SSH-2.0-x\r\n\r\n".to_owned())),
        ("head too large", raw(format!("{head}X: {}\r\n\r\n", "x".repeat(70_000)))),
        ("body cut short", raw(format!("{head}Content-Length: 10\r\n\r\nabc"))),
        ("body malformed", raw(format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"))),
    ];
    let mut routes = Vec::new();
    for (n, (_, backend)) in backends.iter().enumerate() {
        routes.push(format!("*,path_beg=/{n}/,id=r{n} {}", backend.address));
    }
    routes.push(format!("*,path_beg=/refused/,id=r {}", refusing()));
    routes.push("*,path_beg=/dns/,id=d does-not-exist.invalid:80".to_owned());
    let mut server = Server::start(&routes);
    let wanted: Vec<_> = backends.iter().enumerate().map(|(n, (reason, _))| (n, *reason)).collect();
    for (n, reason) in wanted {
        let mut client = Client::connect(server.http).await;
        let fields = "Host: a\r\nConnection: close\r\nContent-Length: 0";
        client.send(format!("POST /{n}/x HTTP/1.1\r\n{fields}\r\n\r\n")).await;
        let body = reason.contains("body");
        if body {
            client.rest().await;
        } else {
            let head = client.head().await;
            assert!(head.status.contains(" 502 "), "{reason}: {head:?}");
        }
        let line = server.wait_for_line(&format!("reason=\"{reason}\""));
        // Of a body some may have been sent.
        let broken = body && line.contains("done=broken off");
        let answered = line.contains("done=answered 502");
        assert!(line.contains("WARN") && (broken || answered), "{line}");
        if !body {
            let request = format!("route=r{n} method=POST path=/{n}/x");
            assert!(line.contains(&request) && line.contains("attempt=1"), "{line}");
        }
    }
    for (path, reason) in [("/refused/", "connect refused"), ("/dns/", "dns")] {
        let mut client = Client::get(server.http, path).await;
        // Where there is no network a resolver takes its time.
        assert!(client.head_in(60).await.status.contains(" 502 "));
        let line = server.wait_for_line(&format!("path={path} "));
        assert!(line.contains(reason) && line.contains("done=answered 502"), "{line}");
    }
    for (counter, count) in [
        ("backend_resets_before_head", 1),
        ("backend_heads_cut_short", 1),
        ("backend_heads_malformed", 1),
        ("backend_heads_too_large", 1),
        ("backend_bodies_cut_short", 1),
        ("backend_bodies_malformed", 1),
        ("backend_head_timeouts", 0),
        ("backend_connects_refused", 1),
        ("backend_dns_failures", 1),
    ] {
        assert_eq!(server.counted(counter), count, "{counter}");
    }
    // Nothing of the two that fail in their body need have been sent yet.
    assert!((6..=8).contains(&server.counted("backend_failures")));
}

#[tokio::test]
async fn a_silent_backend_is_told_and_counted_too() {
    let silent = Mortal::new(LONG, |_| Act::Answer(Answer::raw("", false)));
    let routes = [format!("*,id=r {}", silent.address)];
    let mut server = Server::start_with(&routes, &["--backend-head-timeout", "300"]);
    let mut client = Client::connect(server.http).await;
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.status.contains(" 502 "), "{head:?}");
    let line = server.wait_for_line("reason=\"timeout in head\"");
    assert!(line.contains("WARN") && line.contains("done=answered 502"), "{line}");
    assert!(line.contains("route=r method=POST path=/x") && line.contains("attempt=1"), "{line}");
    assert_eq!(server.counted("backend_head_timeouts"), 1);
    assert_eq!(server.counted("backend_failures"), 1);
}

#[tokio::test]
#[allow(clippy::disallowed_methods)] // lines are told by the time
async fn a_dead_backend_does_not_flood_the_log() {
    let routes = [format!("* {}", refusing())];
    let mut server = Server::start_with(&routes, &["--workers", "1"]);
    let began = Instant::now();
    let mut client = Client::connect(server.http).await;
    for n in 0..200 {
        assert_eq!(ask(&mut client, "GET", "/", &n.to_string(), "").await, "502");
    }
    assert_eq!(server.counted("backend_connects_refused"), 200);
    let told = server.printed().iter().filter(|line| line.contains("a backend failed")).count();
    // Twenty in ten seconds, and what had come before those began.
    let most = 40 + 20 * began.elapsed().as_secs() as usize / 10;
    assert!((1..=most).contains(&told), "{told} lines");
}

#[tokio::test]
#[allow(clippy::disallowed_methods)] // time is what is shared
async fn targets_that_swallow_packets_share_the_time() {
    let (first, second) = (swallowing(), swallowing());
    let backend = Mortal::new(LONG, ok);
    let route = |last: SocketAddr| format!("* {} {} {last}", first.0, second.0);
    let limit = ["--backend-connect-timeout", "1500", "--backend-fails", "0"];
    let server = Server::start_with(&[route(backend.address)], &limit);
    let began = Instant::now();
    let mut client = Client::connect(server.http).await;
    assert_eq!(ask(&mut client, "POST", "/", "1", "x").await, "200");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900), "each had its share: {took:?}");
    assert_eq!(backend.seen()["1"], 1);
    let mut server = Server::start_with(&[route(refusing())], &limit);
    let mut client = Client::connect(server.http).await;
    assert_eq!(ask(&mut client, "GET", "/", "2", "").await, "502");
    assert_eq!(server.counted("backend_connect_timeouts"), 2);
}

#[tokio::test]
async fn attempts_can_be_bounded() {
    let backend = Mortal::new(LONG, ok);
    let routes = [format!("* {} {} {}", refusing(), refusing(), backend.address)];
    for (tries, status) in [("2", "502"), ("3", "200"), ("0", "200")] {
        let server = Server::start_with(&routes, &["--backend-tries", tries]);
        let mut client = Client::connect(server.http).await;
        assert_eq!(ask(&mut client, "GET", "/", "1", "").await, status, "{tries}");
    }
}

#[tokio::test]
async fn requests_past_the_bound_wait_for_room() {
    let mut backend = Backend::manual();
    let routes = [backend.route("*", "")];
    let arguments = ["--workers", "1", "--max-open-requests", "2"];
    let server = Server::start_with(&routes, &arguments);
    let mut clients = Vec::new();
    for n in 0..3 {
        clients.push(Client::get(server.http, &format!("/{n}")).await);
    }
    let (first, second) = (backend.next().await, backend.next().await);
    assert!(backend.next_soon().await.is_none(), "the third one waits");
    first.answer(Answer::ok("1")).await;
    let third = backend.next().await;
    third.answer(Answer::ok("3")).await;
    second.answer(Answer::ok("2")).await;
    for mut client in clients {
        assert!(client.response().await.0.status.contains(" 200 "));
    }
    drop(server);
    let arguments = [&arguments[..], &["--max-open-requests-wait", "200"]].concat();
    let mut server = Server::start_with(&routes, &arguments);
    let _open = [Client::get(server.http, "/1").await, Client::get(server.http, "/2").await];
    let _under_way = (backend.next().await, backend.next().await);
    let mut refused = Client::get(server.http, "/3").await;
    let (head, body) = refused.response().await;
    assert!(head.status.contains(" 503 "), "{head:?}");
    assert_eq!(body, "Too many requests are being proxied.\n");
    assert_eq!(server.counted("backend_waits_refused"), 1);
}

#[tokio::test]
async fn a_websocket_handshake_is_made_elsewhere_too() {
    let broken = Mortal::new(LONG, |_| Act::Close);
    let mut backend = Backend::manual();
    let routes = [format!("* {} {} {}", refusing(), broken.address, backend.address)];
    let server = Server::start(&routes);
    let connecting = crate::harness::WebSocket::connect(&server, "/ws");
    let accepting = async {
        let exchange = backend.next().await;
        crate::harness::WebSocket::accept(exchange, "").await
    };
    let (mut client, mut accepted) =
        within("a WebSocket", async { tokio::join!(connecting, accepting) }).await;
    client.text("hello").await;
    accepted.expect_text("hello").await;
}

#[tokio::test]
async fn a_client_that_stalls_is_not_held_against_its_backend() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let routes = [format!("* {}", listener.local_addr().expect("a bound socket"))];
    // It reads, and says nothing.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
        }
    });
    let arguments = ["--backend-head-timeout", "300", "--upload-timeout", "2"];
    let mut server = Server::start_with(&routes, &arguments);
    let mut client = Client::connect(server.http).await;
    let head = "POST /stalls HTTP/1.1\r\nHost: a.example\r\nContent-Length: 30000\r\n\r\n";
    client.send([head.as_bytes(), &[b'x'; 12_000]].concat()).await;
    let (answer, body) = client.response_in(30).await;
    assert_eq!(answer.status, "HTTP/1.1 400 Bad Request");
    assert_eq!(body, "Failed to read the request body.\n");
    let line = server.wait_for_line("POST http://a.example/stalls -> ");
    assert!(line.contains(" code=400 33"), "{line}");
    // When all of it has been sent, silence is the backend's.
    let mut client = Client::connect(server.http).await;
    client.send([head.as_bytes(), &[b'x'; 30_000]].concat()).await;
    assert_eq!(client.response_in(30).await.0.status, "HTTP/1.1 502 Bad Gateway");
    assert_eq!(server.counted("backend_head_timeouts"), 1, "of two");
}

#[tokio::test]
async fn a_broken_instruction_is_told_as_what_it_was() {
    let instruction = "HTTP/1.1 200 OK\r\nGrip-Hold: response\r\nGrip-Channel: c\r\n";
    let short = format!("{instruction}Content-Length: 10\r\n\r\nabc");
    let backend = Mortal::new(LONG, move |_| Act::AnswerAndClose(Answer::raw(&short, true)));
    let routes = [format!("a.example,path_beg=/x {}", backend.address)];
    let mut server = Server::start_with(&routes, &["--workers", "1"]);
    let mut client = Client::connect(server.http).await;
    client.send("GET /x/y HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!(client.response().await.0.status, "HTTP/1.1 502 Bad Gateway");
    let line = server.wait_for_line("a backend failed");
    // Its id is the one that `linchpin explain` shows.
    let request =
        "route=a.example,*,*,/x method=GET path=/x/y stage=Body reason=\"body cut short\"";
    assert!(line.contains(request) && line.contains("done=answered 502"), "{line}");
    for counter in ["backend_failures", "backend_bodies_cut_short"] {
        assert_eq!(server.counted(counter), 1, "{counter}");
    }
    server.wait_for_line("code=502");
    let told = server.printed().iter().filter(|line| line.contains("a backend failed")).count();
    assert_eq!(told, 1);
}
