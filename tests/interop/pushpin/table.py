#!/usr/bin/env python3
"""The table of docs/pushpin-compared.md, made from the reviewed list of differences.

    python3 tests/interop/pushpin/table.py --write
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import compare  # noqa: E402

DOCUMENT = Path(__file__).parents[3] / "docs" / "pushpin-compared.md"
BEGIN = "<!-- made by tests/interop/pushpin/table.py -->\n"
END = "<!-- until here -->\n"
# So many cases of an entry are named; of more it is said how many they are.
NAMED_MAX = 4


def where(one: compare.Difference) -> str:
    if one.anywhere:
        return "anywhere"
    names = [*one.cases, *one.chances]
    shown = ", ".join(f"`{name}`" for name in names[:NAMED_MAX])
    more = len(names) - NAMED_MAX
    return shown + (f" and {more} more" if more > 0 else "")


def made(reviewed, cases: int) -> str:
    """The table, and how many cases there are."""
    lines = [f"{cases} cases. {len(reviewed)} differences:", "",
             "| subject | Pushpin 1.36 | linchpin | why | seen in |",
             "| --- | --- | --- | --- | --- |"]
    lines += [f"| {one.subject} | {one.pushpin} | {one.linchpin} | {one.why} | {where(one)} |"
              for one in reviewed]
    return "\n".join(lines) + "\n"


def in_document() -> str:
    return DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]


def main():
    from cases import ALL

    text = DOCUMENT.read_text()
    table = made(compare.differences(), len(ALL))
    if sys.argv[1:] == ["--write"]:
        DOCUMENT.write_text(text.partition(BEGIN)[0] + BEGIN + table + END + text.partition(END)[2])
    else:
        print(table, end="")


if __name__ == "__main__":
    main()
