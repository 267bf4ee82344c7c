"""What must hold at the end of a simulated failover, whatever the seed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.simulation.plan import ENTITIES, Request
from lab.simulation.programs import Truth
from taskhub.accounts import Account, Query, Where
from taskhub.client import TaskHubClient
from taskhub.hub import TaskHub


@dataclass
class Reported:
    """What doctor and reconciler said they could not put right, or not for certain."""

    signals: set[tuple[str, str]] = field(default_factory=set)  # (entity, key)
    doubled: set[tuple[str, str]] = field(default_factory=set)  # those of them that may be done twice
    instances: dict[str, str] = field(default_factory=dict)  # id -> why
    raised: set[tuple[str, str]] = field(default_factory=set)  # (instance, event's name)
    repeats: set[str] = field(default_factory=set)  # what may run a second time, in the plans' words
    bases: set[str] = field(default_factory=set)  # of instances whose work after their history is not known

    def is_confused(self, instance_id: str) -> bool:
        """Whether an event was raised again that has namesakes: the SDK and the host may then disagree for ever."""
        return any(
            name.startswith("gather") and (one == instance_id or one.startswith(f"{instance_id}-c"))
            for one, name in self.raised
        )

    def is_unknown(self, key: str) -> bool:
        """Whether what an instance did under a key was said to be unknown."""
        return any(key.startswith(f"{base}/") for base in self.bases)

    def operations_of(self, entity_id: str) -> bool:
        """Whether a repair said that an operation of this entity may be done twice."""
        return any(text.startswith("operation ") and f"of {entity_id}" in text for text in self.repeats)

    @property
    def count(self) -> int:
        return len(self.signals) + len(self.instances) + len(self.bases)


@dataclass
class World:
    """What one run has seen, for the checks."""

    accepted: dict[str, Request] = field(default_factory=dict)
    signalled: set[tuple[str, str]] = field(default_factory=set)  # (entity, key), acknowledged
    raised: set[tuple[str, int]] = field(default_factory=set)  # (instance, which of its events), acknowledged
    doubtful: set[tuple[str, str]] = field(default_factory=set)  # (instance, data): asked for, not acknowledged
    reported: Reported = field(default_factory=Reported)
    executed: Mapping[tuple[str, str], set[str]] = field(default_factory=dict)  # (entity, key) -> request ids

    def may_repeat(self, instance_id: str, name: str, data: str) -> bool:
        """Whether an event may be used twice: its client was not sure, or it was raised again, and maybe early."""
        return (instance_id, data) in self.doubtful or (instance_id, name) in self.reported.raised


class Results:
    """The results of activities as the histories of the promoted hub record them; none may ever change."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, int], str] = {}
        self.changed: list[str] = []

    async def note(self, hub: TaskHub) -> None:
        """Takes down what is recorded now, of two results of one task the first, and compares it with what was."""
        now: set[tuple[str, str, int]] = set()
        completed = Query(where=[Where("EventType", "eq", "TaskCompleted")])
        async for row in hub.account.tables.rows(hub.names.history, completed):
            entity = row.entity
            key = str(entity["PartitionKey"]), str(entity["ExecutionId"]), int(str(entity["TaskScheduledId"]))
            result = str(entity.get("Result"))
            if key in now:  # a second answer to the same task is kept and ignored
                continue
            now.add(key)
            if self._known.setdefault(key, result) != result:
                self.changed.append(f"{key[0]}: result {key[2]} was {self._known[key]} and became {result}")


async def problems(world: World, hub: TaskHub, effects: Mapping[str, int]) -> list[str]:
    """Everything that is not as it must be."""
    client, found, truths = TaskHubClient(hub), [], {}
    for instance_id, request in world.accepted.items():
        truths[instance_id] = truth = Truth()
        found += await _ended_right(client, instance_id, request, truth, world.reported)
        found += [f"{key}: the effect is missing" for key in sorted(truth.must - effects.keys())]
        found += _events_used_once(world, request, truth)
    known = set[str]().union(*(truth.must for truth in truths.values()))
    found += [
        f"{key}: an effect that nothing asked for" for key in effects
        if key not in known and _instance_of(key) in truths and truths[_instance_of(key)].must
    ]  # fmt: skip
    found += await _operations_done(client, world, truths)
    return found + [line async for line in _left_over(hub.account, hub)]


async def _ended_right(
    client: TaskHubClient, instance_id: str, request: Request, truth: Truth, reported: Reported
) -> list[str]:
    status = await client.status(instance_id)
    is_eternal = any(step["do"] == "again" for step in _steps(request))
    is_early = is_eternal and any(one == instance_id for one, _ in reported.raised)  # dropped by a generation before
    is_named = (
        is_early
        or reported.is_confused(instance_id)
        or any(name.startswith(instance_id) for name in reported.instances)
    )
    if is_named and not (status and status.is_terminal):
        return []
    if status is None:
        return [f"{instance_id}: lost"]
    fails = request.workflow == "program" and request.input["steps"][-1]["do"] == "throw"
    if status.runtime_status != ("Failed" if fails else "Completed"):
        return [f"{instance_id}: {status.runtime_status}, {status.output}"]
    if not fails:
        compare(request, json.loads(status.output or "null"), truth)
    return truth.wrong


def _steps(request: Request) -> list[dict[str, Any]]:
    return list(request.input["steps"]) if request.workflow == "program" else []


def compare(request: Request, result: Any, truth: Truth) -> None:
    """Compares the result of an instance with what its request must give."""
    base = request.instance_id
    if request.workflow == "program":
        truth.look(request.input["steps"], base, "", result)
        return
    expected, keys = _expected(request)
    truth.must.update(keys)
    if result != expected:
        truth.wrong.append(f"{base}: {result!r} instead of {expected!r}")


def _expected(request: Request) -> tuple[Any, list[str]]:
    """The right result of one of the fixed workflows, and the keys of its effects."""
    base, given = request.instance_id, request.input
    if request.workflow in ("chain", "fan_out", "patient"):
        keys = [f"{base}/{n}" for n in range(given.get("steps", 1))]
        done = [f"did {key}" for key in keys]
        return (done[0] if request.workflow == "patient" else done), keys
    if request.workflow == "approval":
        if not request.events:
            return "timeout", [f"{base}/1"]
        return json.dumps(request.events[0].data), [f"{base}/0"]
    if request.workflow == "family":
        families = [[f"{base}-child{n}/{step}" for step in range(2)] for n in range(2)]
        return [[f"did {key}" for key in keys] for keys in families], [key for keys in families for key in keys]
    return f"{given['rounds']} rounds", [f"{base}/{n}" for n in range(given["rounds"])]


def _instance_of(key: str) -> str:
    return key.split("/")[0].split("-child")[0]


def _events_used_once(world: World, request: Request, truth: Truth) -> Iterator[str]:
    """No event is used more often than it was raised; two that a client could not be sure of may be."""
    raised = {(event.to, event.name, json.dumps(event.data)) for event in request.events}
    for (to, name, data), times in truth.used.items():
        if (to, name, data) not in raised:
            yield f"{request.instance_id}{to}: {name} gave {data}, which nobody raised"
        elif times > 1 and not world.may_repeat(request.instance_id + to, name, data):
            yield f"{request.instance_id}{to}: the event {name} {data} was used {times} times"


async def _operations_done(client: TaskHubClient, world: World, truths: Mapping[str, Truth]) -> list[str]:
    """Every operation has been done, none more often than it was asked for; or the difference was reported."""
    found = []
    counts = {entity: json.loads(await client.entity_state(entity) or "{}") or {} for entity in ENTITIES}
    forgotten = set[str]().union(*(truth.forgotten for truth in truths.values()))
    asked = [operation for truth in truths.values() for operation in truth.asked]
    for entity, key in [*asked, *sorted(world.signalled)]:
        if counts[entity].get(key) or (entity, key) in world.reported.signals or world.reported.is_unknown(key):
            continue
        if key in forgotten:  # the one loss that nothing can tell (docs/recovery.md, the promise)
            continue
        found.append(f"{entity}: {key} was never done")
    for entity, kept in counts.items():
        for key, times in kept.items():
            requests = len(world.executed.get((entity, key), ()))
            if (
                times > requests
                and (entity, key) not in world.reported.doubled
                and not world.reported.operations_of(entity)
            ):
                found.append(f"{entity}: {key} was done {times} times for {requests} requests")
    return found


async def _left_over(account: Account, hub: TaskHub) -> Any:
    for queue in (hub.names.workitems, *hub.names.control_queues):
        if count := await account.queues.count(queue):
            yield f"{queue}: {count} messages are left"
