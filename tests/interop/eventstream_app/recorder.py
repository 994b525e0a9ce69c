"""Writes down what is asked of `/events/`, for the tests to count."""

import threading

_lock = threading.Lock()
_asked = []


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
        if request.path == "/events/":
            asked = {
                "link": request.GET.get("link"),
                "channels": request.GET.getlist("channel"),
                "last_event_id": request.headers.get("Last-Event-ID"),
                "grip_last": request.headers.get("Grip-Last"),
            }
            with _lock:
                _asked.append(asked)
        return self.answer(request)
