"""HTTP/1.1 and WebSocket as bytes, no more than both ends of the comparison need. Used by the
scripted backend and by the client; judges nothing.
"""

import base64
import hashlib
import os
import re
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Dates of now; those of the cases are of 1994.
DATE = re.compile(r"\w{3}, \d\d \w{3} 20\d\d \d\d:\d\d:\d\d GMT")
OPCODES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}


class Stream:
    """What comes from a socket, piece by piece. Every wait ends with the socket's own deadline."""

    def __init__(self, connected):
        self.socket = connected
        self.kept = b""
        self.ended = False

    def more(self) -> bool:
        """Reads on; whether anything came."""
        if self.ended:
            return False
        try:
            piece = self.socket.recv(65536)
        except ConnectionError:
            piece = b""
        self.ended = not piece
        self.kept += piece
        return bool(piece)

    def take(self, count: int) -> bytes:
        taken, self.kept = self.kept[:count], self.kept[count:]
        return taken

    def until(self, mark: bytes) -> bytes:
        while mark not in self.kept:
            if not self.more():
                raise EOFError
        return self.take(self.kept.index(mark) + len(mark))

    def exactly(self, count: int) -> bytes:
        while len(self.kept) < count:
            if not self.more():
                raise EOFError
        return self.take(count)

    def head(self) -> bytes | None:
        """A head with its empty line; none if the peer closes first."""
        try:
            return self.until(b"\r\n\r\n")
        except EOFError:
            return None

    def chunk(self) -> bytes | None:
        """The content of the next chunk; none after the last one, whose trailers are read too."""
        size = int(self.until(b"\r\n").split(b";")[0], 16)
        if size:
            content = self.exactly(size)
            if self.exactly(2) != b"\r\n":
                raise ValueError("a chunk does not end with CRLF")
            return content
        while self.until(b"\r\n") != b"\r\n":
            pass
        return None

    def chunked(self) -> bytes:
        body = b""
        while (piece := self.chunk()) is not None:
            body += piece
        return body

    def frame(self) -> tuple[int, bool, bytes]:
        """A WebSocket frame: first byte, whether it was masked, its content unmasked."""
        first, second = self.exactly(2)
        length = second & 0x7F
        if length == 126:
            length = struct.unpack(">H", self.exactly(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", self.exactly(8))[0]
        mask = self.exactly(4) if second & 0x80 else b""
        content = self.exactly(length)
        if mask:
            content = masked(content, mask)
        return first, bool(mask), content


def split_head(head: bytes) -> tuple[str, list[tuple[str, str]]]:
    """First line, and fields as (name, value) as they are."""
    lines = head.decode("latin-1").split("\r\n")[:-2]
    fields = [line.partition(":") for line in lines[1:]]
    return lines[0], [(name, value.strip()) for name, _, value in fields]


def field(fields, name: str) -> str | None:
    for key, value in fields:
        if key.lower() == name:
            return value
    return None


def framing_last(fields) -> list[tuple[str, str]]:
    """Fields with their names in lower case, in their order, but those that frame the message at
    the end: where these stand among the others means nothing (RFC 9110, 5.3)."""
    framing = ("connection", "content-length", "transfer-encoding")
    low = [(name.lower(), DATE.sub("<date>", value)) for name, value in fields]
    rest = [one for one in low if one[0] not in framing]
    return rest + sorted((one for one in low if one[0] in framing), key=lambda one: one[0])


def masked(content: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(content))


def frame(opcode: int, content: bytes, fin=True, mask=False, rsv=0) -> bytes:
    first = opcode | (0x80 if fin else 0) | rsv
    high = 0x80 if mask else 0
    if len(content) < 126:
        head = struct.pack(">BB", first, high | len(content))
    elif len(content) < 65536:
        head = struct.pack(">BBH", first, high | 126, len(content))
    else:
        head = struct.pack(">BBQ", first, high | 127, len(content))
    if not mask:
        return head + content
    key = os.urandom(4)
    return head + key + masked(content, key)


def accept_value(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def shown(content: bytes) -> str:
    """Content for a transcript: whole if short, else its length and a digest."""
    if len(content) <= 400:
        return repr(content)[1:]
    return f"{len(content)} bytes, {hashlib.sha256(content).hexdigest()[:16]}"


def shown_frame(first: int, content: bytes) -> str:
    name = OPCODES.get(first & 0x0F, f"opcode {first & 0x0F}")
    marks = "" if first & 0x80 else " (more follows)"
    if first & 0x70:
        marks += f" rsv={first & 0x70:#x}"
    if first & 0x0F == 8 and len(content) >= 2:
        code = struct.unpack(">H", content[:2])[0]
        return f"close {code} {shown(content[2:])}{marks}"
    return f"{name} {shown(content)}{marks}"
