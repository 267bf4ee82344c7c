"""One sweep of a hub's queues into a temporary file, so that a hub of any size takes little memory.

On an embedded account the sweep reads invisible messages too. On a real account it peeks, which changes nothing and
shows 32 visible messages; where there are more it takes each once (which adds one to its dequeue count), hides it for a
few minutes, and gives it back at the end. How many stayed invisible is known from the queue's count. What is concluded
from them is in `recovery.looks`: nothing, until no host has worked for so long that they can only be messages whose
time has not come.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from recovery.hubs import live_leases
from recovery.looks import Looks, looks_so_far, note_looks, timers_sent
from recovery.observed import EPOCH, Message
from recovery.readers import direct_reader
from taskhub import messages as m
from taskhub.accounts import MAX_GET, QueueMessage
from taskhub.errors import NotFound, Undecodable
from taskhub.hub import TaskHub
from taskhub.layout import escape_key, unescape_key

HIDE = timedelta(minutes=5)  # how long a real account's messages stay with the sweep, at most
RELEASED_AT_ONCE = 16
# peek: touches nothing. everything: receives where a peek does not show all. receipts: receives all, to delete some.
Way = Literal["everything", "peek", "receipts"]

_SCHEMA = """
CREATE TABLE seen (
    key TEXT, instance TEXT, sender TEXT, queue TEXT, id TEXT, receipt TEXT, dequeued INTEGER, inserted TEXT,
    visible TEXT, text TEXT, payload TEXT, problem TEXT, blob TEXT
);
CREATE TABLE sent (instance TEXT, run TEXT, number INTEGER, queue TEXT, PRIMARY KEY (instance, run, number));
"""
_ORDER = "ORDER BY queue, visible, rowid"


class Sweep:
    """The messages of one hub at one time; `release` gives taken messages back."""

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
