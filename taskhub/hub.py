"""One task hub in one storage account: its creation, its messages, its histories and its Instances rows."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, cast

from taskhub import history as histories
from taskhub import messages, payloads
from taskhub.accounts import MAX_TRANSACTION, NO_DELAY, Account, Entity, Query, QueueMessage, Row, Where, Write
from taskhub.clock import Clock, SystemClock
from taskhub.errors import Conflict, NotFound, Undecodable
from taskhub.history import History
from taskhub.instances import InstanceStatus
from taskhub.layout import SENTINEL, HubNames, check_hub_name, escape_key, row_key, unescape_key
from taskhub.messages import Encoding, Event, TaskMessage

MAX_DELAY = timedelta(days=7)
LONGEST_ESCAPE = 6  # bytes of one character in JSON
_BATCH_ROWS = MAX_TRANSACTION - 1  # the sentinel takes the last place
_BATCH_BYTES = 3 * 1024 * 1024


@dataclass(frozen=True)
class HubSettings:
    """What every process that shares a hub must agree on."""

    name: str
    partition_count: int = 4
    encoding: Encoding = "base64"  # as extension 2.x writes; both are read
    store_inputs: bool = False


class Offer(Protocol):
    """Somebody in this process who takes a message that is about to be put."""

    visibility: timedelta  # how long the message is hidden from everybody else

    def withdraw(self) -> None:
        """The message was not put."""
        ...

    def accept(self, message: QueueMessage, task: TaskMessage, is_new: bool) -> None:
        """The message is in its queue. `is_new`: the hub had no row of its instance before."""
        ...


class Receiver(Protocol):
    """A host that may take messages which are put in its own process, see `TaskHub.receiver`."""

    def offer(self, queue: str, delay: timedelta) -> Offer | None:
        """Who takes a message of the queue at once; None: it is put for everybody."""
        ...

    def put_visibly(self, queue: str) -> None:
        """A message was put for everybody."""
        ...


@dataclass
class Posted:
    """A message in its queue, and who waits for it in this process."""

    message: QueueMessage
    blob: str | None  # the blob that a large message went into
    _task: TaskMessage
    _offer: Offer | None = None

    def pass_on(self, is_new: bool = False) -> None:
        """Lets the message be worked on; nothing happens when it was put for everybody."""
        offer, self._offer = self._offer, None
        if offer is not None:
            offer.accept(self.message, self._task, is_new)


class TaskHub:
    """A task hub. Everything here is one storage call or a few; the rules of what may follow what are elsewhere."""

    def __init__(self, account: Account, settings: HubSettings, clock: Clock | None = None) -> None:
        self.account = account
        self.settings = settings
        self.clock = clock or SystemClock()
        self.names = HubNames(check_hub_name(settings.name), settings.partition_count)
        self.large = payloads.LargePayloads(account, self.names.large_messages)
        self.receiver: Receiver | None = None  # the host of this process, while it works on the hub
        self.late_times: dict[str, datetime] = {}  # by instance id: LastUpdatedTime that is not yet in the row

    # creation

    async def create(self) -> None:
        """Creates what is missing of the hub, in the platform's order."""
        names, account = self.names, self.account
        await account.blobs.create(names.app_lease)
        await self._put_new(names.app_lease, names.app_lease_info, b"{}")
        await account.blobs.create(names.leases)
        info = {
            "TaskHubName": names.hub, "CreatedAt": messages.timestamp(self.clock.now()),
            "PartitionCount": names.partition_count,
        }  # fmt: skip
        await self._put_new(names.leases, "taskhub.json", json.dumps(info, separators=(",", ":")).encode())
        await asyncio.gather(
            account.tables.create(names.instances),
            account.tables.create(names.history),
            account.queues.create(names.workitems),
            *(account.queues.create(queue) for queue in names.control_queues),
        )

    async def _put_new(self, container: str, name: str, data: bytes) -> None:
        try:
            await self.account.blobs.put(container, name, data, only_new=True)
        except Conflict:
            pass

    async def exists(self) -> bool:
        """Whether the account holds this hub's tables."""
        tables = {name.lower() for name in await self.account.tables.names()}
        return {self.names.history.lower(), self.names.instances.lower()} <= tables

    async def delete(self) -> None:
        """Deletes the hub with everything in it."""
        for table in (self.names.history, self.names.instances):
            await self.account.tables.drop(table)
        for queue in (*self.names.control_queues, self.names.workitems):
            await self.account.queues.drop(queue)
        for container in (self.names.leases, self.names.app_lease, self.names.large_messages):
            await self.account.blobs.drop(container)

    # messages

    async def send(self, message: TaskMessage, delay: timedelta = NO_DELAY) -> QueueMessage:
        """Puts a message into the queue it belongs to: work items into theirs, others by their instance id.

        A message over 45 KiB goes into a blob first. `delay` is cut to seven days, the queue service's limit.
        """
        posted = await self.post(message, delay)
        posted.pass_on()
        return posted.message

    async def post(self, message: TaskMessage, delay: timedelta = NO_DELAY) -> Posted:
        """As `send`, for a sender who has more to do first: call `pass_on` in any case."""
        is_work = message.kind == messages.TASK_SCHEDULED
        queue = self.names.workitems if is_work else self.names.control_queue(message.instance_id)
        data = messages.envelope(message)
        payload, blob = messages.to_json(data), None
        if len(payload) > payloads.MESSAGE_LIMIT:
            activity = data["ActivityId"].replace("-", "")
            kind = messages.EVENT_NAMES[message.kind]
            blob = f"{escape_key(message.instance_id)}/message-{activity}-{kind}.json.gz"
            await self.large.write(blob, payload)
            payload = messages.to_json(messages.wrapper(blob))
        text = messages.to_text(payload, self.settings.encoding)
        offer = self.receiver.offer(queue, delay) if self.receiver else None
        try:
            put = await self._put(queue, text, offer.visibility if offer else min(delay, MAX_DELAY))
        except BaseException:
            if offer:
                offer.withdraw()
            raise
        if self.receiver and not offer:
            self.receiver.put_visibly(queue)
        return Posted(put, blob, message, offer)

    @staticmethod
    def is_large(message: TaskMessage) -> bool:
        """Whether the message would go into a blob."""
        texts = (value for value in message.event.values() if isinstance(value, str))
        if sum(map(len, texts)) * LONGEST_ESCAPE < payloads.MESSAGE_LIMIT // 2:  # beside them there is an envelope
            return False
        return len(messages.to_json(messages.envelope(message))) > payloads.MESSAGE_LIMIT

    async def _put(self, queue: str, text: str, delay: timedelta) -> QueueMessage:
        try:
            return await self.account.queues.put(queue, text, delay)
        except NotFound:  # queues are also created when they are first needed
            await self.account.queues.create(queue)
            return await self.account.queues.put(queue, text, delay)

    async def read(self, message: QueueMessage) -> TaskMessage:
        """What a queue message says. Undecodable: nothing readable; NotFound: its blob is missing."""
        data = messages.from_text(message.text)
        if blob := data.get("CompressedBlobName"):
            if not isinstance(blob, str):
                raise Undecodable(f"a message names {blob!r} as its blob")
            data = messages.from_json(await self.large.read(blob))
        return messages.parse_envelope(data)

    # history

    async def read_history(self, instance_id: str) -> History:
        """The history of an instance's current execution; without events when there is none.

        Reading stops at the first row of another execution: such rows are left over from an older one. NotFound: the
        blob of a large text is missing. Undecodable: a row is no event.
        """
        history = History(instance_id)
        partition = escape_key(instance_id)
        rows: list[Entity] = []
        async for row in self.account.tables.rows(
            self.names.history, Query(where=[Where("PartitionKey", "eq", partition)])
        ):
            if row.entity["RowKey"] == SENTINEL:
                self._take_sentinel(history, row)
            else:
                rows.append(row.entity)
        if history.execution_id is None and rows:
            history.execution_id = str(rows[0].get("ExecutionId"))
        for entity in rows:
            if entity.get("ExecutionId") != history.execution_id:
                break
            await self._restore_large(entity, history)
            history.events.append(histories.to_event(entity))
        return history

    @staticmethod
    def _take_sentinel(history: History, row: Row) -> None:
        history.execution_id = str(row.entity["ExecutionId"])
        history.etag = row.etag
        history.checkpoint_complete = bool(row.entity.get("IsCheckpointComplete", True))
        moment = row.entity.get("CheckpointCompletedTimestamp")
        history.checkpoint_time = moment if isinstance(moment, datetime) else None

    async def _restore_large(self, entity: Entity, history: History) -> None:
        for column in [name for name in entity if name.endswith("BlobName")]:
            blob = str(entity[column])
            history.blobs.append(blob)
            entity[column.removesuffix("BlobName")] = _decoded(blob, await self.large.read(blob))

    async def append_history(
        self,
        history: History,
        events: Sequence[Event],
        execution_id: str,
        start: int,
    ) -> dict[str, str]:
        """Writes events from row `start` on, with the sentinel, in as few transactions as the service allows.

        Changes `history` (etag, execution, events). Returns the blob names of large texts of the ExecutionStarted and
        ExecutionCompleted events, `{"Input": …, "Result": …}`. Conflict or PreconditionFailed: somebody else wrote
        this history meanwhile; nothing more is written then.
        """
        partition = escape_key(history.instance_id)
        shared: dict[str, str] = {}
        batch: list[Write] = []
        size = 0
        for position, event in enumerate(events):
            entity = histories.to_entity(event, partition, row_key(start + position), execution_id)
            blobs = await self._move_large(entity, history)
            if event["EventType"] in (messages.EXECUTION_STARTED, messages.EXECUTION_COMPLETED):
                shared |= blobs
            weight = sum(len(value) * 2 for value in entity.values() if isinstance(value, str))
            if len(batch) == _BATCH_ROWS or size + weight > _BATCH_BYTES:
                await self._commit(history, partition, execution_id, batch, complete=False)
                batch, size = [], 0
            batch.append(Write("upsert", entity))
            size += weight
        await self._commit(history, partition, execution_id, batch, complete=True)
        history.write(events, start)
        return shared

    async def _move_large(self, entity: Entity, history: History) -> dict[str, str]:
        moved = {}
        for column in histories.LARGE_COLUMNS:
            text = entity.get(column)
            if isinstance(text, str) and payloads.is_large_column(text):
                name = (
                    f"{entity['PartitionKey']}/history-{entity['RowKey']}-{entity['EventType']}-"
                    f"{random.getrandbits(32):08X}-{column}.json.gz"
                )
                await self.large.write(name, text.encode("utf-8", "surrogatepass"))
                entity[column] = ""
                entity[f"{column}BlobName"] = name
                history.blobs.append(name)
                moved[column] = name
        return moved

    async def _commit(
        self, history: History, partition: str, execution_id: str, batch: list[Write], complete: bool
    ) -> None:
        sentinel: Entity = {
            "PartitionKey": partition, "RowKey": SENTINEL, "ExecutionId": execution_id,
            "IsCheckpointComplete": complete,
        }  # fmt: skip
        if complete:
            sentinel["CheckpointCompletedTimestamp"] = self.clock.now()
        if history.etag is None:
            guard = Write("insert", sentinel)
        else:
            guard = Write("update", sentinel, mode="merge", etag=history.etag)
        etags = await self.account.tables.transact(self.names.history, [*batch, guard])
        history.etag = etags[-1]
        history.execution_id = execution_id
        history.checkpoint_complete = complete

    async def delete_instance(self, instance_id: str) -> bool:
        """Deletes an instance's history, its blobs and its row; False when it had no row.

        The row goes last, so that a deletion which was cut short can be repeated.
        """
        await asyncio.gather(self.delete_history(instance_id), self.large.delete_of(instance_id))
        try:
            row: Entity = {"PartitionKey": escape_key(instance_id), "RowKey": ""}
            await self.account.tables.write(self.names.instances, Write("delete", row))
        except NotFound:
            return False
        return True

    async def delete_history(self, instance_id: str, start: int = 0) -> None:
        """Deletes the history rows of an instance from row `start` on, and with all of them the sentinel.

        The last ones go first: what a deletion that was cut short leaves is still a history.
        """
        partition = escape_key(instance_id)
        where = [Where("PartitionKey", "eq", partition)]
        if start:
            where += [Where("RowKey", "ge", row_key(start)), Where("RowKey", "lt", SENTINEL)]
        query = Query(where=where, select=["PartitionKey", "RowKey"])
        keys = [row.entity async for row in self.account.tables.rows(self.names.history, query)][::-1]
        for begin in range(0, len(keys), MAX_TRANSACTION):
            writes = [
                Write("delete", {"PartitionKey": partition, "RowKey": key["RowKey"]})
                for key in keys[begin : begin + MAX_TRANSACTION]
            ]
            await self.account.tables.transact(self.names.history, writes)

    # instances

    async def read_row(self, instance_id: str) -> Row | None:
        """The Instances row of an instance as it stands, None when there is none."""
        return await self.account.tables.get(self.names.instances, escape_key(instance_id), "")

    async def merge_row(self, instance_id: str, columns: Entity) -> None:
        """Sets columns of an Instances row, creating it when it is missing."""
        entity: Entity = {"PartitionKey": escape_key(instance_id), "RowKey": "", **columns}
        await self.account.tables.write(self.names.instances, Write("upsert", entity, mode="merge"))

    async def touch_row(self, instance_id: str, moment: datetime) -> None:
        """Sets the LastUpdatedTime of an Instances row if there is one."""
        entity: Entity = {"PartitionKey": escape_key(instance_id), "RowKey": "", "LastUpdatedTime": moment}
        try:
            await self.account.tables.write(self.names.instances, Write("update", entity, mode="merge"))
        except NotFound:
            pass

    async def input_column(self, event: Event) -> str | None:
        """What the Input column of a pending instance holds: the input, or the address of a blob for a long one.

        A start message just below its limit holds more than a column does. The platform leaves the column empty then
        and names the blob in another one, so its status shows no input until the first checkpoint.
        """
        text: str | None = event["Input"]
        if text is None or not payloads.is_large_column(text):
            return text
        partition = escape_key(event["OrchestrationInstance"]["InstanceId"])
        name = f"{partition}/history--Input-{random.getrandbits(32):08X}-Input.json.gz"
        return self.large.url(await self.large.write(name, text.encode("utf-8", "surrogatepass")))

    async def status_of(self, row: Row, show_input: bool = True, fetch: bool = True) -> InstanceStatus:
        """A row as a status; large texts are fetched (or shown as addresses). NotFound: the blob of one is missing."""
        entity = row.entity
        input, output = self._input_of(entity) if show_input else None, _text(entity, "Output")
        if fetch:
            input, output = await self.large_text(input), await self.large_text(output)
        instance_id = unescape_key(str(entity["PartitionKey"]))
        return InstanceStatus(
            instance_id=instance_id,
            execution_id=_text(entity, "ExecutionId"),
            name=_text(entity, "Name"),
            version=_text(entity, "Version"),
            runtime_status=_text(entity, "RuntimeStatus") or "Unknown",
            input=input,
            output=output,
            custom_status=_text(entity, "CustomStatus"),
            created=_time(entity, "CreatedTime"),
            last_updated=self.late_times.get(instance_id) or _time(entity, "LastUpdatedTime"),
            completed=_time(entity, "CompletedTime"),
            generation=cast("int | None", entity.get("Generation")),
            scheduled_start=_time(entity, "ScheduledStartTime"),
        )

    def _input_of(self, entity: Entity) -> str | None:
        blob = _text(entity, "InputBlobName")  # see input_column
        return self.large.url(blob) if blob else _text(entity, "Input")

    async def large_text(self, text: str | None) -> str | None:
        """The text itself, or what is behind it when it is the address of a large payload's blob.

        The blob of a large start message holds its whole envelope, of which the input is taken.
        """
        name = self.large.name_of(text) if text else None
        if name is None:
            return text
        content = await self.large.read(name)
        if "/message-" in name:
            try:
                return cast("str | None", messages.parse_envelope(messages.from_json(content)).event.get("Input"))
            except Undecodable:
                pass
        return _decoded(name, content)


def _decoded(blob: str, content: bytes) -> str:
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Undecodable(f"blob {blob} is no text: {error}") from error


def _text(entity: Entity, column: str) -> str | None:
    value = entity.get(column)
    return None if value is None else str(value)


def _time(entity: Entity, column: str) -> datetime | None:
    value = entity.get(column)
    return value if isinstance(value, datetime) else None
