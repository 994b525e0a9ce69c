"""JSON-P and CORS with holds, errors, methods and connections (routing-and-proxying, 5)."""

from urllib.parse import quote

from answers import Await
from cases.cross_origin import ACO, CHUNKED, JSONP
from cases.words import answer, asked, get, grip, instruct, item, ok, post, request
from engine import Case
from steps import End, Got, Leave, On, Open, Opened, Publish, Rest, Seen, Subscribed, Until

BASIC = "jsonp-basic-get.test"
ODD = ("x-low: 1", "ETag: \"e\"", "WWW-Authenticate: Basic", "X-SHOUT: 2", "x-Mixed: 3")


def released(id: str, back: bytes, response: dict, *, channel: str, host: str = JSONP,
             query: str = "?callback=cb", sent: bytes | None = None) -> Case:
    """A script's long-poll that a publish answers."""
    return Case(f"scripts-{id}",
                [sent or get(f"/{query}", host=host), Subscribed(channel),
                 Publish(item(channel, http_response=response)), Got, End], [back])


def told(id: str, query: str, *back, host: str = JSONP, line: str = "GET", fields=(),
         config: str = "base") -> Case:
    sent = request(f"{line} /{query}", *fields, host=host)
    return Case(f"scripts-{id}", asked(sent, line), list(back), config=config)


CASES = [
    # Names as they were written.
    told("names-relayed", "?callback=cb", ok(b"x", *ODD)),
    told("names-status", "?callback=cb", ok(b"x", *ODD, "grip-status: 201")),
    told("names-cors", "", ok(b"x", *ODD), host=ACO),
    told("names-cors-status", "", ok(b"x", *ODD, "grip-status: 201"), host=ACO),
    told("names-document", "?callback=cb", instruct(
        {"response": {"headers": {"x-own": "1", "X-OWN2": "2"}, "body": "b"}})),
    told("names-same-twice", "?callback=cb", ok(b"x", "x-a: 1", "X-A: 2", "x-a: 3", "X-a: 4")),
    told("names-cors-twice", "", ok(b"x", "x-a: 1", "X-A: 2", "X-B: 3"), host=ACO),
    released("names-held", grip("response", "sc-names", *ODD), {
        "headers": {"x-own": "1", "X-OWN2": "2", "etag": "new"}, "body": "p"}, channel="sc-names"),
    released("names-held-same", grip("response", "sc-same", "x-a: 1", "X-A: 2", "X-B: 3"), {
        "headers": [["x-b", "4"], ["X-b", "5"]], "body": "p"}, channel="sc-same"),
    Case("scripts-names-cors-held",
         [get(host=ACO), Subscribed("sc-cors"),
          Publish(item("sc-cors", http_response={"headers": {"x-own": "1"}, "body": "p"})), Got,
          End], [grip("response", "sc-cors", *ODD)]),
    Case("scripts-names-cors-stream",
         [get(host=ACO), Opened, Until(b"hi\n"), Leave],
         [grip("stream", "sc-stream", *ODD, body=b"hi\n")]),
    # What is published.
    released("bin", grip("response", "sc-bin"), {"body-bin": "AAH/YQ=="}, channel="sc-bin"),
    released("bin-basic", grip("response", "sc-binb"), {"body-bin": "eyJhIjoxfQoK"},
             channel="sc-binb", host=BASIC),
    released("code", grip("response", "sc-code", status="202 Held"),
             {"code": 404, "reason": 'Very "Gone"', "body": ""}, channel="sc-code"),
    released("code-unknown", grip("response", "sc-code2"), {"code": 299, "body": "x"},
             channel="sc-code2"),
    released("code-0", grip("response", "sc-code0"), {"code": 0, "body": "x"}, channel="sc-code0"),
    released("code-204", grip("response", "sc-204"), {"code": 204, "body": "x"}, channel="sc-204"),
    released("code-304", grip("response", "sc-304"), {"code": 304, "body": ""}, channel="sc-304"),
    released("code-basic", grip("response", "sc-codeb"), {"code": 500, "body": "[]"},
             channel="sc-codeb", host=BASIC),
    released("type", grip("response", "sc-type", "Cache-Control: a"),
             {"headers": {"content-TYPE": "a/b", "Cache-Control": "b"}, "body": "x"},
             channel="sc-type"),
    released("type-basic", grip("response", "sc-typeb", "Cache-Control: a"),
             {"headers": {"content-TYPE": "a/b"}, "body": "x"}, channel="sc-typeb", host=BASIC),
    released("expose", grip("response", "sc-expose", "X-A: 1", "X-B: 2"),
             {"headers": {"Grip-Expose-Headers": "X-A, Content-Type"}, "body": "x"},
             channel="sc-expose"),
    released("cors-of-both", grip("response", "sc-both", "Access-Control-Allow-Origin: x"),
             {"headers": {"Access-Control-Max-Age": "1"}, "body": "x"}, channel="sc-both"),
    released("patch", grip("response", "sc-patch", body=b'{"a":[1]}\n'),
             {"body-patch": [{"op": "add", "path": "/a/-", "value": "\u00e9\""}]},
             channel="sc-patch"),
    released("patch-basic", grip("response", "sc-patchb", body=b'{"a":[1]}\r\n'),
             {"body-patch": [{"op": "replace", "path": "/a", "value": None}]},
             channel="sc-patchb", host=BASIC),
    released("empty", grip("response", "sc-empty"), {"body": ""}, channel="sc-empty"),
    released("empty-basic", grip("response", "sc-emptyb"), {"body": ""}, channel="sc-emptyb",
             host=BASIC),
    released("escapes", grip("response", "sc-esc"),
             {"body": "a\"\\/\b\f\t\u0001\u007f\u2028</script>\u00e9\U0001f600"},
             channel="sc-esc"),
    released("document", instruct({"hold": {"channels": [{"name": "sc-doc"}]}, "response": {
        "code": 201, "headers": {"x-own": "1"}, "body": "held"}}), {"body": "p"},
        channel="sc-doc"),
    released("close", grip("response", "sc-close"), {"body": "p"}, channel="sc-close",
             sent=get("/?callback=cb", "Connection: close", host=JSONP)),
    released("1.0", grip("response", "sc-1.0"), {"body": "p"}, channel="sc-1.0",
             sent=request("GET /?callback=cb", host=JSONP, version="1.0")),
    released("default-callback", grip("response", "sc-def"), {"body": "p"}, channel="sc-def",
             host="jsonp-names.test", query="?data=1"),
    released("method-put", grip("response", "sc-put"), {"body": "p"}, channel="sc-put",
             query="?callback=cb&_method=PUT&_body=x"),
    released("method-head", grip("response", "sc-head"), {"body": "p"}, channel="sc-head",
             query="?callback=cb&_method=HEAD"),
    Case("scripts-two-callbacks",
         [On("one"), get("/?callback=one", host=JSONP), Seen(1),
          On("two"), get("/?callback=two", host=BASIC), Seen(2),
          On("three"), get(host="a.test"), Subscribed("sc-many", 3),
          Publish(item("sc-many", http_response={"body": "all\n"})),
          On("one"), Got, End, On("two"), Got, End, On("three"), Got, End],
         [grip("response", "sc-many", "X-A: 1")] * 3),
    Case("scripts-pipelined",
         [get("/1?callback=one", host=JSONP) + get("/2?callback=two", host=JSONP)
          + get("/3", host=JSONP), Subscribed("sc-pipe"),
          Publish(item("sc-pipe", http_response={"body": "p"})), Got, Got, Got, End],
         [grip("response", "sc-pipe"), ok(b"second"), ok(b"third")]),
    # Asked again.
    Case("scripts-hint",
         [get("/x?callback=cb&a=b&_method=PUT&_body=hello", host=JSONP), Subscribed("sc-hint"),
          Publish(item("sc-hint", http_response={"action": "hint"})), Got, End],
         [grip("response", "sc-hint; prev-id=4"), ok(b"again", *ODD)]),
    Case("scripts-hint-basic-404",
         [get("/x?callback=cb", host=BASIC), Subscribed("sc-hintb"),
          Publish(item("sc-hintb", http_response={"action": "hint"})), Got, End],
         [grip("response", "sc-hintb"), answer("404 No", "Cache-Control: c", body=b"no\n")]),
    Case("scripts-hint-then-hold",
         [get("/x?callback=cb", host=JSONP), Subscribed("sc-again"),
          Publish(item("sc-again", http_response={"action": "hint"})), Seen(2),
          Subscribed("sc-again", 2), Publish(item("sc-again", http_response={"body": "p"})), Got,
          End], [grip("response", "sc-again", "X-A: 1"), grip("response", "sc-again", "X-B: 1")]),
    Case("scripts-hint-chunked",
         [get("/x?callback=cb", host=JSONP), Subscribed("sc-hintc"),
          Publish(item("sc-hintc", http_response={"action": "hint"})), Got, End],
         [grip("response", "sc-hintc"), [CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"]]),
    Case("scripts-behind",
         [get("/?callback=cb", host=JSONP), Subscribed("sc-behind"),
          Publish(item("sc-behind", http_response={"body": "3"}) | {"id": "3", "prev-id": "2"}),
          Got, End], [grip("response", "sc-behind; prev-id=1"), ok(b"caught up")]),
    # Filters.
    Case("scripts-filtered",
         [get("/?callback=cb", host=JSONP), Subscribed("sc-filter"),
          Publish([item("sc-filter", http_response={"body": "no"}) | {"meta": {"sender": "me"}},
                   item("sc-filter", http_response={"body": "%(user)s"})]), Got, End],
         [grip("response", "sc-filter; filter=skip-self; filter=var-subst",
               "Grip-Set-Meta: user=me")]),
    # Errors of every kind.
    told("no-route", "?callback=cb", host="shadow.test", config="base"),
    told("everywhere-no-route-cors", "", fields=("Origin: http://b.test",), host="down.test",
         config="bare"),
    told("everywhere", "?callback=cb", ok(b"x"), host="a.test", config="bare"),
    told("everywhere-down", "?callback=cb", host="down.test", config="bare"),
    told("down-basic", "?callback=cb&_method=PUT", host="jsonp-down.test"),
    told("down-wrong-method", "?callback=cb&_method=", host="jsonp-down.test"),
    told("504", "?callback=cb", answer("504 Gateway Timeout", "Retry-After: 5", body=b"late\n")),
    told("malformed", "?callback=cb", b"nonsense\r\n\r\n"),
    told("answer-too-large", "?callback=cb", grip("response", "x", body=b"x" * 100_001)),
    told("stream-and-wrong", "?callback=cb", grip("stream", "x; prev-id=1", body=b"hi\n")),
    told("wrong-cors", "", answer("200 OK", "Grip-Hold: never", body=b"x"), host=ACO,
         fields=("Origin: http://b.test",)),
    told("document-wrong", "?callback=cb", instruct([])),
    told("request-too-large", f"?callback=cb&_method=POST&_body={'x' * 3000}", ok(b"fine")),
    # Methods, and what the query says.
    *[told(f"line-{line.lower()}", "?callback=cb", ok(b"x"), line=line)
      for line in ("PUT", "DELETE", "OPTIONS", "get")],
    told("method-and-body-of-others", "?_body=x&_method=PUT", ok(b"x"), line="POST"),
    told("head-of-backend", "?callback=cb&_method=HEAD",
         b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX-A: 1\r\n\r\n"),
    told("method-lower-case", "?callback=cb&_method=put", ok(b"x")),
    told("method-twice", "?callback=cb&_method=PUT&_method=PATCH", ok(b"x")),
    told("method-encoded", "?callback=cb&_method=P%55T", ok(b"x")),
    told("names-encoded", "?call%62ack=cb&%5Fmethod=PUT", ok(b"x")),
    told("callback-encoded-name-later", "?callback=one&call%62ack=two", ok(b"x")),
    told("query-of-ampersands", "?a&&callback=cb&&b=&", ok(b"x")),
    told("query-alone", "?callback=cb", ok(b"x")),
    told("headers-types", "?callback=cb&_headers=" + quote(
        '{"Content-Type":"a/b","User-Agent":"me","cookie":"c=d"}'), ok(b"x"),
        fields=("User-Agent: browser", "Cookie: a=b")),
    told("headers-forged", "?callback=cb&_headers=" + quote(
        '{"Grip-Sig":"x","X-Forwarded-For":"1.2.3.4","CDN-Loop":"x"}'), ok(b"x")),
    told("headers-empty-object", "?callback=cb&_headers=" + quote("{}"), ok(b"x")),
    told("headers-twice", "?callback=cb&_headers=" + quote('{"A":"1"}') + "&_headers="
         + quote('{"B":"1"}'), ok(b"x")),
    told("body-twice", "?callback=cb&_method=POST&_body=one&_body=two", ok(b"x")),
    told("body-with-get", "?callback=cb&_body=x", ok(b"x")),
    told("body-bytes", "?callback=cb&_method=POST&_body=%00%ff%0a", ok(b"x")),
    told("names-body-of-get", "?cb=f&data=%5B1%5D&_method=GET", ok(b"x"), host="jsonp-names.test"),
    told("names-headers", "?cb=f&data=1&_headers=" + quote('{"content-type":"a/b","X":"1"}'),
         ok(b"x"), host="jsonp-names.test"),
    told("names-callback-empty", "?cb=&data=1", ok(b"x"), host="jsonp-names.test"),
    told("error-order", "?callback=&_method=&_headers=x", ok(b"x")),
    told("error-order-method", "?callback=cb&_method=&_headers=x&_body=", ok(b"x")),
    told("error-cors", "?callback=", ok(b"x"), fields=("Origin: http://b.test",)),
    told("error-goes-on", "?callback=cb&_headers=x", ok(b"x"), fields=("X-A: 1",)),
    # Answers.
    told("answer-cached", "?callback=cb", ok(b"x", "Cache-Control: a", "cache-control: b",
                                             "Expires: 0", "Pragma: c", "ETag: e")),
    told("answer-type-twice", "?callback=cb", ok(b"x", "Content-Type: a/b", "Content-Type: c/d")),
    told("answer-cors", "?callback=cb", ok(b"x", "Access-Control-Allow-Origin: y")),
    told("answer-cookies", "?callback=cb", ok(b"x", "Set-Cookie: a=b"), host=BASIC),
    told("answer-304", "?callback=cb", b"HTTP/1.1 304 Not Modified\r\nETag: e\r\n\r\n"),
    told("answer-205", "?callback=cb", answer("205 Reset Content", body=b"")),
    told("answer-no-reason", "?callback=cb", answer("200 ", body=b"x")),
    told("answer-basic-empty", "?callback=cb", ok(b""), host=BASIC),
    told("answer-basic-newline", "?callback=cb", ok(b"\n"), host=BASIC),
    told("answer-large", "?callback=cb", ok(b"l" * 60_000)),
    told("answer-chunks-of-utf8", "?callback=cb",
         [CHUNKED + b"4\r\nab\xc3\xa9\r\n2\r\n\xc3\xb6\r\n0\r\n\r\n"]),
    told("cors-preflight-404", "", answer("404 Not Found", body=b"no"), host=ACO, line="OPTIONS",
         fields=("Origin: http://b.test", "Access-Control-Request-Method: PUT",
                 "Access-Control-Request-Headers: X-A")),
    told("cors-method-empty", "", ok(b"x"), host=ACO, fields=(
        "Access-Control-Request-Method: ", "Access-Control-Request-Headers: ")),
    told("cors-origin-twice", "", ok(b"x"), host=ACO, fields=(
        "Origin: http://one.test", "Origin: http://two.test")),
    told("cors-origin-null", "", ok(b"x"), host=ACO, fields=("Origin: null",)),
    told("cors-304", "", b"HTTP/1.1 304 Not Modified\r\nETag: e\r\n\r\n", host=ACO),
    Case("scripts-cors-1.0", [request("GET /", host=ACO, version="1.0"), Got, End], [ok(b"x")]),
    Case("scripts-cors-late", [get(host=ACO), Opened, Until(b"abc"), Open("rest"), Rest, End],
         [[CHUNKED + b"3\r\nabc\r\n", Await("rest"), b"1\r\nd\r\n0\r\n\r\n"]]),
    # SockJS answers for itself.
    Case("scripts-sockjs", asked(get("/sock/info2?callback=cb", "Origin: http://b.test",
                                     host="sock-aco.test"))),
    Case("scripts-sockjs-outside", asked(get("/other?callback=cb", host="sock-aco.test")),
         [ok(b"x")]),
    # By POST nothing of it is read.
    Case("scripts-post-body", asked(post("/?callback=cb&_body=y", b"x", host=JSONP), "POST"),
         [ok(b"x")]),
]
