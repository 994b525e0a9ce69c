"""Very many clients of one stream of events, in one thread: bare connections, nothing more.

Each notes when its response began, and when which event came. Used by test_eventstream_storm.py.
"""

import asyncio
import re
import resource
import time

EVENT_ID = re.compile(rb"^id: [^:]+:(\d+)$")


class Listener(asyncio.Protocol):
    """One connection: a request, then the chunks of its answer."""

    def __init__(self, target: str, last: int, changed):
        self.target = target
        self.last = last
        self.changed = changed
        self.kept = b""
        self.line = b""
        self.wanted = 0
        self.chunks = 0
        self.began = None
        # The last event that was in the first chunk: what the application itself answered.
        self.answered = last
        self.arrivals = []
        self.problem = None
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        channel = self.target.rpartition("=")[2]
        resume = f"Last-Event-ID: {channel}:{self.last}\r\n" if self.last else ""
        head = f"GET {self.target} HTTP/1.1\r\nHost: a.example\r\n{resume}\r\n"
        transport.write(head.encode())

    def connection_lost(self, reason):
        self.changed()

    def data_received(self, piece: bytes):
        now = time.monotonic()
        self.kept += piece
        try:
            if self.began is None:
                head, mark, rest = self.kept.partition(b"\r\n\r\n")
                if not mark:
                    return
                assert head.startswith(b"HTTP/1.1 200 "), head
                self.began, self.kept = now, rest
            self.decode(now)
        except AssertionError as problem:
            self.problem = problem
            self.transport.abort()
        self.changed()

    def decode(self, now: float):
        while True:
            if not self.wanted:
                size, mark, rest = self.kept.partition(b"\r\n")
                if not mark:
                    return
                self.wanted, self.kept = int(size, 16), rest
                assert self.wanted, "the stream ended"
            if len(self.kept) < self.wanted + 2:
                return
            content = self.kept[: self.wanted]
            self.kept = self.kept[self.wanted + 2 :]
            self.wanted = 0
            self.lines(content, now)
            if not self.chunks:
                self.answered = self.last
            self.chunks += 1

    def lines(self, content: bytes, now: float):
        *lines, self.line = (self.line + content).split(b"\n")
        for line in lines:
            match = EVENT_ID.match(line)
            if match:
                number = int(match.group(1))
                assert number == self.last + 1 or not self.last, f"{number} after {self.last}"
                self.last = number
                self.arrivals.append((number, now))


class Crowd:
    def __init__(self, server, target: str):
        self.server = server
        self.target = target
        self.listeners = []
        self.changed = asyncio.Event()
        # Every client is a descriptor.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def come(self, lasts: list[int]):
        """Connects one client for each last id, all at once."""
        loop = asyncio.get_running_loop()
        changed = self.changed.set

        async def one(last):
            _, listener = await loop.create_connection(
                lambda: Listener(self.target, last, changed), self.server.host, self.server.port
            )
            return listener

        self.listeners = await asyncio.gather(*(one(last) for last in lasts))

    async def until(self, what: str, ready, seconds: float):
        """Waits until `ready(listener)` is true of every client."""
        left = list(self.listeners)
        deadline = time.monotonic() + seconds
        while True:
            for listener in left:
                if listener.problem:
                    raise listener.problem
            left = [listener for listener in left if not ready(listener)]
            if not left:
                return
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), deadline - time.monotonic())
            except TimeoutError:
                raise AssertionError(f"{len(left)} clients still wait for {what}") from None

    def cut(self) -> list[int]:
        """Resets all connections; gives what each client had."""
        for listener in self.listeners:
            listener.transport.abort()
        return [listener.last for listener in self.listeners]
