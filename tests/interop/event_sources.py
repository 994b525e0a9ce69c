"""Clients of server-sent events that nobody here wrote, each with the same few words for a test.

`Python` is LaunchDarkly's SSEClient; `Chromium` is the browser's own EventSource, in a page that
reports what it hears. Both connect again by themselves, with Last-Event-ID, until closed.
"""

import queue
import threading
from urllib.parse import urlencode

import chromium
from ld_eventsource import SSEClient
from ld_eventsource.actions import Event
from ld_eventsource.config import ConnectStrategy, ErrorStrategy, RetryDelayStrategy
from servers import PATIENCE

KEEP_ALIVE = "keep-alive"


class EventSource:
    """What one client hears: (type, data, id), in its order."""

    def __init__(self):
        self.events = queue.Queue()

    def put(self, kind: str, data: str, last_id: str):
        if kind != KEEP_ALIVE:
            self.events.put((kind, data, last_id))

    def next(self, patience: float = PATIENCE):
        try:
            return self.events.get(timeout=patience)
        except queue.Empty:
            raise AssertionError(f"no event within {patience} s") from None

    def opened(self):
        """The stream begins, perhaps again."""
        kind, _, _ = self.next()
        assert kind == "stream-open"

    def messages(self, count: int):
        """The next `count` messages as (data, id); a stream may begin again before each."""
        got = []
        while len(got) < count:
            kind, data, last_id = self.next()
            if kind != "stream-open":
                assert kind == "message", (kind, data, got)
                got.append((data, last_id))
        return got

    def quiet(self):
        """Whether there is nothing more at this moment."""
        return self.events.empty()


class Python(EventSource):
    def __init__(self, url: str, last_event_id: str | None = None):
        super().__init__()
        self.client = SSEClient(
            ConnectStrategy.http(url, headers={"Accept": "text/event-stream"}),
            initial_retry_delay=0.1,
            retry_delay_strategy=RetryDelayStrategy.default(max_delay=1),
            error_strategy=ErrorStrategy.always_continue(),
            last_event_id=last_event_id,
        )
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for action in self.client.all:
            if isinstance(action, Event):
                self.put(action.event, action.data, action.last_event_id or "")

    def close(self):
        self.client.close()


class Chromium:
    """A headless browser with one page, in which `count` EventSources listen to one address."""

    def __init__(self, base: str, source: str, count: int = 1):
        self.clients = [EventSource() for _ in range(count)]
        self.reports = chromium.Pages(lambda *_: None, self.heard)
        query = urlencode({"source": source, "report": self.reports.url, "clients": count})
        try:
            self.browser = chromium.Chromium(f"{base}/page/?{query}")
        except BaseException:
            self.reports.close()
            raise

    def heard(self, told):
        self.clients[told["client"]].put(told["type"], told["data"], told["id"])

    def close(self):
        self.browser.close()
        self.reports.close()


class Listeners:
    """Clients of one kind, closed together."""

    def __init__(self, kind: str, base: str, source: str, count: int = 1):
        if kind == "chromium":
            self.browser = Chromium(base, source, count)
            self.clients = self.browser.clients
        else:
            self.browser = None
            self.clients = [Python(base + source) for _ in range(count)]

    def __enter__(self):
        return self.clients

    def __exit__(self, *_):
        for opened in [self.browser] if self.browser else self.clients:
            opened.close()
