"""npm's sockjs-client, in Node and in a headless Chromium, with the same few words for a test.

What it does is in node/sockjs_client.js; here is heard what it tells.
"""

import itertools
import json
import queue
import subprocess
import threading
from pathlib import Path
from urllib.parse import urlencode

import chromium
from servers import PATIENCE, end_with_parent, ended

HERE = Path(__file__).parent


class Told:
    """What a client tells, in its order."""

    def __init__(self):
        self.all = queue.Queue()

    def next(self, kind: str) -> dict:
        try:
            told = self.all.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"no {kind} within {PATIENCE} s") from None
        assert told["kind"] == kind, told
        return told


class Node:
    """One client in a process of its own."""

    def __init__(self, directory: Path, base: str, transport: str, channel: str):
        self.told = Told()
        self.process = subprocess.Popen(
            ["node", str(directory / "sockjs.js"), base, transport, channel],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            preexec_fn=end_with_parent,
        )
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.told.all.put(json.loads(line))

    def close(self):
        ended(self.process)


class Pages:
    """Serves the page, the library and our part of it, from an origin of their own. What a page
    tells goes to who opened it, and to nobody once that one has gone."""

    def __init__(self, directory: Path):
        library = directory / "node_modules" / "sockjs-client" / "dist" / "sockjs.js"
        files = {
            "/": ("text/html", HERE / "sockjs_page.html"),
            "/sockjs.js": ("text/javascript", library),
            "/sockjs_client.js": ("text/javascript", directory / "sockjs_client.js"),
        }

        def served(path, _):
            kind, file = files.get(path, (None, None))
            return (kind, file.read_bytes()) if file else None

        self.numbers = itertools.count(1)
        self.told = {}
        self.pages = chromium.Pages(served, self.heard)
        self.url = self.pages.url

    def heard(self, told):
        whose = self.told.get(told.pop("page"))
        if whose:
            whose.all.put(told)

    def close(self):
        self.pages.close()


class Chromium:
    """A browser with one page, that plays the transports one after the other."""

    def __init__(self, pages: Pages, base: str, transports: list[str], channel: str):
        self.pages, self.number = pages, next(pages.numbers)
        self.told = pages.told[self.number] = Told()
        query = {
            "page": self.number,
            "base": base,
            "transports": ",".join(transports),
            "channel": channel,
        }
        self.browser = chromium.Chromium(f"{pages.url}/?{urlencode(query)}")

    def close(self):
        self.browser.close()
        del self.pages.told[self.number]
