"""curl, as a user types it: once and done, or running beside the test."""

import queue
import subprocess
import threading

from knock import KNOCK
from servers import PATIENCE


def curl(*arguments) -> str:
    """What curl prints, line ends as they came."""
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE), *arguments],
        capture_output=True, check=True, timeout=2 * PATIENCE,
    ).stdout.decode()


class Curl:
    """A curl that runs beside the test; `line()` gives what it prints as it comes."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            ["curl", "--silent", "--no-buffer", "--max-time", str(4 * PATIENCE), *arguments],
            stdout=subprocess.PIPE,
        )
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.decode())

    def knocked(self, patience: float) -> bool:
        try:
            line = self.lines.get(timeout=patience)
        except queue.Empty:
            return False
        assert line == KNOCK
        return True

    def line(self) -> str:
        """The next line that is not a knock."""
        while True:
            line = self.lines.get(timeout=PATIENCE)
            if line != KNOCK:
                return line

    def answered(self, patience: float) -> bool:
        """Whether curl has got its whole answer."""
        self.reader.join(patience)
        return not self.reader.is_alive()

    def rest(self) -> str:
        """All that is left to print until curl ends; knocks left out."""
        self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        left = []
        while not self.lines.empty():
            left.append(self.lines.get())
        return "".join(line for line in left if line != KNOCK)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.process.stdout.close()
