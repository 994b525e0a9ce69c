//! Names of fields as backends wrote them: in a script's object, in what CORS exposes, and in all
//! that is written in place of a backend's answer.

use super::*;

const ODD: [(&str, &str); 5] =
    [("x-low", "1"), ("ETag", "e"), ("WWW-Authenticate", "w"), ("X-SHOUT", "2"), ("Etc", "3")];

fn answer(more: &[(&'static str, &'static str)]) -> Answer {
    let head: String =
        ODD.iter().chain(more).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    Answer::raw(format!("HTTP/1.1 200 OK\r\n{head}Content-length: 1\r\n\r\nx"), false)
}

fn backend() -> Backend {
    Backend::answering(|request: &Request| match request.target.as_str() {
        "/plain" => answer(&[]),
        "/status" => answer(&[("grip-status", "201")]),
        "/document" => Answer::new("200 OK")
            .header("Content-Type", "application/grip-instruct")
            .body(r#"{"response":{"headers":{"x-own":"1","X-OWN2":"2"},"body":"x"}}"#),
        "/stream" => answer(&[("grip-hold", "stream"), ("grip-channel", "names")]),
        _ => answer(&[("grip-hold", "response"), ("grip-timeout", "1"), ("grip-channel", "n")]),
    })
}

/// The names in a script's object.
fn names_of(script: &str) -> Vec<String> {
    object(script)["headers"].as_object().expect("headers").keys().cloned().collect()
}

#[tokio::test]
async fn in_the_object() {
    let backend = backend();
    let server = Server::route(backend.route("*,aco", ""));
    let odd = ["ETag", "Etc", "WWW-Authenticate", "X-SHOUT", "x-low"];
    for target in ["/plain", "/status", "/held"] {
        let (_, body) = asked(&server, &format!("{target}?callback=f")).await;
        let found: Vec<String> = names_of(&body);
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        let length = (target == "/plain").then_some("Content-length");
        let expected: Vec<&str> = length.into_iter().chain(odd).collect();
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(found, expected, "{target}");
    }
    let (_, body) = asked(&server, "/document?callback=f").await;
    assert_eq!(names_of(&body), ["X-OWN2", "x-own"]);
}

#[tokio::test]
async fn in_answers_and_in_what_they_expose() {
    let backend = backend();
    let server = Server::route(backend.route("*,aco", ""));
    for target in ["/plain", "/status", "/held", "/stream"] {
        let mut client = ask(&server, target, "").await;
        let head = String::from_utf8(client.until(b"\r\n\r\n").await).expect("text");
        for (name, value) in ODD {
            assert!(head.contains(&format!("\r\n{name}: {value}\r\n")), "{target}: {head}");
        }
        let exposed = "Access-Control-Expose-Headers: x-low, ETag, WWW-Authenticate, X-SHOUT, Etc";
        assert!(head.contains(&format!("\r\n{exposed}\r\n")), "{target}: {head}");
    }
    let mut client = ask(&server, "/document", "").await;
    let head = String::from_utf8(client.until(b"\r\n\r\n").await).expect("text");
    assert!(head.contains("\r\nX-OWN2: 2\r\nx-own: 1\r\n"), "{head}");
}

#[tokio::test]
async fn after_another_question() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*,aco", ""));
    let publisher = Publisher::new(&server);
    for (query, expected) in [("?callback=f", "\"x-low\":\"1\""), ("", "\r\nx-low: 1\r\n")] {
        let mut client = ask(&server, &format!("/again{query}"), "").await;
        backend.answer("/again", Answer::hold("response", "again", "")).await;
        let exchange = loop {
            publisher.formats("again", json!({ "http-response": { "action": "hint" } })).await;
            if let Some(exchange) = backend.next_soon().await {
                break exchange;
            }
        };
        exchange.answer(answer(&[])).await;
        let head = client.until(b"\r\n\r\n").await;
        let body = if query.is_empty() { Vec::new() } else { client.until(b");\n").await };
        let got = String::from_utf8([head, body].concat()).expect("text");
        assert!(got.contains(expected), "{got}");
    }
}
