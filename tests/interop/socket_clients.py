"""WebSocket clients that nobody here wrote, each with the same few words for a test.

`Python` is the package `websockets`, `Node` is npm's `ws`, `Chromium` the browser's own WebSocket.
A test gives commands and takes what happens, as a dictionary with a `type`: open (`extensions`,
`protocol`), text, binary, ping, pong (`content`), close (`code`, `reason`), refused (`status`).
"""

import base64
import json
import queue
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from event_sources import chromium_program
from servers import end_with_parent
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode
from websockets.sync.client import connect

PATIENCE = 30
HERE = Path(__file__).parent


class Client:
    """What all have in common; `do` is how a command gets to the client."""

    def __init__(self):
        self.happened = queue.Queue()

    def do(self, command: str, **fields):
        raise NotImplementedError

    def next(self, kind: str) -> dict:
        """What happens next, which must be of this kind."""
        try:
            told = self.happened.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"waited {PATIENCE} s for {kind}") from None
        assert told["type"] == kind, told
        if kind == "binary":
            told["content"] = base64.b64decode(told["content"])
        return told

    def open(self, url: str, protocols=(), deflate: bool = True) -> dict:
        self.start(url, protocols, deflate)
        return self.next("open")

    def start(self, url: str, protocols=(), deflate: bool = True):
        self.do("open", url=url, protocols=list(protocols), deflate=deflate)

    def send(self, content):
        if isinstance(content, bytes):
            self.do("binary", content=base64.b64encode(content).decode())
        else:
            self.do("text", content=content)

    def hears(self, content):
        """The next message is this one."""
        kind = "binary" if isinstance(content, bytes) else "text"
        heard = self.next(kind)["content"]
        assert heard == content, (len(heard), heard[:100])

    def close(self):
        """Ends the client itself."""


class Python(Client):
    # Its pings are seen, and a refusal's body.
    sees = {"ping", "refused"}

    def do(self, command, **fields):
        if command == "open":
            return self.connect(**fields)
        if command == "text":
            self.socket.send(fields["content"])
        elif command == "binary":
            self.socket.send(base64.b64decode(fields["content"]))
        elif command == "ping":
            answered = self.socket.ping(fields["content"])
            if answered.wait(PATIENCE):
                self.happened.put({"type": "pong", "content": fields["content"]})
        elif command == "flood":
            for n in range(fields["count"]):
                self.socket.send(f"client {n}")
        elif command == "close":
            self.socket.close(fields["code"], fields["reason"])

    def connect(self, url, protocols, deflate):
        try:
            self.socket = connect(
                url,
                subprotocols=protocols or None,
                compression="deflate" if deflate else None,
                max_size=None,
                ping_interval=None,
                open_timeout=PATIENCE,
                proxy=None,
            )
        except InvalidStatus as refused:
            response = refused.response
            self.happened.put({
                "type": "refused",
                "status": response.status_code,
                "why": response.headers["X-Why"],
                "body": response.body.decode(),
            })
            return
        spoken = self.socket.protocol
        self.happened.put({
            "type": "open",
            "extensions": ", ".join(extension.name for extension in spoken.extensions),
            "protocol": self.socket.subprotocol or "",
        })
        self.hear_pings(spoken)
        threading.Thread(target=self.read, daemon=True).start()

    def hear_pings(self, spoken):
        """`websockets` answers pings without a word: they are heard on their way in."""
        received = spoken.recv_frame

        def recv_frame(frame):
            if frame.opcode is Opcode.PING:
                self.happened.put({"type": "ping", "content": bytes(frame.data).decode()})
            received(frame)

        spoken.recv_frame = recv_frame

    def read(self):
        try:
            while True:
                message = self.socket.recv()
                if isinstance(message, bytes):
                    content = base64.b64encode(message).decode()
                    self.happened.put({"type": "binary", "content": content})
                else:
                    self.happened.put({"type": "text", "content": message})
        except ConnectionClosed as closed:
            last = closed.rcvd
            self.happened.put({
                "type": "close",
                "code": last.code if last else 1006,
                "reason": last.reason if last else "",
            })

    def close(self):
        if hasattr(self, "socket"):
            self.socket.close()


class Node(Client):
    sees = {"ping", "refused"}

    def __init__(self, directory: Path):
        super().__init__()
        self.process = subprocess.Popen(
            ["node", str(directory / "socket_client.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=end_with_parent,
        )
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.happened.put(json.loads(line))

    def do(self, command, **fields):
        self.process.stdin.write(json.dumps({"do": command, **fields}) + "\n")
        self.process.stdin.flush()

    def close(self):
        self.process.terminate()
        self.process.wait(10)


class Chromium(Client):
    """One browser; each `open` begins anew."""

    # A page is not told of pings, nor why a handshake failed.
    sees = set()

    def __init__(self):
        super().__init__()
        self.commands = queue.Queue()
        client = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path == "/next":
                    self.answer(json.dumps(client.commands.get()).encode(), "application/json")
                else:
                    page = (HERE / "socket_page.html").read_bytes()
                    self.answer(page, "text/html; charset=utf-8")

            def do_POST(self):
                told = self.rfile.read(int(self.headers["Content-Length"]))
                client.happened.put(json.loads(told))
                self.answer(b"", "text/plain")

            def answer(self, body, kind):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
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
                f"http://127.0.0.1:{self.server.server_address[1]}/page",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=end_with_parent,
        )

    def do(self, command, **fields):
        self.commands.put({"do": command, **fields})

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.server.shutdown()
        self.server.server_close()
        self.profile.cleanup()
