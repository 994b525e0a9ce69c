"""Subscribes Pushpin to the channels of its cases before they are played.

A second after a channel's first subscription the backends of its holds are asked once more (GRIP,
5.6), in the midst of a case that takes so long on a slow machine. Cases of this are among the
patient ones; for all others linchpin is told to let it be, and with Pushpin 1.36, which has no such
setting, that second is over and the channel known before they begin. Used by `fronts.py`.
"""

import json
import socket

from backend import Scene, Script

SECONDS = 60


def answer(kind: str, document) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        kind.encode(), len(body), body)


def prime(front, channels: list[str], at_once: int):
    """Holds a long-poll on the channels, on so many with each, until their backends are asked
    again: from then on the channels linger."""
    scene = Scene(SECONDS)
    clients = []
    for at in range(0, len(channels), at_once):
        hold = {"channels": [{"name": name} for name in channels[at:at + at_once]]}
        script = Script(scene, [answer("application/grip-instruct", {"hold": hold}),
                                answer("text/plain", "primed")])
        scene.scripts[f"primer {at}"] = script
        front.backend.patient[f"primer-{at}"] = script
        client = socket.create_connection((front.host, front.port), SECONDS)
        client.sendall(b"GET /case-primer-%d HTTP/1.1\r\nHost: ready.example\r\n"
                       b"Connection: close\r\n\r\n" % at)
        clients.append(client)
    for client in clients:
        got = b""
        while piece := client.recv(65536):
            got += piece
        client.close()
        assert got.endswith(b'"primed"'), f"{front.name} did not ask again: {got}"
    front.backend.forget()
