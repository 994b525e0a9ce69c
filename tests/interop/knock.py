"""Waiting until a hold is subscribed, without looking into the server.

A test cannot see the moment at which its hold is subscribed. So it publishes a knock again and
again until one comes through, and from then on ignores what knocks are still on their way.
"""

import time

from servers import PATIENCE

KNOCK = "knock\n"


def knock(publish, arrived, seconds: float = PATIENCE):
    """Calls `publish()` until `arrived(patience)`, which waits at most `patience` s, is true."""
    deadline = time.monotonic() + seconds
    while True:
        publish()
        if arrived(0.1):
            return
        assert time.monotonic() < deadline, f"no knock came through in {seconds} s"
