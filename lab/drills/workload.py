"""What clients ask for during a drill: which instance is started when, and whether and when its event is raised.

Times are seconds on the drill's own clock, which starts with the work and ends when the region is lost.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lab.drills import mix
from lab.drills.mix import Call, Errand

Action = Literal["start", "raise"]
Way = Literal["starter", "kept URL", "SendExternalEvent"]

PREFIX = "drill-"  # of the instances' ids
PURE = "external_event"
EVENT_SHARE = 0.5  # of the instances only wait for an event; the other workflows share the rest
RAISED_SHARE = 0.6  # of the instances: their client raises the event some time after the start
SHORTEST_WAIT = 0.3  # seconds between a start and its event
REQUESTS_PER_SECOND = 70.0  # of real time; what a small machine takes
SHORTEST_WORK = 8.0  # seconds
LAGS_OF_WORK = 6.0  # so many lags does the work last: most of what a hub holds is older than the lag
PATIENCE = 12.0  # seconds of real time; if the work lasts longer, the drill's clock runs faster
_ROOT = re.compile(re.escape(PREFIX) + r"\d{4}")


@dataclass(frozen=True)
class Request:
    """One request of a client, at its time; the client's start has number 0."""

    at: float
    instance_id: str
    action: Action
    way: Way
    number: int = 0
    call: Call | None = None  # of a workflow of the mix

    @property
    def is_event(self) -> bool:
        """Whether it becomes an external event of the instance."""
        return self.action == "raise" and (self.call is None or self.call.kind == "event")


@dataclass(frozen=True)
class Workload:
    """All requests in the order of their times, and when the region is lost."""

    requests: tuple[Request, ...]
    loss: float
    errands: Mapping[str, Errand] = field(default_factory=dict)  # of the instances that are more than an event

    @property
    def instance_ids(self) -> list[str]:
        """In the order of their starts."""
        return [request.instance_id for request in self.requests if request.action == "start"]

    @property
    def pace(self) -> float:
        """Seconds of the drill's clock in one real second."""
        return max(1.0, self.loss / max(PATIENCE, len(self.requests) / REQUESTS_PER_SECOND))

    def workflow_of(self, instance_id: str) -> str:
        """The name of its workflow."""
        return self.errands[instance_id].workflow if instance_id in self.errands else PURE


def plan(instances: int, lag: float, seed: int, only_events: bool = False) -> Workload:
    """A mix as in real life: at the loss some instances have just begun, some wait, some have just got their event.

    The work lasts several lags, so that most of it has reached the other region.
    """
    chance = random.Random(f"workload {seed}")
    loss = round(max(SHORTEST_WORK, LAGS_OF_WORK * lag, instances * (1 + RAISED_SHARE) / REQUESTS_PER_SECOND), 1)
    requests: list[Request] = []
    errands: dict[str, Errand] = {}
    for number in range(1, instances + 1):
        name = f"{PREFIX}{number:04d}"
        started = round(loss * chance.random(), 3)
        if not only_events and chance.random() >= EVENT_SHARE:
            errand = mix.errand(len(errands), name)
            errands[errand.instance_id] = errand
            requests += _asked(errand, started, loss, chance)
            continue
        requests.append(Request(started, name, "start", "starter"))
        raised = round(started + SHORTEST_WAIT + chance.expovariate(4 / loss), 3)
        if chance.random() < RAISED_SHARE and raised < loss:
            requests.append(Request(raised, name, "raise", way_to_raise(number), 1))
    return Workload(tuple(sorted(requests, key=lambda request: (request.at, request.instance_id))), loss, errands)


def _asked(errand: Errand, started: float, loss: float, chance: random.Random) -> list[Request]:
    requests = [Request(started, errand.instance_id, "start", "starter", 0, errand.start)]
    at = started
    for number, call in enumerate(errand.more, 1):
        at = round(at + 2 * SHORTEST_WAIT + chance.expovariate(6 / loss), 3)
        if at < loss:
            requests.append(Request(at, errand.instance_id, "raise", "SendExternalEvent", number, call))
    return requests


def root_of(instance_id: str) -> str:
    """The client's name in the id of an instance, of its children, and of the entities that are its own."""
    found = _ROOT.search(instance_id)
    return found.group() if found else instance_id


def way_to_raise(number: int) -> Way:
    """Every other client uses the URL it was given, the others the app's own endpoint."""
    return "kept URL" if number % 2 else "SendExternalEvent"


def event_data(instance_id: str, time: int) -> dict[str, Any]:
    """What the event brings; it differs each time, so that the result tells which event it was."""
    return {"request": instance_id, "raised": time}
