"""Compares the transcripts of a case, and holds what is left against the reviewed differences.

A difference of both sides is written as lines that begin with `-` (Pushpin) and `+` (linchpin);
these must be exactly what differs, no line more and none less.
"""

import difflib
from dataclasses import dataclass, field

from engine import Case


@dataclass
class Difference:
    """A deliberate difference: one row of the table in docs/pushpin-compared.md."""

    subject: str
    pushpin: str
    linchpin: str
    why: str
    # Case id to the exact lines that differ.
    cases: dict[str, str] = field(default_factory=dict)


@dataclass
class Everywhere:
    """A deliberate difference that may be in any case: how it looks in Pushpin's transcript, line
    by line, and what stands in its place in linchpin's (None: nothing)."""

    subject: str
    pushpin: str
    linchpin: str
    why: str
    # Given a line of Pushpin's transcript: linchpin's, or None for none, or the same line.
    rewrite: object
    used: bool = False


def left_over(pushpin: list[str], linchpin: list[str], everywhere) -> list[str]:
    """The lines that differ, `-` and `+` before them, without the differences that are everywhere.
    """
    lines = [line for line in difflib.ndiff(pushpin, linchpin) if line[0] in "-+"]
    for rule in everywhere:
        for line in [line for line in lines if line[0] == "-"]:
            counterpart = rule.rewrite(line[2:])
            if counterpart is None:
                lines.remove(line)
            elif counterpart != line[2:] and "+ " + counterpart in lines:
                lines.remove(line)
                lines.remove("+ " + counterpart)
            else:
                continue
            rule.used = True
    return lines


def expected(case: Case, differences) -> tuple[list[str], list[Difference]]:
    """The lines in which a case is to differ, and why."""
    reasons = [one for one in differences if case.id in one.cases]
    lines = []
    for one in reasons:
        lines += [line for line in one.cases[case.id].splitlines() if line.strip()]
    return lines, reasons


def normal(lines: list[str]) -> list[str]:
    """Lines in an order in which two lists of differences can be compared."""
    return sorted(" ".join(line.split()) for line in lines)


def explained(case, pushpin, linchpin, found, wanted) -> str:
    """What to show of a case that fails."""
    whole = difflib.unified_diff(pushpin, linchpin, "pushpin", "linchpin", n=50, lineterm="")
    parts = [f"{case.id}: what differs is not what differences.py says",
             "---- all, side by side", *whole,
             "---- differs, after what differs everywhere", *(found or ["(nothing)"])]
    if wanted:
        parts += ["---- should differ", *wanted]
    return "\n".join(parts)
