"""A scripted backend of bare sockets: it records the exact bytes that it sees, and answers by
script. Used by the engine; what an answer may be made of is in `answers.py`.

A script is a list of answers, one for each request in the order in which requests come, whatever
the connection. An answer is bytes, sent when the whole request has been read, or a list of such
and of actions. What is not scripted is answered 200 with `unscripted`, and stands in the record.
"""

import re
import socket
import ssl
import struct
import threading
from pathlib import Path

import wire
from answers import Early, Exchange
from ports import listener
from wire import Stream

# So long an answer waits for an event: longer than the client's side.
SECONDS = 40
# Which case a request belongs to, if it is one that waits for long.
CASE = re.compile(rb"/case-([a-z0-9.-]+)")
UNSCRIPTED = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nunscripted"


class Scene:
    """What the backends of one front do in one case, and what came of it."""

    def __init__(self, seconds: float = SECONDS, **answers):
        # So long each wait for an event may take.
        self.seconds = seconds
        self.changed = threading.Condition()
        self.gates: set[str] = set()
        # Set when the case is at its end: what closes from then on was not the front.
        self.over = False
        self.scripts = {name: Script(self, given) for name, given in answers.items()}

    def tell(self):
        with self.changed:
            self.changed.notify_all()

    def open(self, gate: str):
        with self.changed:
            self.gates.add(gate)
            self.changed.notify_all()

    def exchanges(self):
        return [one for script in self.scripts.values() for one in script.exchanges]

    def wait(self, ready, seconds: float | None = None) -> bool:
        with self.changed:
            return self.changed.wait_for(ready, seconds or self.seconds)

    def wait_open(self, gate: str) -> bool:
        return self.wait(lambda: gate in self.gates)

    def wait_seen(self, count: int) -> bool:
        """Until so many requests have been read whole."""
        return self.wait(lambda: sum(one.read for one in self.exchanges()) >= count)

    def wait_done(self, seconds: float) -> bool:
        """Until nothing is going on any more."""
        return self.wait(lambda: all(one.done for one in self.exchanges()), seconds)


class Script:
    """The answers of one backend in one case, and the exchanges that there have been."""

    def __init__(self, scene: Scene, answers=()):
        self.scene = scene
        self.answers = list(answers)
        self.exchanges: list[Exchange] = []

    def begin(self) -> tuple[Exchange, object]:
        with self.scene.changed:
            exchange = Exchange(self.scene)
            number = len(self.exchanges)
            self.exchanges.append(exchange)
            self.scene.changed.notify_all()
            if number < len(self.answers):
                return exchange, self.answers[number]
            return exchange, UNSCRIPTED


class Backend:
    def __init__(self, certificates: Path | None = None):
        self.listener = listener()
        self.port = self.listener.getsockname()[1]
        self.script = Script(Scene())
        self.context = None
        self.sockets = set()
        self.connections: dict[str, Script] = {}
        # Of cases that are played beside others, by their ids.
        self.patient: dict[str, Script] = {}
        if certificates:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificates / "default.crt", certificates / "default.key")
            self.context.sni_callback = lambda conn, name, _: setattr(conn, "asked_name", name)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection: socket.socket):
        connection.settimeout(None)
        self.sockets.add(connection)
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            stream = Stream(connection)
            while self.exchange(stream):
                pass
        except OSError:
            pass
        finally:
            self.sockets.discard(connection)
            connection.close()

    def exchange(self, stream: Stream) -> bool:
        """One request and its answer; whether the connection goes on."""
        head = stream.head()
        if head is None:
            return False
        # What comes for a WebSocket of an earlier case belongs there.
        name = wire.field(wire.split_head(head)[1], "connection-id")
        named = CASE.search(head.split(b"\r\n")[0])
        current = self.patient.get(named[1].decode(), self.script) if named else self.script
        script = self.connections.setdefault(name, current) if name else current
        exchange, answer = script.begin()
        exchange.stream = stream
        exchange.head = head
        try:
            actions = answer if isinstance(answer, (list, tuple)) else [answer]
            if Early not in actions:
                exchange.read_body()
            for action in actions:
                if isinstance(action, bytes):
                    stream.socket.sendall(action)
                elif action is not Early:
                    action.act(exchange)
            return not exchange.closed and exchange.whole()
        except (OSError, EOFError) as failure:
            exchange.note(f"failed: {type(failure).__name__}")
            return False
        finally:
            exchange.done = True
            script.scene.tell()
            if exchange.reset:
                stream.socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def forget(self):
        """Ends connections that wait for a request, so that the next case meets fresh ones."""
        for connection in list(self.sockets):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        self.listener.close()
        self.forget()
