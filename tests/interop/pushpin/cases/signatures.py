"""Signatures by key pairs and by keys in files, both ways (routing-and-proxying, 3.7)."""

import base64
import json

import keys
from answers import Accept, Echo
from cases.trust import LATER, token
from cases.websockets import BYE, CLOSE, upgrade
from cases.words import asked, get, grip, item, ok
from engine import Case
from steps import Ended, End, Got, Heard, On, Publish, Say, Seen, Subscribed


def sent(id: str, host: str, config: str = "keyed") -> Case:
    return Case(f"signatures-{id}", asked(get(host=host)), [ok()], config=config)


def pair_token(algorithm: str, claims: dict, head: dict | None = None) -> str:
    """A token that a key pair signs."""
    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    said = b".".join(part(json.dumps(one).encode())
                     for one in (head or {"typ": "JWT", "alg": algorithm}, claims))
    return (said + b"." + part(keys.signed(algorithm, said))).decode()


def trusted(id: str, sig: str, config: str = "keyed") -> Case:
    """Whether a request is an upstream proxy's: if it is, its Grip-* stay, and holds pass."""
    back = grip("stream", "sig-passed", body=b"as it is")
    return Case(f"signatures-trusted-{id}",
                asked(get("/", f"Grip-Sig: {sig}", "Grip-X: 1", host="none.test")),
                [back if id.startswith("good") else ok()], config=config)


CLAIMS = {"exp": LATER, "iss": "upstream"}

CASES = [
    # Signed by linchpin.
    sent("global-base64", "a.test"),
    sent("es", "es.test"),
    sent("rs", "rs.test"),
    sent("global-es", "a.test", "patient"),
    sent("empty-file", "empty.test"),
    sent("missing-file", "missing.test"),
    sent("broken-pem", "broken.test"),
    sent("public-key", "public.test"),
    sent("base64-nonsense", "base64.test"),
    Case("signatures-websocket", [upgrade(host="rs.test"), Got, Say(CLOSE, BYE), Heard, Ended],
         [[Accept(), Echo()]], config="keyed"),
    Case("signatures-over-http", [upgrade(host="over.test"), Got],
         [ok(b"no")], config="keyed"),
    Case("signatures-link", [get(host="es.test"), Got, End],
         [ok(b"one ", "Grip-Link: </n>; rel=next"), ok(b"two")], config="keyed"),
    Case("signatures-again",
         [get("/", host="rs.test"), Subscribed("sig-again"),
          Publish(item("sig-again", http_response={"action": "hint"})), Got, End],
         [grip("response", "sig-again; prev-id=1"), ok(b"again")], config="keyed"),
    Case("signatures-two-clients",
         [On("one"), get("/1", host="es.test"), Got, On("two"), get("/2", host="rs.test"), Got,
          Seen(2)], [ok(), ok()], config="keyed"),
    # Verified by linchpin: the algorithm is that of the key.
    trusted("good-es", pair_token("ES256", CLAIMS)),
    trusted("good-rs", pair_token("RS256", CLAIMS), "patient"),
    trusted("good-es-no-typ", pair_token("ES256", CLAIMS, {"alg": "ES256"})),
    trusted("es-expired", pair_token("ES256", {"exp": LATER - 7200})),
    trusted("es-no-exp", pair_token("ES256", {"iss": "upstream"})),
    trusted("es-by-rs", pair_token("RS256", CLAIMS)),
    trusted("rs-by-es", pair_token("ES256", CLAIMS), "patient"),
    trusted("es-by-secret", token(CLAIMS, keys.PAIRS["ES256"][1].encode())),
    trusted("rs-by-secret", token(CLAIMS, keys.PAIRS["RS256"][1].encode()), "patient"),
    trusted("es-none", token(CLAIMS, b"", {"typ": "JWT", "alg": "none"})),
    trusted("es-cut", pair_token("ES256", CLAIMS)[:-4]),
    trusted("es-changed", pair_token("ES256", CLAIMS).replace(".", ".e30", 1)),
    trusted("es-two-parts", ".".join(pair_token("ES256", CLAIMS).split(".")[:2])),
    trusted("es-not-before", pair_token("ES256", CLAIMS | {"nbf": LATER})),
    trusted("es-claims-list", pair_token("ES256", [1])),
]
