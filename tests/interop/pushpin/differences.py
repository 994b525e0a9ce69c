"""The reviewed list of deliberate differences between Pushpin 1.36 and linchpin."""

import re

from compare import Difference, Everywhere

NEWEST = "newest Pushpin, which does as linchpin"

FEATURES_1_36 = (
    "status, session, link:next, filter:skip-self, filter:skip-users, filter:require-sub, "
    "filter:build-id, filter:var-subst"
)
FEATURES = (
    "status, link:next, link:gone, filter:skip-self, filter:skip-users, filter:require-sub, "
    "filter:build-id, filter:var-subst, filter:http-check, filter:http-modify"
)


def without(pattern: str):
    """A line of Pushpin's that has no counterpart."""
    compiled = re.compile(pattern)
    return lambda line: None if compiled.fullmatch(line) else line


def instead(pattern: str, replacement: str):
    compiled = re.compile(pattern)
    return lambda line: compiled.sub(replacement, line)


EVERYWHERE = [
    Everywhere(
        "`Accept` of a request that has none",
        "`Accept: */*` is added", "nothing is added", NEWEST,
        without(r"\w+ \d+   accept: \*/\*")),
    Everywhere(
        "`Accept-Encoding` toward backends",
        "`deflate, gzip, br, zstd`, its HTTP client's", "none", NEWEST,
        without(r"\w+ \d+   accept-encoding: deflate, gzip, br, zstd")),
    Everywhere(
        "`Grip-Feature`",
        f"`{FEATURES_1_36}`", f"`{FEATURES}`",
        "each names what it can do: links and HTTP filters came later, session state is not built",
        instead(f"(grip-feature: ){re.escape(FEATURES_1_36)}", rf"\1{FEATURES}")),
    Everywhere(
        "answers of the control API",
        "`Connection: close`", "the connection is kept, as HTTP/1.1 has it", "speed",
        without(r"control   connection: close")),
]
DIFFERENCES: list[Difference] = []
