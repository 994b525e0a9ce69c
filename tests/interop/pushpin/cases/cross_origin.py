"""CORS and JSON-P (routing-and-proxying, 5)."""

from urllib.parse import quote

from answers import Await, Close
from cases.words import answer, asked, get, grip, instruct, item, ok, post, request
from engine import Case
from steps import End, Got, Open, Opened, Publish, Rest, Subscribed, Until

ACO = "aco.test"
JSONP = "jsonp.test"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


def cors(id: str, *fields: str, back: bytes | list | None = None, host: str = ACO,
         line: str = "GET /", config: str = "base") -> Case:
    sent = request(line, *fields, host=host)
    return Case(f"cors-{id}", asked(sent, line.split(" ")[0]), [back or ok()], config=config)


def jsonp(id: str, path: str, *fields: str, back: bytes | list | None = None,
          host: str = JSONP) -> Case:
    return Case(f"jsonp-{id}", asked(get(path, *fields, host=host)), [back or ok()])


CASES = [
    cors("plain"),
    cors("origin", "Origin: http://b.test"),
    cors("origin-empty", "Origin:"),
    cors("not-active", "Origin: http://b.test", host="a.test"),
    cors("everywhere", "Origin: http://b.test", host="a.test", config="bare"),
    cors("preflight", "Origin: http://b.test", "Access-Control-Request-Method: PATCH",
         "Access-Control-Request-Headers: X-A, X-B", line="OPTIONS /"),
    cors("request-headers-twice", "Access-Control-Request-Headers: X-A",
         "Access-Control-Request-Headers: X-B, X-C"),
    cors("expose", back=ok(b"x", "X-One: 1", "Set-Cookie: a=b", "Content-Type: text/html",
                           "Cache-Control: no-store", "x-one: 2", "ETag: \"e\"",
                           "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "Expires: 0",
                           "Pragma: no-cache", "Content-Language: en")),
    cors("own-headers-win", "Origin: http://b.test",
         back=ok(b"x", "Access-Control-Allow-Origin: http://only.test",
                 "access-control-max-age: 1")),
    cors("own-all", back=ok(b"x", "Access-Control-Allow-Methods: GET",
                            "Access-Control-Allow-Headers: X", "Access-Control-Expose-Headers: Y",
                            "Access-Control-Allow-Credentials: false",
                            "Access-Control-Allow-Origin: *", "Access-Control-Max-Age: 5")),
    cors("404", back=answer("404 Not Found", body=b"no")),
    cors("204", back=answer("204 No Content", length=False)),
    cors("redirect", back=answer("302 Found", "Location: /x")),
    cors("post", line="POST /"),
    cors("head", line="HEAD /"),
    cors("chunked", back=[CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"]),
    Case("cors-down", asked(get("/", "Origin: http://b.test", host="aco-down.test"))),
    Case("cors-grip-headers",
         asked(get("/", host=ACO)), [ok(b"x", "Grip-Foo: 1", "X-A: 1")]),
    Case("cors-held-response",
         [get("/", "Origin: http://b.test", host=ACO), Subscribed("cors-held"),
          Publish(item("cors-held", http_response={"headers": {"X-N": "1"}, "body": "p"})), Got,
          End], [grip("response", "cors-held", "X-H: 1", body=b"held")]),
    Case("cors-stream",
         [get("/", "Origin: http://b.test", host=ACO), Opened, Until(b"hi\n"),
          Subscribed("cors-stream"),
          Publish(item("cors-stream", http_stream={"content": "more\n"})), Until(b"more\n")],
         [grip("stream", "cors-stream", "X-H: 1", body=b"hi\n")]),
    Case("cors-instruct",
         asked(get("/", "Access-Control-Request-Headers: X-Z", host=ACO)),
         [instruct({"response": {"code": 201, "headers": [["X-A", "1"]], "body": "made"}})]),
    # JSON-P: the request, 5.2.
    jsonp("callback", "/?callback=cb"),
    jsonp("callback-among-others", "/p?a=1&callback=cb&b=2", "Accept: text/html", "X-Own: 1"),
    jsonp("callback-twice", "/?callback=one&callback=two"),
    jsonp("callback-odd", "/?callback=a%3Cb.c%5B0%5D"),
    jsonp("callback-empty", "/?callback="),
    jsonp("callback-valueless", "/?callback"),
    jsonp("callback-bad-escape", "/?callback=a%zzb"),
    jsonp("callback-plus", "/?callback=a+b"),
    Case("jsonp-post", asked(post("/?callback=cb", b"x", host=JSONP), "POST"), [ok()]),
    Case("jsonp-head", asked(request("HEAD /?callback=cb", host=JSONP), "HEAD"), [ok()]),
    Case("jsonp-not-active", asked(get("/?callback=cb")), [ok()]),
    jsonp("method", "/?callback=cb&_method=PUT"),
    jsonp("method-empty", "/?callback=cb&_method="),
    jsonp("method-unprintable", "/?callback=cb&_method=A%01B"),
    jsonp("headers", "/?callback=cb&_headers=" + quote(
        '{"X-B":"2","X-A":"1","Host":"other","Accept":"x/y"}')),
    jsonp("headers-not-json", "/?callback=cb&_headers=nonsense"),
    jsonp("headers-not-strings", "/?callback=cb&_headers=" + quote('{"X":1}')),
    jsonp("headers-array", "/?callback=cb&_headers=" + quote('["X"]')),
    jsonp("headers-empty", "/?callback=cb&_headers="),
    jsonp("body", "/?callback=cb&_method=POST&_body=" + quote("a b&c")),
    jsonp("body-empty", "/?callback=cb&_body="),
    jsonp("all", "/x?keep=1&callback=cb&_method=PATCH&_headers=" + quote(
        '{"Content-Type":"text/x"}') + "&_body=hello&also=2"),
    jsonp("without-callback", "/?_method=PUT&_body=x"),
    jsonp("origin", "/?callback=cb", "Origin: http://b.test", "Cookie: a=b"),
    jsonp("names-cb", "/?cb=f", host="jsonp-names.test"),
    jsonp("names-callback-is-other", "/?callback=f", host="jsonp-names.test"),
    jsonp("names-body", "/?cb=f&data=" + quote('{"a":1}'), host="jsonp-names.test"),
    jsonp("names-default-callback", "/?data=" + quote('{"a":1}'), host="jsonp-names.test"),
    jsonp("names-body-empty", "/?cb=f&data=", host="jsonp-names.test"),
    jsonp("names-other-body", "/?cb=f&data=1&_body=2", host="jsonp-names.test"),
    jsonp("basic", "/?callback=cb", host="jsonp-basic.test", back=ok(b'{"a":1}\n')),
    jsonp("basic-crlf", "/?callback=cb", host="jsonp-basic.test", back=ok(b"[1]\r\n")),
    jsonp("basic-two-newlines", "/?callback=cb", host="jsonp-basic.test", back=ok(b"[1]\n\n")),
    jsonp("basic-get", "/?callback=cb", host="jsonp-basic-get.test", back=ok(b"[]")),
    jsonp("basic-method", "/?callback=cb&_method=DELETE", host="jsonp-basic.test"),
    jsonp("basic-404", "/?callback=cb", host="jsonp-basic.test",
          back=answer("404 Not Found", "X-A: 1", body=b"null")),
    # JSON-P: the answer.
    jsonp("answer-headers", "/?callback=cb", back=answer(
        "404 Not Here", "X-B: 2", "X-A: 1", "x-a: 3", "Set-Cookie: a=b", "Set-Cookie: c=d",
        "Content-Type: text/html", "Cache-Control: no-store", body=b"<no>")),
    jsonp("answer-escapes", "/?callback=cb", back=ok(b'"\\/\x01\n\ttext\xc3\xb6\xe2\x82\xac')),
    jsonp("answer-script", "/?callback=cb", back=ok(b"</script>\xe2\x80\xa8")),
    jsonp("answer-not-utf8", "/?callback=cb", back=ok(b"a\xffb")),
    jsonp("answer-204", "/?callback=cb", back=answer("204 No Content", length=False)),
    jsonp("answer-302", "/?callback=cb", back=answer("302 Found", "Location: /x")),
    jsonp("answer-empty", "/?callback=cb", back=ok(b"")),
    jsonp("answer-chunked", "/?callback=cb", back=[CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"]),
    jsonp("answer-grip", "/?callback=cb", back=ok(b"x", "Grip-Foo: 1", "X-A: 1")),
    Case("jsonp-answer-in-pieces",
         [get("/?callback=cb", host=JSONP), Opened, Until(b"abc"), Open("more"), Until(b"d\\n"),
          Open("end"), Rest, End],
         [[CHUNKED + b"3\r\nabc\r\n", Await("more"), b"2\r\nd\n\r\n", Await("end"),
           b"0\r\n\r\n"]]),
    Case("jsonp-basic-in-pieces",
         [get("/?callback=cb", host="jsonp-basic-get.test"), Opened, Until(b"abc"), Open("more"),
          Until(b"\nd"), Open("end"), Rest, End],
         [[CHUNKED + b"4\r\nabc\n\r\n", Await("more"), b"2\r\nd\n\r\n", Await("end"),
           b"0\r\n\r\n"]]),
    Case("jsonp-down", asked(get("/?callback=cb", host="jsonp-down.test"))),
    Case("jsonp-backend-closes", asked(get("/?callback=cb", host="jsonp-brief.test")),
         brief=[[Close()]]),
    Case("jsonp-held-published",
         [get("/?callback=cb", host=JSONP), Subscribed("jsonp-held"),
          Publish(item("jsonp-held", http_response={
              "code": 201, "headers": {"X-N": "1", "x-h": "2"}, "body": "p\n"})), Got, End],
         [grip("response", "jsonp-held", "X-H: 1", body=b"held")]),
    Case("jsonp-basic-held-published",
         [get("/?callback=cb", host="jsonp-basic-get.test"), Subscribed("jsonp-basic-held"),
          Publish(item("jsonp-basic-held", http_response={"body": "{}\n"})), Got, End],
         [grip("response", "jsonp-basic-held", "X-H: 1", body=b"held")]),
    Case("jsonp-held-timeout",
         [get("/case-jsonp-held-timeout?callback=cb", host="jsonp-basic.test"), Got, End],
         [grip("response", "jsonp-timeout", "Grip-Timeout: 5", "X-H: 1", body=b'{"late":1}\n'),
          grip("response", "jsonp-timeout", "Grip-Timeout: 5", "X-H: 1", body=b'{"late":2}\n')],
         config="patient", patient=True),
    Case("jsonp-stream",
         [get("/?callback=cb", host=JSONP), Opened, Until(b"hi\n"), Subscribed("jsonp-stream"),
          Publish(item("jsonp-stream", http_stream={"content": "more\n"})), Until(b"more\n")],
         [grip("stream", "jsonp-stream", "X-H: 1", body=b"hi\n")]),
    Case("jsonp-instruct-error", asked(get("/?callback=cb", host=JSONP)),
         [answer("200 OK", "Grip-Hold: never", body=b"x")]),
]
