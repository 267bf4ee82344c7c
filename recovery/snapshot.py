"""Reads a task hub as it lies in its account: rows, histories, blobs, and one sweep of the queues; no host is needed.

Instances are read one by one in the order of their ids, so a hub of any size takes the memory of its largest instance.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from recovery.facts import Facts
from recovery.observed import Instance
from recovery.readers import ROW_TIMES, Ahead, problems, wrong_in_row
from recovery.sweep import Sweep, Way
from taskhub import messages as m
from taskhub.accounts import Entity, Query, Row, Where
from taskhub.errors import NotFound, Undecodable
from taskhub.hub import TaskHub
from taskhub.layout import SENTINEL, escape_key, unescape_key

MAX_FAMILY_DEPTH = 20
_SCHEMA = """
CREATE TABLE known (key TEXT PRIMARY KEY, is_here INTEGER);
CREATE TABLE child (key TEXT, parent TEXT);
CREATE TABLE awaited (instance TEXT, parent TEXT);
"""
_CHILD_ENDED = ("SubOrchestrationInstanceCompleted", "SubOrchestrationInstanceFailed")


@dataclass(frozen=True)
class Glance:
    """As much of an instance as the tables' scan shows."""

    instance_id: str
    is_tidy: bool  # finished, row and history agree, nothing queued: no need to read more


class Snapshot(Sweep):
    """One hub at one time. Make it with `Snapshot.take`; `release` gives taken messages back."""

    def __init__(self, hub: TaskHub) -> None:
        super().__init__(hub)
        self.seen.executescript(_SCHEMA)

    @classmethod
    async def take(cls, hub: TaskHub, way: Way = "everything") -> Snapshot:
        """Sweeps the queues; on a real account `peek` sees at most 32 messages of each."""
        snapshot = cls(hub)
        try:
            await snapshot._look(way)
        except BaseException:
            await snapshot.release()
            snapshot.close()
            raise
        return snapshot

    # the tables

    async def glances(self) -> AsyncIterator[Glance]:
        """Every instance that has a row, a history or a message, in the order of the tables' keys."""
        rows = Ahead(self._rows())
        histories = Ahead(self._histories())
        queued = Ahead(self._queued())
        for ahead in (rows, histories, queued):
            await ahead.next()
        while keys := [ahead.key for ahead in (rows, histories, queued) if ahead.key is not None]:
            key = min(keys)
            row, history = await rows.take(key), await histories.take(key)
            has_messages = await queued.take(key) is not None
            is_here = row is not None or history is not None or self._is_to_begin(unescape_key(key))
            self.seen.execute("INSERT OR IGNORE INTO known VALUES (?, ?)", (key, is_here))
            yield Glance(unescape_key(key), not has_messages and _is_tidy(row, history))

    def children_not_here(self) -> Iterator[tuple[str, str]]:
        """(child, parent) where the parent has the answer and the hub nothing of the child; after the glances.

        Messages that are left of it say nothing of what it did, unless one of them begins it anew.
        """
        here = "SELECT key FROM known WHERE is_here"
        missing = f"SELECT DISTINCT key, parent FROM child WHERE key NOT IN ({here}) ORDER BY key"
        for key, parent in self.seen.execute(missing):
            yield unescape_key(key), parent

    def children_awaited(self) -> Iterator[tuple[str, str]]:
        """(child, parent) where the parent has begun the child and has no answer; after the glances."""
        yield from self.seen.execute("SELECT DISTINCT instance, parent FROM awaited")

    async def parents_of(self, child: str) -> list[str]:
        """The instances that have begun a child and have no answer of it, without the glances."""
        created = [Where("EventType", "eq", "SubOrchestrationInstanceCreated"), Where("InstanceId", "eq", child)]
        found = set()
        async for row in self.hub.account.tables.rows(self.hub.names.history, Query(where=created)):
            parent = Facts(await self.instance(unescape_key(str(row.entity["PartitionKey"]))))
            if parent.is_open and any(x.get("InstanceId") == child for x in parent.open_items.values()):
                found.add(parent.id)
        return sorted(found)

    def _is_to_begin(self, instance_id: str) -> bool:
        return any(x.task and x.task.kind == m.EXECUTION_STARTED for x in self.messages_of(instance_id))

    async def orphan_blobs(self) -> AsyncIterator[tuple[str, int]]:
        """(instance id, how many) of large payloads whose instance is not in the hub in any form; after `glances`."""
        key, count = "", 0
        async for blob in self.hub.account.blobs.list(self.hub.names.large_messages):
            folder = blob.name.split("/")[0]
            if folder != key:
                if count and not self._knows(key):
                    yield unescape_key(key), count
                key, count = folder, 0
            count += 1
        if count and not self._knows(key):
            yield unescape_key(key), count

    def _knows(self, key: str) -> bool:
        return self.seen.execute("SELECT 1 FROM known WHERE key = ?", (key,)).fetchone() is not None

    async def _rows(self) -> AsyncIterator[tuple[str, Any]]:
        columns = ("RuntimeStatus", "ExecutionId", "Name", "Input", "Output", *ROW_TIMES)
        async for row in self.hub.account.tables.rows(self.hub.names.instances, Query(select=columns)):
            entity = row.entity
            doubtful = any(str(entity.get(column, "")).startswith("http") for column in ("Input", "Output"))
            doubtful = doubtful or any(wrong_in_row(entity))
            yield str(entity["PartitionKey"]), (entity.get("RuntimeStatus"), entity.get("ExecutionId"), doubtful)

    async def _histories(self) -> AsyncIterator[tuple[str, Any]]:
        """(key, (execution, how it ended)) of each history, from as few columns as possible.

        One that asked things of entities counts as not ended: whether they know of it is for the rules to say.
        """
        key, execution, end, asks = None, None, None, False
        columns = ("EventType", "ExecutionId", "OrchestrationStatus", "EventId", "TaskScheduledId", "InstanceId")
        children: dict[tuple[object, object], str] = {}
        async for row in self.hub.account.tables.rows(self.hub.names.history, Query(select=columns)):
            entity = row.entity
            if entity["PartitionKey"] != key:
                if key is not None:
                    self._note_open(key, execution, end, children)
                    yield key, (execution, None if asks else end)
                key, execution, end, asks = str(entity["PartitionKey"]), entity.get("ExecutionId"), None, False
                children = {}
            if entity["RowKey"] == SENTINEL:
                execution = entity.get("ExecutionId")
            if entity.get("EventType") == "ExecutionCompleted":
                end = (entity.get("ExecutionId"), entity.get("OrchestrationStatus"))
            asks = asks or entity.get("EventType") == "EventSent"
            if entity.get("EventType") == "SubOrchestrationInstanceCreated":
                children[entity.get("ExecutionId"), entity.get("EventId")] = str(entity.get("InstanceId"))
            elif entity.get("EventType") in _CHILD_ENDED:
                asked = entity.get("ExecutionId"), entity.get("TaskScheduledId")
                if asked not in children:
                    continue
                child = escape_key(children.pop(asked))
                self.seen.execute("INSERT INTO child VALUES (?, ?)", (child, unescape_key(str(key))))
        if key is not None:
            self._note_open(key, execution, end, children)
            yield key, (execution, None if asks else end)

    def _note_open(self, key: str, execution: object, end: Any, children: dict[tuple[object, object], str]) -> None:
        """Notes the children that an open history waits for; rows of an earlier generation may lie behind its own."""
        if end is None or end[0] != execution:
            rows = [(child, unescape_key(key)) for (run, _), child in children.items() if run == execution]
            self.seen.executemany("INSERT INTO awaited VALUES (?, ?)", rows)

    async def _queued(self) -> AsyncIterator[tuple[str, Any]]:
        cursor = self.seen.execute("SELECT DISTINCT key FROM seen WHERE key <> '' ORDER BY key")
        for (key,) in cursor:
            yield key, True

    async def instance(self, instance_id: str) -> Instance:
        """One instance as stored, large texts put back where their blobs are there."""
        key = escape_key(instance_id)
        row = await self.hub.account.tables.get(self.hub.names.instances, key, "")
        rows: list[Entity] = []
        sentinel: Entity | None = None
        missing: list[str] = []
        query = Query(where=[Where("PartitionKey", "eq", key)])
        async for found in self.hub.account.tables.rows(self.hub.names.history, query):
            if found.entity["RowKey"] == SENTINEL:
                sentinel = found.entity
            else:
                rows.append(await self._restored(found, missing))
        stored = await self._resolved(row.entity, missing) if row else None
        return Instance(
            instance_id, stored, tuple(rows), sentinel, self.messages_of(instance_id),
            tuple(missing), tuple(problems(rows, sentinel, row.entity if row else None)), self.sent_by(instance_id),
        )  # fmt: skip

    async def _restored(self, row: Row, missing: list[str]) -> Entity:
        entity = row.entity
        for column in [name for name in entity if name.endswith("BlobName")]:
            blob = str(entity[column])
            try:
                text = (await self.hub.large.read(blob)).decode("utf-8", "surrogatepass")
                entity = {**entity, column.removesuffix("BlobName"): text}
            except (NotFound, Undecodable):
                missing.append(blob)
        return entity

    async def _resolved(self, row: Entity, missing: list[str]) -> Entity:
        """The row with the texts behind its addresses; those that a reader could not follow go to `missing`."""
        for column in ("Input", "Output"):
            address = str(row.get(column, ""))
            if not address.startswith(("http://", "https://")) or "-largemessages/" not in address:
                continue
            name = self.hub.large.name_of(address)
            # A copy to another account keeps the blob but not the address.
            place = name or unquote(address.split("-largemessages/", 1)[1].split("?")[0])
            text = await self._large_text(place)
            if name is None or text is None:
                missing.append(f"{column} {address}")
            if text is not None:
                row = {**row, column: text}
        return row

    async def _large_text(self, name: str) -> str | None:
        try:
            return await self.hub.large_text(self.hub.large.url(name))
        except (NotFound, Undecodable):
            return None

    async def facts(
        self, instance_id: str, replay: Replay | None = None, with_journal: WithJournal | None = None
    ) -> Facts:
        """An instance with its relatives and the entities it calls, and what its code awaits when `replay` knows it.

        `with_journal` adds what the journal knows and the hub does not.
        """
        facts = await self._with_parent(await self._family(instance_id, replay, set()))
        return with_journal(facts) if with_journal else facts

    async def alone(self, instance_id: str) -> Facts:
        """An instance and its parent, which is all that a comparison with the journal asks about."""
        return await self._with_parent(await self._facts(instance_id))

    async def _with_parent(self, facts: Facts) -> Facts:
        if facts.parent is None or not (facts.is_open or facts.accepted_start):
            return facts
        parent = Facts(await self.instance(str(facts.parent.get("InstanceId"))), now=facts.now)
        return replace(facts, related={parent.id: parent, **facts.related})

    async def _facts(self, instance_id: str) -> Facts:
        control = self.hub.names.control_queue(instance_id)
        work = self.unseen.get(self.hub.names.workitems, 0)
        # The timers that the doctor has sent are among the invisible, and hide nothing.
        invisible = max(0, self.unseen.get(control, 0) - self.sent_to[control])
        facts = Facts(
            await self.instance(instance_id), now=self.hub.clock.now(),
            unseen={"control": 0 if self.is_settled else invisible, "workitems": work, "timers": invisible},
        )  # fmt: skip
        run = facts.execution if facts.has_history else facts.row_execution
        return replace(facts, sent_again=self._sent_again(instance_id, run)) if self.sent_to else facts

    async def _family(self, instance_id: str, replay: Replay | None, above: set[str]) -> Facts:
        facts = await self._facts(instance_id)
        relatives = _relatives(facts) - above - {instance_id}
        related: dict[str, Facts] = {}
        if len(above) < MAX_FAMILY_DEPTH:
            for relative in sorted(relatives):
                related[relative] = await self._family(relative, replay, above | {instance_id})
        facts = replace(facts, related=related)
        return replace(facts, replayed=replay(facts)) if replay and facts.is_open and not facts.is_entity else facts


Replay = Callable[[Facts], Any]
WithJournal = Callable[[Facts], Facts]


def _relatives(facts: Facts) -> set[str]:
    if not facts.is_open:  # what it asked for may be lost all the same
        return {str(event.get("InstanceId")) for event in facts.operations.values()}
    found = {str(event.get("InstanceId")) for (kind, _), event in facts.open_items.items() if kind == m.SUB_CREATED}
    found |= {facts.locked_by} - {""}
    return found | {str(event.get("InstanceId")) for event in facts.operations.values()}


def _is_tidy(row: Any, history: Any) -> bool:
    if row is None or history is None:
        return False
    status, row_execution, is_doubtful = row
    execution, end = history
    return not is_doubtful and execution == row_execution and end == (execution, status)
