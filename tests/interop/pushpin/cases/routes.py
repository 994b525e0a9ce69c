"""The routes file: grammar, selection, rewriting (routing-and-proxying, 2 and 3.4)."""

from answers import Accept, Echo
from cases.words import answer, asked, get, ok, request
from engine import Case
from steps import End, Got, Heard, Say, Tls


def taken(id: str, host: str, path: str = "/", *fields: str) -> Case:
    """Which route takes a request, by the host that the backend sees; or what the client gets."""
    return Case(f"routes-{id}", asked(get(path, *fields, host=host)), [ok()])


def upgrade(path: str, host: str, *fields: str) -> bytes:
    return get(path, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *fields, host=host)


CASES = [
    # Selection, 2.7.
    taken("star", "nobody.test"),
    taken("host-shadows-star", "shadow.test", "/"),
    taken("host-shadows-star-not", "shadow.test", "/only/this"),
    taken("longest-path-none", "long.test", "/"),
    taken("longest-path-a", "long.test", "/ax"),
    taken("longest-path-ab", "long.test", "/a/bc"),
    taken("proto-over-path", "proto.test", "/long/path"),
    Case("routes-proto-ws", [upgrade("/long/path", "proto.test"), Got, Say(8, b"\x03\xe8"), Heard],
         [[Accept(), Echo()]]),
    taken("ssl-unset", "ssl.test"),
    Case("routes-ssl-yes", [Tls(), *asked(get(host="ssl.test"))], [ok()]),
    taken("ssl-no", "ssl-no.test"),
    Case("routes-ssl-no-over-tls", [Tls(), *asked(get(host="ssl-no.test"))], [ok()]),
    taken("ssl-after-longer-path", "order.test", "/z"),
    taken("ssl-before-longer-path", "order2.test", "/z"),
    taken("duplicate-first-wins", "twice.test"),
    taken("upper-case-rule", "upper.test"),
    taken("upper-case-request", "LONG.test", "/a/b"),
    taken("no-partial-wildcard", "x.star.test"),
    taken("wildcard-is-a-literal", "*.star.test"),
    taken("port-in-a-rule", "port.test:17"),
    taken("port-is-ignored", "long.test:8123", "/a"),
    taken("host-less", "byid"),
    taken("address", "127.0.0.5"),
    taken("path-beg-encoded", "long.test", "/%61/b"),
    taken("path-beg-query", "long.test", "/?/a/b"),
    taken("path-beg-case", "long.test", "/A/b"),
    # Grammar, 2.2 and 2.6.
    taken("quoted", "middle,x.test"),
    taken("comment-glued", "glued.test"),
    taken("tab-is-a-character", "tab.test"),
    taken("one-section", "one-section.test"),
    taken("bad-port", "badport.test", "/x"),
    taken("bad-port-others-load", "badport.test", "/ok"),
    taken("bad-proto", "badproto.test"),
    taken("bad-ssl", "badssl.test"),
    taken("empty-path-beg", "emptybeg.test"),
    taken("bad-header", "badheader.test"),
    taken("unterminated-quote", "openquote.test"),
    taken("expecting-prop", "noprop.test"),
    taken("empty-prop-name", "noname.test"),
    taken("bad-target-rejects-the-line", "badtarget.test"),
    taken("unknown-props", "unknown.test"),
    taken("repeated-prop-last-wins", "lastwins.test"),
    taken("spaces", "spaces.test"),
    taken("bad-jsonp-mode", "jsonp-mode.test"),
    # Rewriting, 3.4.
    taken("as-host", "as.test", "/x?y"),
    taken("as-host-port", "as-port.test"),
    taken("host-over-as-host", "as-both.test"),
    taken("path-rem", "rem.test", "/abc/def?q=/abc"),
    taken("path-rem-no-slash", "rem.test", "/abcdef"),
    taken("path-rem-not-a-number", "rem-none.test", "/abc"),
    taken("replace-beg", "replace.test", "/old/x?a=b"),
    taken("replace-beg-no-segment", "replace.test", "/older"),
    taken("replace-beg-prepends", "prepend.test", "/x"),
    taken("replace-beg-over-path-rem", "replace-rem.test", "/old/x"),
    taken("header", "set.test", "/", "X-A: from-client", "X-Gone: 1", "X-Gone: 2", "X-C: d"),
    taken("header-of-hops", "set-grip.test"),
    # URLs, 3.2.
    taken("url-dot-segments", "a.test", "/a/./b/../c"),
    taken("url-encoded-dots", "a.test", "/a/%2e%2e/c"),
    taken("url-encoded-kept", "a.test", "/a%2Fb%20c"),
    taken("url-needless-escape", "a.test", "/%70"),
    taken("url-double-slash", "a.test", "//a//b"),
    taken("url-backslash", "a.test", "/a\\b"),
    taken("url-query", "a.test", "/?a=1&b=%20+&c=';"),
    taken("url-empty-query", "a.test", "/?"),
    taken("url-fragment", "a.test", "/a#b"),
    taken("url-upper-case-host", "A.TeSt"),
    taken("url-default-port", "a.test:80"),
    taken("url-other-port", "a.test:8080"),
    Case("routes-url-no-host", asked(get(host=None)), [ok()]),
    Case("routes-url-two-hosts", asked(get("/", "Host: b.test")), [ok()]),
    Case("routes-url-absolute", asked(get("http://b.test/x")), [ok()]),
    Case("routes-url-asterisk", asked(request("OPTIONS *")), [ok()]),
    Case("routes-url-bad-host", asked(get(host="a b")), [ok()]),
    Case("routes-url-long", asked(get("/" + "x" * 4000)), [ok()]),
    Case("routes-not-found-goes-on", [get("/", host="shadow.test"), Got, get(), Got, End], [ok()]),
    Case("routes-path-of-a-second-request",
         [get("/a", host="long.test"), Got, get("/a/b", host="long.test"), Got, End],
         [ok(), answer("404 Not Found", body=b"no")]),
]
