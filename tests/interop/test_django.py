"""django-grip and gripcontrol behind the server: what the users of such an application see."""

import json
import socket
import threading

import pytest
import requests
from knock import KNOCK, knock
from raw import Raw, chunk
from servers import PATIENCE
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


def post(application, path, body=b""):
    response = requests.post(application.server.base + path, data=body, timeout=PATIENCE)
    assert response.status_code == 200, response.text
    return response


class Chat:
    """A WebSocket client of a chat room."""

    def __init__(self, application, room):
        host = f"{application.server.host}:{application.server.port}"
        self.socket = connect(
            f"ws://{host}/chat/{room}/",
            open_timeout=PATIENCE,
            ping_interval=None,
            close_timeout=PATIENCE,
        )
        greeting = self.receive()
        assert greeting.startswith(f"welcome to {room}, ")
        self.id = greeting.rsplit(" ", 1)[1]

    def send(self, message):
        self.socket.send(message)

    def receive(self):
        """The next message that is not a knock."""
        while True:
            message = self.socket.recv(timeout=PATIENCE)
            if message != KNOCK:
                return message

    def knocked(self, patience):
        try:
            assert self.socket.recv(timeout=patience) == KNOCK
            return True
        except TimeoutError:
            return False

    def close_code(self):
        with pytest.raises(ConnectionClosed):
            while True:
                self.socket.recv(timeout=PATIENCE)
        return self.socket.close_code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def join(application, room):
    """A client in a room that has been seen to hear what is said there."""
    chat = Chat(application, room)
    knock(lambda: post(application, f"/announce/room-{room}/", KNOCK), chat.knocked)
    return chat


def test_the_application_sees_a_signed_request(django):
    about = requests.get(
        django.server.base + "/about/?a=1&b=%20",
        headers={"Host": "app.example", "Grip-Sig": "forged", "Grip-Last": "x; last-id=1"},
        timeout=PATIENCE,
    ).json()
    assert about["proxied"] and about["signed"]
    assert about["path"] == "/about/?a=1&b=%20"
    assert about["host"] == "app.example"
    assert "status" in about["features"]
    assert "grip-last" not in about["headers"]


def test_counter_by_long_poll(django):
    """A user who follows a counter sees it grow, one long-poll after another."""
    seen = []
    failures = []

    def follow():
        try:
            session = requests.Session()
            last = None
            while len(seen) < 5:
                query = {} if last is None else {"last": last}
                answer = session.get(
                    django.server.base + "/counter/visits/", params=query, timeout=PATIENCE
                )
                assert answer.status_code == 200
                value = answer.json()["value"]
                if last is not None and value <= last:
                    # The application counts first and publishes then: a client that asked in
                    # between knows the value already.
                    assert answer.headers["X-Counter"] == "visits", "only what is published"
                    continue
                last = value
                if seen:
                    assert answer.headers["Content-Type"] == "application/json"
                seen.append(last)
        except Exception as failure:  # noqa: BLE001, shown by the test below
            failures.append(failure)

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()

    def added(patience):
        follower.join(patience)
        return not follower.is_alive()

    knock(lambda: post(django, "/counter/visits/"), added)
    assert not failures, failures
    assert len(seen) == 5
    assert seen == sorted(set(seen)), "each value is newer than the one before"


def test_long_poll_is_answered_with_the_published_bytes(django):
    value = 0
    with Raw(django.server) as client:
        # A request that comes in after the counter has moved on is answered at once, with where it
        # is. Then that is what is known.
        for _ in range(100):
            path = f"/counter/bytes/?last={value}"
            client.send(f"GET {path} HTTP/1.1\r\nHost: app.example\r\n\r\n".encode())
            knock(lambda: post(django, "/counter/bytes/"), client.answered)
            status, fields, body = client.response()
            value = json.loads(body)["value"]
            if ("x-counter", "bytes") in fields:
                break
    assert value >= 1
    assert body == b'{"value": %d}\n' % value
    assert status == "HTTP/1.1 200 OK"
    assert ("content-type", "application/json") in fields
    assert ("x-counter", "bytes") in fields
    assert not [name for name, _ in fields if name.startswith("grip-")]


def test_long_poll_times_out_with_the_applications_own_answer(django):
    answer = requests.get(
        django.server.base + "/counter/quiet/?last=0&wait=5", timeout=PATIENCE
    )
    assert answer.status_code == 200
    assert answer.text == "{}\n"
    # Not at once, nor when the server itself would lose patience.
    assert 4.5 < answer.elapsed.total_seconds() < 50


def test_stream(django):
    with Raw(django.server) as client:
        client.send(b"GET /stream/news/ HTTP/1.1\r\nHost: app.example\r\n\r\n")
        status, fields = client.head()
        assert status == "HTTP/1.1 200 OK"
        assert ("content-type", "text/plain") in fields
        assert ("transfer-encoding", "chunked") in fields
        assert not [name for name, _ in fields if name.startswith("grip-")]
        assert client.chunk() == chunk(b"[open]\n")
        knock(lambda: post(django, "/stream/news/", KNOCK), client.knocked)
        post(django, "/stream/news/", "one\n")
        assert client.chunk() == chunk(b"one\n")
        post(django, "/announce/stream-everyone/", "to all")
        assert client.chunk() == chunk(b"to all\n")
        post(django, "/stream/news/", b"\xff\x00raw\n")
        assert client.chunk() == chunk(b"\xff\x00raw\n")
        requests.delete(django.server.base + "/stream/news/", timeout=PATIENCE)
        assert client.chunk() == b"0\r\n\r\n"


def test_stream_keep_alive(django):
    with Raw(django.server) as client:
        client.send(b"GET /stream/calm/?keep-alive=%0A HTTP/1.1\r\nHost: app.example\r\n\r\n")
        client.head()
        assert client.chunk() == chunk(b"[open]\n")
        assert client.chunk() == chunk(b"\n")
        assert client.chunk() == chunk(b"\n")


def test_server_sent_events(django):
    """What a browser's EventSource would make of the stream."""
    response = requests.get(
        django.server.base + "/events/feed/", stream=True, timeout=PATIENCE,
        headers={"Accept": "text/event-stream"},
    )
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-cache"
    lines = response.iter_lines(chunk_size=1, decode_unicode=True)

    def event():
        fields = {}
        for line in lines:
            if not line:
                return fields
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        raise AssertionError("the stream ended")

    assert event() == {"event": "stream-open", "data": ""}

    # Knocks are events too: they are sent beside, until the first has come through.
    through = threading.Event()
    knocker = threading.Thread(
        target=knock,
        args=(lambda: post(django, "/events/feed/", "knock"), through.wait),
        daemon=True,
    )
    knocker.start()
    assert event() == {"event": "message", "data": "knock"}
    through.set()
    knocker.join(PATIENCE)
    post(django, "/events/feed/", "first")
    post(django, "/events/feed/", "second")
    seen = [event() for _ in range(2)]
    while seen[-1]["data"] != "second":
        seen.append(event())
    said = [each["data"] for each in seen if each["data"] != "knock"]
    assert said == ["first", "second"]
    response.close()


def test_hold_by_document(django):
    with Raw(django.server) as client:
        client.send(b"GET /instruct/stream/s/ HTTP/1.1\r\nHost: app.example\r\n\r\n")
        status, fields = client.head()
        assert status == "HTTP/1.1 202 Held"
        assert ("content-type", "text/plain") in fields
        assert client.chunk() == chunk(b"from document\n")
        knock(lambda: post(django, "/announce/document-s/", "knock"), client.knocked)
        post(django, "/announce/document-s/", "published")
        assert client.chunk() == chunk(b"published\n")


def test_websocket_chat(django):
    with join(django, "garden") as alice, join(django, "garden") as bob:
        assert alice.id != bob.id
        alice.send("/nick alice")
        assert alice.receive() == "you are alice"
        bob.send("/whoami")
        assert bob.receive() == f"nobody on {bob.id}"
        alice.send("/whoami")
        assert alice.receive() == f"alice on {alice.id}"
        for n in range(10):
            alice.send(f"message {n}")
        expected = [f"alice: message {n}" for n in range(10)]
        assert [bob.receive() for _ in range(10)] == expected
        assert [alice.receive() for _ in range(10)] == expected
        bob.send(b"\x00\xff")
        assert bob.receive() == b"echo:\x00\xff"


def test_websocket_ping_is_answered_by_the_application(django):
    with join(django, "pinged") as chat:
        assert chat.socket.ping("are you there").wait(PATIENCE)
        chat.send("/whoami")
        assert chat.receive() == f"nobody on {chat.id}"


def test_websocket_leaves_a_room(django):
    with join(django, "hall") as stays, join(django, "hall") as leaves:
        leaves.send("/leave")
        assert leaves.receive() == "left"
        post(django, "/announce/room-hall/", "after")
        assert stays.receive() == "after"
        leaves.send("/whoami")
        assert leaves.receive() == f"nobody on {leaves.id}"


def test_websocket_is_closed_by_the_client(django):
    with join(django, "door") as chat:
        chat.socket.close(1000)
        assert chat.socket.close_code == 1000


def test_websocket_is_closed_by_the_application(django):
    with join(django, "door") as chat:
        chat.send("/quit")
        assert chat.close_code() == 4000


def test_websocket_is_closed_by_a_publish(django):
    with join(django, "kicked") as chat:
        post(django, "/kick/kicked/")
        assert chat.close_code() == 4001


def test_application_hears_of_a_client_that_vanishes(django):
    chat = join(django, "gone")
    chat.socket.socket.shutdown(socket.SHUT_RDWR)

    def heard(patience):
        answer = requests.get(django.server.base + "/gone/gone/", timeout=PATIENCE)
        return answer.text == "1" or threading.Event().wait(patience)

    knock(lambda: None, heard)


def test_websocket_refused_by_the_application(django):
    """A view that wants no WebSocket answers with HTTP; the client is shown that answer."""
    from websockets.exceptions import InvalidStatus

    host = f"{django.server.host}:{django.server.port}"
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://{host}/nowhere/", open_timeout=PATIENCE)
    assert refused.value.response.status_code == 404
