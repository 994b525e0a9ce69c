"""Compares the transcripts of a case, and holds what is left against the reviewed differences.

These stand in `differences.txt`: an entry is a subject (`##`), what Pushpin does, what linchpin
does, and why, and then, for the cases named after `@`, the very lines that differ: `-` are
Pushpin's, `+` are linchpin's. No line more may differ, and none less. Lines under `@ anywhere` are
regular expressions of lines of Pushpin's that may have no counterpart in any case. `?` instead of
`@` is for what Pushpin does by chance, with no event to wait for: all these lines differ besides,
or none; what linchpin says in them it says in any case.
"""

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path

# What Pushpin 1.36 logs when it drops a request of a client: messages about it between its processes
# have overtaken each other.
GAVE_UP = "received message out of sequence, canceling"
LIST = Path(__file__).with_name("differences.txt")
ANYWHERE = "anywhere"
WORDS = ("pushpin", "linchpin", "why")


@dataclass
class Difference:
    """A deliberate difference: one row of the table in docs/pushpin-compared.md."""

    subject: str
    pushpin: str = ""
    linchpin: str = ""
    why: str = ""
    # Case id to the lines that differ.
    cases: dict[str, list[str]] = field(default_factory=dict)
    # The same, of what differs by chance.
    chances: dict[str, list[str]] = field(default_factory=dict)
    # Lines of Pushpin's that may differ in any case.
    anywhere: list[re.Pattern] = field(default_factory=list)


def differences() -> list[Difference]:
    """The reviewed list."""
    found: list[Difference] = []
    names: list[str] = []
    for number, line in enumerate(LIST.read_text().splitlines(), 1):
        if line.startswith("## "):
            found.append(Difference(line[3:]))
            names = []
        elif line.startswith("@ "):
            names = line[2:].split()
            kind = found[-1].cases
            kind |= {name: [] for name in names if name != ANYWHERE}
        elif line.startswith("? "):
            names, kind = line[2:].split(), found[-1].chances
            kind |= {name: [] for name in names}
        elif names and line[:2] in ("- ", "+ "):
            for name in names:
                if name == ANYWHERE:
                    found[-1].anywhere.append(re.compile(re.escape(line[:2]) + line[2:]))
                else:
                    kind[name].append(line)
        elif found and not names and line.split(":")[0] in WORDS:
            word, _, text = line.partition(":")
            setattr(found[-1], word, text.strip())
        elif line and not line.startswith("#"):
            raise ValueError(f"{LIST.name}:{number}: not understood: {line}")
    return found


def left_over(pushpin: list[str], linchpin: list[str], reviewed) -> list[str]:
    """The lines that differ, `-` and `+` before them, but for those that may differ anywhere."""
    lines = [line for line in difflib.ndiff(pushpin, linchpin) if line[0] in "-+"]
    patterns = [pattern for one in reviewed for pattern in one.anywhere]
    return [line for line in lines if not any(pattern.fullmatch(line) for pattern in patterns)]


def expected(case: str, reviewed) -> list[str]:
    """The lines in which a case is to differ."""
    return [line for one in reviewed for line in one.cases.get(case, [])]


def accepted(case: str, found: list[str], linchpin: list[str], reviewed) -> bool:
    """Whether a case differs as it is to, given what is left over and linchpin's transcript."""
    wanted = expected(case, reviewed)
    chance = [line for one in reviewed for line in one.chances.get(case, [])]
    always = [line[2:] for line in chance if line.startswith("+ ")]
    may_be = [normal(wanted), normal(wanted + chance)]
    return normal(found) in may_be and all(line in linchpin for line in always)


def same(case: str, pushpin: list[str], linchpin: list[str], reviewed) -> bool:
    """Whether nothing differs but what is reviewed."""
    return accepted(case, left_over(pushpin, linchpin, reviewed), linchpin, reviewed)


def settled(case: str, played, gave_up: bool, once_more, reviewed):
    """The transcripts of a case: if Pushpin gave up one of its requests, and what is not reviewed
    differs, those of a second play, in which linchpin's must be what it was."""
    pushpin, linchpin = played
    if not gave_up or same(case, pushpin, linchpin, reviewed):
        return pushpin, linchpin
    pushpin, again = once_more()
    assert again == linchpin, f"{case}: linchpin's own outcome depends on chance"
    return pushpin, again


def normal(lines: list[str]) -> list[str]:
    """Lines in an order in which two lists of differences can be compared."""
    return sorted(line.rstrip() for line in lines)


def explained(case: str, pushpin, linchpin, found, wanted) -> str:
    """What to show of a case that fails."""
    whole = difflib.unified_diff(pushpin, linchpin, "pushpin", "linchpin", n=50, lineterm="")
    parts = [f"{case}: what differs is not what {LIST.name} says",
             "---- all, side by side", *whole,
             "---- differs, without what differs everywhere", *(found or ["(nothing)"])]
    if wanted:
        parts += ["---- should differ", *wanted]
    return "\n".join(parts)
