"""django-eventstream's reliable mode behind the server: events with ids, none lost, none twice.

The exchange, as it is with events stored in a database (`DjangoModelStorage`):

1. A client asks for `/events/?channel=c`, later with `Last-Event-ID: c:4`. The application answers
   with what was stored since, and `Grip-Hold: stream`, `Grip-Channel: events-c; prev-id=5;
   filter=build-id; filter=skip-users, user-anonymous; filter=require-sub`, `Grip-Link: </events/?
   channel=c&link=next&recover=true&es-meta=(a JSON Web Token)>; rel=next`, `Grip-Set-Meta:
   id_format="c:%(events-c)s", user="anonymous"`, and a `Grip-Keep-Alive` of 20 s. The client can
   be up to date with no more than that: after a cut it gets what it missed by its own
   Last-Event-ID, in this answer. If more than 100 events are missing there is no hold, only a link
   with `lastEventId=c:104`, which the server follows at once, and so on.
2. An event is stored, then published with its id, the id before as prev-id, `content-filters:
   ["build-id"]` and `id: %I` in its content: for each client the server puts in the ids of all
   channels that this client listens to. `skip_users` of the item leaves out who is meant.
3. If what comes is not what follows, the server asks the next link, with `Grip-Last: events-c;
   last-id=5`, and the application answers as in 1, without the `stream-open`.
"""

import uuid

import pytest
import requests
from event_sources import Listeners, Python
from relay import Relay
from servers import PATIENCE, wait_for

KINDS = ["python", "chromium"]


def direct(application, path, data=None):
    """Asks the application itself, past the server."""
    url = f"http://127.0.0.1:{application.port}{path}"
    method = "GET" if data is None else "POST"
    response = requests.request(method, url, data=data, timeout=PATIENCE)
    assert response.status_code == 200, response.text
    return response


def shown(response):
    """The events of a response, as lists of lines; comments and keep-alives left out."""
    event = []
    for line in response.iter_lines(chunk_size=1, decode_unicode=True):
        if line:
            event.append(line)
            continue
        if event != ["event: keep-alive", "data:"] and not event[0].startswith(":"):
            yield event
        event = []


class Channel:
    """A channel of a test's own, and what was sent on it so far."""

    def __init__(self, application):
        self.application = application
        self.name = f"c{uuid.uuid4().hex[:8]}"
        self.source = f"/events/?channel={self.name}"
        self.last = 0

    def post(self, verb: str, count: int, query: str = ""):
        numbers = range(self.last + 1, self.last + 1 + count)
        lines = "".join(f"event {number}\n" for number in numbers)
        direct(self.application, f"/{verb}/{self.name}/{query}", lines)
        self.last += count

    def send(self, count: int = 1, query: str = ""):
        self.post("send", count, query)

    def store(self, count: int = 1):
        """As if the publish were lost."""
        self.post("store", count)

    def expected(self, first: int, last: int):
        """The messages from one number to another, as a client is to see them."""
        return [(f"event {n}", f"{self.name}:{n}") for n in range(first, last + 1)]

    def asked(self) -> list:
        """What was asked of the application for this channel since the last time."""
        taken = direct(self.application, "/asked/").json()
        return [each for each in taken if each["channels"] == [self.name]]

    def recoveries(self) -> list:
        """The positions from which the server had to recover, by what it asked."""
        return [each["grip_last"] for each in self.asked() if each["link"] == "next"]

    def refreshed(self):
        """Waits until the server has asked anew, as it does once after the first subscription."""
        wait_for("the refresh of a new subscription", self.recoveries, PATIENCE)


@pytest.fixture
def channel(eventstream):
    channel = Channel(eventstream)
    # Whatever is listened to has a past.
    channel.store(3)
    return channel


@pytest.fixture
def relay(eventstream):
    with Relay(eventstream.server) as relay:
        yield relay


def test_nothing_of_grip_is_seen_by_the_client(eventstream, channel):
    with requests.get(
        eventstream.server.base + channel.source, stream=True, timeout=PATIENCE
    ) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-cache"
        assert not [name for name in response.headers if name.lower().startswith("grip-")]
        events = shown(response)
        assert next(events) == ["event: stream-open", "data:"]
        channel.send()
        assert next(events) == ["event: message", f"id: {channel.name}:4", "data: event 4"]


@pytest.mark.parametrize("kind", KINDS)
def test_events_arrive_in_order(eventstream, channel, kind):
    with Listeners(kind, eventstream.server.base, channel.source) as [client]:
        client.opened()
        channel.send(20)
        channel.send()
        assert client.messages(21) == channel.expected(4, 24)
        assert client.quiet()


@pytest.mark.parametrize("kind", KINDS)
def test_who_was_cut_off_comes_back_and_gets_all_once(eventstream, channel, relay, kind):
    with Listeners(kind, relay.base, channel.source) as [client]:
        client.opened()
        channel.send(5)
        assert client.messages(5) == channel.expected(4, 8)
        for _ in range(2):
            relay.cut()
            missed_from = channel.last + 1
            channel.send(10)
            wait_for("the client to try again", lambda: relay.refused, PATIENCE)
            channel.send(5)
            relay.mend()
            assert client.messages(15) == channel.expected(missed_from, channel.last)
            channel.send(5)
            assert client.messages(5) == channel.expected(channel.last - 4, channel.last)
        assert client.quiet()
        back = [each["last_event_id"] for each in channel.asked() if not each["link"]]
        assert back == [None, f"{channel.name}:8", f"{channel.name}:28"]


@pytest.mark.parametrize("kind", KINDS)
def test_several_are_cut_off_while_events_go_on(eventstream, channel, relay, kind):
    """They are away at different moments of a steady flow; the backend recovers for them all."""
    count = 5
    with Listeners(kind, relay.base, channel.source, count) as clients:
        for client in clients:
            client.opened()
        channel.send(10)
        for client in clients:
            assert client.messages(10) == channel.expected(4, 13)
        channel.asked()
        relay.cut()
        channel.send(10)
        relay.mend()
        # Each comes back when its own clock says so: in the middle of this.
        for _ in range(40):
            channel.send(2)
        for client in clients:
            assert client.messages(90) == channel.expected(14, 103)
            assert client.quiet()
        asked = channel.asked()
        back = [each for each in asked if not each["link"]]
        positions = [each["grip_last"] for each in asked if each["link"]]
        assert [each["last_event_id"] for each in back] == [f"{channel.name}:13"] * count
        print(f"\n{kind}: {count} came back, recovered from {positions}")


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_whose_publish_was_lost_is_recovered(eventstream, channel, kind):
    count = 4
    with Listeners(kind, eventstream.server.base, channel.source, count) as clients:
        for client in clients:
            client.opened()
        channel.send(3)
        for client in clients:
            assert client.messages(3) == channel.expected(4, 6)
        channel.refreshed()
        channel.store(2)
        channel.send()
        for client in clients:
            assert client.messages(3) == channel.expected(7, 9)
        # All miss the same: it is asked for once. Pushpin may ask anew if an item comes meanwhile;
        # and what a new subscription asks may have been on its way until now.
        recoveries = channel.recoveries()
        positions = {f"events-{channel.name}; last-id={n}" for n in (3, 4, 5, 6)}
        assert f"events-{channel.name}; last-id=6" in recoveries
        assert set(recoveries) <= positions
        channel.send(2)
        for client in clients:
            assert client.messages(2) == channel.expected(10, 11)
            assert client.quiet()


@pytest.mark.parametrize("kind", KINDS)
def test_who_missed_more_than_a_page_gets_all_pages(eventstream, channel, relay, kind):
    """The application answers with 100 events at a time, and a link to the next ones."""
    with Listeners(kind, relay.base, channel.source) as [client]:
        client.opened()
        channel.send()
        assert client.messages(1) == channel.expected(4, 4)
        relay.cut()
        channel.store(250)
        wait_for("the client to try again", lambda: relay.refused, PATIENCE)
        relay.mend()
        assert client.messages(250) == channel.expected(5, 254)
        channel.send(3)
        assert client.messages(3) == channel.expected(255, 257)
        assert client.quiet()


def test_who_comes_back_after_all_was_forgotten_gets_all(forgetful):
    """The server has nothing left of what was missed: the application's own history serves."""
    channel = Channel(forgetful)
    channel.store(3)
    with Relay(forgetful.server) as relay:
        with Listeners("python", relay.base, channel.source, 3) as clients:
            for client in clients:
                client.opened()
            channel.send(5)
            for client in clients:
                assert client.messages(5) == channel.expected(4, 8)
            relay.cut()
            channel.send(20)
            wait_for("the clients to try again", lambda: relay.refused >= 3, PATIENCE)
            relay.mend()
            channel.send(20)
            # And those whose publishes are lost while everybody listens.
            channel.store(10)
            channel.send()
            for client in clients:
                assert client.messages(51) == channel.expected(9, 59)
                assert client.quiet()


def test_a_stream_of_two_channels_has_the_ids_of_both(eventstream, channel):
    other = Channel(eventstream)
    other.store(7)
    source = f"{channel.source}&channel={other.name}"
    with Listeners("python", eventstream.server.base, source) as [client]:
        client.opened()
        channel.send()
        [(data, last_id)] = client.messages(1)
        assert data == "event 4"
        assert sorted(last_id.split(",")) == sorted([f"{channel.name}:4", f"{other.name}:7"])
        other.send()
        [(data, last_id)] = client.messages(1)
        assert data == "event 8"
        assert sorted(last_id.split(",")) == sorted([f"{channel.name}:4", f"{other.name}:8"])


def test_who_is_skipped_misses_nothing_else(eventstream, channel):
    with Listeners("python", eventstream.server.base, channel.source) as [client]:
        client.opened()
        channel.send(2)
        assert client.messages(2) == channel.expected(4, 5)
        channel.refreshed()
        channel.send(1, "?skip=anonymous")
        channel.send(2)
        assert client.messages(2) == channel.expected(7, 8)
        assert client.quiet()
        assert channel.recoveries() == [], "what was left out is not a gap"


def test_an_id_of_no_event_is_answered_with_a_reset(eventstream, channel):
    client = Python(eventstream.server.base + channel.source, f"{channel.name}:999")
    try:
        client.opened()
        kind, data, last_id = client.next()
        assert (kind, last_id) == ("stream-reset", f"{channel.name}:3")
        assert data == '{"channels": ["%s"]}' % channel.name
        channel.send()
        assert client.messages(1) == channel.expected(4, 4)
    finally:
        client.close()


def test_who_may_no_longer_read_is_told_and_let_go(eventstream, channel):
    """`require-sub`: everybody has the user's channel, only who listens to this one is meant."""
    other = Channel(eventstream)
    other.store(1)
    base = eventstream.server.base
    with Listeners("python", base, other.source) as [stays]:
        stays.opened()
        with requests.get(base + channel.source, stream=True, timeout=PATIENCE) as response:
            events = shown(response)
            assert next(events)[0] == "event: stream-open"
            # What was published and came through says that the stream is subscribed.
            channel.send()
            assert next(events)[-1] == "data: event 4"
            direct(eventstream, f"/kick/{channel.name}/", "")
            [last] = events
        assert last[:2] == ["event: stream-error", "id: error"]
        other.send()
        assert stays.messages(1) == other.expected(2, 2)
        assert stays.quiet()
