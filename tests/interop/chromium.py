"""A headless Chromium and the pages in it: started and ended in one place.

`Pages` is an origin that serves pages and hears what they tell (telling.js is their end of it);
`Chromium` is a browser that has opened one of them. Used by the clients that are browsers; knows
nothing of what the pages do.
"""

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from servers import PATIENCE, end_with_parent, ended, wait_for

HERE = Path(__file__).parent
# A browser may crash as it starts, on a machine that is short of something.
CHANCES = 3


class Origin(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Pages:
    """An origin of its own. `served(path, query)` gives a page's kind and bytes, or nothing;
    `heard` gets what pages tell, each thing once, in the order of each page."""

    def __init__(self, served: Callable, heard: Callable):
        # How far each page is: one whose telling got no answer tells again.
        last, lock = {}, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path, _, query = self.path.partition("?")
                if path == "/telling.js":
                    found = ("text/javascript", (HERE / "telling.js").read_bytes())
                else:
                    found = served(path, query)
                self.answer(200 if found else 404, *(found or ("text/plain", b"")))

            def do_POST(self):
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    if told["number"] > last.get(told["page"], 0):
                        last[told["page"]] = told["number"]
                        heard(told["told"])
                self.answer(200, "text/plain", b"")

            def answer(self, status, kind, body):
                self.send_response(status)
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Access-Control-Allow-Origin", "*")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = Origin(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def program() -> str:
    found = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    assert found, "no Chromium: run tests/interop/prepare"
    return found


class Chromium:
    """A browser with one page."""

    def __init__(self, url: str):
        for chance in range(1, CHANCES + 1):
            self.start(url)
            try:
                wait_for("Chromium to start", self.is_up, PATIENCE)
                return
            except AssertionError:
                said = self.printed()
                self.close()
                if chance == CHANCES:
                    raise AssertionError(f"no Chromium in {CHANCES} tries:\n{said}") from None

    def start(self, url: str):
        self.profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self.log = Path(self.profile.name) / "printed"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    program(),
                    "--headless",
                    "--no-sandbox",
                    "--no-first-run",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                    "--disable-background-networking",
                    "--no-proxy-server",
                    # With it the browser stays until it is told to go.
                    "--remote-debugging-port=0",
                    f"--user-data-dir={self.profile.name}",
                    url,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=end_with_parent,
            )

    def is_up(self) -> bool:
        assert self.is_alive(), f"Chromium ended with {self.process.returncode}"
        return (Path(self.profile.name) / "DevToolsActivePort").exists()

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def printed(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def close(self):
        ended(self.process)
        self.profile.cleanup()
