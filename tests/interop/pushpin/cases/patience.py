"""What happens only after a while: default time-outs, keep-alives, heartbeats, idle connections.
These cases are played beside all others; the targets of their requests name them."""

import json

from answers import Accept, Hear, Tell
from cases.over_http import CLOSED, FAREWELL, control, event, events, opened
from cases.websockets import BYE, CLOSE, TEXT, upgrade
from cases.words import answer, get, grip, instruct, item, ok, request
from engine import Case
from steps import End, Ended, Got, Heard, Leave, Opened, Publish, Rest, Say, Seen
from steps import Subscribed, Until

INTERVAL = "Keep-Alive-Interval: 1"


def waiting(id: str, *client, back=()) -> Case:
    return Case(id, list(client), list(back), config="patient", patient=True)


def asked(id: str, *fields: str, path: str = "", host: str = "a.test") -> bytes:
    return get(f"/case-{id}{path}", *fields, host=host)


def socket(id: str) -> bytes:
    return upgrade(f"/case-{id}", host="over.test")


def polled(id: str, *fields: str, host: str = "a.test", query: str = "") -> Case:
    """A long-poll whose time is up."""
    back = grip("response", id, "X-A: a", *fields, body=b"late\n", status="202 Held")
    return waiting(id, asked(id, path=query, host=host), Got, End, back=[back, back])


def xhr(id: str, what: str = "xhr") -> bytes:
    return request(f"POST /sock/0/{id}/{what}?/case-{id}", host="sock.test")


CASES = [
    # Long-polls, by their own time-out or the usual one.
    polled("patient-timeout", "Grip-Timeout: 8"),
    polled("patient-timeout-usual"),
    polled("patient-timeout-script", "Grip-Timeout: 7", "x-low: 1", host="jsonp.test",
           query="?callback=cb"),
    polled("patient-timeout-cors", "Grip-Timeout: 7", host="jsonp.test"),
    waiting("patient-timeout-document", asked("patient-timeout-document"), Got, End,
            back=[instruct({
                "hold": {"channels": [{"name": "pd"}], "timeout": "6"},
                "response": {"code": 203, "headers": {"x-own": "1"}, "body": "late"}})] * 2),
    waiting("patient-timeout-again",
            asked("patient-timeout-again"), Seen(2), Subscribed("pt-again", 2),
            Publish(item("pt-again", http_response={"action": "hint"})), Got, End,
            back=[grip("response", "pt-again", "Grip-Timeout: 9", body=b"one"),
                  grip("response", "pt-again", "Grip-Timeout: 6", body=b"two"),
                  grip("response", "pt-again", "Grip-Timeout: 6", body=b"three")]),
    # Streams.
    waiting("patient-keep-alive-idle", asked("patient-keep-alive-idle"), Opened, Until(b"hi\n"),
            Until(b"still\n"), Until(b"still\n"),
            back=[grip("stream", "pk-idle", "Grip-Keep-Alive: still\\n; format=cstring; timeout=7",
                       body=b"hi\n")]),
    waiting("patient-keep-alive-usual", asked("patient-keep-alive-usual"), Opened, Until(b"hi\n"),
            Until(b"still"),
            back=[grip("stream", "pk-usual", "Grip-Keep-Alive: still", body=b"hi\n")]),
    waiting("patient-poll", asked("patient-poll"), Opened, Until(b"one "), Until(b"two"), Rest, End,
            back=[grip("stream", "pp", "Grip-Link: </case-patient-poll/n>; rel=next; timeout=7",
                       body=b"one ")] + [ok(b"two")]),
    waiting("patient-link-retried", asked("patient-link-retried"), Opened, Until(b"one "),
            Until(b"two"), Rest, End,
            back=[ok(b"one ", "Grip-Link: </case-patient-link-retried/n>; rel=next"),
                  answer("500 No", body=b"x"), answer("404 No", body=b"y"), ok(b"two")]),
    waiting("patient-order", asked("patient-order"), Opened, Until(b"hi\n"), Subscribed("po"),
            Publish([item("po", http_stream={"content": "1\n"}) | {"id": "1"},
                     item("po", http_stream={"content": "3\n"}) | {"id": "3", "prev-id": "2"}]),
            Until(b"3\n"), back=[grip("stream", "po", body=b"hi\n")]),
    # Connections without a request.
    waiting("patient-idle", asked("patient-idle"), Got, Ended(110), back=[ok()]),
    waiting("patient-idle-new", b"", Ended(110)),
    waiting("patient-half-a-head", b"GET /case-patient-half-a-head HTTP/1.1\r\nHost:",
            Ended(110)),
    # WebSockets.
    waiting("patient-socket-keep-alive", socket("patient-socket-keep-alive"), Got, Heard,
            *FAREWELL, back=[opened(control(type="keep-alive", content="still", timeout=7)),
                             CLOSED]),
    waiting("patient-socket-keep-alive-usual", socket("patient-socket-keep-alive-usual"), Got,
            Heard, *FAREWELL, back=[opened(control(type="keep-alive", content="still")), CLOSED]),
    waiting("patient-socket-delayed", socket("patient-socket-delayed"), Got, Heard, *FAREWELL,
            back=[opened(control(type="send-delayed", content="late", timeout=7)), CLOSED]),
    # Would be heard before `later` if it were not off.
    waiting("websocket-keep-alive-off", upgrade("/case-websocket-keep-alive-off"), Got, Heard,
            *FAREWELL,
            back=[[Accept(b"Sec-WebSocket-Extensions: grip\r\n"),
                   *[Tell(TEXT, b"c:" + json.dumps(one).encode()) for one in (
                       {"type": "keep-alive", "content": "still", "timeout": 12},
                       {"type": "keep-alive"},
                       {"type": "send-delayed", "content": "later", "timeout": 24})],
                   Hear(), Tell(CLOSE, BYE)]]),
    # WebSockets over HTTP.
    waiting("patient-interval", socket("patient-interval"), Got, Seen(2), Heard, *FAREWELL,
            back=[opened(fields=(INTERVAL,)),
                  events(event("TEXT", b"m:asked"), fields=("Keep-Alive-Interval: 40",)), CLOSED]),
    waiting("patient-interval-off", socket("patient-interval-off"), Got, Say(TEXT, b"x"), Heard(2),
            *FAREWELL,
            back=[opened(control(type="keep-alive", content="a", timeout=27),
                         fields=("Keep-Alive-Interval: 12",)),
                  events(event("TEXT", b"m:off"), fields=("Keep-Alive-Interval: 0",)), CLOSED]),
    waiting("patient-open-pending", socket("patient-open-pending"), Got, *FAREWELL,
            back=[events(fields=("Keep-Alive-Interval: 20",)), opened(), CLOSED]),
    waiting("patient-open-pending-rejected", socket("patient-open-pending-rejected"), Got, Ended,
            back=[events(fields=("Keep-Alive-Interval: 20",)), answer("403 No", body=b"no")]),
    waiting("patient-close-again", socket("patient-close-again"), Got, Say(CLOSE, BYE), Heard,
            Ended, back=[opened(fields=("Keep-Alive-Interval: 12",)), events(), CLOSED]),
    # SockJS.
    waiting("patient-heartbeat", xhr("patient-heartbeat"), Got("POST"), xhr("patient-heartbeat"),
            Got("POST"), Seen(2), back=[opened(), events()]),
    waiting("patient-gone", xhr("patient-gone"), Got("POST"), Seen(2), back=[opened(), events()]),
    waiting("patient-leaves", xhr("patient-leaves"), Got("POST"), xhr("patient-leaves"), Leave,
            Seen(2), back=[opened(), events()]),
    waiting("patient-socket-heartbeat",
            upgrade("/sock/0/x/websocket?/case-patient-socket-heartbeat", host="sock.test"), Got,
            Heard(2), *FAREWELL, back=[opened(), CLOSED]),
]
