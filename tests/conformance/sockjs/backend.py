"""The backends of SockJS's test services: `/echo` says what it hears, `/close` closes at once with
3000 "Go away!". Natively, and over HTTP. Used by `run.py`."""

import asyncio
import struct

from websockets.asyncio.server import serve

GOODBYE = (3000, "Go away!")


async def converse(socket):
    if socket.request.path.startswith("/close"):
        await socket.close(*GOODBYE)
        return
    async for message in socket:
        await socket.send(message)


async def native(port: int):
    """Serves WebSockets, for ever."""
    async with serve(converse, "127.0.0.1", port, compression=None):
        await asyncio.get_running_loop().create_future()


def event(kind: bytes, content: bytes | None = None) -> bytes:
    if content is None:
        return kind + b"\r\n"
    return b"%s %x\r\n%s\r\n" % (kind, len(content), content)


def events(body: bytes):
    while body:
        head, _, body = body.partition(b"\r\n")
        kind, _, length = head.partition(b" ")
        content = None
        if length:
            content, body = body[: int(length, 16)], body[int(length, 16) + 2 :]
        yield kind, content


def answer(path: bytes, body: bytes) -> bytes:
    out = b""
    for kind, content in events(body):
        if kind == b"OPEN":
            out += event(b"OPEN")
            if path.startswith(b"/close"):
                code, reason = GOODBYE
                out += event(b"CLOSE", struct.pack(">H", code) + reason.encode())
        elif kind in (b"TEXT", b"BINARY", b"CLOSE"):
            out += event(kind, content)
    return out


async def exchange(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
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
            out = answer(first.split(" ")[1].encode(), body)
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/websocket-events\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(out), out)
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def over_http(port: int):
    """Serves WebSocket-over-HTTP, for ever."""
    server = await asyncio.start_server(exchange, "127.0.0.1", port)
    await server.serve_forever()
