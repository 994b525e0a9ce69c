"""A backend for SockJS clients, native or over HTTP, in a thread of the tests.

`/echo` says what it hears and `/close` closes at once with 3000 "Go away!", as SockJS's own test suite
wants it; `/room` uses GRIP: "join NAME" subscribes to a channel, "bye" has it close with 3001
"Bye!", and everything is said back.
"""

import asyncio
import itertools
import json
import socket
import struct
import threading

from servers import PATIENCE
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

GOODBYE = (3000, "Go away!")
FAREWELL = (3001, "Bye!")


def replies(path: str, message: str):
    """What `/room` and `/echo` say to a message."""
    if not path.startswith("/room"):
        return [message]
    said = [f"m:{message}"]
    if message.startswith("join "):
        subscribe = {"type": "subscribe", "channel": message.removeprefix("join ")}
        said.insert(0, f"c:{json.dumps(subscribe)}")
    return said


async def converse(client):
    path = client.request.path
    if path.startswith("/close"):
        await client.close(*GOODBYE)
        return
    try:
        async for message in client:
            for said in replies(path, message):
                await client.send(said)
            if message == "bye":
                await client.close(*FAREWELL)
    except ConnectionClosed:
        pass  # a client that has left is dropped


def with_grip(_, request, response):
    if request.path.startswith("/room"):
        response.headers["Sec-WebSocket-Extensions"] = "grip"
    return response


async def native(listener: socket.socket):
    """Serves WebSockets, for ever."""
    async with serve(
        converse,
        sock=listener,
        compression=None,
        process_response=with_grip,
        ping_interval=None,
        open_timeout=PATIENCE,
        close_timeout=PATIENCE,
    ):
        await asyncio.get_running_loop().create_future()


def event(kind: str, content: bytes | None = None) -> bytes:
    if content is None:
        return f"{kind}\r\n".encode()
    return b"%s %x\r\n%s\r\n" % (kind.encode(), len(content), content)


def events(body: bytes):
    while body:
        head, _, body = body.partition(b"\r\n")
        kind, _, length = head.partition(b" ")
        content = None
        if length:
            end = int(length, 16)
            content, body = body[:end], body[end + 2 :]
        yield kind.decode(), content


def closing(code: int, reason: str) -> bytes:
    return event("CLOSE", struct.pack(">H", code) + reason.encode())


def answer(path: str, body: bytes) -> bytes:
    out = b""
    for kind, content in events(body):
        if kind == "OPEN":
            out += event("OPEN")
            if path.startswith("/close"):
                out += closing(*GOODBYE)
        elif kind == "TEXT":
            message = content.decode()
            out += b"".join(event("TEXT", said.encode()) for said in replies(path, message))
            if message == "bye":
                out += closing(*FAREWELL)
        elif kind in ("BINARY", "CLOSE"):
            out += event(kind, content)
    return out


async def exchange(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            path = first.split(" ")[1]
            fields = {}
            for line in filter(None, lines):
                name, _, value = line.partition(":")
                fields[name.lower()] = value.strip()
            if fields.get("transfer-encoding", "").lower() == "chunked":
                body = b""
                while length := int(await reader.readline(), 16):
                    body += (await reader.readexactly(length + 2))[:-2]
                await reader.readline()
            else:
                body = await reader.readexactly(int(fields.get("content-length", 0)))
            out = answer(path, body)
            grip = "Sec-WebSocket-Extensions: grip\r\n" if path.startswith("/room") else ""
            head = (
                "HTTP/1.1 200 OK\r\nContent-Type: application/websocket-events\r\n"
                f"{grip}Content-Length: {len(out)}\r\n\r\n"
            )
            writer.write(head.encode() + out)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def over_http(listener: socket.socket):
    """Serves WebSocket-over-HTTP, for ever."""
    server = await asyncio.start_server(exchange, sock=listener)
    await server.serve_forever()


# As a test names it: what serves, and the options of the target.
KINDS = {"native": (native, ""), "over-http": (over_http, ",over_http")}
CHANNELS = (f"sockjs-{n}" for n in itertools.count())


def start(kind: str) -> str:
    """Starts a backend; gives the target of a route for it."""
    run, options = KINDS[kind]
    # Bound here, so that nobody else can have the port, and who connects early waits.
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = listener.getsockname()[1]
    threading.Thread(target=lambda: asyncio.run(run(listener)), daemon=True).start()
    return f"127.0.0.1:{port}{options}"
