"""What the scripted backend can do with a request: the words of which a case's answers are made.

Used by cases and by `backend.py`. An action writes down what it sees in its exchange.
"""

from dataclasses import dataclass

import wire


class Exchange:
    """A request that the backend has got, and what happened on its connection since."""

    def __init__(self, scene):
        self.scene = scene
        self.stream = None
        self.head = b""
        self.framing = "none"
        self.body = b""
        self.notes: list[str] = []
        self.read = self.done = self.closed = self.reset = False

    def note(self, line: str):
        self.notes.append(line)

    def fields(self):
        return wire.split_head(self.head)[1]

    def read_body(self):
        if self.read:
            return
        fields = self.fields()
        coding = wire.field(fields, "transfer-encoding")
        length = wire.field(fields, "content-length")
        try:
            if coding:
                self.framing = "chunked"
                self.body = self.stream.chunked()
            elif length:
                self.framing = "length"
                self.body = self.stream.exactly(int(length))
        except EOFError:
            self.framing += ", cut"
            self.closed = True
        self.read = True
        self.scene.tell()

    def whole(self) -> bool:
        """Whether another request can follow on the connection."""
        return self.read


class Early:
    """First in an answer: what follows is done before the request's body has been read."""


@dataclass
class Body:
    """Reads the request's body (after `Early`)."""

    def act(self, exchange: Exchange):
        exchange.read_body()


@dataclass
class Take:
    """Reads so much of the request's body, and leaves it at that (after `Early`)."""

    count: int

    def act(self, exchange: Exchange):
        exchange.body = exchange.stream.exactly(self.count)
        exchange.framing = "the first of it"
        exchange.read = True
        exchange.scene.tell()


@dataclass
class Close:
    """Closes the connection."""

    def act(self, exchange: Exchange):
        exchange.closed = True


@dataclass
class Reset:
    """Resets the connection."""

    def act(self, exchange: Exchange):
        exchange.closed = exchange.reset = True


@dataclass
class Await:
    """Goes on when the client's side has said `Open(gate)`."""

    gate: str

    def act(self, exchange: Exchange):
        if not exchange.scene.wait_open(self.gate):
            exchange.note(f"the gate {self.gate!r} was never opened")


@dataclass
class UntilClosed:
    """Waits until the front has closed this connection; whatever comes before is noted."""

    def act(self, exchange: Exchange):
        stream = exchange.stream
        stream.socket.settimeout(exchange.scene.seconds)
        try:
            while stream.more():
                pass
            closed = not exchange.scene.over
        except TimeoutError:
            closed = False
        what = "closed" if closed else "did not close"
        exchange.note(f"the front {what}" + (f", sent {stream.kept!r}" if stream.kept else ""))
        exchange.closed = True


@dataclass
class Accept:
    """Accepts a WebSocket, with these header lines besides."""

    fields: bytes = b""
    then: bytes = b""

    def act(self, exchange: Exchange):
        key = wire.field(exchange.fields(), "sec-websocket-key") or ""
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        head += b"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n" % (
            wire.accept_value(key).encode())
        exchange.closed = True
        exchange.stream.socket.sendall(head + self.fields + b"\r\n" + self.then)


@dataclass
class Tell:
    """Sends a WebSocket frame."""

    opcode: int
    content: bytes = b""
    fin: bool = True
    rsv: int = 0

    def act(self, exchange: Exchange):
        sent = wire.frame(self.opcode, self.content, fin=self.fin, rsv=self.rsv)
        exchange.stream.socket.sendall(sent)


@dataclass
class Hear:
    """Reads messages, at most so many, until a CLOSE or the end; fragments are put together."""

    count: int = 1

    def act(self, exchange: Exchange):
        exchange.stream.socket.settimeout(exchange.scene.seconds)
        for _ in range(self.count):
            if not hear(exchange.stream, exchange.note):
                return


def hear(stream: wire.Stream, note) -> bool:
    """Reads one message and notes it; whether more may come."""
    kind, content = None, b""
    while True:
        try:
            first, _, piece = stream.frame()
        except EOFError:
            note("end of connection" + (f" after {stream.kept!r}" if stream.kept else ""))
            return False
        except TimeoutError:
            note("nothing came")
            return False
        if first & 0x0F >= 8:
            note(wire.shown_frame(first, piece))
            if first & 0x0F == 8:
                return False
            if kind is None:
                return True
            continue
        kind, content = first if kind is None else kind, content + piece
        if first & 0x80:
            note(wire.shown_frame(kind | 0x80, content))
            return True


@dataclass
class Echo:
    """Answers messages with the same, until a CLOSE, which is answered too, or the end."""

    prefix: bytes = b""

    def act(self, exchange: Exchange):
        stream = exchange.stream
        stream.socket.settimeout(exchange.scene.seconds)
        while True:
            try:
                first, _, content = stream.frame()
            except (EOFError, TimeoutError):
                exchange.note("end of connection")
                return
            exchange.note(wire.shown_frame(first, content))
            opcode = first & 0x0F
            prefix = self.prefix if opcode in (1, 2) else b""
            answer = 10 if opcode == 9 else opcode
            stream.socket.sendall(wire.frame(answer, prefix + content, fin=bool(first & 0x80)))
            if opcode == 8:
                return
