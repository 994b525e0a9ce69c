"""WebSockets of npm's `ws`, Python's `websockets` and Chromium through the server, to a backend that is
a WebSocket server (`ws`) or speaks WebSocket-over-HTTP; with and without compression.
"""

import base64
import itertools
import json
import os

import pytest
import requests
import socket_clients
from servers import PATIENCE

pytestmark = pytest.mark.skipif(
    os.environ.get("SERVER") == "pushpin", reason="Pushpin's compression has no option of the route"
)

CHANNELS = (f"sockets-{n}" for n in itertools.count())
# Larger than any buffer on the way; over HTTP a message may have 200,000 bytes.
LARGE = {"native": 3_000_000, "over-http": 199_000}
MANY = 500
DEFLATE = "permessage-deflate"


@pytest.fixture(params=["python", "node", "chromium"])
def client(request, node_directory):
    if request.param == "python":
        made = socket_clients.Python()
    elif request.param == "node":
        made = socket_clients.Node(node_directory)
    else:
        made = request.getfixturevalue("browser").client()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def browser():
    browser = socket_clients.Browser()
    try:
        yield browser
    finally:
        browser.close()


def address(sockets, path):
    return f"ws://{sockets.server.host}:{sockets.server.port}{path}"


def opened(client, sockets, path, **options):
    """Opens, and has seen whether messages are compressed."""
    told = client.open(address(sockets, path), **options)
    compressed = sockets.compresses and options.get("deflate", True)
    assert told["extensions"].split(";")[0] == (DEFLATE if compressed else "")
    return told


def publish(sockets, channel, message):
    item = {"channel": channel, "formats": {"ws-message": message}}
    answer = requests.post(
        f"{sockets.server.control}/publish/", json={"items": [item]}, timeout=PATIENCE
    )
    assert (answer.status_code, answer.text) == (200, "Published\n")


def close(client, code=1000, reason=""):
    client.do("close", code=code, reason=reason)
    told = client.next("close")
    assert (told["code"], told["reason"]) == (code, reason)


def text_of(length):
    """A text that has characters of every length, and compresses, though not to nothing."""
    letters = "".join(f"{n} äß€😀 " for n in range(length // 15))
    return letters[: length // 3]


def test_messages_of_every_kind_come_back(sockets, client):
    opened(client, sockets, "/echo")
    for message in ["hello", "", "κόσμε 😀\u0000\u00a0", b"\x00\xff\x80 bytes", b""]:
        client.send(message)
        client.hears(message)
    close(client, 4001, "that is all")


def test_large_messages_come_back(sockets, client):
    opened(client, sockets, "/echo")
    length = LARGE[sockets.backend]
    text = text_of(length)
    assert 70_000 < len(text.encode()) < length
    client.send(text)
    client.hears(text)
    # Nothing that could be compressed.
    noise = os.urandom(length)
    client.send(noise)
    client.hears(noise)
    close(client)


def test_many_messages_both_ways_at_once(sockets, client):
    opened(client, sockets, f"/flood?count={MANY}")
    client.do("flood", count=MANY)
    heard = [client.next("text")["content"] for _ in range(2 * MANY)]
    for who in ("backend", "client"):
        theirs = [text for text in heard if text.startswith(who)]
        assert theirs == [f"{who} {n}" for n in range(MANY)]
    close(client)


def test_the_backend_closes(sockets, client):
    opened(client, sockets, "/echo")
    client.send("before")
    client.send("bye 4002 enough — more than enough")
    client.hears("before")
    told = client.next("close")
    assert (told["code"], told["reason"]) == (4002, "enough — more than enough")


def test_the_backend_chooses_a_subprotocol(sockets, client):
    told = opened(client, sockets, "/echo", protocols=["first", "second"])
    assert told["protocol"] == "second"
    client.send("spoken")
    client.hears("spoken")
    close(client)


def test_a_refusal_is_seen(sockets, client):
    client.start(address(sockets, "/refuse"))
    if "refused" in client.sees:
        told = client.next("refused")
        assert (told["status"], told["why"], told["body"]) == (403, "because", "not you\n")
    else:
        assert client.next("close")["code"] == 1006


def test_a_client_that_does_not_offer_compression(sockets, client):
    if isinstance(client, socket_clients.Chromium):
        pytest.skip("the browser always offers it")
    channel = next(CHANNELS)
    opened(client, sockets, f"/grip?channel={channel}", deflate=False)
    client.hears("ready")
    client.send("x" * 5000)
    client.hears("x" * 5000)
    publish(sockets, channel, {"content": "y" * 5000})
    client.hears("y" * 5000)
    close(client)


def test_published_messages_arrive_among_relayed_ones(sockets, client):
    channel = next(CHANNELS)
    opened(client, sockets, f"/grip?channel={channel}")
    client.hears("ready")
    large = json.dumps([{"n": n, "text": "€uro"} for n in range(1000)])
    for content in ["to all", "", large]:
        publish(sockets, channel, {"content": content})
        client.hears(content)
    noise = os.urandom(3000)
    publish(sockets, channel, {"content-bin": base64.b64encode(noise).decode()})
    client.hears(noise)
    client.send("m:only one prefix is removed")
    client.hears("m:only one prefix is removed")
    client.send(b"\x01\x02")
    client.hears(b"\x01\x02")
    for n in range(50):
        publish(sockets, channel, {"content": f"published {n}"})
        client.send(f"relayed {n}")
    heard = [client.next("text")["content"] for _ in range(100)]
    for how in ("published", "relayed"):
        assert [text for text in heard if text.startswith(how)] == [f"{how} {n}" for n in range(50)]
    close(client, 4003, "done")


def test_a_published_ping_and_close(sockets, client):
    channel = next(CHANNELS)
    opened(client, sockets, f"/grip?channel={channel}")
    client.hears("ready")
    publish(sockets, channel, {"type": "ping", "content": "are you there"})
    if "ping" in client.sees:
        assert client.next("ping")["content"] == "are you there"
    publish(sockets, channel, {"content": "last"})
    client.hears("last")
    publish(sockets, channel, {"action": "close", "code": 4004, "reason": "closing time"})
    told = client.next("close")
    assert (told["code"], told["reason"]) == (4004, "closing time")


def test_a_clients_ping_is_answered(sockets, client):
    if "ping" not in client.sees:
        pytest.skip("a page cannot ping")
    opened(client, sockets, "/echo")
    client.do("ping", content="anybody")
    assert client.next("pong")["content"] == "anybody"
    client.send("still open")
    client.hears("still open")
    close(client)


def test_keep_alives_are_messages(sockets, client):
    opened(client, sockets, f"/grip?channel={next(CHANNELS)}")
    client.hears("ready")
    client.send("keep-alive")
    for _ in range(3):
        client.hears("still here")
    # They come until they are turned off, however many that are by then; from there on none.
    client.send("no keep-alive")
    client.send("that was all")
    while (heard := client.next("text")["content"]) == "still here":
        pass
    assert heard == "that was all"
    client.send("nothing but this")
    client.hears("nothing but this")
    close(client)
