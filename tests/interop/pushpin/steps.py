"""What the client's side of a case can do, step by step: the words of which a case is made.

Used by cases and by the engine. A step writes down in the play's transcript what it gets. Bytes
alone are a step too: they are sent.
"""

import json
import re
import signal
import socket
import ssl
from dataclasses import dataclass, field

import wire
from answers import hear
from playing import SECONDS, Client, Play, eventually, note_head, read_answer, read_body

MARKER = b"GET / HTTP/1.1\r\nHost: marker.example\r\n\r\n"


@dataclass
class On:
    """Goes on with another connection."""

    name: str

    def play(self, play: Play):
        play.current = self.name


@dataclass
class Tls:
    """The connection is one over TLS, which asks for a name (or for none)."""

    name: str | None = "tls.example"

    def play(self, play: Play):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connected = socket.create_connection(("127.0.0.1", play.front.https_port), SECONDS)
        try:
            secure = context.wrap_socket(connected, server_hostname=self.name)
        except (ssl.SSLError, OSError) as failure:
            play.note(f"no TLS: {type(failure).__name__}")
            return
        certificate = ssl.DER_cert_to_PEM_cert(secure.getpeercert(True)).strip()
        for path in sorted(play.front.certificates.glob("*.crt")):
            if path.read_text().strip() == certificate:
                play.note(f"got the certificate {path.stem}")
        play.clients[play.current] = Client(secure, play.seconds)


@dataclass
class Six:
    """The connection is one by IPv6."""

    def play(self, play: Play):
        connected = socket.create_connection(("::1", play.front.port), SECONDS)
        play.clients[play.current] = Client(connected, play.seconds)


@dataclass
class Unix:
    """The connection is one to the Unix socket."""

    def play(self, play: Play):
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(str(play.front.directory / "run" / "front.sock"))
        play.clients[play.current] = Client(connected, play.seconds)


@dataclass
class Reload:
    """Another routes file takes the place of the one before: by rename, or by SIGHUP at once.

    Both fronts watch the file besides, and may read each more than once, also a while after: so it
    is waited for the number of routes that no file before had.
    """

    routes: str
    hang_up: bool = True
    # How many of its lines are mistakes.
    bad: int = 0

    def play(self, play: Play):
        front = play.front
        path = front.directory / "routes"
        front.reloads += 1
        lines = [self.routes] + [f"padding-{n}.test test" for n in range(front.reloads)]
        text = front.routes("\n".join(lines))
        written = [line for line in text.splitlines() if line and not line.startswith("#")]
        fresh = path.with_name("routes.new")
        fresh.write_text(text)
        if self.hang_up:
            path.write_bytes(fresh.read_bytes())
            front.process.send_signal(signal.SIGHUP)
        else:
            fresh.rename(path)
        loaded = f"routes loaded with {len(written) - self.bad} entries"
        outcomes = [loaded, "routes in use stay"] if self.bad else [loaded]

        def found():
            return [one for one in outcomes if one in front.printed()[play.logged:]]

        eventually(found)
        said = [one.replace(loaded, "routes loaded") for one in found()]
        play.note(f"log: {', '.join(said) or 'the routes were not loaded'}")


@dataclass
class Logged:
    """The next lines of the log that match, from the match on."""

    pattern: str
    count: int = 1

    def play(self, play: Play):
        def lines():
            fresh = play.front.printed()[play.logged:]
            return [found[0].rstrip() for found in re.finditer(self.pattern, fresh, re.MULTILINE)]

        eventually(lambda: len(lines()) >= self.count)
        for line in lines():
            play.note(f"log: {line}")


@dataclass
class Got:
    """Reads an answer, whole."""

    method: str = "GET"

    def play(self, play: Play):
        read_answer(play.client.stream, play.note, self.method)


@dataclass
class Opened:
    """Reads the head of an answer whose body is read by the steps that follow."""

    def play(self, play: Play):
        try:
            head = play.client.stream.head()
        except TimeoutError:
            head = None
        if head is None:
            play.note(f"no head, but {play.client.stream.kept!r}")
            return
        _, fields = note_head(play.note, head)
        coding = wire.field(fields, "transfer-encoding")
        play.client.chunks = b"" if coding else None


@dataclass
class Until:
    """Reads of a body, chunked or bare, to `mark`, and notes it; what came with it beyond the mark
    is for the next step, as if it came later: how a body is cut into chunks is chance."""

    mark: bytes

    def play(self, play: Play):
        client = play.client
        how = "read"
        try:
            while how == "read" and self.mark not in client.body:
                if not self.more(client):
                    how = "the body ended after"
        except EOFError:
            how = "cut after"
        except TimeoutError:
            how = "nothing more came after"
        end = client.body.index(self.mark) + len(self.mark) if how == "read" else None
        got, client.body = client.body[:end], client.body[end:] if end else b""
        play.note(f"  {how} {wire.shown(got)}")

    def more(self, client: Client) -> bool:
        """Reads on; not if the body has come to its end."""
        stream = client.stream
        if client.chunks is not None:
            piece = stream.chunk()
            client.body += piece or b""
            return piece is not None
        if not stream.kept and not stream.more():
            raise EOFError
        client.body += stream.take(len(stream.kept))
        return True


@dataclass
class Rest:
    """Reads the rest of a body that `Opened` began."""

    def play(self, play: Play):
        client = play.client
        fields = [] if client.chunks is None else [("transfer-encoding", "chunked")]
        body, client.body = client.body, b""
        read_body(client.stream, play.note, fields, body)


@dataclass
class End:
    """Whether the connection goes on: a request to the built-in target is answered, or not."""

    seconds: float = SECONDS

    def play(self, play: Play):
        client = play.client
        client.stream.socket.settimeout(self.seconds)
        client.send(MARKER)
        try:
            head = client.stream.head()
        except TimeoutError:
            play.note("connection: stuck")
            return
        if head is None:
            play.note("connection: closed" + (f" after {client.stream.kept!r}"
                                              if client.stream.kept else ""))
        elif head.startswith(b"HTTP/1.1 200 OK\r\n"):
            client.stream.exactly(int(wire.field(wire.split_head(head)[1], "content-length")))
            play.note("connection: goes on")
        else:
            play.note(f"connection: out of step, {head!r}")


@dataclass
class Ended:
    """Waits for the end of the connection, without sending anything."""

    seconds: float = SECONDS

    def play(self, play: Play):
        stream = play.client.stream
        stream.socket.settimeout(self.seconds)
        try:
            while stream.more():
                pass
            play.note("connection: closed" + (f" after {stream.kept!r}" if stream.kept else ""))
        except TimeoutError:
            play.note("connection: not closed" + (f", {stream.kept!r}" if stream.kept else ""))


@dataclass
class Leave:
    """Closes the client's connection."""

    def play(self, play: Play):
        play.client.stream.socket.close()
        del play.clients[play.current]


@dataclass
class ShutWrite:
    """Closes the client's sending side."""

    def play(self, play: Play):
        play.client.stream.socket.shutdown(socket.SHUT_WR)


@dataclass
class Open:
    """Lets the backend's `Await(gate)` go on."""

    gate: str

    def play(self, play: Play):
        play.scene.open(self.gate)


@dataclass
class Seen:
    """Waits until the backend has read so many requests whole."""

    count: int

    def play(self, play: Play):
        if not play.scene.wait_seen(self.count):
            play.note(f"the backend did not get {self.count} requests")


@dataclass
class Asked:
    """Waits until so many requests have begun to reach the backends: their heads at least."""

    count: int

    def play(self, play: Play):
        if not play.scene.wait(lambda: len(play.scene.exchanges()) >= self.count, SECONDS):
            play.note(f"no {self.count} requests began to reach the backends")


@dataclass
class Done:
    """Waits until the backends are through with their answers."""

    def play(self, play: Play):
        play.scene.wait_done(SECONDS)


@dataclass
class Subscribed:
    """Waits until clients have been subscribed to a channel, so many times in the case."""

    channel: str
    times: int = 1

    def play(self, play: Play):
        def subscribed():
            return play.front.subscriptions(self.channel, play.logged) >= self.times

        if not eventually(subscribed, play.seconds):
            play.note(f"not subscribed to {self.channel}, {self.times} times")


@dataclass
class Control:
    """Sends bytes to the control API and reads the answer."""

    sent: bytes
    method: str = "POST"

    def play(self, play: Play):
        address = ("127.0.0.1", play.front.control_port)
        with socket.create_connection(address, SECONDS) as connected:
            connected.sendall(self.sent)
            lines = []
            read_answer(wire.Stream(connected), lines.append, self.method)
        for line in lines:
            play.note(f"control {line}")


@dataclass
class Publish:
    """Publishes items; of the answer only the status and the body are noted."""

    items: list
    quiet: bool = field(default=False, kw_only=True)

    def play(self, play: Play):
        items = self.items if isinstance(self.items, list) else [self.items]
        body = json.dumps({"items": items}).encode()
        head = b"POST /publish/ HTTP/1.1\r\nHost: control\r\nContent-Length: %d\r\n\r\n" % len(body)
        address = ("127.0.0.1", play.front.control_port)
        lines: list[str] = []
        with socket.create_connection(address, SECONDS) as connected:
            connected.sendall(head + body)
            read_answer(wire.Stream(connected), lines.append, "POST")
        kept = [line.strip() for line in lines if not line.startswith("  ") or "body" in line]
        play.note("published: " + ", ".join(kept))


@dataclass
class Say:
    """Sends a WebSocket frame."""

    opcode: int
    content: bytes = b""
    fin: bool = True
    masked: bool = True
    rsv: int = 0

    def play(self, play: Play):
        play.client.send(
            wire.frame(self.opcode, self.content, fin=self.fin, mask=self.masked, rsv=self.rsv))


@dataclass
class Heard:
    """Reads messages, at most so many, until a CLOSE or the end; fragments are put together."""

    count: int = 1

    def play(self, play: Play):
        for _ in range(self.count):
            if not hear(play.client.stream, lambda line: play.note(f"heard {line}")):
                return
