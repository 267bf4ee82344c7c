"""A small engine that plays an orchestrator to its end, and keeps every question it asked the worker.

It follows the identifiers' rules of the protocol: leaves depth first, a number each, none for event waits. What
completes next is drawn from a seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from lab.worker import EpisodeCall, EpisodeResult

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
ACTIVITY, ACTIVITY_RETRY, CHILD, CHILD_RETRY, CONTINUE, TIMER, WAIT, CALL_ENTITY, HTTP, SIGNAL = range(10)
Event = dict[str, Any]


def leaves(actions: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The leaves of action trees, depth first."""
    for action in actions:
        if "compoundActions" in action:
            yield from leaves(action["compoundActions"])
        else:
            yield action


@dataclass
class Play:
    """One instance on its way."""

    function: str
    seed: int
    input: Any = None
    history: list[Event] = field(default_factory=list)
    pending: list[Event] = field(default_factory=list)  # what may arrive next
    retries: dict[int, tuple[dict[str, Any], int]] = field(default_factory=dict)  # task id -> its leaf, the attempt
    back_offs: dict[int, tuple[dict[str, Any], int]] = field(default_factory=dict)
    now: datetime = BEGIN
    next_id: int = 0
    seen_leaves: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        started = {"Name": self.function, "Version": "", "Input": None}
        self.history = [self._event(12), self._event(0, **started)]

    def _event(self, kind: int, number: int = -1, played: bool = False, **fields: Any) -> Event:
        moment = self.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"EventType": kind, "EventId": number, "IsPlayed": played, "Timestamp": moment, **fields}

    def call(self, start_index: int = 0, keep: bool = False) -> EpisodeCall:
        """What the worker is asked for the present episode."""
        events = [dict(event) for event in self.history[start_index:]]
        return EpisodeCall(self.function, "i", "e", None, self.input, events, start_index, keep)

    def schedule(self, result: EpisodeResult) -> None:
        """Writes what the episode scheduled, and closes it."""
        found = list(leaves(result.actions))
        for leaf in found[self.seen_leaves :] if result.actions_before == 0 else found:
            self._schedule(leaf)
        self.seen_leaves = len(found) if result.actions_before == 0 else self.seen_leaves + len(found)
        self.history.append(self._event(13))
        for event in self.history:
            event["IsPlayed"] = True

    def _schedule(self, leaf: dict[str, Any], attempt: int = 1) -> None:
        kind = leaf["actionType"]
        if kind == WAIT:
            name = leaf["externalEventName"]
            data = json.dumps(self._random.randrange(100))
            self.pending.append(self._event(15, Name=name, Input=data))
        if kind in (WAIT, CONTINUE):
            return
        number, self.next_id = self.next_id, self.next_id + 1
        if kind == TIMER:
            self.history.append(self._event(10, number, FireAt=leaf["fireAt"]))
            self.pending.append(self._event(11, TimerId=number, FireAt=leaf["fireAt"]))
        elif kind in (CALL_ENTITY, SIGNAL):
            sent = {"InstanceId": leaf["instanceId"], "Name": "op", "Input": json.dumps({"id": f"guid-{number}"})}
            self.history.append(self._event(14, number, **sent))
            if kind == CALL_ENTITY:
                answer = json.dumps({"result": json.dumps(number * 10)})
                self.pending.append(self._event(15, Name=f"guid-{number}", Input=answer))
        else:
            self._start(leaf, number, attempt)

    def _start(self, leaf: dict[str, Any], number: int, attempt: int) -> None:
        name, is_child = leaf["functionName"], leaf["actionType"] in (CHILD, CHILD_RETRY)
        self.history.append(self._event(7 if is_child else 4, number, Name=name, Version="", Input=None))
        if leaf["actionType"] in (ACTIVITY_RETRY, CHILD_RETRY):
            self.retries[number] = (leaf, attempt)
        if name == "flaky" and (attempt < 3 or self.seed % 2):
            failure = {"Reason": f"no {attempt}", "Details": "{}"}
            self.pending.append(self._event(9 if is_child else 6, TaskScheduledId=number, **failure))
        else:
            result = json.dumps(f"{name} {number}")
            self.pending.append(self._event(8 if is_child else 5, TaskScheduledId=number, Result=result))

    def arrive(self) -> bool:
        """Begins the next episode with something that arrives, now and then with two things; False: nothing can."""
        if not self.pending:
            return False
        self.now += timedelta(seconds=1)
        self.history.append(self._event(12))
        chosen = self._random.randrange(len(self.pending))
        is_alone = self._deliver(self.pending.pop(chosen))
        if not is_alone and self.pending and self._random.random() < 0.3:
            self._deliver(self.pending.pop(0))
        return True

    def _deliver(self, event: Event) -> bool:
        """Appends an event; True when it concerns a retry and must stay alone in its episode."""
        if event["EventType"] == 11:
            fires = datetime.strptime(event["FireAt"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
            if fires > self.now:
                self.now = fires
                self.history[-1] = self._event(12)
        event["Timestamp"] = self.history[-1]["Timestamp"]
        self.history.append(event)
        return self._retry(event)

    def _retry(self, event: Event) -> bool:
        failed = self.retries.get(event.get("TaskScheduledId", -1)) if event["EventType"] in (6, 9) else None
        if failed is not None:
            number, self.next_id = self.next_id, self.next_id + 1
            fire_at = (self.now + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            self.back_offs[number] = failed
            self.pending.append(self._event(11, TimerId=number, FireAt=fire_at))
            return True
        waited = self.back_offs.get(event.get("TimerId", -1)) if event["EventType"] == 11 else None
        if waited is None:
            return event.get("TaskScheduledId") in self.retries
        leaf, attempt = waited
        if attempt < leaf["retryOptions"]["maxNumberOfAttempts"]:
            number, self.next_id = self.next_id, self.next_id + 1
            self._start(leaf, number, attempt + 1)
        return True
