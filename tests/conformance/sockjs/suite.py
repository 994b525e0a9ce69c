"""Plays SockJS's test suite of release 0.3.3 as it is, on Python 2.7, and writes down what came of it.

Called by `run.py`: the directory of the suite and a file for the results. The server's address comes in
SOCKJS_URL, as the suite wants it. A line a test: its name, `OK`, `FAILED` or `SKIPPED`, and why.
"""

import imp
import socket
import sys

from ws4py.client import threadedclient


class Client(threadedclient.WebSocketClient):
    """The ws4py that is left on PyPI, as the one that the suite was written for.

    That one took `http:` for `ws:`, and read through a method, in which the suite sees how a
    connection ends.
    """

    def __init__(self, url):
        super(Client, self).__init__(url.replace("http:", "ws:", 1))

    def read_from_connection(self, amount):
        if self.stream.closing:
            return ""
        try:
            return self.sock.recv(amount)
        except socket.error:
            return ""

    def once(self):
        data = self.read_from_connection(self.reading_buffer_size)
        goes_on = bool(data) and self.process(data)
        if data and not goes_on:
            self.read_from_connection(self.reading_buffer_size)
        return goes_on


threadedclient.WebSocketClient = Client

folder, results = sys.argv[1:]
sys.path.insert(0, folder)
import unittest2  # noqa: E402

suite = imp.load_source("suite", folder + "/sockjs-protocol-0.3.3.py")


class Result(unittest2.TestResult):
    def startTestRun(self):
        self.file = open(results, "w")

    def write(self, test, outcome, why=""):
        _, kind, name = test.id().rsplit(".", 2)
        why = " ".join(why.split())
        self.file.write("%s.%s\t%s\t%s\n" % (kind, name, outcome, why))
        self.file.flush()

    def addSuccess(self, test):
        self.write(test, "OK")

    def failed(self, test, error):
        trace = unittest2.TestResult._exc_info_to_string(self, error, test)
        sys.stderr.write("%s\n%s\n" % (test.id(), trace))
        self.write(test, "FAILED", repr(error[1])[:300])

    addError = addFailure = failed

    def addSkip(self, test, reason):
        self.write(test, "SKIPPED", reason)


result = Result()
result.startTestRun()
unittest2.defaultTestLoader.loadTestsFromModule(suite).run(result)
