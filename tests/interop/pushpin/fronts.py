"""The two fronts that are compared: Debian's Pushpin and linchpin, with the same configuration.

Both get a `pushpin.conf` and a `routes` file of the same content; only ports and directories
differ. A `Pair` is such two fronts, each with scripted backends of its own. Used by the engine;
knows nothing of cases.
"""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from servers import (
    ZURL_CONFIG,
    Server,
    accepts,
    end_with_parent,
    wait_for,
)

from backend import Backend, Scene, Script
from ports import Held
from priming import prime

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
        # Backends are not asked once more in the midst of a case: linchpin and newer Pushpins are
        # told so. What 1.36 is primed with instead, stays so.
        "update_on_first_subscription": "false",
        "subscription_linger": "3600",
    },
}

# What its HTTP client refuses for targets that are `untrusted`, as Debian ships it.
DENIED = "allow=\ndeny=127.*,10.*,192.168.*,*.local\n"

# In every table of routes: to see that a front serves, and whether a connection goes on.
MARKER_ROUTE = "marker.example test"
UPGRADE = (b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
STARTUP_SECONDS = 60

# The port for publishers of instance 0, and how far those of the next instance are.
FIRST_CONTROL_PORT, PORTS_BETWEEN = 5561, 10
CONTROL_PORTS = range(FIRST_CONTROL_PORT + 500 * PORTS_BETWEEN, 30_000, PORTS_BETWEEN)


class Front(Server):
    """One server under comparison, with its own copy of the configuration and its own backends."""

    def __init__(self, config, certificates: Path):
        super().__init__(f"differential-{self.name}")
        self.certificates = certificates
        # How often its routes have been changed.
        self.reloads = 0
        self.held = [Held(), Held(), Held(CONTROL_PORTS), Held()]
        ports = [one.port for one in self.held]
        # On the last one nobody listens.
        self.port, self.https_port, self.control_port, self.refusing_port = ports
        self.number = (self.control_port - FIRST_CONTROL_PORT) // PORTS_BETWEEN
        self.backend = Backend()
        self.second = Backend()
        # For cases that close its connections: to it no connection is ever kept.
        self.brief = Backend()
        self.secure = Backend(certificates)
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
            "refusing": self.refusing_port,
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
        """Pushpin's parts need a moment to find each other: each way that a request can go is tried
        until it is open."""
        for path, what in [(b"/stream", b""), (b"/ws", UPGRADE)]:
            self.wait_for_answer(b"marker.example", path, what)
        # By the route for all hosts: to the backend. What comes late is not for the first case.
        self.backend.patient["ready"] = Script(Scene())
        for what in (b"", UPGRADE):
            self.wait_for_answer(b"ready.example", b"/case-ready", what)
        for port in (self.https_port, self.control_port):
            wait_for(f"port {port} of {self.name}", lambda: self.alive() or accepts(port),
                     STARTUP_SECONDS)
        self.backend.forget()

    def wait_for_answer(self, host: bytes, path: bytes, fields: bytes):
        sent = b"GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (path, host, fields)
        wait_for(f"{self.name} to answer {sent}", lambda: self.alive() or self.answers(sent),
                 STARTUP_SECONDS)

    def answers(self, sent: bytes) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=2) as client:
                client.sendall(sent)
                return client.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 101")
        except OSError:
            return False

    def printed(self) -> str:
        """The log, but for a line that is not yet whole."""
        log = super().printed()
        return log[:log.rfind("\n") + 1]

    def subscriptions(self, channel: str, since: int) -> int:
        """How often a client has been subscribed to a channel, by what the log says after its first
        `since` characters."""
        mark = re.compile(rf"subscribe \S+ channel={re.escape(channel)}(\s|$)", re.MULTILINE)
        return len(mark.findall(self.printed()[since:]))

    def stop(self):
        super().stop()
        for one in (self.backend, self.second, self.brief, self.secure, *self.held):
            one.stop()


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
    """Both fronts of one configuration; Pushpin is primed for these channels."""

    def __init__(self, config, certificates: Path, channels: list[str]):
        kinds = [PushpinFront, LinchpinFront]
        if os.environ.get("SERVER") == "pushpin":
            kinds = [PushpinFront, PushpinFront]
        self.fronts = []
        try:
            for kind in kinds:
                self.fronts.append(kind(config, certificates))
            settings = SETTINGS["handler"] | config.settings.get("handler", {})
            at_once = int(settings["connection_subscription_max"])
            with ThreadPoolExecutor(len(kinds)) as pool:
                primers = [pool.submit(prime, one, channels, at_once) for one in self.fronts
                           if one.name == "pushpin"]
                for primer in primers:
                    primer.result()
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
