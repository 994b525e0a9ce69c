"""Commands over ZeroMQ with libzmq's own client, as existing tools send them."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import zmq
from websockets.sync.client import connect

import servers
from servers import PATIENCE


def encode(value) -> bytes:
    """A TNetString."""
    if value is None:
        return b"0:~"
    if isinstance(value, bytes):
        return b"%d:%s," % (len(value), value)
    if isinstance(value, list):
        payload = b"".join(encode(element) for element in value)
        return b"%d:%s]" % (len(payload), payload)
    payload = b"".join(encode(name) + encode(member) for name, member in value.items())
    return b"%d:%s}" % (len(payload), payload)


def decode(data: bytes):
    """The value that `data` begins with, and the rest."""
    length, _, rest = data.partition(b":")
    size = int(length)
    payload, kind, rest = rest[:size], rest[size : size + 1], rest[size + 1 :]
    if kind == b",":
        return payload, rest
    if kind == b"!":
        return payload == b"true", rest
    if kind == b"~":
        return None, rest
    values = []
    while payload:
        value, payload = decode(payload)
        values.append(value)
    if kind == b"]":
        return values, rest
    assert kind == b"}", kind
    return dict(zip(values[::2], values[1::2])), rest


class Backend(ThreadingHTTPServer):
    """Accepts every WebSocket over HTTP, and remembers who was refreshed."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.daemon_threads = True
        self.ids = []
        self.refreshed = []
        self.told = threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        connection = self.headers["Connection-Id"]
        with self.server.told:
            (self.server.refreshed if not body else self.server.ids).append(connection)
            self.server.told.notify_all()
        answer = b"OPEN\r\n" if body == b"OPEN\r\n" else b""
        self.send_response(200)
        self.send_header("Content-Type", "application/websocket-events")
        self.send_header("Sec-WebSocket-Extensions", "grip")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture(params=["tcp", "ipc"])
def spec(request, tmp_path):
    if request.param == "ipc":
        return f"ipc://{tmp_path}/command"
    return "tcp://127.0.0.1:0"


def test_refresh_and_conncheck(spec):
    backend = Backend()
    route = f"* 127.0.0.1:{backend.server_address[1]},over_http"
    server = servers.start(route, ["--command-spec", spec])
    if server.name != "linchpin":
        server.stop()
        pytest.skip("the address of the command socket is set in another way there")
    context = zmq.Context()
    commands = context.socket(zmq.REQ)
    commands.setsockopt(zmq.LINGER, 0)
    commands.setsockopt(zmq.RCVTIMEO, PATIENCE * 1000)

    def ask(method, args):
        commands.send(encode({b"id": b"7", b"method": method, b"args": args}))
        reply, rest = decode(commands.recv())
        assert rest == b"" and reply.pop(b"id") == b"7"
        return reply

    try:
        # The server says which port it has.
        commands.connect(server.printed_match(r"commands on (\S+)\s"))
        url = server.base.replace("http", "ws") + "/"
        with connect(url, open_timeout=PATIENCE, ping_interval=None):
            connection = backend.ids[0].encode()
            checked = ask(b"conncheck", {b"ids": [b"nobody", connection]})
            assert checked == {b"success": True, b"value": [connection]}
            assert ask(b"refresh", {b"cid": connection}) == {b"success": True, b"value": None}
            with backend.told:
                assert backend.told.wait_for(lambda: backend.refreshed, PATIENCE)
            assert backend.refreshed == [connection.decode()]
            assert ask(b"refresh", {b"cid": b"nobody"})[b"condition"] == b"item-not-found"
            assert ask(b"refresh", {})[b"condition"] == b"bad-request"
            assert ask(b"report", {})[b"condition"] == b"method-not-found"
    finally:
        commands.close()
        context.term()
        server.stop()
        backend.shutdown()
