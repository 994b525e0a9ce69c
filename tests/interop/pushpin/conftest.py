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
def pairs():
    """Starts the fronts of a configuration when they are first asked for."""
    folder = certificates()
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
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def patient(request, pairs):
    """The transcripts of cases that wait for long: they begin before all others."""
    cases = [item.callspec.params.get("case") for item in request.session.items
             if hasattr(item, "callspec")]
    cases = [case for case in cases if getattr(case, "patient", False)]
    with ThreadPoolExecutor(max(len(cases), 1)) as pool:
        yield {case.id: pool.submit(play_on_both, case, pairs(case.config)) for case in cases}
