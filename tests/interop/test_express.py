"""serve-grip and Express behind the server, `ws` and node's http as clients."""

import subprocess

import pytest
from servers import PATIENCE

SCENARIOS = ["about", "long-poll", "long-poll-timeout", "stream", "broadcast"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(express, node_directory, scenario):
    client = subprocess.run(
        ["node", str(node_directory / "client.js"), scenario, express.server.base],
        capture_output=True, text=True, timeout=4 * PATIENCE,
    )
    assert client.returncode == 0, client.stdout + client.stderr
