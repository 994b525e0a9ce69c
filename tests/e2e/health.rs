//! Targets that keep failing, or fail their checks, are asked last until they are well again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::{Act, Answer, Client, Mortal, Server, within};

const LONG: Duration = Duration::from_secs(60);

fn naming(name: &'static str) -> Mortal {
    Mortal::new(LONG, move |_| Act::Answer(Answer::ok(name)))
}

async fn get(client: &mut Client) -> String {
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    client.response().await.1
}

/// Asks until this is the answer.
async fn until(client: &mut Client, expected: &str) {
    within(&format!("an answer of {expected}"), async { while get(client).await != expected {} })
        .await;
}

#[tokio::test]
async fn who_keeps_failing_is_set_aside_and_taken_back() {
    let (a, b) = (naming("a"), naming("b"));
    a.die().await;
    let routes = [format!("* {} {}", a.address, b.address)];
    let mut server = Server::start_with(&routes, &["--workers", "1"]);
    let mut client = Client::connect(server.http).await;
    for _ in 0..3 {
        assert_eq!(get(&mut client).await, "b");
    }
    let line = server.wait_for_line("a target keeps failing");
    assert!(line.contains(&a.address.to_string()) && line.contains("connect refused"), "{line}");
    a.live().await;
    until(&mut client, "a").await;
    server.wait_for_line("a target is well again");
    assert_eq!(get(&mut client).await, "a");
    for counter in ["backend_targets_ill", "backend_targets_well"] {
        assert_eq!(server.counted(counter), 1);
    }
    // Once it was ill, requests did not go there first: three, and now and then one to find out.
    assert!(server.counted("backend_connects_refused") <= 6);
}

#[tokio::test]
async fn the_only_target_is_asked_however_ill_it_is() {
    let a = naming("a");
    a.die().await;
    let server = Server::start_with(&[format!("* {}", a.address)], &["--workers", "1"]);
    let mut client = Client::connect(server.http).await;
    for _ in 0..10 {
        assert!(get(&mut client).await.contains("Error"));
    }
    a.live().await;
    assert_eq!(get(&mut client).await, "a");
}

#[tokio::test]
async fn checks_are_asked_of_those_that_name_a_path() {
    let status = Arc::new(AtomicUsize::new(500));
    let shown = Arc::clone(&status);
    let checked = Mortal::new(LONG, move |request| {
        if request.target != "/up?full" {
            return Act::Answer(Answer::ok("checked"));
        }
        assert_eq!(request.header("host"), Some("b.example"));
        Act::Answer(Answer::new(&format!("{} X", shown.load(Ordering::SeqCst))))
    });
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let other = Mortal::new(LONG, move |request| {
        counter.fetch_add(usize::from(request.target != "/"), Ordering::SeqCst);
        Act::Answer(Answer::ok("other"))
    });
    let (check, host) = ("check=/up?full", "host=b.example");
    let routes = [format!("* {},{check},{host} {}", checked.address, other.address)];
    let arguments = ["--workers", "1", "--health-interval", "100", "--backend-fails", "0"];
    let mut server = Server::start_with(&routes, &arguments);
    let mut client = Client::connect(server.http).await;
    let line = server.wait_for_line("a target keeps failing");
    assert!(line.contains("its check is answered 500"), "{line}");
    assert_eq!(get(&mut client).await, "other");
    // An answer to a client does not make it well, a check does.
    status.store(302, Ordering::SeqCst);
    server.wait_for_line("a target is well again");
    until(&mut client, "checked").await;
    checked.die().await;
    until(&mut client, "other").await;
    checked.live().await;
    until(&mut client, "checked").await;
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody asked the other one for anything else");
    assert!(server.counted("backend_checks") > 2);
}

#[tokio::test]
async fn of_two_paths_of_one_address_each_is_checked_for_itself() {
    let good = Arc::new(AtomicUsize::new(0));
    let checked = good.clone();
    let one = Mortal::new(LONG, move |request| match request.target.as_str() {
        "/bad" => Act::Answer(Answer::new("500 X")),
        "/good" => {
            checked.fetch_add(1, Ordering::Relaxed);
            Act::Answer(Answer::ok("one"))
        }
        _ => Act::Answer(Answer::ok("one")),
    });
    let other = naming("other");
    let (at, other_at) = (one.address, other.address);
    let routes = [
        format!("a.example {at},check=/bad {other_at}"),
        format!("b.example {at},check=/good {other_at}"),
    ];
    let arguments = ["--workers", "1", "--health-interval", "50", "--backend-fails", "0"];
    let mut server = Server::start_with(&routes, &arguments);
    let mut client = Client::connect(server.http).await;
    until(&mut client, "other").await;
    // The good one is made some times more after the bad one has failed.
    let made = good.load(Ordering::Relaxed);
    within("further checks", async {
        while good.load(Ordering::Relaxed) < made + 5 {
            assert_eq!(get(&mut client).await, "other", "what the good one says is not of it");
            client.send("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n").await;
            assert_eq!(client.response().await.1, "one");
        }
    })
    .await;
    let line = server.wait_for_line("a target keeps failing");
    assert!(line.contains("check=/bad"), "{line}");
    assert_eq!(server.counted("backend_targets_ill"), 1);
    assert_eq!(server.counted("backend_targets_well"), 0);
}
