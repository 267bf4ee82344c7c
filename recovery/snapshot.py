"""Reads a task hub as it lies in its account: rows, histories, blobs, and one sweep of the queues; no host is needed.

The sweep goes into a temporary file, and instances are read one by one in the order of their ids, so a hub of any
size takes the memory of its largest instance. On an embedded account the sweep reads invisible messages too. On a
real account it peeks, which changes nothing and shows 32 visible messages; where there are more it takes each once
(which adds one to its dequeue count), hides it for a few minutes, and gives it back at the end. How many stayed
invisible is known from the queue's count. What is concluded from them is in `recovery.looks`: nothing, until no host
has worked for so long that they can only be messages whose time has not come.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import unquote

from recovery.errors import HubNotFound, HubNotReadable
from recovery.facts import Facts
from recovery.looks import Looks, looks_so_far, note_looks, timers_sent
from recovery.observed import EPOCH, Instance, Message
from recovery.readers import ROW_TIMES, Ahead, direct_reader, problems, wrong_in_row
from taskhub import messages as m
from taskhub.accounts import MAX_GET, Account, Entity, Query, QueueMessage, Row, Where
from taskhub.clock import Clock
from taskhub.errors import NotFound, TaskHubError, Undecodable
from taskhub.hub import HubSettings, TaskHub
from taskhub.layout import MAX_PARTITIONS, SENTINEL, HubNames, escape_key, unescape_key

HIDE = timedelta(minutes=5)  # how long a real account's messages stay with the sweep, at most
RELEASED_AT_ONCE = 16
MAX_FAMILY_DEPTH = 20
_CHILD_ENDED = ("SubOrchestrationInstanceCompleted", "SubOrchestrationInstanceFailed")
# peek: touches nothing. everything: receives where a peek does not show all. receipts: receives all, to delete some.
Way = Literal["everything", "peek", "receipts"]

_SCHEMA = """
CREATE TABLE seen (
    key TEXT, instance TEXT, sender TEXT, queue TEXT, id TEXT, receipt TEXT, dequeued INTEGER, inserted TEXT,
    visible TEXT, text TEXT, payload TEXT, problem TEXT, blob TEXT
);
CREATE TABLE known (key TEXT PRIMARY KEY, is_here INTEGER);
CREATE TABLE child (key TEXT, parent TEXT);
CREATE TABLE sent (instance TEXT, run TEXT, number INTEGER, queue TEXT, PRIMARY KEY (instance, run, number));
CREATE TABLE awaited (instance TEXT, parent TEXT);
"""
_ORDER = "ORDER BY queue, visible, rowid"


async def find_hub(account: Account, name: str | None, clock: Clock | None = None) -> TaskHub:
    """The hub in an account, with as many partitions as it has.

    Without a name the account must hold exactly one. HubNotFound says which hubs there are.
    """
    tables = await account.tables.names()
    lower = {table.lower() for table in tables}
    hubs = sorted(
        table[: -len("Instances")]
        for table in tables
        if table.endswith("Instances") and f"{table[: -len('Instances')]}History".lower() in lower
    )
    found = [hub for hub in hubs if name is None or hub.lower() == name.lower()]
    if len(found) != 1:
        raise HubNotFound(_not_one_hub(account.description or account.name, name, hubs))
    hub = found[0]
    return TaskHub(account, HubSettings(hub, await _partition_count(account, hub)), clock)


def _not_one_hub(account: str, name: str | None, hubs: list[str]) -> str:
    if not hubs:
        wanted = f"task hub '{name}'" if name else "task hub"
        return f"There is no {wanted} in {account}, nor any other. Is it the right account?"
    wanted = f"no task hub '{name}'" if name else "more than one task hub"
    return f"There is {wanted} in {account}; there is: {', '.join(hubs)}. Name it with --hub."


async def _partition_count(account: Account, hub: str) -> int:
    names = HubNames(hub)
    with suppress(TaskHubError, ValueError, KeyError, TypeError):
        count = int(json.loads(await account.blobs.get(names.leases, "taskhub.json"))["PartitionCount"])
        if 1 <= count <= MAX_PARTITIONS:
            return count
    queues = [queue for queue in await account.queues.names(f"{hub.lower()}-control-")]
    if not queues:
        raise HubNotReadable(f"The hub {hub} has tables but no control queues; it was never created completely.")
    return len(queues)


async def live_leases(hub: TaskHub) -> list[str]:
    """Who works on the hub now, in words: leases on its partitions, in blobs or in the table."""
    found = []
    async for blob in hub.account.blobs.list(hub.names.leases):
        if blob.leased:
            found.append(f"the lease {blob.name} is held")
    table = f"{hub.names.hub}Partitions"
    if table.lower() in {name.lower() for name in await hub.account.tables.names()}:
        async for row in hub.account.tables.rows(table, Query()):
            expires = row.entity.get("ExpiresAt")
            if row.entity.get("CurrentOwner") and isinstance(expires, datetime) and expires > hub.clock.now():
                found.append(
                    f"{row.entity['RowKey']} belongs to {row.entity['CurrentOwner']} until {expires:%H:%M:%S}Z"
                )
    return found


async def count_instances(hub: TaskHub) -> int:
    """How many rows the Instances table has: enough for a bar, and read from the keys alone."""
    count = 0
    async for _ in hub.account.tables.rows(hub.names.instances, Query(select=["RowKey"])):
        count += 1
    return count


@dataclass(frozen=True)
class Glance:
    """As much of an instance as the tables' scan shows."""

    instance_id: str
    is_tidy: bool  # finished, row and history agree, nothing queued: no need to read more


class Snapshot:
    """One hub at one time. Make it with `Snapshot.take`; `release` gives taken messages back."""

    def __init__(self, hub: TaskHub) -> None:
        self.hub = hub
        self.seen = sqlite3.connect("")  # a temporary file, gone with the connection
        self.seen.executescript(_SCHEMA)
        self.unseen: dict[str, int] = {}  # queue -> messages that are there and were not seen
        self.looks: Looks | None = None  # None: the account shows invisible messages
        self.is_settled = False  # what is invisible in a control queue can only be waiting for its time
        self.sent_to: Counter[str] = Counter()  # queue -> how many timers that the doctor has sent are in it
        self.has_taken = False  # messages, by receiving them
        self.encoding: m.Encoding | None = None

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

    async def _look(self, way: Way) -> None:
        hub = self.hub
        existing = set(await hub.account.queues.names(f"{hub.names.hub.lower()}-"))
        control = {queue for queue in existing if queue.startswith(f"{hub.names.hub.lower()}-control-")}
        if direct_reader(hub.account, hub.names.workitems) is None:
            await self._begin(way)
        # A result is put before its work item is deleted, so in this order one of the two is seen on a live hub too.
        for queue in [hub.names.workitems, *sorted({*hub.names.control_queues, *control})]:
            if queue in existing:
                await self._sweep(queue, way)
        self.seen.execute("CREATE INDEX by_key ON seen (key)")
        self.seen.execute("CREATE INDEX by_sender ON seen (sender)")
        if self.unseen:
            await self._read_timers_sent()

    async def _begin(self, way: Way) -> None:
        """Finds out how long no host has worked, and notes it; `peek` writes nothing."""
        looks = self.looks = await looks_so_far(self.hub, await live_leases(self.hub))
        settled = looks.settled_at()
        self.is_settled = settled is not None and self.hub.clock.now() >= settled
        if way != "peek":
            await note_looks(self.hub, looks)

    async def _read_timers_sent(self) -> None:
        async for timer in timers_sent(self.hub):
            row = (timer.instance_id, timer.execution, timer.number, timer.queue)
            self.seen.execute("INSERT OR IGNORE INTO sent VALUES (?, ?, ?, ?)", row)
        self.sent_to.update(dict(self.seen.execute("SELECT queue, count(*) FROM sent GROUP BY queue")))

    def _sent_again(self, instance_id: str, run: str | None) -> frozenset[int]:
        found = self.seen.execute("SELECT number FROM sent WHERE instance = ? AND run = ?", (instance_id, str(run)))
        return frozenset(number for (number,) in found)

    @property
    def settled_at(self) -> datetime | None:
        """When another look can say more of what is invisible now; None: no look can, or a host works."""
        return None if self.looks is None or self.is_settled or not self.unseen else self.looks.settled_at()

    async def release(self) -> None:
        """Makes the messages that the sweep took visible again, those that are still there."""
        if not self.has_taken:
            return
        self.has_taken = False
        rows = self.seen.execute("SELECT queue, id, receipt, text FROM seen WHERE receipt <> ''")
        while some := rows.fetchmany(RELEASED_AT_ONCE):
            await asyncio.gather(*(self._give_back(*row) for row in some))
        if self.looks is not None:
            self.looks = replace(self.looks, is_under_way=False)
            await note_looks(self.hub, self.looks)

    async def _give_back(self, queue: str, id_: str, receipt: str, text: str) -> None:
        message = QueueMessage(id_, text, receipt, 0, EPOCH, EPOCH)
        with suppress(NotFound):
            await self.hub.account.queues.update(queue, message, timedelta(0))

    def close(self) -> None:
        """Deletes the temporary file."""
        self.seen.close()

    # the sweep

    async def _sweep(self, queue: str, way: Way) -> None:
        """Notes the messages of a queue, some at a time: only the temporary file holds them all."""
        queues = self.hub.account.queues
        directly = direct_reader(self.hub.account, queue)
        if directly is not None:
            async for found in directly:
                await self._note_all(queue, found)
            return
        found = [] if way == "receipts" else await queues.peek(queue, MAX_GET)
        seen = len(found)
        if way == "peek" or (way == "everything" and seen < MAX_GET):
            await self._note_all(queue, found)
        else:
            seen = 0
            await self._begin_taking()
            while found := await queues.get(queue, MAX_GET, HIDE):
                seen += len(found)
                await self._note_all(queue, found)
        # Counted afterwards: what a host takes in between cannot be made up for by what comes in between.
        self._count_unseen(queue, await queues.count(queue) - seen)

    async def _note_all(self, queue: str, found: list[QueueMessage]) -> None:
        for message in found:
            await self._note(queue, message)

    async def _begin_taking(self) -> None:
        """Notes that messages are in hand, before they are: what a look that is cut short hides is not a timer."""
        if not self.has_taken and self.looks is not None:
            sweeps = (*self.looks.sweeps, self.hub.clock.now())
            self.looks = replace(self.looks, is_under_way=True, sweeps=sweeps)
            await note_looks(self.hub, self.looks)
        self.has_taken = True

    def _count_unseen(self, queue: str, missing: int) -> None:
        if missing > 0:
            self.unseen[queue] = missing

    async def _note(self, queue: str, message: QueueMessage) -> None:
        payload, problem, blob, task = "", "", "", None
        try:
            if self.encoding is None:
                self.encoding = "text" if message.text.lstrip().startswith("{") else "base64"
            data = m.from_text(message.text)
            blob = str(data.get("CompressedBlobName") or "")
            if blob:
                data = m.from_json(await self.hub.large.read(blob))
            task = m.parse_envelope(data)
            f"{task.instance_id}{task.sender_instance}".encode()  # JSON may hold halves of characters
            payload = json.dumps(data)
        except NotFound:
            problem = f"its blob {blob} is missing"
        except UnicodeEncodeError:
            task, problem = None, "it names an instance that is no text"
        except Undecodable as error:
            problem = str(error)
        instance = task.instance_id if task else unescape_key(blob.split("/")[0]) if blob else ""
        self.seen.execute(
            "INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (escape_key(instance), instance, task.sender_instance if task else "", queue, message.id,
             message.pop_receipt, message.dequeue_count, message.inserted.isoformat(),
             message.next_visible.isoformat(), message.text, payload, problem, blob),
        )  # fmt: skip

    def messages_of(self, instance_id: str) -> tuple[Message, ...]:
        """The messages for an instance."""
        return tuple(self._messages("key = ?", escape_key(instance_id)))

    def sent_by(self, instance_id: str) -> tuple[Message, ...]:
        """The queued messages that an instance sent to others."""
        return tuple(
            x for x in self._messages("sender = ?", instance_id) if x.task and x.task.instance_id != instance_id
        )

    def unaddressed(self) -> tuple[Message, ...]:
        """The messages of which not even the instance can be read."""
        return tuple(self._messages("key = ?", ""))

    def _messages(self, condition: str, value: str) -> Iterator[Message]:
        for row in self.seen.execute(f"SELECT * FROM seen WHERE {condition} {_ORDER}", (value,)).fetchall():
            _, instance, _, queue, id_, receipt, dequeued, inserted, visible, text, payload, problem, blob = row
            task = m.parse_envelope(json.loads(payload)) if payload else None
            expected = self.hub.names.workitems if task and task.kind == m.TASK_SCHEDULED else None
            expected = expected or (self.hub.names.control_queue(instance) if instance else queue)
            put = datetime.fromisoformat(inserted)
            by_hosts = dequeued - (self.looks.received_since(put) if self.looks else 0)
            yield Message(
                queue, id_, text, receipt, max(0, by_hosts), put, datetime.fromisoformat(visible),
                task, problem, blob, is_misplaced=bool(task) and queue != expected,
            )  # fmt: skip

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
        children: dict[object, str] = {}
        async for row in self.hub.account.tables.rows(self.hub.names.history, Query(select=columns)):
            entity = row.entity
            if entity["PartitionKey"] != key:
                if key is not None:
                    self._note_open(key, end, children)
                    yield key, (execution, None if asks else end)
                key, execution, end, asks = str(entity["PartitionKey"]), entity.get("ExecutionId"), None, False
                children = {}
            if entity["RowKey"] == SENTINEL:
                execution = entity.get("ExecutionId")
            if entity.get("EventType") == "ExecutionCompleted":
                end = (entity.get("ExecutionId"), entity.get("OrchestrationStatus"))
            asks = asks or entity.get("EventType") == "EventSent"
            if entity.get("EventType") == "SubOrchestrationInstanceCreated":
                children[entity.get("EventId")] = str(entity.get("InstanceId"))
            elif entity.get("EventType") in _CHILD_ENDED and entity.get("TaskScheduledId") in children:
                child = escape_key(children.pop(entity["TaskScheduledId"]))
                self.seen.execute("INSERT INTO child VALUES (?, ?)", (child, unescape_key(str(key))))
        if key is not None:
            self._note_open(key, end, children)
            yield key, (execution, None if asks else end)

    def _note_open(self, key: str, end: object, children: dict[object, str]) -> None:
        if end is None:
            rows = [(child, unescape_key(key)) for child in children.values()]
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
