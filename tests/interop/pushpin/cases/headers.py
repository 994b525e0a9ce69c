"""What becomes of fields on the way to the backend and back (routing-and-proxying, 3.3 to 3.11)."""

from cases.words import answer, asked, get, ok, post, request
from engine import Case
from steps import Got, Tls


def sent(id: str, *fields: str, host: str = "a.test", config: str = "base") -> Case:
    return Case(f"headers-{id}", asked(get("/", *fields, host=host)), [ok()], config=config)


def secured(id: str, *fields: str, host: str = "a.test", config: str = "base") -> Case:
    return Case(f"headers-{id}", [Tls(), *asked(get("/", *fields, host=host))], [ok()],
                config=config)


PIPELINE = ("Grip-X: 1", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https",
            "X-Forwarded-For: 2.2.2.2, 3.3.3.3", "CDN-Loop: a", "CDN-Loop: b; c=\"d, e\"",
            "eb9bf0f5-a: 1", "Expect: something", "X-Marked: 1", "X-Own: 1")

CASES = [
    sent("none"),
    Case("headers-grip-feature", asked(get()), [ok()], features=True),
    sent("accept", "Accept: text/html"),
    sent("accept-encoding", "Accept-Encoding: gzip"),
    sent("user-agent", "User-Agent: somebody/1.0"),
    sent("cookies", "Cookie: a=b", "Cookie: c=d"),
    sent("duplicates", "X-A: 1", "X-B: 2", "X-A: 3"),
    sent("empty-value", "X-Empty:"),
    sent("non-ascii", "X-Name: J\xf6rg"),
    sent("te-via-trailer", "TE: trailers", "Via: 1.1 other", "Trailer: X-T"),
    sent("proxy-connection", "Proxy-Connection: keep-alive"),
    sent("keep-alive", "Keep-Alive: timeout=5", "Connection: keep-alive"),
    sent("connection-names", "Connection: X-Hop", "X-Hop: 1"),
    sent("connection-close", "Connection: close"),
    sent("content-encoding", "Content-Encoding: gzip"),
    sent("upgrade-other", "Upgrade: h2c", "Connection: Upgrade"),
    sent("grip-stripped", "Grip-Sig: forged", "grip-feature: all", "Grip-Last: x; last-id=1",
         "GRIP-Other: 1"),
    sent("grip-stripped-nogrip", "Grip-Sig: forged", "Grip-X: 1", host="nogrip.test"),
    sent("marked-stripped", "eb9bf0f5-x: 1"),
    sent("pushpin-route-not-accepted", "Pushpin-Route: byid"),
    sent("forwarded", "Forwarded: for=1.2.3.4"),
    sent("authorization", "Authorization: Basic eDp5"),
    sent("range", "Range: bytes=0-1", "If-None-Match: \"x\""),
    # X-Forwarded-*, 3.3 and 3.5.
    sent("xff-default", "X-Forwarded-For: 1.1.1.1", "X-A: 1", "X-Forwarded-For: 2.2.2.2"),
    sent("xff-none"),
    sent("xff-append", "X-Forwarded-For: 1.1.1.1", config="bare"),
    sent("xff-append-none", config="bare"),
    sent("xff-truncate", "X-Forwarded-For: 1.1.1.1, 2.2.2.2", "X-Forwarded-For: 3.3.3.3",
         config="believing"),
    sent("xfp-stripped", "X-Forwarded-Proto: https", "X-Forwarded-Protocol: https"),
    sent("xfp-left-alone", "X-Forwarded-Proto: https", "X-Forwarded-Protocol: ftp",
         config="bare"),
    secured("xfp-tls"),
    secured("xfp-tls-forged", "X-Forwarded-Proto: http"),
    secured("xfp-tls-off", config="bare"),
    secured("xfp-tls-both", config="believing"),
    sent("xfp-accepted", "X-Forwarded-Proto: https", host="secure.test", config="believing"),
    sent("xfp-accepted-wss", "X-Forwarded-Proto: wss", host="secure.test", config="believing"),
    sent("xfp-accepted-protocol", "X-Forwarded-Protocol: https", host="secure.test",
         config="believing"),
    sent("xfp-first-counts", "X-Forwarded-Proto: http", "X-Forwarded-Protocol: https",
         host="secure.test", config="believing"),
    sent("xfp-case", "X-Forwarded-Proto: HTTPS", host="secure.test", config="believing"),
    secured("xfp-no-downgrade", "X-Forwarded-Proto: http", host="secure.test",
            config="believing"),
    # Original headers.
    sent("orig", "X-A: 1", "eb9bf0f5-X-B: 2", "Grip-Sig: x", "Connection: keep-alive",
         host="orig.test"),
    sent("orig-need-mark", "X-A: 1", "X-Marked: 2", "eb9bf0f5-X-Marked: 3", host="orig.test",
         config="believing"),
    # The pipeline whole, 12.4.
    sent("pipeline", *PIPELINE),
    sent("pipeline-orig", *PIPELINE, host="orig.test"),
    sent("pipeline-nogrip", *PIPELINE, host="nogrip.test"),
    sent("pipeline-believing", *PIPELINE, config="believing"),
    sent("pipeline-bare", *PIPELINE, config="bare"),
    # Pushpin-Route, 2.7.
    sent("route-id", "Pushpin-Route: one", config="believing"),
    sent("route-id-hidden", "Pushpin-Route: hidden", config="believing"),
    sent("route-id-unknown", "Pushpin-Route: nothing", config="believing"),
    sent("route-id-path", "Pushpin-Route: two", config="believing"),
    sent("route-id-shared", "Pushpin-Route: shared", config="believing"),
    Case("headers-route-id-path-begins",
         asked(get("/two/x", "Pushpin-Route: two")), [ok()], config="believing"),
    # Signatures, 3.7.
    sent("sig-iss", host="iss.test"),
    sent("sig-key", host="key.test"),
    sent("sig-base64", host="key64.test"),
    sent("sig-key-missing", host="key-file.test"),
    sent("sig-none", config="bare"),
    sent("sig-by-route-only", host="iss.test", config="bare"),
    # Bodies on the way there, 3.8.
    Case("headers-post", asked(post("/", b"hello"), "POST"), [ok()]),
    Case("headers-post-empty", asked(post("/", b""), "POST"), [ok()]),
    Case("headers-post-no-length", asked(request("POST /"), "POST"), [ok()]),
    Case("headers-put-no-length", asked(request("PUT /x"), "PUT"), [ok()]),
    Case("headers-delete", asked(request("DELETE /x"), "DELETE"), [ok()]),
    Case("headers-get-with-body", asked(post("", b"hi", line="GET /")), [ok()]),
    Case("headers-options", asked(request("OPTIONS /x", "Origin: http://b.test"), "OPTIONS"),
         [ok()]),
    Case("headers-patch", asked(post("", b"{}", line="PATCH /x"), "PATCH"), [ok()]),
    Case("headers-own-method", asked(request("BREW /pot"), "BREW"), [ok()]),
    Case("headers-lower-case-method", asked(request("get /x"), "get"), [ok()]),
    Case("headers-trace", asked(request("TRACE /x"), "TRACE"), [ok()]),
    Case("headers-64", asked(get("/", *[f"X-{n}: {n}" for n in range(50)])), [ok()]),
    # On the way back, 3.11.
    Case("headers-back-hops", asked(get()), [answer(
        "200 OK", "Server: mine", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Via: 1.1 x",
        "Keep-Alive: timeout=5", "Connection: keep-alive", "Proxy-Authenticate: Basic",
        "Set-Cookie: a=b", "Upgrade: h2c", "Set-Cookie: c=d", "Trailer: X-T", body=b"x")]),
    Case("headers-back-connection-names", asked(get()),
         [ok(b"x", "Connection: X-Hop", "X-Hop: 1")]),
    Case("headers-back-encoding", asked(get()), [ok(b"not gzip", "Content-Encoding: unknown")]),
    Case("headers-back-grip-nogrip", asked(get(host="nogrip.test")),
         [ok(b"x", "Grip-Hold: stream", "Grip-Channel: a")]),
    Case("headers-back-non-ascii", asked(get()), [ok(b"x", "X-Name: J\xf6rg")]),
    Case("headers-back-empty", asked(get()), [ok(b"x", "X-Empty:")]),
    Case("headers-back-own-status", asked(get()), [answer("799 Very Own", body=b"x")]),
    Case("headers-back-no-reason", asked(get()), [answer("200 ", body=b"x")]),
    Case("headers-back-redirect", asked(get()),
         [answer("302 Found", "Location: http://elsewhere.test/")]),
    Case("headers-back-401", asked(get()),
         [answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"", body=b"no")]),
    Case("headers-back-500", asked(get()), [answer("500 Oh", body=b"broken")]),
    Case("headers-tls-wildcard", [Tls("www.wild.example"), get(), Got], [ok()]),
    Case("headers-tls-no-name", [Tls(None), get(), Got], [ok()]),
    Case("headers-tls-exact", [Tls("tls.example"), get(), Got], [ok()]),
    Case("headers-tls-too-deep", [Tls("a.www.wild.example"), get(), Got], [ok()]),
    Case("headers-tls-unknown", [Tls("nobody.example"), get(), Got], [ok()]),
]
