"""Plays SockJS's own test suite, release 0.3.3, against linchpin before echo backends, native and over
HTTP, and prints a table; a number behind an outcome says how often the test was played. Fails unless
every test passes.

`run` starts it. SERVER_UNDER_TEST is linchpin.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "interop"))

import servers  # noqa: E402
import sockjs_backend  # noqa: E402

# Of one backend, played as often as it takes.
SUITE_SECONDS = 1800
# How many tests the suite has: none may get lost.
TESTS = 68
# The services that the suite asks for, with the limit of streaming answers that it wants.
SERVICES = {
    "/echo": "",
    "/close": "",
    "/disabled_websocket_echo": ",sockjs_websocket=false",
    "/cookie_needed_echo": ",sockjs_cookie",
}


def routes(target: str) -> list[str]:
    for base, options in SERVICES.items():
        path = "/close" if base == "/close" else "/echo"
        yield (
            f"*,path_beg={base},sockjs={base},sockjs_as_path={path},sockjs_limit=4096{options}"
            f" {target}"
        )


def play(kind: str, python2: str, suite: Path) -> dict[str, str]:
    first, *others = routes(sockjs_backend.start(kind))
    options = [option for route in others for option in ("--route", route)]
    server = servers.Linchpin(os.environ["SERVER_UNDER_TEST"], first, options)
    try:
        with tempfile.NamedTemporaryFile("r") as results:
            environment = {
                **os.environ,
                "SOCKJS_URL": server.base,
                "PYTHONPATH": str(suite / "packages"),
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            subprocess.run(
                [python2, "-W", "ignore", HERE / "suite.py", suite / "tests", results.name],
                env=environment,
                timeout=SUITE_SECONDS,
                check=True,
            )
            lines = [line.rstrip("\n").split("\t") for line in results]
        server.alive()
        return {
            name: outcome if times == "1" else f"{outcome} ({times})"
            for name, outcome, times, _ in lines
        }
    finally:
        server.stop()


def main() -> int:
    python2, suite = sys.argv[1], Path(sys.argv[2])
    played = {kind: play(kind, python2, suite) for kind in sockjs_backend.KINDS}
    names = list(dict.fromkeys(name for results in played.values() for name in results))
    width = max(map(len, names), default=0)
    print(f"{'SockJS 0.3.3':{width}}  {'native':10}  over-http")
    for name in names:
        outcomes = [results.get(name, "MISSING") for results in played.values()]
        print(f"{name:{width}}  " + "  ".join(f"{each:10}" for each in outcomes).rstrip())
    passed = {
        kind: sum(outcome.startswith("OK") for outcome in results.values())
        for kind, results in played.items()
    }
    print(", ".join(f"{kind}: {count} of {TESTS}" for kind, count in passed.items()))
    return 0 if all(count == len(names) == TESTS for count in passed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
