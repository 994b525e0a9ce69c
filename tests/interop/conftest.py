"""Fixtures: each application behind a server under test of its own, for the whole session.

An application's socket is bound here first, so that the server's route can name its port, and
is handed down as file descriptor 3: no port is ever guessed.
"""

import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import requests

sys.path.insert(0, str(Path(__file__).parent))

import servers  # noqa: E402

HERE = Path(__file__).parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target")) / "interop"
# At least 32 bytes: what HS256 asks for, and what newer JWT libraries insist on.
KEY = "a-key-for-the-interop-tests-only"
ISSUER = "interop"
FIXTURES = ("django", "express", "eventstream", "forgetful", "events", "sockets", "quick")


class Application:
    """A backend process, and the server in front of it."""

    def __init__(self, command, target_options: str = "", server_options=()):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.socket.getsockname()[1]
        route = f"*,sig_key={KEY},sig_iss={ISSUER} 127.0.0.1:{self.port}{target_options}"
        self.server = servers.start(route, server_options)
        self.log = Path(tempfile.mkstemp(prefix="application-")[1])
        environment = dict(os.environ, PAGE=str(HERE / "page.html"))
        environment["GRIP_URL"] = (
            f"{self.server.control}/?key={KEY}&verify-key={KEY}&verify-iss={ISSUER}"
        )
        self.process = None
        try:
            self.start(command, environment)
            # What a test waits for is the server, not Python or Node on their way up.
            servers.wait_for("the application to answer", self.answers, servers.STARTUP_SECONDS)
        except BaseException:
            self.stop()
            raise

    def start(self, command, environment):
        descriptor = self.socket.fileno()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                # The shell moves the socket to descriptor 3, whatever number it has here.
                ["bash", "-c", f'exec 3<&{descriptor} "$@"', "application", *command],
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                preexec_fn=servers.end_with_parent,
            )
        # From here on only the application holds the socket: when it ends, connecting fails.
        self.socket.close()

    def answers(self) -> bool:
        """Whether it answers anything at all to a request past the server."""
        assert self.process.poll() is None, self.printed()
        try:
            requests.get(f"http://127.0.0.1:{self.port}/nowhere", timeout=servers.PATIENCE)
            return True
        except requests.RequestException:
            return False

    def stop(self):
        if self.process:
            servers.ended(self.process)
        self.server.stop()
        self.log.unlink()

    def printed(self) -> str:
        return self.log.read_text(errors="replace")


def django_command(directory: str) -> list[str]:
    return [sys.executable, str(HERE / directory / "serve.py")]


def running(application):
    try:
        yield application
    finally:
        application.stop()


@pytest.fixture(scope="session")
def django():
    """The Django application behind the server under test."""
    yield from running(Application(django_command("django_app"), ",over_http"))


@pytest.fixture(scope="session")
def eventstream():
    """django-eventstream behind the server under test, with its events in a database."""
    # When a crowd comes, the application's backlog is full: connecting is tried again and again.
    options = ["--backend-connect-timeout", "300000"]
    application = Application(django_command("eventstream_app"), server_options=options)
    yield from running(application)


@pytest.fixture
def forgetful():
    """The same behind a server that remembers next to nothing of what it delivered."""
    options = ["--ring-items", "1", "--ring-age", "1"]
    application = Application(django_command("eventstream_app"), server_options=options)
    yield from running(application)


@pytest.fixture(scope="session")
def node_directory():
    """Where package.json and node_modules are; holds a fresh copy of our scripts."""
    for script in (HERE / "node").glob("*.js"):
        # In one step: another run may be reading it.
        fresh = TARGET / "node" / f"{script.name}.{os.getpid()}"
        shutil.copy(script, fresh)
        fresh.replace(TARGET / "node" / script.name)
    return TARGET / "node"


@pytest.fixture(scope="session")
def express(node_directory):
    """The Express application on serve-grip behind the server under test."""
    yield from running(Application(["node", str(node_directory / "app.js")], ",over_http"))


@pytest.fixture(scope="session")
def events(node_directory):
    """Express with @fanoutio/eventstream, and with a log of its own, behind the server."""
    yield from running(Application(["node", str(node_directory / "events.js")]))


@pytest.fixture(
    scope="session",
    params=itertools.product(["native", "over-http"], [False, True]),
    ids=lambda given: f"{given[0]}-{'compressed' if given[1] else 'plain'}",
)
def sockets(request, node_directory):
    """A backend for WebSockets behind the server, native or over HTTP, compressed or not."""
    backend, compresses = request.param
    options = ["--allow-compression"] if compresses else []
    command = ["node", str(node_directory / "sockets.js")]
    application = Application(command, ",over_http" if backend == "over-http" else "", options)
    application.backend, application.compresses = backend, compresses
    yield from running(application)


@pytest.fixture(scope="session")
def quick():
    """The server under test with nothing but its built-in target, as `make run` serves it."""
    server = servers.start("* test")
    try:
        yield server
    finally:
        server.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Adds what the server and the application printed to the report of a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for fixture in FIXTURES:
            subject = item.funcargs.get(fixture)
            if isinstance(subject, Application):
                report.sections.append((f"{fixture} application", subject.printed()[-4000:]))
                subject = subject.server
            if subject is not None:
                report.sections.append((f"{subject.name}'s log", subject.printed()[-6000:]))
