"""A stage for the recorded situations: our engine on a hub in virtual time, with a hand on its queues."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.engine import Engine, Identity
from lab.function_index import FunctionIndex
from lab.host_json import DurableSettings
from lab.virtual_time import START, VirtualClock, run
from lab.worker import Worker
from taskhub import messages
from taskhub.accounts import Account, QueueMessage, Write, open_account
from taskhub.client import TaskHubClient
from tests.conformance.normal import digest_if_long, short_exceptions
from tests.taskhub import golden, normal

APP = Path(__file__).resolve().parents[1] / "function_apps" / "recorded"
ID = "order-1"
CONTROL, WORK = "goldenhub-control-00", "goldenhub-workitems"
QUIET = 5.0  # virtual seconds in which everything that can happen has happened
# Seconds off the full ones, at which loops wake: before Python 3.12 a wait_for that ends just then loses a cancel.
BESIDE = 0.0137

_TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_BLOB = re.compile(r"(?<=-)[0-9A-F]{8}(?=-(?:Input|Result))")
_ADDRESS = re.compile(r'https?://[^\s"]{1,200}?/(?=goldenhub-largemessages/)')


def normal_text(text: str) -> str:
    """A text without ids, times and addresses; of .NET exceptions class and message."""
    named = _ADDRESS.sub("", _BLOB.sub("<hex8>", normal.text(_TIME.sub("<time>", text))))
    return digest_if_long(short_exceptions(named))


# what is in an account


@dataclass
class Content:
    """What is in an account, in a form that two runs of the same thing share."""

    rows: dict[str, dict[str, Any]]  # table and keys -> columns with their types
    messages: dict[str, list[dict[str, Any]]]  # queue -> envelopes, with what the queue knows of them
    blobs: dict[str, str]  # container and name -> text
    leased: set[str]  # containers and blobs that somebody holds a lease on


def recorded(name: str) -> Content:
    """What was recorded."""
    dump = golden.recorded(name)
    content = Content({}, {}, {}, set())
    for table, rows in dump["tables"].items():
        for row in rows:
            _add_row(content, table, golden.entity_of(row))
    for queue, found in dump["queues"].items():
        content.messages[queue] = _in_order(
            _message(one["messageText"], one["DequeueCount"], int(one["putQuery"].get("visibilitytimeout", 0)))
            for one in found["messages"]
        )
    for container, found in dump["containers"].items():
        if found["leaseStatus"] == "locked":
            content.leased.add(container)
        for blob in found["blobs"]:
            _add_blob(content, container, blob["name"], golden.blob_content(blob))
            if blob["properties"]["LeaseStatus"] == "locked":
                content.leased.add(f"{container}/{blob['name']}")
    return content


async def left_in(stage: Stage) -> Content:
    """What our engine left."""
    account, content = stage.account, Content({}, {}, {}, set())
    for table in await account.tables.names():
        async for row in account.tables.rows(table):
            _add_row(content, table, row.entity)
    for queue in await account.queues.names():
        live = [one for one in stage.queues.live.values() if one.queue == queue]
        assert len(live) == await account.queues.count(queue)
        content.messages[queue] = _in_order(_message(one.text, one.dequeues, one.delay) for one in live)
    for container in await account.blobs.names():
        if await account.blobs.leased(container, None):
            content.leased.add(container)
        async for blob in account.blobs.list(container):
            _add_blob(content, container, blob.name, await account.blobs.get(container, blob.name))
            if await account.blobs.leased(container, blob.name):
                content.leased.add(f"{container}/{blob.name}")
    return content


def differences(seen: Any, expected: Any, path: str = "") -> list[str]:
    """Where two contents differ: one line for every column, message or blob."""
    if isinstance(seen, dict) and isinstance(expected, dict):
        names = [*expected, *(name for name in seen if name not in expected)]
        pairs = [(name, seen.get(name, "missing"), expected.get(name, "missing")) for name in names]
    elif isinstance(seen, list) and isinstance(expected, list) and len(seen) == len(expected):
        pairs = [(str(number), *both) for number, both in enumerate(zip(seen, expected, strict=True))]
    else:
        return [] if seen == expected else [f"{path}: {seen!r} instead of {expected!r}"]
    return [line for name, *both in pairs for line in differences(*both, f"{path} {name}")]


def _add_row(content: Content, table: str, entity: Any) -> None:
    columns = normal.row({name: normal_text(value) if isinstance(value, str) else value
                          for name, value in entity.items()})  # fmt: skip
    if "ClientSpanId" in columns:
        assert re.fullmatch(r"[0-9a-f]{16}", entity["ClientSpanId"])
        columns["ClientSpanId"] = "<hex16>"
    content.rows[f"{table} {entity['PartitionKey']} {entity['RowKey']}"] = columns


def _add_blob(content: Content, container: str, name: str, data: bytes) -> None:
    text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
    if container.endswith(("-leases", "-applease")):
        text = json.dumps(_lease_blob(json.loads(text)))
    elif "/message-" in name:
        text = normal.envelope(json.loads(text))
    content.blobs[normal_text(f"{container}/{name}")] = _normal_lines(text)


def _normal_lines(text: str) -> str:
    return "\n".join(normal_text(line) for line in text.splitlines())


def _lease_blob(blob: dict[str, Any]) -> dict[str, Any]:
    """A lease blob's properties without who holds it and how often it has changed hands."""
    return {**blob, **{name: type(blob[name]).__name__ for name in ("Owner", "Token", "Epoch") if name in blob}}


def _message(text: str, dequeues: int, delay: int) -> dict[str, Any]:
    envelope = _normal_lines(normal.envelope(messages.from_text(text)))
    is_base64 = not text.lstrip().startswith("{")
    return {"envelope": envelope, "dequeues": dequeues, "delay": delay, "base64": is_base64}


def _in_order(found: Any) -> list[dict[str, Any]]:
    return sorted(found, key=lambda message: str(message["envelope"]))


# the account's services, watched


@dataclass
class Live:
    """A message that was put and not yet deleted."""

    queue: str
    text: str
    delay: int  # whole seconds that were left when it was put: some time has passed since its delay was reckoned
    dequeues: int = 0


@dataclass
class Queues:
    """Queues that can be kept from being read, and that know what is in them, visible or not."""

    service: Any
    log: list[tuple[str, str]]
    live: dict[str, Live] = field(default_factory=dict)
    allowed: dict[str, int] = field(default_factory=dict)  # how many messages may still be taken; all when not named
    engine: Engine | None = None  # who else would hand messages over that may not be taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self.service, name)

    async def put(self, queue: str, text: str, delay: timedelta = timedelta(0)) -> QueueMessage:
        message: QueueMessage = await self.service.put(queue, text, delay)
        if delay in (DURABLE.control_queue_visibility, DURABLE.work_item_queue_visibility):
            self.live[message.id] = Live(queue, text, 0, 1)  # put into our own hands: as if it had been taken at once
        else:
            self.live[message.id] = Live(queue, text, max(0, math.ceil(delay.total_seconds()) - 1))
        self.log.append(("put", _kind(text)))
        return message

    async def get(self, queue: str, count: int, visibility: timedelta) -> list[QueueMessage]:
        most = min(count, self.allowed.get(queue, count))
        found: list[QueueMessage] = await self.service.get(queue, most, visibility) if most else []
        for message in found:
            if message.id in self.live:
                self.live[message.id].dequeues = message.dequeue_count
        if queue in self.allowed:
            self.allowed[queue] -= len(found)
            self.keep_waiting(queue)
        return found

    def keep_waiting(self, queue: str) -> None:
        """What is put from now on waits in the queue, behind what waits there."""
        assert self.engine is not None and self.engine.hub.receiver is not None
        self.engine.hub.receiver.put_visibly(queue)

    async def delete(self, queue: str, message: QueueMessage) -> None:
        await self.service.delete(queue, message)
        self.log.append(("delete", _kind(message.text)))
        self.live.pop(message.id, None)

    async def arrived(self, queues: Sequence[str], timeout: float) -> None:
        if any(self.allowed.get(queue, 1) == 0 for queue in queues):
            await asyncio.sleep(1)
        else:
            await self.service.arrived(queues, timeout)


@dataclass
class Tables:
    """Tables that write down what is written."""

    service: Any
    log: list[tuple[str, str]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.service, name)

    async def write(self, table: str, write: Write) -> str:
        etag: str = await self.service.write(table, write)
        row = await self.service.get(table, str(write.entity["PartitionKey"]), "")
        self.log.append((table, str(row.entity["RuntimeStatus"]) if row else "deleted"))
        return etag

    async def transact(self, table: str, writes: Sequence[Write]) -> list[str]:
        etags: list[str] = await self.service.transact(table, writes)
        self.log.append((table, " ".join(str(write.entity.get("EventType", "sentinel")) for write in writes)))
        return etags


def _kind(text: str) -> str:
    message = messages.from_text(text)["TaskMessage"]
    return str(message["Event"]["$type"]).rpartition(".")[2] if message else "large"


# the stage


@dataclass
class Stage:
    """Our engine at work on a hub."""

    account: Account
    engine: Engine
    clock: VirtualClock
    queues: Queues
    log: list[tuple[str, str]]  # writes in their order

    @property
    def client(self) -> TaskHubClient:
        return TaskHubClient(self.engine.hub)

    def close(self, queue: str) -> None:
        """Nobody gets anything from the queue any more."""
        self.allow(queue, 0)

    def allow(self, queue: str, count: int) -> None:
        self.queues.allowed[queue] = count
        self.queues.keep_waiting(queue)

    def open(self, queue: str) -> None:
        del self.queues.allowed[queue]

    async def quiet(self, seconds: float = QUIET) -> None:
        """Until everything has happened that can."""
        await asyncio.sleep(seconds + BESIDE)

    async def output(self, instance_id: str = ID) -> Any:
        """The output of an instance that has completed."""
        status = await self.client.status(instance_id)
        assert status is not None and status.runtime_status == "Completed", status
        return json.loads(status.output or "null")


class Unfinished:
    """A worker whose activities never end."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._worker, name)

    async def activity(self, *_: Any) -> str:
        await asyncio.Event().wait()
        return ""


def on_stage(
    worker: Worker,
    play: Callable[[Stage], Awaitable[None]],
    name: str,
    load: bool = False,
    partitions: int = 1,
) -> None:
    """Plays with an engine on an empty account, or on a recorded hub, at the time of the recording."""

    async def main(clock: VirtualClock) -> None:
        account = await open_account(":memory:", clock)
        if load:
            await golden.load(account, name)
        log: list[tuple[str, str]] = []
        account.queues, account.tables = Queues(account.queues, log), Tables(account.tables, log)
        settings = replace(DURABLE, partition_count=partitions, store_inputs_in_history=name.startswith("20"))
        engine = Engine(
            account, settings, worker, FunctionIndex(worker.functions), clock, Identity("stage", "g"), 30,
            lambda _: None, _no_http,
        )  # fmt: skip
        account.queues.engine = engine
        await engine.start()
        try:
            await play(Stage(account, engine, clock, account.queues, log))
        finally:
            await engine.stop()
            await account.close()

    run(main, start=START if name == golden.WRITE_LOG else golden.taken_at(name))


DURABLE = DurableSettings(
    hub="GoldenHub",
    control_queue_visibility=timedelta(minutes=1),
    work_item_queue_visibility=timedelta(seconds=30),
    max_queue_polling_interval=timedelta(seconds=1),
)


async def _no_http(_: str) -> str:
    raise OSError("nobody calls anybody over HTTP here")
