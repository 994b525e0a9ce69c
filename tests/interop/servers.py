"""Starts and stops the server under test: linchpin, or a real Pushpin as the reference.

Both offer the same to a test: `host`, `port`, `base` (the URL that clients use), `control` (the URL
that publishers use) and `name`. Used by conftest.py; knows nothing of the applications behind.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

# How long a test waits for what is to happen, on a machine that has much else to do.
PATIENCE = 60
STARTUP_SECONDS = PATIENCE
STOP_SECONDS = 30
PR_SET_PDEATHSIG = 1

# Found beforehand: between a fork and its exec nothing may be loaded.
prctl = ctypes.CDLL(None).prctl


def end_with_parent():
    """Run in a child before it starts: it is told to stop when this process ends, however."""
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def ended(process, seconds: float = STOP_SECONDS):
    """Ends a process, by force if it does not go by itself."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Ports that nobody has at this moment, each another."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def wait_for(what: str, ready, seconds: float = STARTUP_SECONDS):
    """Asks `ready()` until it gives something true, or fails naming `what`."""
    deadline = time.monotonic() + seconds
    while True:
        result = ready()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def listens(pid: int, port: int) -> bool:
    """Whether it is this process that listens on a port."""
    sockets = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_, inode = line.split()[:10]
        if state == "0A" and int(local.partition(":")[2], 16) == port:
            sockets.add(f"socket:[{inode}]")
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(descriptor) in sockets:
                    return True
    return False


class Server:
    """A running server; `log` is the file that holds all that it printed."""

    name = ""
    host = "127.0.0.1"
    port = 0
    control_port = 0

    def __init__(self, label: str):
        self.directory = Path(tempfile.mkdtemp(prefix=f"{label}-"))
        self.log = self.directory / "log"
        self.process = None

    @property
    def base(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def control(self) -> str:
        return f"http://{self.host}:{self.control_port}"

    def spawn(self, command: list[str]):
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    def ready(self, wait):
        """Waits with `wait()`; what was started does not outlive a failure to start."""
        try:
            wait()
        except BaseException:
            self.stop()
            raise

    def alive(self):
        if self.process.poll() is not None:
            raise AssertionError(
                f"{self.name} ended with {self.process.returncode}:\n{self.printed()}"
            )

    def printed(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class Linchpin(Server):
    name = "linchpin"

    def __init__(self, binary: str, route: str, options: list[str]):
        super().__init__("linchpin")
        self.spawn([
            str(Path(binary).resolve()),
            "--port", "0",
            "--bind", "127.0.0.1",
            "--control", "127.0.0.1:0",
            "--workers", "2",
            "--route", route,
            *options,
        ])
        self.ready(self.read_ports)

    def read_ports(self):
        self.port = int(self.printed_match(r"listening on http://\S+?:(\d+)\s"))
        self.control_port = int(self.printed_match(r"control API on http://\S+?:(\d+)\s"))

    def printed_match(self, pattern: str) -> str:
        """What the first group of the pattern is in what the server prints, now or soon."""

        def find():
            self.alive()
            return re.search(pattern, self.printed())

        return wait_for(f"{pattern!r} in what {self.name} prints", find).group(1)


PUSHPIN_CONFIG = """
[global]
include={{libdir}}/internal.conf
rundir={directory}/run
ipc_prefix=it-
[runner]
services=condure,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:{port}
logdir={directory}/log.d
log_level=2
client_buffer_size=8192
client_maxconn=2000
condure_bin=condure
zurl_bin=zurl
[proxy]
routesfile=routes
accept_x_forwarded_protocol=false
set_x_forwarded_protocol=proto-only
sig_iss=pushpin
sig_key=changeme
updates_check=off
zurl_out_specs=ipc://{directory}/zurl-in
zurl_out_stream_specs=ipc://{directory}/zurl-in-stream
zurl_in_specs=ipc://{directory}/zurl-out
[handler]
push_in_http_addr=127.0.0.1
push_in_http_port={control_port}
message_wait=5000
id_cache_ttl=60
connection_subscription_max=20
"""

ZURL_CONFIG = """
[General]
in_spec=ipc://{directory}/zurl-in
in_stream_spec=ipc://{directory}/zurl-in-stream
out_spec=ipc://{directory}/zurl-out
in_req_spec=
defpolicy=allow
max_open_requests=2000
buffer_size=200000
timeout=600
in_hwm=1000
out_hwm=1000
"""


class Pushpin(Server):
    """Debian's Pushpin, with a zurl of its own as its outgoing half."""

    name = "pushpin"

    def __init__(self, route: str):
        super().__init__("pushpin")
        self.port, self.control_port = free_ports(2)
        values = {
            "directory": self.directory,
            "port": self.port,
            "control_port": self.control_port,
        }
        (self.directory / "run").mkdir()
        (self.directory / "log.d").mkdir()
        (self.directory / "pushpin.conf").write_text(PUSHPIN_CONFIG.format(**values))
        # The second route is asked below: Pushpin's parts need a moment to find each other.
        (self.directory / "routes").write_text(f"{route}\nready.example test\n")
        (self.directory / "zurl.conf").write_text(ZURL_CONFIG.format(**values))
        self.zurl = subprocess.Popen(
            ["zurl", f"--config={self.directory}/zurl.conf"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=end_with_parent,
        )
        self.spawn(["pushpin", f"--config={self.directory}/pushpin.conf", "-m"])
        self.ready(self.wait_until_it_serves)

    def wait_until_it_serves(self):
        wait_for("Pushpin to hold a request", lambda: self.alive() or self.holds())
        wait_for("Pushpin's control port", lambda: self.alive() or accepts(self.control_port))

    def holds(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=2) as client:
                client.sendall(b"GET /stream HTTP/1.1\r\nHost: ready.example\r\n\r\n")
                return client.recv(12) == b"HTTP/1.1 200"
        except OSError:
            return False

    def stop(self):
        ended(self.zurl)
        super().stop()


def start(route: str, options: list[str] = ()) -> Server:
    """The server that the environment asks for, with one route; Pushpin knows no `options`."""
    if os.environ.get("SERVER") == "pushpin":
        return Pushpin(route)
    binary = os.environ.get("SERVER_UNDER_TEST")
    if not binary:
        raise AssertionError("set SERVER_UNDER_TEST to linchpin's path, or SERVER=pushpin")
    return Linchpin(binary, route, list(options))
