"""Server-sent events from Express, heard by real EventSources.

`@fanoutio/eventstream` has no reliable mode: its events carry no `id`, it publishes without one,
and it knows Last-Event-ID only to refuse the value `error`. What is published while a client is
away is lost by design, so of it only order and coming back are shown. Its exchange: `Grip-Hold:
stream`, `Grip-Channel: events-c`, a keep-alive of 20 s, and `stream-open` as the first event.

`/log/` is what one makes reliable with serve-grip alone: `Grip-Channel: log-c; prev-id=5`,
`Grip-Link: </log/c?link=next>; rel=next`, Last-Event-ID and Grip-Last answered from the log.
"""

import uuid

import pytest
import requests
from event_sources import Listeners
from relay import Relay
from servers import PATIENCE, wait_for

KINDS = ["python", "chromium"]
KNOCK = "knock"


def direct(application, path, data=None):
    """Asks the application itself, past the server."""
    url = f"http://127.0.0.1:{application.port}{path}"
    method = "GET" if data is None else "POST"
    response = requests.request(method, url, data=data, timeout=PATIENCE)
    assert response.status_code == 200, response.text
    return response


@pytest.fixture
def name():
    return f"c{uuid.uuid4().hex[:8]}"


@pytest.fixture
def relay(events):
    with Relay(events.server) as relay:
        yield relay


def heard_after_knocks(events, name, client):
    """Knocks until one comes through; then nothing can be missed any more."""

    def heard():
        direct(events, f"/plain/{name}", f"{KNOCK}\n")
        return not client.quiet()

    wait_for("a knock to come through", heard, PATIENCE)


def said(client, count):
    got = []
    while len(got) < count:
        kind, data, last_id = client.next()
        assert (kind, last_id) == ("message", "")
        if data != f'"{KNOCK}"':
            got.append(data.strip('"'))
    return got


@pytest.mark.parametrize("kind", KINDS)
def test_eventstream_is_in_order_and_comes_back(events, relay, name, kind):
    with Listeners(kind, relay.base, f"/plain/{name}") as [client]:
        for turn in range(2):
            client.opened()
            heard_after_knocks(events, name, client)
            sent = [f"{turn}.{n}" for n in range(20)]
            direct(events, f"/plain/{name}", "\n".join(sent))
            assert said(client, 20) == sent
            relay.cut()
            wait_for("the client to try again", lambda: relay.refused, PATIENCE)
            relay.mend()


def test_eventstream_refuses_to_resume_after_an_error(events, name):
    answer = requests.get(
        f"{events.server.base}/plain/{name}",
        headers={"Last-Event-ID": "error", "Accept": "text/event-stream"},
        timeout=PATIENCE,
    )
    assert answer.status_code == 400
    assert answer.text == "last-event-id header may not be 'error'.\n"


class Log:
    """A reliable log, and how far it is."""

    def __init__(self, application, name):
        self.application = application
        self.name = name
        self.path = f"/log/{name}"
        self.last = 0

    def write(self, count: int = 1, query: str = ""):
        numbers = range(self.last + 1, self.last + 1 + count)
        direct(self.application, self.path + query, "".join(f"line {n}\n" for n in numbers))
        self.last += count

    def lose(self, count: int = 1):
        """Written, but not published."""
        self.write(count, "?lose=1")

    def expected(self, first: int, last: int):
        return [(f"line {n}", str(n)) for n in range(first, last + 1)]

    def refreshed(self):
        """Waits until the server has asked anew, as it does once after the first subscription."""
        asked = lambda: [link for link, _ in self.asked() if link]  # noqa: E731
        wait_for("the refresh of a new subscription", asked, PATIENCE)

    def asked(self):
        taken = direct(self.application, "/asked/").json()
        return [(each["link"], each["last"]) for each in taken if each["name"] == self.name]


@pytest.fixture
def log(events, name):
    log = Log(events, name)
    log.lose(2)
    return log


@pytest.mark.parametrize("kind", KINDS)
def test_log_is_whole_after_cuts(log, relay, kind):
    with Listeners(kind, relay.base, log.path, 3) as clients:
        for client in clients:
            client.opened()
        log.write(10)
        for client in clients:
            assert client.messages(10) == log.expected(3, 12)
        relay.cut()
        log.write(5)
        wait_for("the clients to try again", lambda: relay.refused >= 3, PATIENCE)
        log.write(5)
        relay.mend()
        for _ in range(20):
            log.write()
        for client in clients:
            assert client.messages(30) == log.expected(13, 42)
            assert client.quiet()
        assert [last for link, last in log.asked() if not link] == [None] * 3 + ["12"] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_log_recovers_what_was_not_published(events, log, kind):
    with Listeners(kind, events.server.base, log.path, 3) as clients:
        for client in clients:
            client.opened()
        log.write(2)
        for client in clients:
            assert client.messages(2) == log.expected(3, 4)
        log.refreshed()
        log.lose(3)
        log.write()
        for client in clients:
            assert client.messages(4) == log.expected(5, 8)
        asked = log.asked()
        # Beside it only what a new subscription asks, which may have been on its way until now.
        assert ("next", "4") in asked
        assert {link for link, _ in asked} == {"next"}
        assert max(int(last) for _, last in asked) == 4
        log.write(2)
        for client in clients:
            assert client.messages(2) == log.expected(9, 10)
            assert client.quiet()
