"""Upstream proxies that are trusted by their signature (routing-and-proxying, 3.7)."""

import base64
import hashlib
import hmac
import json
import time

from cases.websockets import BYE, CLOSE, upgrade
from cases.words import asked, get, grip, instruct, ok, post
from answers import Accept, Echo, Tell
from engine import Case
from steps import Ended, Got, Heard, Say

# Past the end of any run.
LATER = int(time.time()) + 3600


def token(claims: dict, key: bytes = b"upstream", head: dict | None = None) -> str:
    def part(value) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    said = b".".join(part(json.dumps(one).encode())
                     for one in (head or {"typ": "JWT", "alg": "HS256"}, claims))
    signed = hmac.new(key, said, hashlib.sha256).digest()
    return (said + b"." + part(signed)).decode()


GOOD = "Grip-Sig: " + token({"exp": LATER, "iss": "upstream"})


def signed(id: str, sig: str, back: bytes | None = None) -> Case:
    fields = ("X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3", "Grip-Feature: theirs", "Grip-X: 1")
    return Case(f"trust-{id}", asked(get("/", sig, *fields)), [back or ok()], config="believing")


CASES = [
    signed("good", GOOD),
    signed("good-holds-itself", GOOD, grip("stream", "t-hold", "Grip-Keep-Alive: x", body=b"hi")),
    signed("good-instruct", GOOD, instruct({"hold": {"mode": "stream", "channels": []}})),
    signed("expired", "Grip-Sig: " + token({"exp": LATER - 7200, "iss": "upstream"})),
    signed("no-exp", "Grip-Sig: " + token({"iss": "upstream"})),
    signed("exp-string", "Grip-Sig: " + token({"exp": str(LATER)})),
    signed("exp-float", "Grip-Sig: " + token({"exp": LATER + 0.5})),
    signed("wrong-key", "Grip-Sig: " + token({"exp": LATER}, b"another")),
    signed("no-typ", "Grip-Sig: " + token({"exp": LATER}, head={"alg": "HS256"})),
    signed("alg-none", "Grip-Sig: " + token({"exp": LATER}, head={"alg": "none"})),
    signed("audience", "Grip-Sig: " + token({"exp": LATER, "aud": "x"})),
    signed("nonsense", "Grip-Sig: nonsense"),
    Case("trust-wrong-holds", asked(get("/", "Grip-Sig: x")),
         [grip("response", "t-none", "Grip-Status: fine", body=b"hi")], config="believing"),
    Case("trust-orig", asked(get("/", GOOD, "X-A: 1", "eb9bf0f5-X-B: 2", host="orig.test")),
         [ok()], config="believing"),
    Case("trust-marked", asked(get("/", GOOD, "eb9bf0f5-X-B: 2")), [ok()], config="believing"),
    Case("trust-nogrip", asked(get("/", GOOD, host="nogrip.test")), [ok()], config="believing"),
    Case("trust-events", asked(post("/", b"OPEN\r\n", GOOD,
                                    "Content-Type: application/websocket-events",
                                    host="over.test"), "POST"),
         [ok(b"OPEN\r\n", "Content-Type: application/websocket-events")], config="believing"),
    Case("trust-websocket",
         [upgrade("/", GOOD, "Sec-WebSocket-Extensions: grip", host="a.test"), Got, Heard,
          Say(CLOSE, BYE), Heard, Ended],
         [[Accept(b"Sec-WebSocket-Extensions: grip\r\n"), Tell(1, b"m:as it is"), Echo()]],
         config="believing"),
]
