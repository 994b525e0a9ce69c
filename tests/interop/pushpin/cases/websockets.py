"""WebSockets to backends that speak WebSocket (websocket-sockjs-zhttp, 1 to 4)."""

import json

from answers import Accept, Await, Close, Echo, Hear, Tell, UntilClosed
from cases.words import answer, item, request
from engine import Case
from steps import (
    Done,
    End,
    Ended,
    Got,
    Heard,
    Leave,
    On,
    Open,
    Publish,
    Say,
    Subscribed,
    Tls,
)

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
BYE = b"\x03\xe8bye"


def upgrade(path: str = "/", *fields: str, host: str = "ws.test", leave_out: str = "",
            line: str = "", body: bytes = b"", version: str = "1.1") -> bytes:
    own = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", KEY]
    kept = [one for one in own if not leave_out or not one.startswith(leave_out)]
    return request(line or f"GET {path}", *kept, *fields, host=host, body=body, version=version)


def handshake(id: str, sent: bytes, *back, second=(), config: str = "base") -> Case:
    """A handshake, and a farewell if it succeeds."""
    return Case(f"websocket-{id}", [sent, Got, Say(CLOSE, BYE), Heard(2), Ended],
                [list(back)] if back else [], second=list(second), config=config, spoils=True)


def talk(id: str, client: list, *back, fields: bytes = b"", host: str = "ws.test",
         config: str = "base") -> Case:
    """An accepted WebSocket; the client's steps after the handshake, the backend's actions."""
    return Case(f"websocket-{id}", [upgrade(host=host), Got, *client],
                [[Accept(fields), *back]], config=config, spoils=True)


GRIP = b"Sec-WebSocket-Extensions: grip\r\n"


def control(**members) -> Tell:
    return Tell(TEXT, b"c:" + json.dumps({k.replace("_", "-"): v
                                          for k, v in members.items()}).encode())


def gripped(id: str, client: list, *back, fields: bytes = GRIP, host: str = "ws.test",
            config: str = "base") -> Case:
    return talk(id, client, *back, fields=fields, host=host, config=config)


def told(channel: str, **message) -> Publish:
    return Publish(item(channel, ws_message=message))


# Control messages go another way than messages, which may overtake them: that one has been handled
# says what comes of another one after it.
def marked(channel: str) -> Tell:
    """Subscribes to a mark beside a channel, for `handled` and `last`."""
    return control(type="subscribe", channel=f"{channel}-mark")


def handled(channel: str) -> list:
    """Waits until all control messages before `marked` have been handled."""
    return [Subscribed(f"{channel}-mark")]


def last(channel: str) -> list:
    """A message to the mark: what has been published before has come, or never will."""
    return [told(f"{channel}-mark", content="the last one"), Heard]


FAREWELL = [Say(CLOSE, BYE), Heard, Ended]

CASES = [
    # Handshakes, 1 and 2.
    handshake("plain", upgrade("/path?q=1", "Origin: http://b.test", "Cookie: a=b"),
              Accept(), Echo()),
    handshake("fields", upgrade("/", "Sec-WebSocket-Protocol: chat, other", "X-A: 1",
                                "Grip-Sig: forged", "Sec-WebSocket-Extensions: x-webkit; a=b"),
              Accept(b"Sec-WebSocket-Protocol: chat\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n"
                     b"X-B: 2\r\n"), Echo()),
    handshake("nogrip", upgrade(host="ws-nogrip.test"), Accept(), Echo()),
    Case("websocket-upper-case",
         [upgrade("/", "Upgrade: WebSocket", leave_out="Upgrade"), Got, Leave, Done],
         [[Accept(), UntilClosed()]]),
    handshake("no-connection", upgrade(leave_out="Connection"), Accept(), Echo()),
    handshake("no-key", upgrade(leave_out="Sec-WebSocket-Key"), Accept(), Echo()),
    handshake("no-version", upgrade(leave_out="Sec-WebSocket-Version"), Accept(), Echo()),
    handshake("version-8", upgrade("/", "Sec-WebSocket-Version: 8",
                                   leave_out="Sec-WebSocket-Version"), Accept(), Echo()),
    handshake("post", upgrade(line="POST /"), Accept(), Echo()),
    handshake("with-body", upgrade("/", "Content-Length: 2", body=b"hi"), Accept(), Echo()),
    Case("websocket-upgrade-list",
         [upgrade("/", "Upgrade: websocket, foo", leave_out="Upgrade"), Got, End],
         [answer("200 OK", body=b"plain")]),
    handshake("no-route", upgrade("/", host="shadow.test")),
    handshake("down", upgrade(host="ws-down.test")),
    handshake("down-debug", upgrade(host="ws-down-debug.test")),
    handshake("failover", upgrade(host="ws-fail.test"), second=[[Accept(), Echo()]]),
    handshake("backend-closes", upgrade(), Close()),
    handshake("rejected", upgrade(), answer("403 Not You", "X-A: 1", "Content-Type: text/plain",
                                            body=b"go away")),
    handshake("redirected", upgrade(), answer("302 Found", "Location: /elsewhere")),
    handshake("200", upgrade(), answer("200 OK", body=b"no socket here")),
    Case("websocket-wrong-accept", [upgrade(), Got, Leave, Done],
         [[b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Accept: nonsense\r\n\r\n", UntilClosed()]]),
    handshake("grip-header-on-101", upgrade(), Accept(b"Grip-X: 1\r\n"), Echo()),
    handshake("own-reason", upgrade(host="ws.test"), Accept(b"X-A: 1\r\n"), Echo()),
    Case("websocket-tls", [Tls(), upgrade(), Got, Say(CLOSE, BYE), Heard],
         [[Accept(), Echo()]]),
    Case("websocket-believing", [upgrade("/", "X-Forwarded-Proto: https", host="secure.test"),
                                 Got, Say(CLOSE, BYE), Heard, Ended],
         [[Accept(), Echo()]], config="believing"),
    Case("websocket-route-id", [upgrade("/", "Pushpin-Route: shared", host="shared-a.test"),
                                Got, Say(CLOSE, BYE), Heard, Ended],
         [[Accept(), Echo()]], config="believing"),
    # Frames, 2.4 and 2.6.
    talk("echo", [Say(TEXT, b"hello"), Heard, Say(BINARY, b"\x00\xff"), Heard,
                  Say(TEXT, b""), Heard, *FAREWELL], Echo()),
    talk("large", [Say(TEXT, b"x" * 12_000), Heard, *FAREWELL], Hear(), Tell(TEXT, b"y" * 9000),
         Hear(), Tell(CLOSE, BYE)),
    talk("fragments", [Say(TEXT, b"one ", fin=False), Say(0, b"two ", fin=False), Say(0, b"three"),
                       Heard, *FAREWELL], Hear(), Tell(TEXT, b"got it"), Hear(),
         Tell(CLOSE, BYE)),
    talk("fragments-back", [Say(TEXT, b"go"), Heard, *FAREWELL], Hear(),
         Tell(TEXT, b"one ", fin=False), Tell(0, b"two"), Hear(), Tell(CLOSE, BYE)),
    talk("ping", [Say(PING, b"p"), Heard, *FAREWELL], Echo()),
    talk("ping-back", [Heard, Say(PONG, b"q"), *FAREWELL], Tell(PING, b"q"), Hear(2),
         Tell(CLOSE, BYE)),
    talk("not-utf8", [Say(BINARY, b"\xff\xfe"), Heard, *FAREWELL], Echo()),
    talk("close-code", [Say(CLOSE, b"\x0f\xa1own"), Heard, Ended], Echo()),
    talk("close-no-code", [Say(CLOSE), Heard, Ended], Hear(), Tell(CLOSE, BYE)),
    talk("close-back", [Heard, Say(CLOSE, BYE), Ended], Tell(CLOSE, b"\x0f\xa2later"), Hear()),
    talk("close-back-no-code", [Heard, Say(CLOSE, BYE), Ended], Tell(CLOSE), Hear()),
    talk("backend-drops", [Heard, Open("drop"), Heard], Tell(TEXT, b"soon gone"), Await("drop")),
    talk("client-drops", [Heard, Leave], Tell(TEXT, b"go"), Hear(2)),
    talk("reserved-opcode", [Say(3, b"x"), Heard, Ended], Hear(2)),
    talk("rsv1", [Say(TEXT, b"x", rsv=0x40), Heard, Ended], Hear(2)),
    talk("continuation-of-nothing", [Say(0, b"x"), Heard, Ended], Hear(2)),
    talk("message-within-message", [Say(TEXT, b"a", fin=False), Say(TEXT, b"b"), Heard, Ended],
         Hear(2)),
    talk("ping-too-long", [Say(PING, b"p" * 126), Heard, Ended], Hear(2)),
    talk("unmasked", [Say(TEXT, b"bare", masked=False), Heard, Say(CLOSE, BYE), Ended], Echo()),
    # Not GRIP: everything is relayed.
    talk("no-extension", [Heard(2), *FAREWELL], Tell(TEXT, b"m:x"), control(type="subscribe",
         channel="never"), Hear(), Tell(CLOSE, BYE)),
    gripped("nogrip-extension", [Heard(2), *FAREWELL], Tell(TEXT, b"m:x"),
            Tell(TEXT, b"c:{}"), Hear(), Tell(CLOSE, BYE), host="ws-nogrip.test"),
    # GRIP, 3.
    gripped("grip-prefix", [Heard(2), *FAREWELL], Tell(TEXT, b"m:one"), Tell(TEXT, b"no prefix"),
            Tell(BINARY, b"m:two"), Hear(), Tell(CLOSE, BYE)),
    gripped("grip-prefix-once", [Heard, *FAREWELL], Tell(TEXT, b"m:m:x"), Hear(),
            Tell(CLOSE, BYE)),
    gripped("grip-own-prefix", [Heard, *FAREWELL], Tell(TEXT, b"m:x"), Tell(TEXT, b"!y"), Hear(),
            Tell(CLOSE, BYE), fields=b'Sec-WebSocket-Extensions: grip; message-prefix="!"\r\n'),
    gripped("grip-empty-prefix", [Heard(2), *FAREWELL], Tell(TEXT, b"m:x"),
            Tell(TEXT, b"c:nonsense"), Tell(TEXT, b"y"), Hear(), Tell(CLOSE, BYE),
            fields=b'Sec-WebSocket-Extensions: grip; message-prefix=""\r\n'),
    gripped("grip-case", [Heard, *FAREWELL], Tell(TEXT, b"m:x"), Hear(), Tell(CLOSE, BYE),
            fields=b"Sec-WebSocket-Extensions: GRIP\r\n"),
    gripped("grip-among-others", [Heard, *FAREWELL], Tell(TEXT, b"m:x"), Hear(),
            Tell(CLOSE, BYE), fields=b"Sec-WebSocket-Extensions: other, grip\r\n"),
    gripped("grip-binary-control", [Heard, *FAREWELL], Tell(BINARY, b"c:{}"),
            Tell(TEXT, b"m:x"), Hear(), Tell(CLOSE, BYE)),
    gripped("grip-bad-controls", [Heard, *FAREWELL],
            *[Tell(TEXT, b"c:" + bad) for bad in (
                b"", b"nonsense", b"[]", b"{}", b'{"type":1}', b'{"type":"dance"}',
                b'{"type":"subscribe"}', b'{"type":"subscribe","channel":""}',
                b'{"type":"set-meta"}', b'{"type":"keep-alive","content":"x","timeout":-1}')],
            Tell(TEXT, b"m:still here"), Hear(), Tell(CLOSE, BYE)),
    gripped("subscribe", [Heard, Subscribed("w-sub"), told("w-sub", content="one"), Heard,
                          told("w-sub", **{"content-bin": "AAE="}), Heard,
                          told("w-sub", type="text", **{"content-bin": "eHk="}), Heard,
                          told("w-sub", content=""), Heard, *FAREWELL],
            Tell(TEXT, b"m:hello"), control(type="subscribe", channel="w-sub"), Echo(b"m:")),
    gripped("subscribe-prefix", [Subscribed("wsp-w-pre"), told("wsp-w-pre", content="x"), Heard,
                                 *FAREWELL],
            control(type="subscribe", channel="w-pre"), Echo(), host="ws-prefix.test"),
    gripped("unsubscribe", [Subscribed("w-un"), told("w-un", content="one"), Heard,
                            Say(TEXT, b"stop"), *handled("w-un"), told("w-un", content="not this"),
                            *last("w-un"), *FAREWELL],
            control(type="subscribe", channel="w-un"), Hear(),
            control(type="unsubscribe", channel="w-un"), marked("w-un"), Hear(),
            Tell(CLOSE, BYE)),
    gripped("publish-ping", [Subscribed("w-ping"), told("w-ping", type="ping", content="p"), Heard,
                             told("w-ping", type="pong", content="q"), Heard, *FAREWELL],
            control(type="subscribe", channel="w-ping"), Echo()),
    gripped("publish-ping-empty", [Subscribed("w-pinge"), told("w-pinge", type="ping"),
                                   told("w-pinge", content="x"),
                                   told("w-pinge", action="close", code=4000), Heard(3), Done],
            control(type="subscribe", channel="w-pinge"), Hear()),
    gripped("publish-close", [Subscribed("w-close"),
                              told("w-close", action="close", code=4001, reason="bye"), Heard,
                              Say(CLOSE, b"\x0f\xa1bye"), Ended],
            control(type="subscribe", channel="w-close"), Hear(), Tell(CLOSE, b"\x03\xe8")),
    gripped("publish-close-no-code", [Subscribed("w-close2"),
                                      told("w-close2", action="close", reason="lost"), Heard,
                                      Say(CLOSE, b"\x03\xe8"), Ended],
            control(type="subscribe", channel="w-close2"), Hear(), Tell(CLOSE, b"\x03\xe8")),
    gripped("publish-close-code-large", [Subscribed("w-close3"),
                                         told("w-close3", action="close", code="70000"), Heard,
                                         Say(CLOSE, b"\x03\xe8"), Ended],
            control(type="subscribe", channel="w-close3"), Hear(), Tell(CLOSE, b"\x03\xe8")),
    gripped("publish-order", [Subscribed("w-order"), Publish([
        item("w-order", ws_message={"content": "1"}) | {"id": "1"},
        item("w-order", ws_message={"content": "3"}) | {"id": "3", "prev-id": "2"},
        item("w-order", ws_message={"content": "2"}) | {"id": "2", "prev-id": "1"}]), Heard(3),
        *FAREWELL], control(type="subscribe", channel="w-order"), Echo()),
    gripped("implicit", [Subscribed("ws-implicit"), told("ws-implicit", content="x"), Heard,
                         *FAREWELL], Echo(), fields=b"", host="ws-sub.test"),
    gripped("filters", [Subscribed("w-filter"), Publish([
        item("w-filter", ws_message={"content": "mine"}) | {"meta": {"sender": "alice"}},
        item("w-filter", ws_message={"content": "theirs"}) | {"meta": {"sender": "bob"}}]), Heard,
        *FAREWELL], control(type="set-meta", name="user", value="alice"),
        control(type="subscribe", channel="w-filter", filters=["skip-self"]), Echo()),
    gripped("keep-alive", [Heard(2), Leave],
            control(type="keep-alive", content="still", timeout=1, mode="interval"), Hear()),
    gripped("keep-alive-ping", [Heard, Leave],
            control(type="keep-alive", content="p", timeout="1", message_type="ping"), Hear()),
    gripped("send-delayed", [Heard, Open("between"), Heard, Open("flush"), Heard, *FAREWELL],
            control(type="send-delayed", content="first", timeout=30),
            control(type="send-delayed", content="second", timeout=30), Await("between"),
            Tell(TEXT, b"m:between"), Await("flush"), control(type="flush-delayed"), Echo()),
    gripped("detach", [Heard, Subscribed("w-detach"), Done, told("w-detach", content="still"),
                       Heard, Say(TEXT, b"ignored"), Say(CLOSE, b"\x0f\xa1own"), Heard, Ended],
            Tell(TEXT, b"m:hello"), control(type="subscribe", channel="w-detach"),
            control(type="detach"), Hear()),
    Case("websocket-two-clients",
         [On("one"), upgrade(), Got, On("two"), upgrade(), Got, Subscribed("w-two", 2),
          told("w-two", content="both"), On("one"), Heard, On("two"), Heard,
          Say(CLOSE, BYE), Heard, Ended, On("one"), told("w-two", content="alone"), Heard,
          *FAREWELL],
         [[Accept(GRIP), control(type="subscribe", channel="w-two"), Echo()]] * 2),
    # The built-in target, 8.5.
    *[Case(f"websocket-test-{id}", [upgrade(path, host=host), Got, *steps]) for
      id, path, host, steps in [
          ("echo", "/ws", "test.test", [Say(TEXT, b"a"), Heard, Say(BINARY, b"\x00"), Heard,
                                        Say(PING, b"p"), Heard, Say(CLOSE, b"\x0f\xa1x"), Heard,
                                        Ended]),
          ("slash", "/ws/", "test.test", [Say(TEXT, b"a"), Heard, *FAREWELL]),
          ("unknown", "/other", "test.test", [Ended]),
          ("nogrip", "/ws", "test-nogrip.test", [Say(TEXT, b"m:a"), Heard, *FAREWELL]),
          ("beg", "/x/ws", "test-beg.test", [Say(TEXT, b"a"), Heard, *FAREWELL]),
          ("publish", "/ws?channel=w-test", "test.test",
           [Subscribed("w-test"), told("w-test", content="x"), Heard, *FAREWELL]),
      ]],
]
