"""WebSocket clients that nobody here wrote, each with the same few words for a test.

`Python` is the package `websockets`, `Node` is npm's `ws`, `Chromium` the browser's own WebSocket.
A test gives commands and takes what happens, as a dictionary with a `type`: open (`extensions`,
`protocol`), text, binary, ping, pong (`content`), close (`code`, `reason`), refused (`status`).
"""

import base64
import contextlib
import itertools
import json
import queue
import socket
import subprocess
import threading
from pathlib import Path

import chromium
from servers import PATIENCE, end_with_parent, ended
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode
from websockets.sync.client import connect

# A page that asks for a command is answered within so many seconds, if there is none.
NEXT_SECONDS = 10
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
                close_timeout=PATIENCE,
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
            # Without waiting for a server that may have nothing more to say.
            with contextlib.suppress(OSError):
                self.socket.socket.shutdown(socket.SHUT_RDWR)
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
        ended(self.process)


class Chromium(Client):
    """One test's client in a browser that several tests have in turn: a socket of its own."""

    # A page is not told of pings, nor why a handshake failed.
    sees = set()

    def __init__(self, browser, number: int):
        super().__init__()
        self.browser, self.number = browser, number

    def do(self, command, **fields):
        self.browser.do(command, client=self.number, **fields)

    def close(self):
        self.browser.clients.pop(self.number, None)


class Browser:
    """A Chromium and the page with its sockets. What a client has left behind is not told to the
    next one, and a browser that does not answer is replaced."""

    def __init__(self):
        self.numbers = itertools.count(1)
        self.clients = {}
        self.start()

    def start(self):
        commands = self.commands = []
        changed = self.changed = threading.Condition()

        def served(path, query):
            if path != "/next":
                return ("text/html", (HERE / "socket_page.html").read_bytes())
            taken = int(query)
            with changed:
                changed.wait_for(lambda: len(commands) > taken, NEXT_SECONDS)
                command = commands[taken] if len(commands) > taken else None
            return ("application/json", json.dumps(command).encode())

        self.pages = chromium.Pages(served, self.heard)
        try:
            self.chromium = chromium.Chromium(f"{self.pages.url}/page")
        except BaseException:
            self.pages.close()
            raise

    def heard(self, told):
        client = self.clients.get(told.pop("client"))
        if client:
            client.happened.put(told)

    def do(self, command, **fields):
        with self.changed:
            self.commands.append({"do": command, **fields})
            self.changed.notify_all()

    def client(self) -> Chromium:
        """A client for a test that begins, in a page that has no socket open."""
        try:
            return self.begin()
        except AssertionError:
            self.close()
            self.start()
            return self.begin()

    def begin(self) -> Chromium:
        assert self.chromium.is_alive(), "Chromium has ended"
        client = Chromium(self, next(self.numbers))
        self.clients = {client.number: client}
        client.do("begin")
        client.next("begun")
        return client

    def close(self):
        self.chromium.close()
        self.pages.close()
