"""Errors, fail-over, and the built-in target (routing-and-proxying, 2.8, 3.13 and 4)."""

from answers import Close, Reset
from cases.words import answer, asked, get, item, ok, post, request
from engine import Case
from steps import End, Got, Opened, Publish, Subscribed, Until


def test_target(id: str, path: str, host: str = "test.test") -> Case:
    return Case(f"test-target-{id}", asked(get(path, host=host)))


def stream(id: str, path: str, channels: list[str], host: str = "test.test") -> Case:
    """A stream of the built-in target, and a publish to each channel."""
    steps = [get(path, host=host), Opened, Until(b"[stream opened]\n")]
    steps += [Subscribed(name) for name in channels]
    for name in channels:
        line = f"to {name}\n"
        steps += [Publish(item(name, http_stream={"content": line})), Until(line.encode())]
    return Case(f"test-target-{id}", steps)


CASES = [
    # No target takes it.
    Case("failures-refused", asked(get(host="down.test"))),
    Case("failures-refused-debug", asked(get(host="down-debug.test"))),
    Case("failures-refused-debug-false", asked(get(host="debug-false.test"))),
    Case("failures-refused-head", asked(request("HEAD /", host="down.test"), "HEAD")),
    Case("failures-refused-post", asked(post("/", b"x", host="down.test"), "POST")),
    Case("failures-refused-1.0", [request("GET /", host="down.test", version="1.0"), Got, End]),
    Case("failures-refused-close", [get("/", "Connection: close", host="down.test"), Got, End]),
    Case("failures-debug-everywhere", asked(get(host="down.test")), config="believing"),
    Case("failures-cross-origin", asked(get("/", "Origin: http://b.test", host="down.test")),
         config="bare"),
    # Fail-over, 2.8.
    Case("failover-refused", asked(get("/x", host="fail.test")), second=[ok(b"second")]),
    Case("failover-refused-post", asked(post("/x", b"body", host="fail.test"), "POST"),
         second=[ok(b"second")]),
    Case("failover-refused-longer-post",
         asked(post("/x", b"L" * 9_000, host="fail.test"), "POST"), second=[ok(b"second")]),
    Case("failover-first-answers", asked(get(host="both.test")), [ok(b"first")]),
    Case("failover-not-for-500", asked(get(host="both.test")),
         [answer("500 No", body=b"first")]),
    Case("failover-not-for-503", asked(get(host="both.test")),
         [answer("503 Busy", "Retry-After: 1", body=b"first")]),
    Case("failover-not-after-accept", asked(post("/", b"x", host="brief.test"), "POST"),
         brief=[[Close()]]),
    Case("failover-not-after-reset", asked(post("/", b"x", host="brief.test"), "POST"),
         brief=[[Reset()]]),
    Case("failover-not-for-malformed", asked(get(host="brief.test")),
         brief=[[b"nonsense\r\n\r\n", Close()]]),
    # A kept connection that is closed when the next request comes.
    Case("failover-kept-connection", [get("/1"), Got, get("/2"), Got, End],
         [ok(b"1"), [Close()], ok(b"2")]),
    Case("failover-kept-connection-put",
         [get("/1"), Got, post("", b"x", line="PUT /2"), Got("PUT"), End],
         [ok(b"1"), [Close()], ok(b"2")]),
    Case("failover-kept-connection-post", [get("/1"), Got, post("/2", b"x"), Got("POST"), End],
         [ok(b"1"), [Close()], ok(b"2")]),
    Case("failover-certificate", asked(get(host="cert.test")), second=[ok(b"second")]),
    Case("failover-insecure", asked(get(host="insecure.test")), secure=[ok(b"secure")]),
    Case("failover-insecure-host", asked(get(host="insecure-host.test")),
         secure=[ok(b"secure")]),
    # Without a network it may take long to know that there is none.
    Case("failover-no-such-name", asked(get("/case-failover-no-such-name", host="nodns.test")),
         second=[ok(b"second")], config="patient", patient=True),
    Case("failover-untrusted", asked(get(host="untrusted.test")), second=[ok(b"second")]),
    Case("failover-each-request-anew",
         [get("/1", host="fail.test"), Got, get("/2", host="fail.test"), Got, End],
         second=[ok(b"1"), ok(b"2")]),
    # The built-in target, 4.
    test_target("root", "/"),
    test_target("query", "/?channel=x"),
    test_target("unknown", "/nothing"),
    test_target("ws-by-http", "/ws"),
    test_target("case", "/Stream"),
    test_target("double-slash", "//"),
    test_target("beg", "/x/", "test-beg.test"),
    test_target("beg-unknown", "/x/nothing", "test-beg.test"),
    test_target("beg-alone", "/x", "test-beg.test"),
    test_target("slash-root", "/x/", "test-slash.test"),
    test_target("outside-beg", "/y", "test-beg.test"),
    test_target("nogrip-stream", "/stream?channel=a", "test-nogrip.test"),
    test_target("nogrip-response", "/response", "test-nogrip.test"),
    Case("test-target-post", asked(post("/", b"content", host="test.test"), "POST")),
    Case("test-target-head", asked(request("HEAD /", host="test.test"), "HEAD")),
    Case("test-target-too-large",
         asked(post("/", b"x" * 100_001, host="test.test"), "POST")),
    stream("stream", "/stream?channel=tt-stream", ["tt-stream"]),
    stream("stream-slash", "/stream/?channel=tt-slash", ["tt-slash"]),
    stream("stream-channels", "/stream?channel=tt-one&channel=tt-two", ["tt-one", "tt-two"]),
    stream("stream-beg", "/x/stream?channel=tt-beg", ["tt-beg"], "test-beg.test"),
    stream("stream-beg-slash", "/x/stream?channel=tt-begs", ["tt-begs"], "test-slash.test"),
    Case("test-target-response",
         [get("/response?channel=tt-response", host="test.test"), Subscribed("tt-response"),
          Publish(item("tt-response", http_response={"body": "published\n"})), Got, End]),
    Case("test-target-response-aco",
         [get("/response?channel=tt-aco", "Origin: http://b.test", host="aco-test.test"),
          Subscribed("tt-aco"),
          Publish(item("tt-aco", http_response={"code": 404, "body": "no\n"})), Got, End]),
]
