"""A log followed by long-polls with ids (django-grip, gripcontrol): nothing falls between two.

The exchange: `GET /log/c/?after=5` is answered at once when there is more, else held with
`Grip-Hold: response` and `Grip-Channel: log-c; prev-id=5`. An entry is published as
`http-response` with its id and the id before. When what comes does not follow what the client
has, the server sends the client's request again, with `Grip-Last: log-c; last-id=5`.
"""

import threading
import uuid

import pytest
import requests
from servers import PATIENCE, wait_for


class Follower:
    """Polls again and again, on one connection, until it has `count` entries."""

    def __init__(self, base, name, count, after=0):
        self.entries = []
        self.polls = 0
        self.failure = None
        self.arguments = (base, name, count, after)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        base, name, count, after = self.arguments
        try:
            with requests.Session() as session:
                while len(self.entries) < count:
                    query = {"after": after}
                    answer = session.get(f"{base}/log/{name}/", params=query, timeout=PATIENCE)
                    assert answer.status_code == 200, answer.text
                    assert answer.headers["Content-Type"] == "application/json"
                    told = answer.json()
                    self.entries += told["entries"]
                    after = told["last"]
                    self.polls += 1
        except Exception as failure:  # noqa: BLE001, shown by `all`
            self.failure = failure

    def all(self):
        self.thread.join(PATIENCE)
        assert not self.failure, self.failure
        assert not self.thread.is_alive(), f"still at {self.entries}"
        return self.entries


class Log:
    def __init__(self, application):
        self.application = application
        self.base = application.server.base
        self.name = f"l{uuid.uuid4().hex[:8]}"
        self.last = 0

    def direct(self, path, data=None):
        """Asks the application itself: the server refuses nothing, but is not needed for this."""
        method = "GET" if data is None else "POST"
        answer = requests.request(method, f"{self.base}{path}", data=data, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer

    def write(self, count=1, query=""):
        numbers = range(self.last + 1, self.last + 1 + count)
        lines = "".join(f"entry {n}\n" for n in numbers)
        self.direct(f"/log/{self.name}/{query}", lines)
        self.last += count

    def lose(self, count=1):
        """Written, but its publish is lost."""
        self.write(count, "?lose=1")

    def expected(self, first, last):
        return [f"entry {n}" for n in range(first, last + 1)]

    def asked(self):
        return self.direct(f"/asked/{self.name}/").json()


@pytest.fixture
def log(django):
    return Log(django)


def test_nothing_falls_between_two_polls(log):
    """Four followers; what is written while they are between two polls is theirs all the same."""
    count = 60
    followers = [Follower(log.base, log.name, count) for _ in range(4)]
    for _ in range(count):
        log.write()
    for follower in followers:
        assert follower.all() == log.expected(1, count)
    print(f"\n{[follower.polls for follower in followers]} polls for {count} entries")


def held(log, after):
    """Waits until a poll is held, and no retry of a new subscription is to come any more."""
    asked = []

    def refreshed():
        asked.extend(log.asked())
        return [str(after), str(after)] in asked

    wait_for("the refresh of a new subscription", refreshed, PATIENCE)


def test_what_was_not_published_is_asked_for(log):
    log.lose(3)
    follower = Follower(log.base, log.name, 3, after=3)
    held(log, 3)
    log.lose(2)
    log.write()
    assert follower.all() == log.expected(4, 6)
    assert follower.polls == 1, "the gap was closed by the server, not by the client"
    assert ["3", "3"] in log.asked()


def test_who_was_answered_comes_back_for_the_next(log):
    """Between the two polls nobody is subscribed: the channel's state has to outlive that."""
    ahead = Follower(log.base, log.name, 1, after=0)
    held(log, 0)
    log.write()
    assert ahead.all() == log.expected(1, 1)
    # The client says it has everything up to 1; the next entry follows on that.
    follower = Follower(log.base, log.name, 2, after=1)
    log.write(2)
    assert follower.all() == log.expected(2, 3)


def test_two_entries_at_once_are_two_answers(log):
    """One long-poll takes one item; the second entry is there when the client comes again."""
    follower = Follower(log.base, log.name, 6)
    held(log, 0)
    log.write(6)
    assert follower.all() == log.expected(1, 6)
