"""A host is killed at any moment and started again on its file: nothing accepted is lost, nothing finished changes.

An activity whose host died before it could take its work item off the queue runs again, as on Azure.

Real processes, a real port, SIGKILL. `--kills 200` looks longer; a failure prints the seed that repeats its moments.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from lab.drills.region import Region
from lab.host_json import CORES
from tests.journeys.hosts import (
    TERMINAL,
    Place,
    raise_event,
    start,
    started,
    status,
    statuses,
    until,
)

LONGEST_LIFE = 1.2  # seconds between a host's first answer and its end
SETTLE_SECONDS = 30.0  # without anything more being finished
LATE = timedelta(seconds=15)  # a timer that was due while no host ran fires once one does
IN_HAND = 10 * CORES  # activities that a host has taken at most
NAMES = ("chain", "fan", "waiter", "sleeper")


class Client(threading.Thread):
    """Starts instances and raises events for as long as hosts come and go, and knows what was accepted."""

    def __init__(self, host: Region, source: random.Random) -> None:
        super().__init__(daemon=True)
        self.host = host
        self.source = source
        self.starts: dict[str, str] = {}  # instance -> name, accepted
        self.events: dict[str, Any] = {}  # instance -> data, accepted
        self.should_stop = threading.Event()

    def run(self) -> None:
        for number in itertools.count():
            if self.should_stop.is_set():
                return
            name = self.source.choice(NAMES)
            instance_id = f"{name}-{number:03}"
            if start(self.host, name, instance_id, "0.5" if name == "sleeper" else None):
                self.starts[instance_id] = name
            self.raise_events()
            time.sleep(0.05)

    def raise_events(self) -> None:
        """For instances that were seen waiting; what was not accepted is raised again."""
        waiting = [one for one, name in self.starts.items() if name == "waiter" and one not in self.events]
        for instance_id in waiting[:2]:
            if status(self.host, instance_id).get("runtimeStatus") == "Running":
                data = {"for": instance_id}
                if raise_event(self.host, instance_id, "go", data):
                    self.events[instance_id] = data

    def stop(self) -> None:
        self.should_stop.set()
        self.join()
        while len(self.events) < sum(name == "waiter" for name in self.starts.values()):
            self.host.check()
            self.raise_events()
            time.sleep(0.05)


class Finished:
    """What was seen finished: none of it may change."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}

    def look(self, host: Region) -> None:
        for instance_id, document in statuses(host).items():
            if document["runtimeStatus"] in TERMINAL and instance_id not in self.documents:
                self.documents[instance_id] = document

    def changed(self, host: Region) -> list[tuple[Any, Any]]:
        now = statuses(host)
        pairs = [(document, now.get(instance_id)) for instance_id, document in self.documents.items()]
        return [(before, after) for before, after in pairs if before != after]


@pytest.fixture
def survivors(place: Place, seed: int, request: pytest.FixtureRequest) -> tuple[Place, Client, Finished, Region]:
    """A host that was killed many times while a client worked with it, and in the end left alone to finish."""
    source, host = random.Random(seed), started(place.host())
    client, finished = Client(host, random.Random(seed + 1)), Finished()
    client.start()
    for _ in range(request.config.getoption("--kills")):
        finished.look(host)
        time.sleep(source.uniform(0, LONGEST_LIFE))
        host.kill()
        started(host)
    client.stop()
    until(
        lambda: all(status(host, one).get("runtimeStatus") in TERMINAL for one in client.starts), host, SETTLE_SECONDS
    )
    return place, client, finished, host


def wait_until_finished(host: Region, accepted: set[str]) -> None:
    """Gives up when for a while nothing more finishes, and says what did not."""
    left, deadline = accepted, time.monotonic() + SETTLE_SECONDS
    while left:
        documents = statuses(host)
        still = {one for one in left if documents.get(one, {}).get("runtimeStatus") not in TERMINAL}
        if still != left:
            left, deadline = still, time.monotonic() + SETTLE_SECONDS
        assert time.monotonic() < deadline, f"unfinished: {[documents.get(one, one) for one in sorted(left)[:5]]}"
        time.sleep(0.2)


def test_killed_again_and_again_nothing_accepted_is_lost_and_nothing_finished_changes(
    survivors: tuple[Place, Client, Finished, Region], request: pytest.FixtureRequest
) -> None:
    kills = request.config.getoption("--kills")
    place, client, finished, host = survivors
    documents = statuses(host)
    assert len(client.starts) >= 10
    for instance_id, name in client.starts.items():
        document = documents[instance_id]
        assert document["runtimeStatus"] == "Completed", str(document)
        check_result(name, document, client)
    assert finished.documents
    assert finished.changed(host) == []
    check_ledger(place, client, kills)


def check_result(name: str, document: dict[str, Any], client: Client) -> None:
    """Each instance returned what it should; a timer fired at its time, and late only while no host ran."""
    output = document["output"]
    if name in ("chain", "fan"):
        assert output == [0, 1, 2]
    elif name == "waiter":
        assert output == client.events[document["instanceId"]]
    else:
        due, fired = (datetime.fromisoformat(moment) for moment in output)
        assert timedelta(seconds=-1) <= fired - due <= LATE


def check_ledger(place: Place, client: Client, kills: int) -> None:
    """Every activity ended at least once; one ran again only if its host was killed while it had the work item."""
    begun, ended = place.ledger.count("begin"), place.ledger.count("end")
    steps = {"chain": 3, "fan": 3, "waiter": 1, "sleeper": 0}
    expected = {(one, step) for one, name in client.starts.items() for step in range(steps[name])}
    assert expected <= set(ended)
    assert all(begun[job] >= ended[job] for job in ended)
    assert sum(begun.values()) - len(begun) <= kills * IN_HAND


def test_an_activity_that_was_interrupted_runs_again(place: Place) -> None:
    host = started(place.host())
    assert start(host, "chain", "A")
    until(lambda: place.ledger.count("begin")["A", 1] > place.ledger.count("end")["A", 1], host, 20)
    host.kill()
    assert place.ledger.count("end")["A", 1] == 0
    started(host)
    until(lambda: status(host, "A").get("runtimeStatus") == "Completed", host, 30)
    assert place.ledger.count("begin")["A", 1] == 2
    assert place.ledger.count("begin")["A", 0] == 1


def test_a_timer_that_was_due_while_no_host_ran_fires_at_once_and_others_keep_their_time(place: Place) -> None:
    host = started(place.host())
    assert start(host, "sleeper", "short", "1.0") and start(host, "sleeper", "long", "6.0")
    until(lambda: status(host, "long").get("runtimeStatus") == "Running", host, 20)
    host.kill()
    time.sleep(1.5)  # real time passes for real processes
    started(host)
    until(lambda: status(host, "long").get("runtimeStatus") == "Completed", host, 30)
    for instance_id in ("short", "long"):
        due, fired = (datetime.fromisoformat(moment) for moment in status(host, instance_id)["output"])
        assert timedelta(seconds=-1) <= fired - due
    assert fired - due < timedelta(seconds=2)


def test_when_one_of_two_hosts_dies_the_other_takes_its_partitions_over(place: Place) -> None:
    first, second = started(place.host()), started(place.host())
    ids = [f"chain-{number}" for number in range(8)]
    assert all(start(first, "chain", one) for one in ids)
    first.kill()
    assert all(start(second, "waiter", f"waiter-{number}") for number in range(4))
    names = [*ids, *(f"waiter-{number}" for number in range(4))]
    until(lambda: all(statuses(second)[one]["runtimeStatus"] != "Pending" for one in names), second, 60)
    assert all(raise_event(second, f"waiter-{number}", "go", number) for number in range(4))
    until(lambda: all(statuses(second)[one]["runtimeStatus"] == "Completed" for one in names), second, 60)
    assert [statuses(second)[f"waiter-{number}"]["output"] for number in range(4)] == [0, 1, 2, 3]


def test_two_hosts_on_one_account_share_the_work_and_run_nothing_twice(place: Place) -> None:
    hosts = [started(place.host()), started(place.host())]
    ids = [f"fan-{number}" for number in range(10)]
    assert all(start(hosts[number % 2], "fan", one) for number, one in enumerate(ids))
    until(lambda: all(statuses(hosts[0])[one]["runtimeStatus"] == "Completed" for one in ids), hosts[0], 60)
    assert set(place.ledger.count("begin").values()) == {1}
    assert len(place.ledger.count("end")) == 30
