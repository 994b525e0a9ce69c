"""The reviewed list of deliberate differences between Pushpin 1.36 and linchpin."""

import re

from compare import Difference, Everywhere

NEWEST = "newest Pushpin, which does as linchpin"

def without(pattern: str):
    """A line of Pushpin's that has no counterpart."""
    compiled = re.compile(pattern)
    return lambda line: None if compiled.fullmatch(line) else line


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
        "answers of the control API",
        "`Connection: close`", "the connection is kept, as HTTP/1.1 has it", "speed",
        without(r"control   connection: close")),
]
DIFFERENCES: list[Difference] = []
