"""What became of each instance, read from the promoted hub's tables and API after the recovery, nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from lab import in_hand
from lab.drills.client import Answer
from lab.drills.ground_truth import EventFate, Fate
from lab.drills.mix import FIRST
from lab.right_results import is_right
from taskhub.accounts import Account, Entity, Query
from taskhub.accounts.embedded import EmbeddedAccount
from taskhub.instances import RUNNING_STATES, TERMINAL_STATES
from taskhub.layout import HubNames, unescape_key

WORDS = 200  # of a wrong result
ROW_ALONE = "only its status row says that it ended"


@dataclass(frozen=True)
class Seen:
    """What the hub's tables hold of one instance."""

    has_row: bool
    status: str | None  # of the row
    has_history: bool
    ended: datetime | None  # when the orchestrator returned
    result: Any = None
    end_status: str = "Completed"  # how it ended
    marked_events: int = 0  # of those raised before the loss, in its history
    row_result: Any = None
    row_completed: datetime | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of an instance, in the words of the verdict."""

    fate: Fate
    result: Any = None
    event: EventFate = "lost"  # of the one raised before the loss
    why: str = ""
    remark: str = ""
    marked_events: int = 0  # events raised before the loss that its history holds


async def look(account: Account, names: HubNames, instance_ids: Iterable[str]) -> dict[str, Seen]:
    """What the tables hold of each instance."""
    wanted = set(instance_ids)
    rows: dict[str, Entity] = {}
    async for row in account.tables.rows(names.instances, Query()):
        rows[_id(row.entity)] = row.entity
    begun: set[str] = set()
    ends: dict[str, Entity] = {}
    marked: dict[str, set[str]] = {}
    async for row in account.tables.rows(names.history, Query()):
        one = _id(row.entity)
        if one not in wanted:
            continue
        begun.add(one)
        if row.entity.get("EventType") == "ExecutionCompleted":
            ends[one] = row.entity
        elif row.entity.get("EventType") == "EventRaised" and FIRST in str(row.entity.get("Input")):
            marked.setdefault(one, set()).add(str(row.entity.get("Input")))
    return {one: _seen(rows.get(one), one in begun, ends.get(one), len(marked.get(one, ()))) for one in wanted}


def _id(entity: Entity) -> str:
    return unescape_key(str(entity["PartitionKey"]))


def _seen(row: Entity | None, has_history: bool, end: Entity | None, marked: int) -> Seen:
    row_entity, end_entity = row or {}, end or {}
    return Seen(
        has_row=row is not None,
        status=None if row is None else str(row.get("RuntimeStatus")),
        has_history=has_history,
        ended=_moment(end_entity.get("_Timestamp")),
        result=None if end is None else _json(str(end.get("Result"))),
        end_status=str(end_entity.get("OrchestrationStatus", "Completed")),
        marked_events=marked,
        row_result=_json(str(row_entity.get("Output"))) if "Output" in row_entity else None,
        row_completed=_moment(row_entity.get("CompletedTime")),
    )


def _moment(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


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
    if seen.status in TERMINAL_STATES and isinstance(seen.row_result, dict):
        event: EventFate = "applied" if seen.row_result.get("raised") == 1 else "lost"
        return Outcome("completed before", seen.row_result, event, "", ROW_ALONE)
    if seen.has_history:
        return _open(seen)
    if not seen.has_row:
        return Outcome("lost", why="the hub knows nothing of it")
    if seen.status == "Pending":
        return Outcome("stuck", why="Pending for ever: there is no message that would start it")
    return Outcome("lost", why=f"its status row says {seen.status}, but it has no history")


def judge_errand(seen: Seen, answer: Answer, loss: datetime, wanted: Any) -> Outcome:
    """The outcome of an instance of any other workflow, whose right result is `wanted`."""
    ends = [moment for moment in (seen.ended, seen.row_completed) if moment is not None]
    fate: Fate = "completed before" if ends and min(ends) <= loss else "completed"
    if seen.ended is not None:
        return _ended(seen, fate, seen.end_status, seen.result, wanted, _remark(seen, answer))
    if seen.status in TERMINAL_STATES:
        return _ended(seen, fate, str(seen.status), seen.row_result, wanted, ROW_ALONE)
    if seen.has_history:
        why = "its status row is missing" if not seen.has_row else f"its status row says {seen.status}"
        return Outcome("stuck", why=f"it does not move, and {why}", marked_events=seen.marked_events)
    if seen.has_row and seen.status == "Pending":
        return Outcome("stuck", why="Pending for ever: there is no message that would start it")
    why = f"its status row says {seen.status}, but it has no history" if seen.has_row else "the hub knows nothing of it"
    return Outcome("lost", why=why)


def _ended(seen: Seen, fate: Fate, status: str, result: Any, wanted: Any, remark: str) -> Outcome:
    if status == "Completed" and is_right(result, wanted):
        return Outcome(fate, result, "applied", "", remark, seen.marked_events)
    shown = result.split(" \n")[0] if isinstance(result, str) else json.dumps(result)
    why = f"ended {status} with {shown[:WORDS]}{'…' if len(shown) > WORDS else ''}"
    return Outcome("wrong", result, "applied", why, remark, seen.marked_events)


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


class Fingerprint(NamedTuple):
    """Changes whenever work in the hub moves on; timers that wait, or ring although cancelled, are no work."""

    rows: int
    events: int
    ended: int
    messages: frozenset[str]


async def fingerprint(account: EmbeddedAccount, names: HubNames) -> Fingerprint:
    """Of the hub as it is now: rows, events in histories, instances that ended, messages that are due or in hand."""
    statuses = await _statuses(account, names)
    events = 0
    async for row in account.tables.rows(names.history, Query(select=["EventType"])):
        events += not str(row.entity.get("EventType")).startswith(("Timer", "Orchestrator"))
    ended = sum(status in TERMINAL_STATES for status in statuses.values())
    return Fingerprint(len(statuses), events, ended, in_hand.at_work(account))


async def open_instances(account: Account, names: HubNames, instance_ids: Iterable[str]) -> Counter[str]:
    """How many of these instances have not ended, by their status; those without a row count as None."""
    statuses = await _statuses(account, names)
    found = Counter(str(statuses.get(one)) for one in instance_ids)
    return Counter({status: count for status, count in found.items() if status not in TERMINAL_STATES})


async def _statuses(account: Account, names: HubNames) -> dict[str, str]:
    columns = Query(select=["PartitionKey", "RuntimeStatus"])
    return {
        _id(row.entity): str(row.entity.get("RuntimeStatus"))
        async for row in account.tables.rows(names.instances, columns)
    }
