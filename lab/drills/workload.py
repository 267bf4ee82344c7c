"""What clients ask for during a drill: which instance is started when, and whether and when its event is raised.

Times are seconds on the drill's own clock, which starts with the work and ends when the region is lost.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal["start", "raise"]
Way = Literal["starter", "kept URL", "SendExternalEvent"]

PREFIX = "drill-"  # of the instances' ids
RAISED_SHARE = 0.6  # of the instances: their client raises the event some time after the start
SHORTEST_WAIT = 0.3  # seconds between a start and its event
REQUESTS_PER_SECOND = 70.0  # of real time; what a small machine takes
SHORTEST_WORK = 8.0  # seconds
LAGS_OF_WORK = 6.0  # so many lags does the work last: most of what a hub holds is older than the lag
PATIENCE = 12.0  # seconds of real time; if the work lasts longer, the drill's clock runs faster


@dataclass(frozen=True)
class Request:
    """One request of a client, at its time."""

    at: float
    instance_id: str
    action: Action
    way: Way


@dataclass(frozen=True)
class Workload:
    """All requests in the order of their times, and when the region is lost."""

    requests: tuple[Request, ...]
    loss: float

    @property
    def instance_ids(self) -> list[str]:
        """In the order of their starts."""
        return [request.instance_id for request in self.requests if request.action == "start"]

    @property
    def pace(self) -> float:
        """Seconds of the drill's clock in one real second."""
        return max(1.0, self.loss / max(PATIENCE, len(self.requests) / REQUESTS_PER_SECOND))


def plan(instances: int, lag: float, seed: int) -> Workload:
    """A mix as in real life: at the loss some instances have just begun, some wait, some have just got their event.

    The work lasts several lags, so that most of it has reached the other region.
    """
    chance = random.Random(f"workload {seed}")
    loss = round(max(SHORTEST_WORK, LAGS_OF_WORK * lag, instances * (1 + RAISED_SHARE) / REQUESTS_PER_SECOND), 1)
    requests = []
    for number in range(1, instances + 1):
        instance_id = f"{PREFIX}{number:04d}"
        started = round(loss * chance.random(), 3)
        requests.append(Request(started, instance_id, "start", "starter"))
        raised = round(started + SHORTEST_WAIT + chance.expovariate(4 / loss), 3)
        if chance.random() < RAISED_SHARE and raised < loss:
            requests.append(Request(raised, instance_id, "raise", way_to_raise(number)))
    return Workload(tuple(sorted(requests, key=lambda request: (request.at, request.instance_id))), loss)


def way_to_raise(number: int) -> Way:
    """Every other client uses the URL it was given, the others the app's own endpoint."""
    return "kept URL" if number % 2 else "SendExternalEvent"


def event_data(instance_id: str, time: int) -> dict[str, Any]:
    """What the event brings; it differs each time, so that the result tells which event it was."""
    return {"request": instance_id, "raised": time}
