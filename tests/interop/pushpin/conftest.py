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

    def pair(name: str) -> Pair:
        if name not in running:
            running[name] = Pair(CONFIGS[name], folder)
        return running[name]

    yield pair
    for one in running.values():
        one.stop()
    shutil.rmtree(folder, ignore_errors=True)
