"""The commands that README and docs show: each is one that the program takes, and those of a
Pushpin user's first five minutes are run as they stand there."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

import servers

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PUSHPIN_CONF = Path("/etc/pushpin/pushpin.conf")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Free ports, and nothing of the machine's own, whatever a file says.
FREE = {
    "LINCHPIN_HTTP_PORT": "127.0.0.1:0",
    "LINCHPIN_CONTROL": "127.0.0.1:0",
    "LINCHPIN_COMMAND_SPEC": "tcp://127.0.0.1:0",
    "LINCHPIN_LOGDIR": "log",
    "LINCHPIN_RUNDIR": "run",
}


def binary() -> str:
    path = os.environ.get("SERVER_UNDER_TEST")
    if not path:
        pytest.skip("these are linchpin's commands")
    return str(Path(path).resolve())


def shown() -> list[tuple[str, str]]:
    """Page and arguments of each `linchpin ...` in a block of shell commands."""
    found = []
    for page in PAGES:
        for block in BLOCK.findall(page.read_text()):
            lines = (line.split(" #")[0].strip() for line in block.splitlines())
            found += [
                (page.name, line.removeprefix("linchpin "))
                for line in lines
                if line.startswith("linchpin ")
            ]
    return found


SHOWN = shown()


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that the commands name."""
    shutil.copy(ROOT / "examples/linchpin.conf", tmp_path / "linchpin.conf")
    shutil.copy(PUSHPIN_CONF, tmp_path / "pushpin.conf")
    (tmp_path / "routes").write_text("* test\n")
    return tmp_path


def run(folder, *arguments, environment=()):
    return subprocess.run(
        [binary(), *arguments],
        cwd=folder,
        env={**os.environ, **dict(environment)},
        capture_output=True,
        text=True,
        timeout=servers.PATIENCE,
    )


def test_there_are_commands():
    assert len(SHOWN) > 10


@pytest.mark.parametrize(("page", "command"), SHOWN)
def test_every_command_is_one(folder, page, command):
    arguments = shlex.split(command)
    if arguments[0] == "publish":
        # Nobody listens there.
        ended = run(folder, "publish", "--spec", "http://127.0.0.1:1", *arguments[1:])
        assert (ended.returncode, "connect" in ended.stderr.lower()) == (1, True), ended
        return
    if arguments[0] not in ("check", "explain", "options"):
        # What would serve: whether this machine has all that it names is not the question.
        ended = run(folder, "check", *arguments)
        assert ended.returncode in (0, 1), ended
        return
    assert run(folder, *arguments).returncode in (0, 1)


def test_check_of_debians_file(folder):
    ended = run(folder, "check", "--config", str(PUSHPIN_CONF))
    assert (ended.returncode, ended.stdout) == (
        0,
        "/etc/pushpin/routes: 1 routes, no mistakes\nno mistakes\n",
    ), ended
    assert "warning" not in ended.stderr and "error" not in ended.stderr
    assert "[handler] push_in_spec: is not built yet" in ended.stderr


def test_check_of_the_example_file(folder):
    ended = run(folder, "check", "--config", "linchpin.conf")
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    assert ended.stdout.endswith("no mistakes\n")
    effective = run(folder, "check", "--config", "linchpin.conf", "--effective").stdout
    assert "\nmessage_wait=5000 ;" in effective


def test_explain(folder):
    ended = run(folder, "explain", "http://localhost:7999/stream", "--config", str(PUSHPIN_CONF))
    assert ended.returncode == 0, ended
    assert ended.stdout.startswith("http://localhost:7999/stream\n\nroute /etc/pushpin/routes:1: ")
    assert "\ntarget test, first: " in ended.stdout


@pytest.mark.parametrize("called", ["linchpin", "pushpin"])
def test_serves_with_debians_file(folder, called):
    link = folder / called
    link.symlink_to(binary())
    process = subprocess.Popen(
        [str(link), "--config", str(PUSHPIN_CONF)],
        cwd=folder,
        env={**os.environ, **FREE},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=servers.end_with_parent,
    )
    try:
        lines = iter(process.stdout.readline, "")
        http = next(line for line in lines if line.startswith("listening on http://"))
        with urllib.request.urlopen(http.split()[-1], timeout=servers.PATIENCE) as answer:
            assert answer.read().endswith(b"test handler!\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(servers.PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    log = folder / "log"
    assert " GET http://127.0.0.1:" in (log / "pushpin-proxy.log").read_text()
    assert "listening on 127.0.0.1:" in (log / "connmgr.log").read_text()
