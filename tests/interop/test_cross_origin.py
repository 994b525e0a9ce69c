"""A page in a headless Chromium asks a server of another origin: fetch() with credentials and with a
preflight, long-polls, a stream, and scripts by JSON-P, held ones too. The browser is the judge.
"""

import queue
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import loads
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
import servers
from event_sources import chromium_program

PAGE = Path(__file__).parent / "cross_origin_page.html"
PATIENCE = 40
ODD = 'äß€😀 "\\ \u2028 </script>\n'


class Page:
    """Serves the page, and hears what it tells."""

    def __init__(self):
        told = self.told = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                found = self.path.startswith("/?")
                self.answer(200 if found else 404, PAGE.read_bytes() if found else b"")

            def do_POST(self):
                told.put(loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.answer(200, b"")

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, server):
        query = urlencode({"base": server.base, "closed": server.control})
        return f"http://127.0.0.1:{self.server.server_address[1]}/?{query}"

    def next(self, kind, meanwhile=lambda: None):
        """What it tells next, which is of this kind; until then `meanwhile` is done."""
        for _ in range(PATIENCE * 10):
            meanwhile()
            try:
                told = self.told.get(timeout=0.1)
            except queue.Empty:
                continue
            assert told["kind"] == kind, told
            return told["data"]
        raise AssertionError(f"no {kind} within {PATIENCE} s")

    def close(self):
        self.server.shutdown()
        self.server.server_close()


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
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            [
                chromium_program(),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-proxy-server",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                page.url(server),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=servers.end_with_parent,
        )
        try:
            yield page
        finally:
            browser.kill()
            browser.wait()
            page.close()


def publish(server, channel, formats):
    items = [{"channel": channel, "formats": formats}]
    answer = requests.post(f"{server.control}/publish/", json={"items": items}, timeout=10)
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
