"""npm's sockjs-client through the server, over every transport that it has for Node and for Chromium,
to a backend that is a WebSocket server, or speaks WebSocket-over-HTTP.

In the browser the page has another origin than the server, so the iframe transports are what they
are for: the server's iframe page loads the client library from where `--sockjs-url` says.
"""

import os

import pytest
import requests
import servers
import sockjs_backend
import sockjs_clients
from servers import PATIENCE

pytestmark = pytest.mark.skipif(
    os.environ.get("SERVER") == "pushpin", reason="Pushpin's SockJS has polling only"
)

IN_NODE = ["websocket", "xhr-streaming", "xhr-polling", "eventsource"]
IN_CHROMIUM = [
    *IN_NODE,
    "iframe-eventsource",
    "iframe-htmlfile",
    "iframe-xhr-polling",
    "jsonp-polling",
]
ODD = 'äß€😀 "\\ \0\x1f\u00ad\u200c\u2028\u2029\ufeff\uffff \ufffd </script>'
SENT = ["join {channel}", ODD, *(f"message {n}" for n in range(30)), "long " * 8000]
PUBLISHED = ["published", ODD, "the last one"]


@pytest.fixture(scope="module")
def pages(node_directory):
    pages = sockjs_clients.Pages(node_directory)
    try:
        yield pages
    finally:
        pages.close()


@pytest.fixture(scope="module", params=sockjs_backend.KINDS)
def server(request, pages):
    route = f"*,sockjs=/sockjs,sockjs_as_path=/room {sockjs_backend.start(request.param)}"
    server = servers.start(route, ["--sockjs-url", f"{pages.url}/sockjs.js"])
    try:
        yield server
    finally:
        server.stop()


def publish(server, channel, messages):
    items = [
        {"channel": channel, "formats": {"ws-message": {"content": message}}}
        for message in messages
    ]
    answer = requests.post(f"{server.control}/publish/", json={"items": items}, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text


def converse(server, told, transport, channel):
    """What the client is to see, from its opening to its end."""
    assert told.next("open")["transport"] == transport
    for sent in SENT:
        assert told.next("message")["data"] == sent.format(channel=channel)
    publish(server, channel, PUBLISHED)
    for message in [*PUBLISHED, "bye"]:
        assert told.next("message")["data"] == message
    closed = told.next("close")
    code, reason = sockjs_backend.FAREWELL
    assert (closed["code"], closed["reason"], closed["wasClean"]) == (code, reason, True)


@pytest.mark.parametrize("transport", IN_NODE)
def test_in_node(server, node_directory, transport):
    channel = next(sockjs_backend.CHANNELS)
    client = sockjs_clients.Node(node_directory, f"{server.base}/sockjs", transport, channel)
    try:
        converse(server, client.told, transport, channel)
    finally:
        client.close()


def test_in_chromium(server, pages):
    channel = next(sockjs_backend.CHANNELS)
    browser = sockjs_clients.Chromium(pages, f"{server.base}/sockjs", IN_CHROMIUM, channel)
    try:
        for transport in IN_CHROMIUM:
            converse(server, browser.told, transport, f"{channel}-{transport}")
    finally:
        browser.close()
