"""The Django application: a counter by long-poll, a stream, server-sent events, a WebSocket chat.

Written as an application on django-grip would be: nothing here knows which proxy is in front.
"""

import json
import threading

from django.http import HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django_grip import publish, set_hold_longpoll, set_hold_stream, websocket_only
from gripcontrol import (
    Channel,
    HttpResponseFormat,
    HttpStreamFormat,
    Response,
    WebSocketMessageFormat,
    create_hold_response,
    create_hold_stream,
)

_lock = threading.Lock()
_counters = {}
_gone = {}
_logs = {}
_asked = {}


def _value(name):
    with _lock:
        return _counters.setdefault(name, 0)


@csrf_exempt
def counter(request, name):
    """GET the value, waiting for another one when `last` is the present one. POST adds one."""
    if request.method == "POST":
        with _lock:
            _counters[name] = _counters.get(name, 0) + 1
            value = _counters[name]
        body = json.dumps({"value": value}) + "\n"
        headers = {"Content-Type": "application/json", "X-Counter": name}
        publish(
            f"counter-{name}",
            HttpResponseFormat(code=200, headers=headers, body=body),
            blocking=True,
        )
        return HttpResponse(body, content_type="application/json")
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET", "POST"])
    value = _value(name)
    if request.GET.get("last") == str(value):
        set_hold_longpoll(request, Channel(f"counter-{name}"), timeout=request.GET.get("wait"))
        return HttpResponse("{}\n", content_type="application/json")
    answer = JsonResponse({"value": value})
    answer["Content-Length"] = len(answer.content)
    return answer


@csrf_exempt
def stream(request, name):
    """GET holds a stream; POST publishes its body to all who hold it."""
    if request.method == "POST":
        publish(f"stream-{name}", HttpStreamFormat(request.body), blocking=True)
        return HttpResponse("ok\n")
    if request.method == "DELETE":
        publish(f"stream-{name}", HttpStreamFormat(close=True), blocking=True)
        return HttpResponse("ok\n")
    keep_alive = request.GET.get("keep-alive")
    set_hold_stream(
        request,
        [f"stream-{name}", "stream-everyone"],
        keep_alive_data=keep_alive,
        keep_alive_timeout=1 if keep_alive else None,
    )
    return HttpResponse("[open]\n", content_type="text/plain")


@csrf_exempt
def events(request, name):
    """Server-sent events: GET holds the stream, POST sends one `message` event."""
    if request.method == "POST":
        text = f"event: message\ndata: {request.body.decode()}\n\n"
        publish(f"events-{name}", HttpStreamFormat(text), blocking=True)
        return HttpResponse("ok\n")
    set_hold_stream(request, f"events-{name}")
    response = HttpResponse(
        "event: stream-open\ndata:\n\n", content_type="text/event-stream"
    )
    response["Cache-Control"] = "no-cache"
    return response


def instruct(request, mode, name):
    """A hold asked for by a JSON document (application/grip-instruct)."""
    make = create_hold_response if mode == "response" else create_hold_stream
    response = Response(
        code=202, reason="Held", headers={"Content-Type": "text/plain"}, body="from document\n"
    )
    return HttpResponse(
        make(f"document-{name}", response=response), content_type="application/grip-instruct"
    )


@csrf_exempt
def announce(request, channel):
    """Publishes one text in all three formats."""
    text = request.body.decode()
    formats = [
        HttpResponseFormat(body=text + "\n"),
        HttpStreamFormat(text + "\n"),
        WebSocketMessageFormat(text),
    ]
    publish(channel, formats, blocking=True)
    return HttpResponse("ok\n")


@csrf_exempt
def kick(request, room):
    """Closes all WebSockets of a room."""
    publish(f"room-{room}", WebSocketMessageFormat(action="close", code=4001), blocking=True)
    return HttpResponse("ok\n")


@csrf_exempt
@websocket_only
def chat(request, room):
    """`/nick NAME` names the speaker (kept as metadata), anything else goes to the whole room."""
    ws = request.wscontext
    if ws.is_opening():
        ws.accept()
        ws.subscribe(f"room-{room}")
        ws.send(f"welcome to {room}, {ws.id}")
    while ws.can_recv():
        try:
            message = ws.recv()
        except IOError:
            with _lock:
                _gone[room] = _gone.get(room, 0) + 1
            break
        if message is None:
            ws.close(ws.close_code)
            break
        if isinstance(message, bytes):
            ws.send_binary(b"echo:" + message)
        elif message.startswith("/nick "):
            ws.meta["nick"] = message[6:]
            ws.send(f"you are {message[6:]}")
        elif message == "/whoami":
            ws.send(f"{ws.meta.get('nick', 'nobody')} on {ws.id}")
        elif message == "/leave":
            ws.unsubscribe(f"room-{room}")
            ws.send("left")
        elif message == "/quit":
            ws.close(4000)
        else:
            nick = ws.meta.get("nick", "nobody")
            publish(
                f"room-{room}", WebSocketMessageFormat(f"{nick}: {message}"), blocking=True
            )


@csrf_exempt
def log(request, name):
    """GET what was written after `after`, waiting for more when there is nothing. Nothing is lost.

    The hold says up to where its client is (`prev-id`); an item says what it is and what came
    before. When the two do not meet, the server asks again, and says in Grip-Last from where.
    POST writes the lines of its body; with `lose` they are not published.
    """
    if request.method == "POST":
        lines = request.body.decode().splitlines()
        for line in lines:
            with _lock:
                entries = _logs.setdefault(name, [])
                entries.append(line)
                last = len(entries)
            if "lose" not in request.GET:
                publish(
                    f"log-{name}",
                    HttpResponseFormat(
                        headers={"Content-Type": "application/json"}, body=_entries([line], last)
                    ),
                    id=str(last),
                    prev_id=str(last - 1),
                    blocking=True,
                )
        return HttpResponse("ok\n")
    grip_last = request.grip.last.get(f"log-{name}")
    after = int(request.GET["after"] if grip_last is None else grip_last)
    with _lock:
        _asked.setdefault(name, []).append([request.GET["after"], grip_last])
        entries = list(_logs.get(name, []))
    if after < len(entries):
        body = _entries(entries[after:], len(entries))
        return HttpResponse(body, content_type="application/json")
    channel = Channel(f"log-{name}", prev_id=str(after))
    set_hold_longpoll(request, channel, timeout=request.GET.get("wait"))
    return HttpResponse(_entries([], after), content_type="application/json")


def _entries(entries, last):
    return json.dumps({"entries": entries, "last": last}) + "\n"


def asked(request, name):
    """What was asked of a log since the last time: [after, Grip-Last] each."""
    with _lock:
        return JsonResponse(_asked.pop(name, []), safe=False)


def gone(request, room):
    """How many clients left a room without saying so."""
    return HttpResponse(str(_gone.get(room, 0)))


def about(request):
    """What the request looked like here."""
    return JsonResponse({
        "proxied": request.grip.proxied,
        "signed": request.grip.signed,
        "features": sorted(request.grip.features),
        "path": request.get_full_path(),
        "host": request.get_host(),
        "headers": {k.lower(): v for k, v in request.headers.items()},
    })


urlpatterns = [
    path("counter/<name>/", counter),
    path("stream/<name>/", stream),
    path("events/<name>/", events),
    path("instruct/<mode>/<name>/", instruct),
    path("announce/<channel>/", announce),
    path("kick/<room>/", kick),
    path("chat/<room>/", chat),
    path("gone/<room>/", gone),
    path("log/<name>/", log),
    path("asked/<name>/", asked),
    path("about/", about),
]
