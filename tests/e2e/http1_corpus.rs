//! A corpus of malformed and borderline HTTP/1.1 messages (RFC 9110, RFC 9112): what reaches a
//! backend has one reading or does not reach it, and so with what reaches a client.
//!
//! The cases are data: `http1_corpus/requests.txt` and `http1_corpus/responses.txt`, in the form
//! that `http1_corpus/case.rs` describes. After the bytes of each case the client sends a further
//! request on the same connection. It is served as what it is, or, after a message in doubt, never.
//! A backend and a client that read strictly (`http1_corpus/strict.rs`) judge all that comes.

mod case;
mod recorder;
mod strict;

use case::{Case, Expected};
use recorder::{FENCE, Record, Recorder, Script};
use strict::Message;
use tokio::io::AsyncWriteExt;

use super::harness::wait::soon;
use super::harness::{Client, Server, within};

const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: probe.example\r\nConnection: close\r\n\r\n";
const PLAIN: &[u8] = b"GET /case HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// Plays a case; what came at both ends.
async fn play(server: &Server, backend: &Recorder, case: &Case) -> (Vec<u8>, Record) {
    if let Some(answer) = &case.answer {
        let (answer, then) = (answer.clone(), case.then.clone());
        backend.script(Script { answer, then, close: case.answer_end });
    }
    let mut client = Client::connect(server.http).await;
    let sent = if case.send.is_empty() { PLAIN } else { &case.send };
    let probe = if case.end { &[] } else { PROBE };
    let bytes = [sent, probe].concat();
    let written = client.stream.write_all(&bytes);
    // The server may have closed before it has read all of it.
    let _ = within("the server to read", written).await;
    if case.end {
        let _ = client.stream.shutdown().await;
    }
    let mut got = Vec::new();
    if case.then.is_some() {
        got = client.exactly(1).await;
        backend.more();
    }
    got.extend(client.rest().await);
    let mut last = Client::get(server.http, FENCE).await;
    last.response().await;
    (got, backend.record())
}

/// What is not as the case says.
fn judge(case: &Case, got: &[u8], record: &Record) -> Vec<String> {
    if !case.cut {
        return judge_one(case, got, record);
    }
    let told = Expected { start: "502".into(), ..Expected::default() };
    let told = Case { gets: vec![told], ..case.clone() };
    let broken = Case { broken: true, ..case.clone() };
    let both = [told, broken].map(|case| judge_one(&case, got, record));
    if both.iter().any(Vec::is_empty) { Vec::new() } else { both.concat() }
}

fn judge_one(case: &Case, got: &[u8], record: &Record) -> Vec<String> {
    let mut faults = record.faults.clone();
    let mut sees: Vec<Expected> = case.sees.clone();
    let mut gets: Vec<Expected> = case.gets.clone();
    if !case.closed && !case.broken && !case.end {
        sees.push(Expected { start: "GET /probe".into(), ..Expected::default() });
        gets.push(Expected { start: "200".into(), ..Expected::default() });
    }
    let seen: Vec<(String, &Message)> = record
        .requests
        .iter()
        .map(|(_, request)| (request.start[..2].join(" "), request))
        .collect();
    compare("the backend", &sees, &seen, &mut faults);
    if !record.partial.is_empty() && !case.partial {
        let partial: Vec<_> = record.partial.iter().map(|p| p.escape_ascii().to_string()).collect();
        faults.push(format!("the backend got beginnings of requests: {partial:?}"));
    }
    let mut responses = Vec::new();
    let mut rest = got;
    while !rest.is_empty() {
        let bodyless = gets.get(responses.len()).is_some_and(|expected| expected.bodyless);
        match strict::response(rest, bodyless, true) {
            Ok(Some(response)) => {
                rest = &rest[response.length..];
                responses.push(response);
            }
            Ok(None) => break,
            Err(why) => {
                faults.push(format!("the client got {why}"));
                break;
            }
        }
    }
    let responses: Vec<(String, &Message)> = responses
        .iter()
        .map(|response| (response.start[1].clone(), response))
        .filter(|(status, _)| status != "100")
        .collect();
    compare("the client", &gets, &responses, &mut faults);
    if rest.is_empty() == case.broken {
        faults.push(format!("the client got at last: {:?}", rest.escape_ascii().to_string()));
    }
    if let (Some(kept), Some((first, _))) = (case.kept, record.requests.first()) {
        let later = record.requests.iter().skip(1).map(|(connection, _)| *connection);
        if later.chain([record.fence]).any(|connection| connection == *first) != kept {
            faults.push(format!("the connection to the backend: expected kept = {kept}"));
        }
    }
    faults
}

fn compare(who: &str, expected: &[Expected], got: &[(String, &Message)], faults: &mut Vec<String>) {
    let starts: Vec<&str> = got.iter().map(|(start, _)| start.as_str()).collect();
    let wanted: Vec<&str> = expected.iter().map(|expected| expected.start.as_str()).collect();
    if starts != wanted {
        faults.push(format!("{who} got {starts:?}, expected {wanted:?}"));
    }
    for (expected, (start, message)) in expected.iter().zip(got) {
        for (name, value) in &expected.fields {
            if message.all(name) != [value.as_bytes()] {
                faults.push(format!("{who}, {start}: {name} is {:?}", message.fields));
            }
        }
        let present = expected.lacks.iter().filter(|name| !message.all(name).is_empty());
        faults.extend(present.map(|name| format!("{who}, {start}: has {name}")));
        if let Some(body) = expected.body.as_ref().filter(|body| **body != message.body) {
            let (got, body) = (message.body.escape_ascii(), body.escape_ascii());
            faults.push(format!("{who}, {start}: the body is {got}, expected {body}"));
        }
    }
}

fn start() -> (Recorder, Server) {
    let backend = Recorder::start();
    let route = format!("* {}", backend.address);
    let server = Server::start_with(&[route], &["--workers", "1"]);
    (backend, server)
}

async fn run(text: &str, at_least: usize) {
    let cases = case::read(text);
    assert!(cases.len() >= at_least, "{} cases", cases.len());
    let (backend, server) = start();
    let only = std::env::var("CASE").unwrap_or_default();
    let mut report = Vec::new();
    for case in cases.iter().filter(|case| case.name.contains(&only)) {
        let (got, record) = play(&server, &backend, case).await;
        let faults = judge(case, &got, &record);
        if !faults.is_empty() {
            let got = got[..got.len().min(600)].escape_ascii();
            let faults: Vec<_> = faults.iter().map(|fault| format!("\n  {fault:.600}")).collect();
            let faults = faults.concat();
            report.push(format!("{}{faults}\n  client: {got}", case.name));
        }
    }
    assert!(report.is_empty(), "{} of {} cases:\n{}", report.len(), cases.len(), report.join("\n"));
}

#[tokio::test]
async fn requests_have_one_reading_or_reach_no_backend() {
    run(include_str!("http1_corpus/requests.txt"), 80).await;
}

#[tokio::test]
async fn responses_have_one_reading_or_reach_no_client() {
    run(include_str!("http1_corpus/responses.txt"), 40).await;
}

/// What a byte of a request becomes: those that framing is made of.
const CHANGES: &[&[u8]] = &[
    b"",
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0",
    b"1",
    b"\x0b",
    b"\xff",
    b"chunked",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
];

/// Sends these bytes and the next request; what came at both ends. The answer is `None` if more is
/// waited for: bytes that make a request longer leave it without its end.
async fn try_out(server: &Server, backend: &Recorder, sent: &[u8]) -> (Option<Vec<u8>>, Record) {
    let mut client = Client::connect(server.http).await;
    let bytes = [sent, PROBE].concat();
    let _ = within("the server to read", client.stream.write_all(&bytes)).await;
    let mut got = None;
    soon(200, async { got = Some(client.rest().await) }).await;
    drop(client);
    let mut last = Client::get(server.http, FENCE).await;
    last.response().await;
    (got, backend.record())
}

/// Whatever becomes of a request on its way: what a backend gets of it has one reading, and the
/// next request is answered as itself, or never.
#[tokio::test]
async fn changed_at_random_they_still_have_one_reading() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(9112);
    let mut random = fastrand::Rng::with_seed(seed);
    let cases = case::read(include_str!("http1_corpus/requests.txt"));
    let usable = |case: &&Case| !case.end && case.send.len() < 4096 && !case.name.contains("HEAD");
    let cases: Vec<&Case> = cases.iter().filter(usable).collect();
    let (backend, server) = start();
    let mut judged = 0;
    for round in 0..800 {
        let mut case = (*random.choice(&cases).expect("there are cases")).clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..case.send.len());
            let change = random.choice(CHANGES).expect("there are changes");
            let replaced = usize::from(random.bool());
            case.send.splice(at..at + replaced, change.iter().copied());
        }
        let (got, record) = try_out(&server, &backend, &case.send).await;
        let shown = case.send.escape_ascii();
        let answer = got.as_ref().map(|got| got.escape_ascii().to_string());
        let context = format!("SEED={seed}, round {round}: {shown}\nclient: {answer:?}");
        assert!(record.faults.is_empty(), "{:?}\n{context}", record.faults);
        let is_probe = |(_, request): &(usize, Message)| request.start[1] == "/probe";
        let probe = record.requests.iter().position(is_probe);
        assert!(probe.is_none_or(|at| at + 1 == record.requests.len()), "{context}");
        let Some(got) = got else { continue };
        judged += 1;
        let mut rest = &got[..];
        let mut statuses = Vec::new();
        while !rest.is_empty() {
            let response = strict::response(rest, false, true);
            let response = response.unwrap_or_else(|why| panic!("{why}\n{context}"));
            let response = response.unwrap_or_else(|| panic!("not whole\n{context}"));
            rest = &rest[response.length..];
            statuses.push(response.start[1].clone());
        }
        statuses.retain(|status| status != "100");
        let served = statuses.iter().filter(|status| *status == "200").count();
        assert_eq!(served, record.requests.len(), "{statuses:?}\n{context}");
        // What is refused is the last of its connection.
        let refused = statuses.iter().position(|status| status != "200" && status != "502");
        assert!(refused.is_none_or(|at| at + 1 == statuses.len()), "{statuses:?}\n{context}");
        assert!(refused.is_none() || probe.is_none(), "{context}");
    }
    assert!(judged > 400, "only {judged} were answered");
}
