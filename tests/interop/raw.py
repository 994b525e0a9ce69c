"""A client of bare sockets, for what must be compared byte for byte. Every wait has a deadline."""

import select
import socket

from knock import KNOCK
from servers import PATIENCE


class Raw:
    def __init__(self, server, seconds: float = PATIENCE):
        self.socket = socket.create_connection((server.host, server.port), timeout=seconds)
        self.socket.settimeout(seconds)
        self.kept = b""

    def send(self, text: bytes):
        self.socket.sendall(text)

    def more(self) -> bytes:
        """What the peer sends next, b"" once it has closed."""
        piece = self.socket.recv(65536)
        self.kept += piece
        return piece

    def until(self, mark: bytes) -> bytes:
        """All bytes up to and including `mark`."""
        while mark not in self.kept:
            if not self.more():
                raise AssertionError(f"closed before {mark!r}; got {self.kept!r}")
        at = self.kept.index(mark) + len(mark)
        taken, self.kept = self.kept[:at], self.kept[at:]
        return taken

    def exactly(self, count: int) -> bytes:
        while len(self.kept) < count:
            if not self.more():
                raise AssertionError(f"closed before {count} bytes; got {self.kept!r}")
        taken, self.kept = self.kept[:count], self.kept[count:]
        return taken

    def head(self):
        """A response head: its status line, and its fields as (lower-case name, value) pairs."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        fields = [line.split(":", 1) for line in lines[1:]]
        return lines[0], [(name.lower(), value.strip()) for name, value in fields]

    def response(self):
        """A response with a Content-Length: status line, fields, body."""
        status, fields = self.head()
        length = int(dict(fields)["content-length"])
        return status, fields, self.exactly(length)

    def chunk(self) -> bytes:
        """The next chunk that is not a knock's, framing and all; its size in lower case."""
        while True:
            size = self.until(b"\r\n")
            content = self.exactly(int(size[:-2], 16))
            end = self.exactly(2)
            if content.replace(KNOCK.encode(), b"") or not content:
                return size.lower() + content + end

    def knocked(self, patience: float) -> bool:
        """Whether a chunk with a knock has come within `patience` seconds."""
        if not self.answered(patience):
            return False
        mark = chunk(KNOCK.encode())
        assert self.exactly(len(mark)) == mark
        return True

    def answered(self, patience: float) -> bool:
        """Whether anything has come within `patience` seconds."""
        if self.kept:
            return True
        # Not select(), which knows no descriptor above 1023.
        readable = select.poll()
        readable.register(self.socket, select.POLLIN)
        return bool(readable.poll(1000 * patience))

    def rest(self) -> bytes:
        """All bytes until the peer closes."""
        while self.more():
            pass
        taken, self.kept = self.kept, b""
        return taken

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)
