"""2,000 clients of django-eventstream come back at once, while events go on.

Each client is answered by the application once, as it has to be: the request is the client's. In
the answer is what was stored up to then; what is published from then until the server holds the
stream is missing, to each client from another position on. This the server has to close: from what
it remembers of the channel, or by asking the next link, but not once per client.

Added delay: from the moment at which a client has the head of its answer, or the event was stored,
if that is later, to the moment at which the client has the event. Shown for the events of which
this can be said to be recovery: stored before the client's head came, and not in the answer itself.
"""

import asyncio
import os
import statistics
import threading
import time

import pytest
from crowd import Crowd
from test_eventstream import Channel, direct

COUNT = int(os.environ.get("CROWD", 2000))
EVENTS_PER_SECOND = 20
PATIENCE = 300


class Flow(threading.Thread):
    """Sends events at a rate until told to stop."""

    def __init__(self, channel):
        super().__init__(daemon=True)
        self.channel = channel
        self.enough = threading.Event()
        self.start()

    def run(self):
        due = time.monotonic()
        while not self.enough.is_set():
            self.channel.send()
            due += 1 / EVENTS_PER_SECOND
            self.enough.wait(max(0, due - time.monotonic()))

    def stop(self):
        self.enough.set()
        self.join(PATIENCE)


async def storm(application, channel, count):
    crowd = Crowd(application.server, channel.source)
    try:
        return await come_back(crowd, channel, count)
    finally:
        crowd.cut()


async def come_back(crowd, channel, count):
    await crowd.come([0] * count)
    await crowd.until("their stream", lambda each: each.chunks, PATIENCE)
    channel.send()
    await crowd.until("an event", lambda each: each.last == channel.last, PATIENCE)
    channel.asked()
    lasts = crowd.cut()
    channel.send(20)
    flow = Flow(channel)
    began = time.monotonic()
    await crowd.come(lasts)
    await crowd.until("their stream", lambda each: each.began, PATIENCE)
    came = time.monotonic() - began
    flow.stop()
    await crowd.until("the last event", lambda each: each.last == channel.last, PATIENCE)
    caught_up = time.monotonic() - began
    return crowd.listeners, came, caught_up


def delays(listener, stored):
    """The added delays of one client: of what was recovered, and of all."""
    recovered, every = [], []
    for number, arrival in listener.arrivals:
        delay = max(0.0, arrival - max(listener.began, stored[number]))
        every.append(delay)
        if number > listener.answered and stored[number] < listener.began:
            recovered.append(delay)
    return recovered, every


def median_ms(values) -> float:
    return round(1000 * statistics.median(values), 1) if values else 0.0


@pytest.mark.skipif(
    os.environ.get("SERVER") == "pushpin" and "CROWD" not in os.environ,
    reason="Pushpin 1.36 answers some of so many with 502, and leaves some behind for good",
)
@pytest.mark.timeout(1500)
def test_all_come_back_at_once_while_events_go_on(eventstream):
    channel = Channel(eventstream)
    channel.store(3)
    listeners, came, caught_up = asyncio.run(storm(eventstream, channel, COUNT))
    times = direct(eventstream, f"/stored/{channel.name}/").json()
    stored = {int(number): moment for number, moment in times.items()}
    recovered, every = [], []
    for listener in listeners:
        # Each event once and in order is checked as they come; here, that it is all of them.
        assert [number for number, _ in listener.arrivals] == list(range(5, channel.last + 1))
        some, all_of_it = delays(listener, stored)
        recovered += some
        every += all_of_it
    asked = channel.asked()
    answered = [each for each in asked if not each["link"]]
    positions = {each["grip_channel"] for each in answered}
    recoveries = [each["grip_last"] for each in asked if each["link"]]
    print(
        f"\n{COUNT} clients were answered in {came:.1f} s, had all {channel.last - 4} events after "
        f"{caught_up:.1f} s.\nThe backend answered them at {len(positions)} positions, and saw "
        f"{len(recoveries)} recovery requests from {len(set(recoveries))} positions.\nMedian added "
        f"delay of {len(recovered)} recovered events: {median_ms(recovered)} ms, of all "
        f"{len(every)}: {median_ms(every)} ms."
    )
    assert len(answered) == COUNT
    if eventstream.server.name == "linchpin":
        # Each shard may ask for a position, and once for its first subscription; never each client.
        assert len(recoveries) <= 2 * (len(positions) + 1)
        # Beside what the application's own answers took, on whatever machine, recovery is nothing.
        bound_ms = max(100, 1000 * came / 10)
        assert median_ms(recovered) < bound_ms
        assert median_ms(every) < bound_ms
