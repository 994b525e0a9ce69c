"""The two fronts that are compared: Debian's Pushpin and linchpin, with the same configuration.

Both get a `pushpin.conf` and a `routes` file of the same content; only ports and directories
differ. A `Pair` is such two fronts, each with scripted backends of its own. Used by the engine;
knows nothing of cases.
"""

import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from servers import (
    ZURL_CONFIG,
    Server,
    accepts,
    end_with_parent,
    wait_for,
)

from backend import Backend

# What a configuration does not say otherwise: the values of Pushpin's own pushpin.conf, as far as
# they can be seen from outside.
SETTINGS = {
    "global": {
        "include": "{{libdir}}/internal.conf",
        "rundir": "{directory}/run",
        "ipc_prefix": "differential-",
    },
    "runner": {
        "services": "condure,pushpin-proxy,pushpin-handler",
        "http_port": "127.0.0.1:{port}",
        "https_ports": "127.0.0.1:{https_port}",
        "local_ports": "{directory}/run/front.sock",
        "logdir": "{directory}/log.d",
        "log_level": "2",
        "client_buffer_size": "8192",
        "client_maxconn": "500",
        "condure_bin": "condure",
        "zurl_bin": "zurl",
    },
    "proxy": {
        "routesfile": "routes",
        "debug": "false",
        "auto_cross_origin": "false",
        "accept_x_forwarded_protocol": "false",
        "set_x_forwarded_protocol": "proto-only",
        "sig_iss": "pushpin",
        "sig_key": "changeme",
        "updates_check": "off",
        # linchpin's own: no target is passed over for what it did in an earlier case.
        "backend_fails": "0",
        "zurl_out_specs": "ipc://{directory}/zurl-in",
        "zurl_out_stream_specs": "ipc://{directory}/zurl-in-stream",
        "zurl_in_specs": "ipc://{directory}/zurl-out",
    },
    "handler": {
        "push_in_http_addr": "127.0.0.1",
        "push_in_http_port": "{control_port}",
        "push_in_http_max_headers_size": "10000",
        "push_in_http_max_body_size": "1000000",
        "message_wait": "5000",
        "id_cache_ttl": "60",
        "connection_subscription_max": "20",
        "subscription_linger": "60",
    },
}

# What its HTTP client refuses for targets that are `untrusted`, as Debian ships it.
DENIED = "allow=\ndeny=127.*,10.*,192.168.*,*.local\n"

# In every table of routes: to see that a front serves, and whether a connection goes on.
MARKER_ROUTE = "marker.example test"


def listening_port() -> int:
    """A free port below those that the kernel gives to connections: none of them can take it before
    the front does."""
    while True:
        port = random.randrange(10_240, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def numbered_port() -> tuple[int, int]:
    """The number of an instance whose port for publishers is free, and that port."""
    while True:
        number = random.randrange(500, 2500)
        port = 5561 + 10 * number
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return number, port
            except OSError:
                continue


class Refusing:
    """A port that nobody listens on, and nobody else can take."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]


class Front(Server):
    """One server under comparison, with its own copy of the configuration and its own backends."""

    def __init__(self, config, certificates: Path):
        super().__init__(f"differential-{self.name}")
        self.certificates = certificates
        self.port, self.https_port = listening_port(), listening_port()
        self.number, self.control_port = numbered_port()
        self.backend = Backend()
        self.second = Backend()
        # For cases that close its connections: to it no connection is ever kept.
        self.brief = Backend()
        self.secure = Backend(certificates)
        self.refusing = Refusing()
        self.write(config)
        named = {"number": self.number, **self.ports}
        self.arguments = [one.format(**named) for one in config.arguments]
        self.launch()
        self.ready(self.wait_until_it_serves)

    @property
    def ports(self) -> dict[str, int]:
        """The ports that a transcript names instead of numbers."""
        return {
            "backend": self.backend.port,
            "second": self.second.port,
            "brief": self.brief.port,
            "secure": self.secure.port,
            "refusing": self.refusing.port,
            "front": self.port,
            "https": self.https_port,
            "control": self.control_port,
        }

    def write(self, config):
        (self.directory / "run").mkdir()
        (self.directory / "log.d").mkdir()
        runner = self.directory / "runner"
        runner.mkdir()
        shutil.copytree(self.certificates, runner / "certs")
        for ending in ("crt", "key"):
            copied = runner / "certs" / f"default_{self.https_port}.{ending}"
            (runner / "certs" / f"default.{ending}").rename(copied)
        values = {"directory": self.directory, "port": self.port, "https_port": self.https_port,
                  "control_port": self.control_port,
                  "control_port_less_7": self.control_port - 7}
        lines = []
        for section, settings in SETTINGS.items():
            lines.append(f"[{section}]")
            merged = settings | config.settings.get(section, {})
            lines += [f"{key}={value.format(**values)}" for key, value in merged.items()]
        (self.directory / "pushpin.conf").write_text("\n".join(lines) + "\n")
        (self.directory / "routes").write_text(self.routes(config.routes))
        for name, content in config.files.items():
            (self.directory / name).write_text(content)

    def routes(self, text: str) -> str:
        """A routes file of a case, with this front's own ports."""
        return f"{text.format(**self.ports)}\n{MARKER_ROUTE}\n"

    def launch(self):
        raise NotImplementedError

    def wait_until_it_serves(self):
        wait_for(f"{self.name} to serve", lambda: self.alive() or self.holds())
        for port in (self.https_port, self.control_port):
            wait_for(f"port {port} of {self.name}", lambda: self.alive() or accepts(port))

    def holds(self) -> bool:
        """Whether a hold works: Pushpin's parts need a moment to find each other."""
        try:
            with socket.create_connection((self.host, self.port), timeout=2) as client:
                client.sendall(b"GET /stream HTTP/1.1\r\nHost: marker.example\r\n\r\n")
                return client.recv(12) == b"HTTP/1.1 200"
        except OSError:
            return False

    def subscriptions(self, channel: str) -> int:
        """How often a client has been subscribed to a channel, by the log."""
        mark = re.compile(rf"subscribe \S+ channel={re.escape(channel)}(\s|$)", re.MULTILINE)
        return len(mark.findall(self.printed()))

    def stop(self):
        super().stop()
        for backend in (self.backend, self.second, self.brief, self.secure):
            backend.stop()


class PushpinFront(Front):
    name = "pushpin"

    def launch(self):
        conf = ZURL_CONFIG.format(directory=self.directory) + DENIED
        (self.directory / "zurl.conf").write_text(conf)
        self.zurl = subprocess.Popen(
            ["zurl", f"--config={self.directory}/zurl.conf"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=end_with_parent,
        )
        self.spawn(["pushpin", f"--config={self.directory}/pushpin.conf", "-m", *self.arguments])

    def stop(self):
        self.zurl.terminate()
        self.zurl.wait(10)
        super().stop()


class LinchpinFront(Front):
    name = "linchpin"

    def launch(self):
        binary = os.environ.get("SERVER_UNDER_TEST")
        if not binary:
            raise AssertionError("set SERVER_UNDER_TEST to linchpin's path")
        binary = str(Path(binary).resolve())
        self.spawn([binary, f"--config={self.directory}/pushpin.conf", "-m", *self.arguments])


class Pair:
    """Both fronts of one configuration."""

    def __init__(self, config, certificates: Path):
        kinds = [PushpinFront, LinchpinFront]
        if os.environ.get("SERVER") == "pushpin":
            kinds = [PushpinFront, PushpinFront]
        self.fronts = []
        try:
            for kind in kinds:
                self.fronts.append(kind(config, certificates))
        except BaseException:
            self.stop()
            raise

    def stop(self):
        for front in self.fronts:
            front.stop()


def certificates() -> Path:
    """A folder of certificates that nobody trusts: a default one, a name, and a wildcard."""
    folder = Path(tempfile.mkdtemp(prefix="differential-certs-"))
    for name, subject in {
        "default": "default.example",
        "tls.example": "tls.example",
        "_.wild.example": "*.wild.example",
    }.items():
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", f"/CN={subject}", "-addext", f"subjectAltName=DNS:{subject}",
             "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"],
            check=True, capture_output=True,
        )
    return folder
