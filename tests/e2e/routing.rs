//! Which target a request goes to, and which one next.

use super::harness::backend::refusing;
use super::harness::{Answer, Backend, Client, Server};

async fn ask(server: &Server, host: &str, target: &str) -> (String, String) {
    let mut client = Client::connect(server.http).await;
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    let (head, body) = client.response().await;
    (head.status, body)
}

async fn body(server: &Server, host: &str, target: &str) -> String {
    let (status, body) = ask(server, host, target).await;
    assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
    body
}

fn named(name: &'static str) -> Backend {
    Backend::answering(move |request| Answer::ok(format!("{name} {}", request.target)))
}

#[tokio::test]
async fn the_longest_matching_path_of_the_host_wins() {
    let (any, shop, api) = (named("any"), named("shop"), named("api"));
    let server = Server::start(&[
        any.route("*", ""),
        shop.route("shop.example", ""),
        api.route("shop.example,path_beg=/api/", ""),
    ]);
    assert_eq!(body(&server, "other.example", "/api/x").await, "any /api/x");
    assert_eq!(body(&server, "shop.example", "/x?q=1").await, "shop /x?q=1");
    assert_eq!(body(&server, "SHOP.example:1234", "/api/x").await, "api /api/x");
    assert_eq!(body(&server, "shop.example", "/apix").await, "shop /apix");
}

#[tokio::test]
async fn rules_of_a_host_hide_those_of_any_host() {
    let (any, only) = (named("any"), named("only"));
    let server = Server::start(&[any.route("*", ""), only.route("c.example,path_beg=/only", "")]);
    assert_eq!(body(&server, "c.example", "/only/x").await, "only /only/x");
    let (status, text) = ask(&server, "c.example", "/").await;
    assert_eq!(status, "HTTP/1.1 502 Bad Gateway");
    assert_eq!(text, "Route not found\n");
}

#[tokio::test]
async fn no_route_is_said_so() {
    let only = named("only");
    let server = Server::route(only.route("only.example", ""));
    let mut client = Client::get(server.http, "/").await;
    let (head, text) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 502 Bad Gateway");
    assert_eq!(head.header("content-type"), Some("text/plain"));
    assert_eq!(text, "Route not found\n");
    // The connection is still good for a request that has a route.
    client.send("GET /x HTTP/1.1\r\nHost: only.example\r\n\r\n").await;
    assert_eq!(client.response().await.1, "only /x");
}

#[tokio::test]
async fn the_next_target_is_tried_when_one_refuses() {
    let second = named("second");
    let server = Server::route(format!("* {} {}", refusing(), second.address));
    assert_eq!(body(&server, "a.example", "/x").await, "second /x");
}

#[tokio::test]
async fn a_body_is_sent_again_to_the_next_target() {
    let second = Backend::answering(|request| Answer::ok(&request.body));
    let server = Server::route(format!("* {} {}", refusing(), second.address));
    let mut client = Client::connect(server.http).await;
    let sent = "b".repeat(5000);
    let head = format!("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n", 5000);
    client.send(head + &sent).await;
    assert_eq!(client.response().await.1, sent);
}

#[tokio::test]
async fn an_error_status_does_not_fail_over() {
    let first = Backend::answering(|_| Answer::new("503 Busy").body("busy\n"));
    let mut second = named("second");
    let server = Server::route(format!("* {} {}", first.address, second.address));
    let (status, text) = ask(&server, "a.example", "/").await;
    assert_eq!((status.as_str(), text.as_str()), ("HTTP/1.1 503 Busy", "busy\n"));
    assert!(!second.has_seen_more());
}

#[tokio::test]
async fn a_backend_that_hangs_up_does_not_fail_over_what_may_not_be_made_twice() {
    let first = Backend::answering(|_| Answer::raw("", true));
    let mut second = named("second");
    let server = Server::route(format!("* {} {}", first.address, second.address));
    let mut client = Client::connect(server.http).await;
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n").await;
    let (head, text) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 502 Bad Gateway");
    assert_eq!(text, "Error while proxying to origin.\n");
    assert!(!second.has_seen_more());
    // What may be made twice goes on.
    assert_eq!(body(&server, "a.example", "/x").await, "second /x");
}

#[tokio::test]
async fn all_targets_down_is_502_and_names_them_on_a_debug_route() {
    let (one, two) = (refusing(), refusing());
    let server = Server::start(&[format!("* {one} {two}"), format!("d.example,debug {one} {two}")]);
    let (status, text) = ask(&server, "a.example", "/").await;
    assert_eq!(status, "HTTP/1.1 502 Bad Gateway");
    assert_eq!(text, "Error while proxying to origin.\n");
    let (_, text) = ask(&server, "d.example", "/").await;
    assert_eq!(text, format!("Unable to connect to any targets. Tried: {one}, {two}\n"));
}

#[tokio::test]
async fn garbage_from_a_backend_is_502() {
    for garbage in
        ["garbage\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nbad line\r\n\r\n"]
    {
        let backend = Backend::answering(move |_| Answer::raw(garbage, true));
        let server = Server::route(backend.route("*", ""));
        let (status, text) = ask(&server, "a.example", "/").await;
        assert_eq!(status, "HTTP/1.1 502 Bad Gateway", "for {garbage:?}");
        assert_eq!(text, "Error while proxying to origin.\n");
    }
}

#[tokio::test]
async fn a_pooled_connection_that_was_closed_is_not_the_clients_problem() {
    let backend = Backend::answering(|request| {
        let close = request.connection == 0;
        Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", close)
    });
    let server = Server::start_with(&[backend.route("*", "")], &["--workers", "1"]);
    for _ in 0..3 {
        assert_eq!(body(&server, "a.example", "/").await, "ok\n");
    }
    assert!(backend.connections() >= 2);
}

#[tokio::test]
async fn backend_connections_are_used_again() {
    let backend = named("pooled");
    let server = Server::start_with(&[backend.route("*", "")], &["--workers", "1"]);
    for _ in 0..5 {
        assert_eq!(body(&server, "a.example", "/x").await, "pooled /x");
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn paths_are_rewritten() {
    let backend = named("b");
    let server = Server::start(&[
        backend.route("rem.example,path_rem=4", ""),
        backend.route("rep.example,path_beg=/old/,replace_beg=/new/", ""),
    ]);
    assert_eq!(body(&server, "rem.example", "/abc/def?x=1").await, "b /def?x=1");
    assert_eq!(body(&server, "rep.example", "/old/x").await, "b /new/x");
}

#[tokio::test]
async fn a_bad_route_line_is_skipped_and_said() {
    let backend = named("good");
    let mut server = Server::start(&["* nonsense".to_owned(), backend.route("good.example", "")]);
    assert_eq!(body(&server, "good.example", "/").await, "good /");
    server.wait_for_line("nonsense");
}
