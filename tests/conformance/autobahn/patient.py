"""Autobahn|Testsuite with more time for each case: `patient.py PACKAGES FACTOR ARGUMENTS...`.

Its cases end after half a second or a second; here after FACTOR times as long. `run` asks what was too
late for the suite once more like this, on the suite's Python 2.7.
"""

import site
import sys
import warnings

warnings.simplefilter("ignore")
packages, factor = sys.argv[1], float(sys.argv[2])
del sys.argv[1:3]
sys.path.insert(0, packages)
site.addsitedir(packages)

from autobahntestsuite.fuzzing import FuzzingProtocol  # noqa: E402
from autobahntestsuite.wstest import run  # noqa: E402


def slow_down(name):
    timed = getattr(FuzzingProtocol, name).__func__

    def slower(self, delay, *rest):
        return timed(self, factor * delay, *rest)

    setattr(FuzzingProtocol, name, slower)


for name in ("killAfter", "closeAfter", "continueLater"):
    slow_down(name)
run()
