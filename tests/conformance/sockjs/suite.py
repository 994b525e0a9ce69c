"""Plays SockJS's test suite of release 0.3.3 as it is, on Python 2.7, and writes down what came of it.

Called by `run.py`: the directory of the suite and a file for the results. The server's address comes in
SOCKJS_URL, as the suite wants it. A line a test: its name, `OK`, `FAILED` or `SKIPPED`, how often it was played, and why.
"""

import imp
import socket
import sys
import time

from ws4py.client import threadedclient


class Careful(object):
    """A socket from which the handshake is read without what follows, which would be lost."""

    def __init__(self, sock):
        self.sock = sock
        self.shaken = False

    def recv(self, amount):
        return self.sock.recv(amount if self.shaken else 1)

    def __getattr__(self, name):
        return getattr(self.sock, name)


class Client(threadedclient.WebSocketClient):
    """The ws4py that is left on PyPI, as the one that the suite was written for.

    That one took `http:` for `ws:`, and read through a method, in which the suite sees how a
    connection ends.
    """

    def __init__(self, url):
        super(Client, self).__init__(url.replace("http:", "ws:", 1))
        self.sock = Careful(self.sock)

    def handshake_ok(self):
        self.sock.shaken = True
        super(Client, self).handshake_ok()

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

PLAYS_MAX = 3
FORGOTTEN_S = 6
ECHO_S = 0.05

folder, results = sys.argv[1:]
sys.path.insert(0, folder)
import unittest2  # noqa: E402

suite = imp.load_source("suite", folder + "/sockjs-protocol-0.3.3.py")



def wait(asked, when):
    """The same function, that waits before a request to an address, or after, as `when` says."""

    def ask(url, *args, **kwargs):
        before, after = when(url)
        time.sleep(before)
        response = asked(url, *args, **kwargs)
        time.sleep(after)
        return response

    return ask


# As in the suite's last revision: a request that is not to be answered yet has arrived when the next
# one is made.
suite.old_POST_async = wait(suite.old_POST_async, lambda url: (0, 0.25))


# The suite takes for granted that the echo is in the server itself; behind a proxy it takes a moment.
def fetching(url):
    is_fetch = url.endswith("/xhr") or "/jsonp?" in url
    return (ECHO_S if is_fetch else 0, 0)


suite.GET = wait(suite.GET, fetching)
suite.POST = wait(suite.POST, fetching)


class Result(unittest2.TestResult):
    def __init__(self):
        super(Result, self).__init__()
        self.outcomes = {}

    def put(self, test, outcome, why=""):
        self.outcomes[test] = (outcome, " ".join(why.split()))

    def addSuccess(self, test):
        self.put(test, "OK")

    def failed(self, test, error):
        trace = unittest2.TestResult._exc_info_to_string(self, error, test)
        sys.stderr.write("%s\n%s\n" % (test.id(), trace))
        self.put(test, "FAILED", repr(error[1])[:300])

    addError = addFailure = failed

    def addSkip(self, test, reason):
        self.put(test, "SKIPPED", reason)


def tests(of):
    for each in of:
        if isinstance(each, unittest2.TestSuite):
            for test in tests(each):
                yield test
        else:
            yield each


def play(wanted):
    result = Result()
    for test in wanted:
        test.run(result)
    return result.outcomes


# The suite is full of short deadlines, and may be played beside other work: what fails is played again,
# and the table says how often. Sessions of the same name have to be forgotten first.
outcomes = {}
for turn in range(1, PLAYS_MAX + 1):
    again = [test for test, (outcome, _, _) in outcomes.items() if outcome == "FAILED"]
    if turn == 1:
        again = list(tests(unittest2.defaultTestLoader.loadTestsFromModule(suite)))
    elif again:
        time.sleep(FORGOTTEN_S)
    for test, (outcome, why) in play(again).items():
        outcomes[test] = (outcome, why, turn)
with open(results, "w") as out:
    for test, (outcome, why, turn) in sorted(outcomes.items(), key=lambda each: each[0].id()):
        _, kind, name = test.id().rsplit(".", 2)
        out.write("%s.%s\t%s\t%s\t%s\n" % (kind, name, outcome, turn, why))
