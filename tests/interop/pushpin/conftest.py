"""Fixtures of the differential test: the two fronts of each configuration, for a whole session."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cases import CONFIGS  # noqa: E402
from fronts import Pair, certificates  # noqa: E402


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
                running[name] = Pair(CONFIGS[name], folder)
            except BaseException as failure:
                failed[name] = str(failure)
                raise
        return running[name]

    yield pair
    for one in running.values():
        one.stop()
    shutil.rmtree(folder, ignore_errors=True)
