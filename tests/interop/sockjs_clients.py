"""npm's sockjs-client, in Node and in a headless Chromium, with the same few words for a test.

What it does is in node/sockjs_client.js; here is heard what it tells.
"""

import json
import queue
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

from event_sources import chromium_program
from servers import end_with_parent

HERE = Path(__file__).parent
PATIENCE = 40


class Told:
    """What a client tells, in its order."""

    def __init__(self):
        self.all = queue.Queue()

    def next(self, kind: str) -> dict:
        try:
            told = self.all.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"no {kind} within {PATIENCE} s") from None
        assert told["kind"] == kind, told
        return told


class Node:
    """One client in a process of its own."""

    def __init__(self, directory: Path, base: str, transport: str, channel: str):
        self.told = Told()
        self.process = subprocess.Popen(
            ["node", str(directory / "sockjs.js"), base, transport, channel],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            preexec_fn=end_with_parent,
        )
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.told.all.put(json.loads(line))

    def close(self):
        self.process.kill()
        self.process.wait()


class Pages:
    """Serves the page, the library and our part of it, from an origin of their own."""

    def __init__(self, directory: Path):
        library = directory / "node_modules" / "sockjs-client" / "dist" / "sockjs.js"
        files = {
            "/": ("text/html", HERE / "sockjs_page.html"),
            "/sockjs.js": ("text/javascript", library),
            "/sockjs_client.js": ("text/javascript", directory / "sockjs_client.js"),
        }
        pages = self
        self.told = Told()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                kind, path = files.get(self.path.partition("?")[0], (None, None))
                self.answer(200 if path else 404, kind, path.read_bytes() if path else b"")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                pages.told.all.put(json.loads(body))
                self.answer(200, "text/plain", b"")

            def answer(self, status, kind, body):
                self.send_response(status)
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Chromium:
    """A browser with one page, that plays the transports one after the other."""

    def __init__(self, pages: Pages, base: str, transports: list[str], channel: str):
        self.told = pages.told
        self.profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        query = {"base": base, "transports": ",".join(transports), "channel": channel}
        self.process = subprocess.Popen(
            [
                chromium_program(),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-proxy-server",
                # With it the browser stays until it is told to go.
                "--remote-debugging-port=0",
                f"--user-data-dir={self.profile.name}",
                f"{pages.url}/?{urlencode(query)}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=end_with_parent,
        )

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.profile.cleanup()
