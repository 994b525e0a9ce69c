"""What the client's side of a case is at while its steps are played: its connections to the front,
and what has been got so far, line by line. Used by `steps.py` and the engine.
"""

import re
import socket
import time

import wire

# So long a step waits for what has to come. No case waits for something that does not.
SECONDS = 30
# Of cases that wait for what comes after a minute at most.
PATIENT_SECONDS = 120


# Where no status code is, Pushpin may write what its memory holds.
NO_CODE = re.compile(r"(?<=^HTTP/1\.[01] )(0|-\d+|\d{4,})(?= )")


class Client:
    """One connection to a front."""

    def __init__(self, connected, seconds: float):
        connected.settimeout(seconds)
        self.stream = wire.Stream(connected)
        self.chunks = None
        # What has come of a body beyond the mark that a step has read to.
        self.body = b""

    def send(self, content: bytes):
        try:
            self.stream.socket.sendall(content)
        except OSError:
            self.stream.ended = True


class Play:
    """One case on one front: its connections, and what has been got so far."""

    def __init__(self, front, scene, logged: int, patient: bool = False):
        self.seconds = PATIENT_SECONDS if patient else SECONDS
        self.front = front
        self.scene = scene
        # So much of the front's log was there before.
        self.logged = logged
        self.clients: dict[str, Client] = {}
        self.current = ""
        self.lines: list[str] = []

    def note(self, line: str):
        prefix = f"{self.current}: " if self.current else ""
        self.lines.append(prefix + line)

    @property
    def client(self) -> Client:
        if self.current not in self.clients:
            connected = socket.create_connection(("127.0.0.1", self.front.port), SECONDS)
            self.clients[self.current] = Client(connected, self.seconds)
        return self.clients[self.current]

    def run(self, steps):
        for step in steps:
            if isinstance(step, bytes):
                self.client.send(step)
            else:
                (step() if isinstance(step, type) else step).play(self)

    def close(self):
        """Ends the connections; what has come of a body and no step has read is noted."""
        for self.current, client in self.clients.items():
            if client.body:
                self.note(f"  left over {wire.shown(client.body)}")
            client.stream.socket.close()


def note_head(note, head: bytes, hidden=()) -> tuple[str, list[tuple[str, str]]]:
    line, fields = wire.split_head(head)
    note(f"got {NO_CODE.sub('<no code>', line)}")
    shown = wire.framing_last(fields)
    if " 101 " in line:
        shown.sort(key=lambda one: one[0])
    for name, value in shown:
        if name not in hidden:
            note(f"  {name}: {value}")
    return line, fields


def read_answer(stream: wire.Stream, note, method: str):
    """Reads an answer and notes it; interim ones before it are noted too."""
    while True:
        try:
            head = stream.head()
        except TimeoutError:
            note("no answer" + (f", but {stream.kept!r}" if stream.kept else ""))
            return
        if head is None:
            note("closed without an answer" + (f", after {stream.kept!r}" if stream.kept else ""))
            return
        status = int(wire.split_head(head)[0].split(" ")[1])
        bodiless = 100 <= status < 200 or status in (204, 304) or method == "HEAD"
        # Where there is a body it says its length itself, or that it is cut.
        _, fields = note_head(note, head, () if bodiless else ("content-length",))
        if not 100 <= status < 200 or status == 101:
            break
    if not bodiless:
        read_body(stream, note, fields)


def read_body(stream: wire.Stream, note, fields, body: bytes = b""):
    """Reads a body, or what follows `body` of it, as its fields frame it, and notes it and how it
    ended."""
    length = wire.field(fields, "content-length")
    coding = wire.field(fields, "transfer-encoding")
    framing = "until the end"
    try:
        if coding:
            framing = "chunked"
            while (piece := stream.chunk()) is not None:
                body += piece
        elif length is not None:
            framing = "whole"
            body = stream.exactly(int(length))
        else:
            while stream.more():
                pass
            body += stream.take(len(stream.kept))
    except (EOFError, ValueError):
        framing, body = f"cut, {framing}", body + stream.kept
    except TimeoutError:
        framing, body = f"not complete, {framing}", body + stream.kept
    if coding and length is not None:
        framing += f", beside a length of {length}"
    note(f"  body, {framing}: {wire.shown(body)}")


def eventually(ready, seconds: float = SECONDS) -> bool:
    """Whether `ready()` becomes true in time."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)  # Between two looks.
    return True
