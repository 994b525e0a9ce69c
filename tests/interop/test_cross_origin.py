"""A page in a headless Chromium asks a server of another origin: fetch() with credentials and with a
preflight, long-polls, a stream, and scripts by JSON-P, held ones too. The browser is the judge.
"""

import queue
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
import servers
from chromium import Chromium, Pages
from servers import PATIENCE

PAGE = Path(__file__).parent / "cross_origin_page.html"
ODD = 'äß€😀 "\\ \u2028 </script>\n'


class Page:
    """Serves the page, and hears what it tells."""

    def __init__(self):
        self.told = queue.Queue()

        def served(path, _):
            return ("text/html", PAGE.read_bytes()) if path == "/" else None

        self.pages = Pages(served, self.told.put)

    def url(self, server):
        query = urlencode({"base": server.base, "closed": server.control})
        return f"{self.pages.url}/?{query}"

    def next(self, kind, meanwhile=lambda: None):
        """What it tells next, which is of this kind; until then `meanwhile` is done."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            meanwhile()
            try:
                told = self.told.get(timeout=0.1)
            except queue.Empty:
                continue
            assert told["kind"] == kind, told
            return told["data"]
        raise AssertionError(f"no {kind} within {PATIENCE} s")


@pytest.fixture
def server():
    server = servers.start("*,aco test")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def page(server):
    page = Page()
    try:
        browser = Chromium(page.url(server))
        try:
            yield page
        finally:
            browser.close()
    finally:
        page.pages.close()


def publish(server, channel, formats):
    items = [{"channel": channel, "formats": formats}]
    answer = requests.post(f"{server.control}/publish/", json={"items": items}, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text


def test_a_page_of_another_origin(server, page):
    greeting = page.next("fetched")
    assert (greeting["status"], greeting["body"][:10]) == (200, "Hello from")
    assert page.next("kept out") == "TypeError"
    answer = {"code": 201, "headers": {"X-Published": "yes"}, "body": ODD}
    formats = {"http-response": answer}
    polled = page.next("polled", lambda: publish(server, "page-fetch", formats))
    assert polled == {"status": 201, "body": ODD, "exposed": "yes"}
    missing = page.next("called")
    assert (missing["code"], missing["reason"]) == (404, "Not Found")
    assert missing["body"] == "no such test resource\n"
    called = page.next("called back", lambda: publish(server, "page-script", formats))
    headers = {"Content-Type": "text/plain", "X-Published": "yes"}
    assert called == {"code": 201, "reason": "Created", "headers": headers, "body": ODD}
    last = {"http-stream": {"content": "last\n"}}
    streamed = page.next("streamed", lambda: publish(server, "page-stream", last))
    assert streamed.startswith("[stream opened]\n") and streamed.endswith("last\n")
