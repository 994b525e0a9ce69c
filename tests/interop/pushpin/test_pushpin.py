"""Pushpin and linchpin side by side: the same configuration, the same bytes, the same outcome, but
for the deliberate differences of `differences.py`."""

import os

import pytest

import compare
from cases import ALL, CONFIGS
from differences import DIFFERENCES, EVERYWHERE
from engine import play_on_both

EXCHANGES_MIN = 150


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_same(case, pairs):
    pushpin, linchpin = play_on_both(case, pairs(case.config))
    if os.environ.get("SHOW"):
        print("\n".join(pushpin), "\n----\n", "\n".join(linchpin), sep="")
    found = compare.left_over(pushpin, linchpin, EVERYWHERE)
    wanted, _ = compare.expected(case, DIFFERENCES)
    if compare.normal(found) != compare.normal(wanted):
        pytest.fail(compare.explained(case, pushpin, linchpin, found, wanted), pytrace=False)


def test_the_list_of_differences_is_sound():
    ids = [case.id for case in ALL]
    assert len(ids) == len(set(ids)), "two cases have the same id"
    assert len(ids) >= EXCHANGES_MIN
    assert {case.config for case in ALL} == set(CONFIGS)
    known = set(ids)
    for difference in DIFFERENCES:
        unknown = set(difference.cases) - known
        assert not unknown, f"{difference.subject}: no such case: {unknown}"
        assert difference.cases, f"{difference.subject}: seen in no case"
    for row in [*DIFFERENCES, *EVERYWHERE]:
        assert row.subject and row.pushpin and row.linchpin and row.why
