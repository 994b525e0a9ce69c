"""Ports that are nobody else's: below those that the kernel gives to connections, and to servers
that take any. On one of those a stray client of a server that has ended may still call. Used by
`fronts.py` and `backend.py`.
"""

import errno
import random
import socket

PORTS = range(10_240, 32_000)


def exclusively(port: int, *addresses: str) -> list[socket.socket] | None:
    """Sockets bound to a port, if nobody else has it on any of the addresses."""
    bound: list[socket.socket] = []
    try:
        for address in addresses:
            bound.append(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
            # Not reusing it: a port that another one holds is not free.
            bound[-1].bind((address, port))
    except OSError as failure:
        for one in bound:
            one.close()
        if failure.errno != errno.EADDRINUSE:
            raise
        return None
    return bound


def listener() -> socket.socket:
    """A server's socket."""
    while not (bound := exclusively(random.choice(PORTS), "127.0.0.1")):
        pass
    bound[0].listen(256)
    return bound[0]


class Held:
    """A port that nobody listens on, and that nobody else gets while this lives. A server that is
    told its number can listen on it: servers reuse addresses."""

    def __init__(self, ports: range = PORTS):
        while not (bound := exclusively(port := random.choice(ports), "127.0.0.1", "::1")):
            pass
        self.port, self.sockets = port, bound
        for one in bound:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def stop(self):
        for one in self.sockets:
            one.close()
