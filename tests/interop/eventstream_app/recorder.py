"""Writes down what is asked of `/events/` and when events are stored, for the tests to count."""

import threading
import time

_lock = threading.Lock()
_asked = []
_stored = {}


def has_stored(instance, **_):
    """A signal of the database: an event is there from now on, and is published next."""
    with _lock:
        _stored.setdefault(instance.channel, {})[instance.eid] = time.monotonic()


def stored(channel) -> dict:
    """When each event of a channel was stored, by the clock that all processes share."""
    with _lock:
        return dict(_stored.get(channel, {}))


def take() -> list:
    """All that was asked since the last time."""
    with _lock:
        taken = list(_asked)
        _asked.clear()
    return taken


class Recorder:
    def __init__(self, answer):
        self.answer = answer

    def __call__(self, request):
        answer = self.answer(request)
        if request.path == "/events/":
            asked = {
                "link": request.GET.get("link"),
                "channels": request.GET.getlist("channel"),
                "last_event_id": request.headers.get("Last-Event-ID"),
                "grip_last": request.headers.get("Grip-Last"),
                "grip_channel": answer.headers.get("Grip-Channel"),
            }
            with _lock:
                _asked.append(asked)
        return answer
