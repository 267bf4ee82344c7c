"""What became of each instance, read from the promoted hub's tables and API after the recovery, nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lab.drills.client import Answer
from lab.drills.ground_truth import EventFate, Fate
from lab.drills.workload import PREFIX
from taskhub.accounts import Account, Entity, Query, Where
from taskhub.instances import RUNNING_STATES, TERMINAL_STATES
from taskhub.layout import HubNames, unescape_key


@dataclass(frozen=True)
class Seen:
    """What the hub's tables hold of one instance."""

    has_row: bool
    status: str | None  # of the row
    has_history: bool
    ended: datetime | None  # when the orchestrator returned
    result: Any = None


@dataclass(frozen=True)
class Outcome:
    """What became of an instance, in the words of the verdict."""

    fate: Fate
    result: Any = None
    event: EventFate = "lost"  # of the one raised before the loss
    why: str = ""
    remark: str = ""


async def look(account: Account, names: HubNames, instance_ids: Iterable[str]) -> dict[str, Seen]:
    """What the tables hold of each instance."""
    prefix = Query([Where("PartitionKey", "ge", PREFIX), Where("PartitionKey", "lt", PREFIX + "\x7f")])
    rows = {_id(row.entity): row.entity async for row in account.tables.rows(names.instances, prefix)}
    begun: set[str] = set()
    ends: dict[str, Entity] = {}
    async for row in account.tables.rows(names.history, prefix):
        begun.add(_id(row.entity))
        if row.entity.get("EventType") == "ExecutionCompleted":
            ends[_id(row.entity)] = row.entity
    return {one: _seen(rows.get(one), one in begun, ends.get(one)) for one in instance_ids}


def _id(entity: Entity) -> str:
    return unescape_key(str(entity["PartitionKey"]))


def _seen(row: Entity | None, has_history: bool, end: Entity | None) -> Seen:
    status = None if row is None else str(row.get("RuntimeStatus"))
    ended = None if end is None else end.get("_Timestamp")
    result = None if end is None else _json(str(end.get("Result")))
    return Seen(row is not None, status, has_history, ended if isinstance(ended, datetime) else None, result)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def judge(seen: Seen, answer: Answer, loss: datetime) -> Outcome:
    """The outcome of an instance; `answer` is that of its status URL, `loss` the moment the region was gone."""
    if seen.ended is not None:
        fate: Fate = "completed before" if seen.ended <= loss else "completed"
        raised = seen.result.get("raised") if isinstance(seen.result, dict) else None
        return Outcome(fate, seen.result, "applied" if raised == 1 else "lost", "", _remark(seen, answer))
    if seen.has_history:
        return _open(seen)
    if not seen.has_row:
        return Outcome("lost", why="the hub knows nothing of it")
    if seen.status == "Pending":
        return Outcome("stuck", why="Pending for ever: there is no message that would start it")
    return Outcome("lost", why=f"its status row says {seen.status}, but it has no history")


def _open(seen: Seen) -> Outcome:
    if not seen.has_row:
        return Outcome("stuck", why="it waits, and no event can be raised: its status row is missing")
    if seen.status in TERMINAL_STATES:
        return Outcome("stuck", why=f"it waits, and no event can be raised: its status row says {seen.status}")
    if seen.status not in RUNNING_STATES:
        return Outcome("stuck", why="it waits, and no event can be raised: its status row has no status")
    return Outcome("stuck", why="it waits although its event was raised and accepted")


def _remark(seen: Seen, answer: Answer) -> str:
    """What a client is shown when it is not the truth."""
    if answer.status == 200 and isinstance(answer.body, dict) and answer.body.get("output") == seen.result:
        return ""
    shown = answer.body.get("runtimeStatus") if isinstance(answer.body, dict) else None
    return f"ended, but its status shows {shown or f'HTTP {answer.status}'}"


async def fingerprint(account: Account, names: HubNames) -> tuple[int, ...]:
    """Changes whenever work in the hub moves on: rows of both tables, instances that ended, messages."""
    rows, histories, ended = 0, 0, 0
    async for row in account.tables.rows(names.instances, Query(select=["RuntimeStatus"])):
        rows += 1
        ended += row.entity.get("RuntimeStatus") in TERMINAL_STATES
    async for _ in account.tables.rows(names.history, Query(select=["PartitionKey"])):
        histories += 1
    counts = await asyncio.gather(*(account.queues.count(queue) for queue in names.control_queues))
    return rows, histories, ended, *counts
