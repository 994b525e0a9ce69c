"""WebSockets over HTTP (websocket-sockjs-zhttp, 5), and SockJS basics (6)."""

import json

from cases.websockets import BYE, CLOSE, PING, TEXT, told, upgrade
from cases.words import answer, asked, get, post, request
from engine import Case
from steps import End, Ended, Got, Heard, Leave, Say, Seen, Subscribed

TYPE = "Content-Type: application/websocket-events"
GRIP = "Sec-WebSocket-Extensions: grip"


def event(name: str, content: bytes | None = None) -> bytes:
    if content is None:
        return f"{name}\r\n".encode()
    return b"%s %x\r\n%s\r\n" % (name.encode(), len(content), content)


def events(*given: bytes, fields: tuple = ()) -> bytes:
    return answer("200 OK", TYPE, *fields, body=b"".join(given))


def opened(*given: bytes, fields: tuple = ()) -> bytes:
    return events(event("OPEN"), *given, fields=(GRIP, *fields))


def control(**members) -> bytes:
    return event("TEXT", b"c:" + json.dumps(members).encode())


def talk(id: str, client: list, *back, host: str = "over.test", sent: bytes | None = None,
         second: list | None = None, config: str = "base") -> Case:
    return Case(f"over-http-{id}", [sent or upgrade(host=host), Got, *client], list(back),
                second=second or [], config=config)


CLOSED = events(event("CLOSE", BYE))
FAREWELL = [Say(CLOSE, BYE), Heard, Ended]


def sock(id: str, client: list, *back) -> Case:
    return Case(f"sockjs-{id}", client, list(back))


def xhr(session: str, what: str = "xhr", body: bytes = b"", *fields: str) -> bytes:
    """A poll or a send. Polls say no length: one of zero makes Pushpin 1.36 close."""
    if not body:
        return request(f"POST /sock/0/{session}/{what}", *fields, host="sock.test")
    return post(f"/sock/0/{session}/{what}", body, *fields, host="sock.test")


CASES = [
    talk("open", FAREWELL, opened(), CLOSED),
    talk("open-fields", FAREWELL, opened(fields=("Sec-WebSocket-Protocol: chat", "X-A: 1")), CLOSED,
         sent=upgrade("/p?q", "Sec-WebSocket-Protocol: chat, other", "Cookie: a=b", "Meta-X: 1",
                      "Connection-Id: forged", "Accept: x/y", host="over.test")),
    talk("open-with-events", [Heard(4), Say(CLOSE, BYE), Ended, Seen(2)],
         opened(event("TEXT", b"m:one"), event("BINARY", b"m:\x00"), event("PING", b"p"),
                event("CLOSE", BYE)), CLOSED),
    talk("no-grip", [Heard, *FAREWELL],
         events(event("OPEN"), event("TEXT", b"c:as it is")), CLOSED),
    talk("rejected", [Ended], answer("403 Not You", "X-A: 1", body=b"go away")),
    talk("other-type", [Ended], answer("200 OK", "Content-Type: text/plain", body=b"what?")),
    talk("type-with-parameters", [Ended],
         answer("200 OK", TYPE + "; charset=utf-8", body=b"OPEN\r\n")),
    talk("no-events", [Ended], events()),
    talk("not-open", [Ended], events(event("TEXT", b"x"))),
    talk("not-decodable", [Ended], answer("200 OK", TYPE, body=b"nonsense")),
    talk("unknown-events", [Heard, *FAREWELL],
         opened(event("DANCE", b"x"), event("JUMP"), event("TEXT", b"m:y")), CLOSED),
    talk("open-then-disconnect", [Heard], opened(event("DISCONNECT"))),
    talk("failover", FAREWELL, second=[opened(), CLOSED], host="over-fail.test"),
    talk("text", [Say(TEXT, b"hello"), Heard, Say(2, b"\x00\xff"), Heard, *FAREWELL],
         opened(), events(event("TEXT", b"m:world")), events(event("BINARY", b"m:\x01")), CLOSED),
    talk("text-empty", [Say(TEXT), Heard, *FAREWELL], opened(), events(event("TEXT", b"m:")),
         CLOSED),
    talk("text-fragments", [Say(TEXT, b"one ", fin=False), Say(0, b"two"), Heard, *FAREWELL],
         opened(), events(event("TEXT", b"m:got")), CLOSED),
    talk("ping", [Say(PING, b"p"), Heard, *FAREWELL], opened(), events(event("PONG", b"p")),
         CLOSED),
    talk("hex-upper-case", [Heard, *FAREWELL],
         opened(b"TEXT A\r\nm:12345678\r\n"), CLOSED),
    talk("subscribe", [Subscribed("o-sub"), told("o-sub", content="x"), Heard, *FAREWELL],
         opened(control(type="subscribe", channel="o-sub")), CLOSED),
    talk("publish-close", [Subscribed("o-close"),
                           told("o-close", action="close", code=4000, reason="go"), Heard,
                           Say(CLOSE, b"\x0f\xa0go"), Ended, Seen(2)],
         opened(control(type="subscribe", channel="o-close")), events()),
    talk("detach", [Seen(2), Subscribed("o-detach"), told("o-detach", content="x"), Heard,
                    Say(TEXT, b"ignored"), *FAREWELL],
         opened(control(type="subscribe", channel="o-detach"), control(type="detach")), events()),
    talk("meta", [Say(TEXT, b"1"), Heard, Say(TEXT, b"2"), Heard, *FAREWELL],
         opened(fields=("Set-Meta-User: alice", "Set-Meta-X: 1")),
         events(event("TEXT", b"m:a"), fields=("set-meta-user: bob",)),
         events(event("TEXT", b"m:b")), CLOSED),
    talk("meta-deleted", [Say(TEXT, b"1"), Heard, *FAREWELL],
         opened(fields=("Set-Meta-User: alice",)),
         events(event("TEXT", b"m:a"), fields=("Set-Meta-User:",)), CLOSED),
    talk("close-no-code", [Say(CLOSE), Heard, Ended], opened(), events(event("CLOSE"))),
    talk("close-not-answered", [Say(CLOSE, BYE), Heard], opened(), events()),
    talk("close-with-messages", [Say(CLOSE, BYE), Heard(2), Ended], opened(),
         events(event("TEXT", b"m:last"), event("CLOSE", b"\x0f\xa1own"))),
    talk("close-by-backend", [Say(TEXT, b"x"), Heard(2), Say(CLOSE, b"\x0f\xa1own"), Ended,
                              Seen(3)],
         opened(), events(event("TEXT", b"m:last"), event("CLOSE", b"\x0f\xa1own")), CLOSED),
    talk("disconnect", [Leave, Seen(2)], opened(), events()),
    talk("error-later", [Say(TEXT, b"x"), Heard], opened(), answer("500 No", body=b"broken")),
    talk("other-type-later", [Say(TEXT, b"x"), Heard], opened(), answer("200 OK", body=b"")),
    talk("disconnect-by-backend", [Say(TEXT, b"x"), Heard], opened(),
         events(event("DISCONNECT"))),
    talk("one-event", [Say(TEXT, b"one"), Say(TEXT, b"two"), Seen(3), *FAREWELL], opened(),
         events(), events(), CLOSED, host="over-one.test"),
    talk("debug", [Ended], events(), host="over-debug.test"),
    talk("forwarded", FAREWELL, opened(), CLOSED, config="believing",
         sent=upgrade("/", "X-Forwarded-For: 1.1.1.1, 2.2.2.2", host="over.test")),
    Case("over-http-plain-request", asked(get(host="over.test")),
         [answer("200 OK", body=b"plain")]),
    Case("over-http-events-by-client",
         asked(post("/", b"OPEN\r\n", TYPE, host="over.test"), "POST"), [events(event("OPEN"))]),
    # SockJS.
    sock("root", asked(get("/sock", host="sock.test"))),
    sock("unknown", asked(get("/sock/0/x/nothing", host="sock.test"))),
    sock("outside", asked(get("/other", host="sock.test")), answer("200 OK", body=b"plain")),
    sock("xhr", [xhr("s1"), Got("POST"), xhr("s1", "xhr_send", b'["a"]'), Got("POST"), Seen(2),
                 xhr("s1"), Got("POST"), End],
         opened(), events(event("TEXT", b"m:one"))),
    sock("xhr-origin", [xhr("s2", "xhr", b"", "Origin: http://b.test"), Got("POST"), End],
         opened()),
    sock("xhr-rejected", [xhr("s3"), Got("POST"), End], answer("403 No", body=b"go away")),
    sock("xhr-send-unknown", asked(xhr("s4", "xhr_send", b'["a"]'), "POST")),
    sock("xhr-send-nonsense", [xhr("s5"), Got("POST"), xhr("s5", "xhr_send", b"nonsense"),
                               Got("POST"), End], opened()),
    sock("published", [xhr("s6"), Got("POST"), Subscribed("sock-1"), told("sock-1", content="hi"),
                       xhr("s6"), Got("POST"), End],
         opened(control(type="subscribe", channel="sock-1"))),
    sock("closed", [xhr("s7"), Got("POST"), xhr("s7", "xhr_send", b'["a"]'), Got("POST"), Seen(2),
                    xhr("s7"), Got("POST"), Seen(3), End],
         opened(), events(event("CLOSE", b"\x0f\xa1own"))),
    sock("jsonp", [get("/sock/0/s8/jsonp?c=cb", host="sock.test"), Got, End], opened()),
    sock("options", asked(request("OPTIONS /sock/0/s9/xhr", "Origin: http://b.test",
                                  host="sock.test"), "OPTIONS")),
    sock("raw-websocket", [upgrade("/sock/websocket", host="sock.test"), Got, *FAREWELL], opened(),
         CLOSED),
    sock("websocket", [upgrade("/sock/0/x/websocket", host="sock.test"), Got, Heard(2),
                       Say(TEXT, b'["a"]'), Seen(2), *FAREWELL],
         opened(event("TEXT", b"m:one")), events(), CLOSED),
    sock("websocket-unknown", [upgrade("/sock/x", host="sock.test"), Got, End]),
]
