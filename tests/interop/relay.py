"""A TCP relay between clients and the server: it can be cut, as a network is."""

import asyncio
import socket
import struct
import threading

from servers import PATIENCE

PIECE = 65536
# Linger for 0 s: closing sends a reset.
RESET = struct.pack("ii", 1, 0)


class Relay:
    """Listens on a port of its own. Cut, it resets every connection, also each new one."""

    def __init__(self, server):
        self.target = (server.host, server.port)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.host, self.port = self.listener.getsockname()
        self.whole = True
        self.refused = 0
        self.writers = set()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    @property
    def base(self) -> str:
        return f"http://{self.host}:{self.port}"

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self.serve, sock=self.listener))
        self.loop.run_forever()
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    async def serve(self, reader, writer):
        self.writers.add(writer)
        try:
            if not self.whole:
                self.refused += 1
                return
            far_reader, far_writer = await asyncio.open_connection(*self.target)
            self.writers.add(far_writer)
            try:
                if self.whole:
                    there = pump(reader, far_writer)
                    await asyncio.gather(there, pump(far_reader, writer))
            finally:
                self.reset(far_writer)
        except OSError:
            pass
        finally:
            self.reset(writer)

    def reset(self, writer):
        self.writers.discard(writer)
        if not writer.transport.is_closing():
            end = writer.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    def inside(self, act):
        """Runs `act()` on the relay's thread, and waits for it."""

        async def acting():
            act()

        asyncio.run_coroutine_threadsafe(acting(), self.loop).result(PATIENCE)

    def cut(self):
        def act():
            self.whole = False
            self.refused = 0
            for writer in list(self.writers):
                self.reset(writer)

        self.inside(act)

    def mend(self):
        self.whole = True

    def stop(self):
        self.cut()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


async def pump(reader, writer):
    """Carries bytes until one side ends; then the other is told."""
    try:
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    finally:
        if not writer.transport.is_closing():
            writer.write_eof()
