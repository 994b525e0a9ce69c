"""Fixtures of the differential test: the two fronts of each configuration, for a whole session."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cases import ALL, CONFIGS  # noqa: E402
from engine import play_on_both  # noqa: E402
from fronts import Pair, certificates  # noqa: E402
from steps import Subscribed  # noqa: E402


def channels(config: str) -> list[str]:
    """What the cases of a configuration hold, but for those that wait for what comes of it."""
    steps = [step for case in ALL if case.config == config and not case.patient
             for step in case.client]
    return list(dict.fromkeys(step.channel for step in steps if isinstance(step, Subscribed)))


@pytest.fixture(scope="session")
def folder():
    """The certificates of all fronts."""
    made = certificates()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def pairs(folder):
    """Starts the fronts of a configuration when they are first asked for."""
    running: dict[str, Pair] = {}
    failed: dict[str, str] = {}

    def pair(name: str) -> Pair:
        if name in failed:
            pytest.fail(f"the fronts of {name} did not start: {failed[name]}", pytrace=False)
        if name not in running:
            try:
                running[name] = Pair(CONFIGS[name], folder, channels(name))
            except BaseException as failure:
                failed[name] = str(failure)
                raise
        return running[name]

    yield pair
    for one in running.values():
        one.stop()


@pytest.fixture
def once_more(folder):
    """Plays a case on fronts of its own, to which nothing has happened yet."""

    def play(case) -> list[list[str]]:
        pair = Pair(CONFIGS[case.config], folder, channels(case.config))
        try:
            return play_on_both(case, pair)
        finally:
            pair.stop()

    return play


@pytest.fixture(scope="session", autouse=True)
def patient(request, pairs):
    """The transcripts of cases that wait for long: they begin before all others."""
    cases = [item.callspec.params.get("case") for item in request.session.items
             if hasattr(item, "callspec")]
    cases = [case for case in cases if getattr(case, "patient", False)]
    with ThreadPoolExecutor(max(len(cases), 1)) as pool:
        yield {case.id: pool.submit(play_on_both, case, pairs(case.config)) for case in cases}
