"""Plays a case on a front, and writes down in comparable form what both ends saw.

A transcript is a list of lines: first what each backend got, request by request, then what the
client got. Only what cannot be equal is replaced: ports, random keys and ids, signatures (by what
they say). Names of header fields are in lower case, and the fields of a request that goes to a
backend are sorted by name: neither means anything (RFC 9110, 5.1 and 5.3).
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import threading
import time
from dataclasses import dataclass, field

import keys
import wire
from backend import SECONDS, Scene
from playing import PATIENT_SECONDS, Play

# Keys that signatures are tried with.
KEYS = {
    b"": "an empty key",
    b"changeme": "changeme",
    b"route-key": "route-key",
    b"\x00\x01bin": "base64 key",
    b"\x00\xffhex": "hex key",
}


@dataclass
class Config:
    """A configuration that both fronts get: settings by section, routes, files beside them."""

    name: str
    routes: str
    settings: dict = field(default_factory=dict)
    files: dict = field(default_factory=dict)
    # Arguments of the command line besides `--config` and `-m`; ports by name in braces.
    arguments: list = field(default_factory=list)


@dataclass
class Case:
    """One exchange, or a few that belong together."""

    id: str
    client: list
    backend: list = field(default_factory=list)
    second: list = field(default_factory=list)
    brief: list = field(default_factory=list)
    secure: list = field(default_factory=list)
    config: str = "base"
    # Whether `Grip-Feature` is to be compared, and not only known.
    features: bool = False
    # Whether it leaves connections in a state in which nobody else should meet them.
    spoils: bool = False
    # Whether it waits for long: such cases are played beside the others, all at the same time. The
    # targets of their requests name them, `/case-ID`.
    patient: bool = False


def signature(token: str) -> str:
    """What a Grip-Sig says, in place of the token."""
    def part(text):
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    try:
        head, claims, signed = token.split(".")
        said, mac = json.loads(part(claims)), part(signed)
        form = json.loads(part(head))
    except (ValueError, binascii.Error):
        return token
    expires = said.pop("exp", None)
    if isinstance(expires, (int, float)):
        # A token may be used again for a minute; those of the cases are as old as the run.
        near = -3500 <= expires - time.time() - 3600 <= 5
        said["exp"] = "in an hour" if near else expires
    key, text = "unknown key", f"{head}.{claims}".encode()
    if form.get("alg") in keys.PAIRS and keys.is_signed(form["alg"], text, mac):
        key = f"the {form['alg']} key"
    for secret, name in KEYS.items():
        if hmac.compare_digest(hmac.new(secret, text, hashlib.sha256).digest(), mac):
            key = name
    return f"<{json.dumps(form, sort_keys=True)} {json.dumps(said, sort_keys=True)} by {key}>"


# The key that clients send in their handshakes.
CLIENT_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
# What each says that it can do. Other values stand in transcripts as they are.
FEATURES = {
    "pushpin": "status, session, link:next, filter:skip-self, filter:skip-users, "
    "filter:require-sub, filter:build-id, filter:var-subst",
    "linchpin": "status, link:next, link:gone, filter:skip-self, filter:skip-users, "
    "filter:require-sub, filter:build-id, filter:var-subst, filter:http-check, "
    "filter:http-modify",
}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def comparable(name: str, value: str) -> str:
    """A request field's value as far as it can be compared."""
    if name == "grip-sig":
        return signature(value)
    if name == "connection-id" and UUID.fullmatch(value):
        return "<uuid>"
    if name == "sec-websocket-key" and value != CLIENT_KEY:
        return f"<random, {len(value)} characters>"
    return value


def request_lines(label: str, exchange, features: str | None) -> list[str]:
    line, fields = wire.split_head(exchange.head)
    lines = [f"{label} got {line}"]
    upgrade = (wire.field(fields, "upgrade") or "").lower() == "websocket"
    events = wire.field(fields, "content-type") == "application/websocket-events"
    fields = wire.framing_last(fields)
    if upgrade or events:
        # The specification says that their order does not count (WebSockets, 2.1).
        fields.sort(key=lambda one: one[0])
    for name, value in fields:
        if name == "content-length" and value == str(len(exchange.body)):
            continue
        if name == "grip-feature" and value == features:
            value = "<its own>"
        lines.append(f"{label}   {name}: {comparable(name, value)}")
    if exchange.framing != "none":
        lines.append(f"{label}   body, {exchange.framing}: {wire.shown(exchange.body)}")
    return lines + [f"{label} {note}" for note in exchange.notes]


def play(case: Case, front) -> list[str]:
    """The transcript of a case on one front."""
    names = ("backend", "second", "brief", "secure")
    seconds = PATIENT_SECONDS if case.patient else SECONDS
    scene = Scene(seconds, **{name: getattr(case, name) for name in names})
    backends = {name: getattr(front, name) for name in names}
    for name, backend in backends.items():
        if case.patient:
            backend.patient[case.id] = scene.scripts[name]
        else:
            backend.script = scene.scripts[name]
    acted = Play(front, scene, len(front.printed()), case.patient)
    try:
        acted.run(case.client)
    finally:
        acted.close()
    done = scene.wait_done(SECONDS)
    if case.patient:
        scene.over = True
    elif not done or case.spoils:
        scene.over = True
        for backend in backends.values():
            backend.forget()
        scene.wait_done(SECONDS)
    lines = []
    for name, script in scene.scripts.items():
        for number, exchange in enumerate(script.exchanges, 1):
            features = None if case.features else FEATURES[front.name]
            lines += request_lines(f"{name} {number}", exchange, features)
    lines += acted.lines
    named = {str(port): name for name, port in front.ports.items()}
    pattern = re.compile(r"(?<=:)(" + "|".join(named) + r")\b")
    return [pattern.sub(lambda found: f"<{named[found[1]]}>", line) for line in lines]


def play_on_both(case: Case, pair) -> list[list[str]]:
    """The transcripts of a case on both fronts, played at the same time."""
    results: list = [None, None]

    def one(at: int):
        try:
            results[at] = play(case, pair.fronts[at])
        except BaseException as failure:
            results[at] = failure

    threads = [threading.Thread(target=one, args=[at]) for at in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
