"""Carries out repair plans: audited, one small write after the other, and safe to begin again.

Before the first write of a plan its whole content, with every message, row and history it removes, is written to the
container `{hub}-recovery`. A plan that was interrupted is made anew from what is there, so it never does a thing twice.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from recovery.observed import EPOCH, Message, json_object
from recovery.passes import container_of
from recovery.plans import Plan
from recovery.repair_steps import Adopt, CutHistory, Delete, Purge, PutRow, Send, Step, WriteHistory, WriteRow
from recovery.rules import Verdict
from taskhub import history as histories
from taskhub import messages as m
from taskhub import payloads
from taskhub.accounts import Entity, QueueMessage, Write
from taskhub.errors import NotFound
from taskhub.history import History
from taskhub.hub import TaskHub
from taskhub.layout import SENTINEL, escape_key, row_key


class Audit:
    """The record of one run of repairs, a blob for each instance."""

    def __init__(self, hub: TaskHub) -> None:
        self.hub = hub
        self.container = container_of(hub)
        self.run = f"{hub.clock.now():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
        self._created = False
        self._number = 0

    @property
    def place(self) -> str:
        """Where the records of this run are; empty while nothing was done."""
        return f"{self.container}/audit/{self.run}" if self._number else ""

    async def begin(self, plan: Plan, verdict: Verdict) -> str:
        """Notes what will be done and what is removed by it; returns the record's name."""
        if not self._created:
            await self.hub.account.blobs.create(self.container)
            self._created = True
        self._number += 1
        name = f"audit/{self.run}/{self._number:06d}.json"
        await self._put(name, _record(self.hub, plan, verdict))
        return name

    async def end(self, name: str) -> None:
        """Notes that all of it was done."""
        record = json.loads(await self.hub.account.blobs.get(self.container, name))
        await self._put(name, {**record, "done": self.hub.clock.now().isoformat()})

    async def _put(self, name: str, record: dict[str, Any]) -> None:
        data = json.dumps(record, indent=1, default=_text).encode()
        await self.hub.account.blobs.put(self.container, name, data)


def _record(hub: TaskHub, plan: Plan, verdict: Verdict) -> dict[str, Any]:
    instance = verdict.facts.instance
    cuts = any(isinstance(step, (CutHistory, PutRow, WriteHistory)) for step in plan.steps)
    return {
        "time": hub.clock.now().isoformat(),
        "instance": plan.instance_id,
        "verdict": verdict.kind,
        "rule": plan.rule,
        "because": verdict.because,
        "steps": [{"repair": step.repair, "what": step.words()} for step in plan.steps],
        "mayRepeat": list(plan.may_repeat),
        "unresolved": plan.unresolved,
        "removedMessages": [
            {"queue": step.message.queue, "id": step.message.id, "text": step.message.text}
            for step in plan.steps
            if isinstance(step, Delete)
        ],
        "rowBefore": instance.row if any(isinstance(step, WriteRow) for step in plan.steps) else None,
        "historyBefore": list(instance.history) if cuts else None,
        "removedInstances": [
            {"instance": x.instance_id, "row": x.row, "history": list(x.history)}
            for x in (step.instance for step in plan.steps if isinstance(step, Purge))
        ],
        "done": None,
    }


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


async def apply(hub: TaskHub, plan: Plan, verdict: Verdict, audit: Audit) -> None:
    """Carries out one plan. AccountError of whatever call failed; what was done until then stays done."""
    if plan.is_empty:
        return
    record = await audit.begin(plan, verdict)
    for step in plan.steps:
        await _DO[type(step)](hub, plan.instance_id, step)
    await audit.end(record)


async def delete_message(hub: TaskHub, message: Message) -> None:
    """Deletes a message as a sweep saw it. On a real account it is the receipt of its last get that counts."""
    taken = QueueMessage(
        message.id, message.text, message.pop_receipt, message.dequeue_count, message.inserted, message.next_visible
    )
    with suppress(NotFound):  # somebody, or this repair before it was interrupted, has removed it
        await hub.account.queues.delete(message.queue, taken)


async def with_large_texts_moved(hub: TaskHub, instance_id: str, columns: Entity) -> Entity:
    """The columns of a row, with those texts that are too long for a row in blobs."""
    key, moved = escape_key(instance_id), dict(columns)
    for column in ("Input", "Output"):
        text = moved.get(column)
        if isinstance(text, str) and payloads.is_large_column(text):
            name = f"{key}/history-recovery-{uuid.uuid4().hex[:8]}-{column}.json.gz"
            await hub.large.write(name, text.encode("utf-8", "surrogatepass"))
            moved[column] = hub.large.url(name)
    return moved


async def _delete(hub: TaskHub, _: str, step: Delete) -> None:
    await delete_message(hub, step.message)


async def _send(hub: TaskHub, _: str, step: Send) -> None:
    delay = step.due - hub.clock.now() if step.due > EPOCH else timedelta(0)
    await hub.send(step.task, max(delay, timedelta(0)))


async def _write_row(hub: TaskHub, instance_id: str, step: WriteRow) -> None:
    columns: Entity = {"TaskHubName": hub.names.hub, **step.columns} if step.replace else step.columns
    columns = await with_large_texts_moved(hub, instance_id, columns)
    entity: Entity = {"PartitionKey": escape_key(instance_id), "RowKey": "", **columns}
    mode = Write("upsert", entity, mode="replace" if step.replace else "merge")
    await hub.account.tables.write(hub.names.instances, mode)


async def _write_history(hub: TaskHub, instance_id: str, step: WriteHistory) -> None:
    sentinel = await hub.account.tables.get(hub.names.history, escape_key(instance_id), SENTINEL)
    history = History(instance_id, step.execution_id, [], sentinel.etag if sentinel else None)
    await hub.append_history(history, step.events, step.execution_id, step.start)


async def _put_row(hub: TaskHub, instance_id: str, step: PutRow) -> None:
    entity = histories.to_entity(step.event, escape_key(instance_id), row_key(step.position), step.execution_id)
    await hub.account.tables.write(hub.names.history, Write("upsert", entity))


async def _cut_history(hub: TaskHub, instance_id: str, step: CutHistory) -> None:
    await hub.delete_history(instance_id, step.position)
    key = escape_key(instance_id)
    if step.position and await hub.account.tables.get(hub.names.history, key, SENTINEL) is not None:
        whole: Entity = {"PartitionKey": key, "RowKey": SENTINEL, "IsCheckpointComplete": True}
        await hub.account.tables.write(hub.names.history, Write("update", whole, mode="merge"))


async def _purge(hub: TaskHub, _: str, step: Purge) -> None:
    await hub.delete_instance(step.instance.instance_id)


async def _adopt(hub: TaskHub, _: str, step: Adopt) -> None:
    history = await hub.read_history(step.entity_id)
    started = [event for event in history.events if event["EventType"] == m.EXECUTION_STARTED]
    if not started:  # its state is put back first; then the next look asks for this again
        return
    state = json_object(started[0].get("Input"))
    received = state.setdefault("sorter", {}).setdefault("ReceivedFromInstance", {})
    last = {"Last": m.timestamp(step.last), "ExecutionId": step.execution_id}
    received[step.caller] = {**received.get(step.caller, {}), **last}
    started[0]["Input"] = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
    await hub.append_history(history, history.events, str(history.execution_id), 0)


_DO: dict[type[Step], Callable[..., Any]] = {
    Purge: _purge,
    Adopt: _adopt,
    Delete: _delete,
    Send: _send,
    WriteRow: _write_row,
    WriteHistory: _write_history,
    PutRow: _put_row,
    CutHistory: _cut_history,
}
