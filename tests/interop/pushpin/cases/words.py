"""Requests and answers in few words, for the tables of cases."""

import json

from steps import End, Got


def request(line: str, *fields: str, host: str | None = "a.test", body: bytes = b"",
            version: str = "1.1") -> bytes:
    """A request as bytes; `Content-Length` only where a field says so."""
    lines = [f"{line} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += fields
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def get(path: str = "/", *fields: str, host: str | None = "a.test") -> bytes:
    return request(f"GET {path}", *fields, host=host)


def post(path: str, body: bytes, *fields: str, host: str = "a.test", line: str = "") -> bytes:
    length = f"Content-Length: {len(body)}"
    return request(line or f"POST {path}", *fields, length, host=host, body=body)


def answer(status: str, *fields: str, body: bytes = b"", length: bool = True) -> bytes:
    """A backend's answer, with its length unless told otherwise."""
    lines = [f"HTTP/1.1 {status}", *fields]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def ok(body: bytes = b"ok", *fields: str) -> bytes:
    return answer("200 OK", *fields, body=body)


def grip(hold: str, channel: str, *fields: str, body: bytes = b"", status: str = "200 OK") -> bytes:
    """An answer that holds by its header."""
    return answer(status, "Content-Type: text/plain", f"Grip-Hold: {hold}",
                  f"Grip-Channel: {channel}", *fields, body=body)


def instruct(document, *fields: str, status: str = "200 OK") -> bytes:
    """An answer that instructs by JSON."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return answer(status, "Content-Type: application/grip-instruct", *fields, body=body)


def asked(sent: bytes, method: str = "GET") -> list:
    """One request, its answer, and whether the connection goes on."""
    return [sent, Got(method), End]


def item(channel: str, **formats) -> dict:
    """An item to publish; formats with `_` for `-`."""
    return {"channel": channel,
            "formats": {name.replace("_", "-"): value for name, value in formats.items()}}
