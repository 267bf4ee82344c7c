"""The recorded hubs: what the real extension left in storage, and how to fill an account with it."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from taskhub.accounts import MAX_GET, Account, Entity, Value, Write
from taskhub.hub import HubSettings
from taskhub.messages import parse_timestamp

FOLDER = Path(__file__).resolve().parents[1] / "data" / "golden" / "storage"
WRITE_LOG = "21-write-log"
NAMES = [path.stem for path in sorted(FOLDER.glob("*.json")) if path.stem != WRITE_LOG]

Dump = dict[str, Any]
_METADATA = ("odata.etag", "Timestamp")
_HOLD = timedelta(hours=1)


async def load(account: Account, name: str) -> HubSettings:
    """Fills an empty account with a recorded hub (`03-waiting-for-event`, or `03`) and returns the hub's settings.

    Tables, messages with their dequeue counts and delays as of the account's clock, and blobs are as recorded, to the
    microsecond; addresses of blobs are those of this account; nothing is leased.
    """
    dump = recorded(name)
    for table, rows in dump["tables"].items():
        await account.tables.create(table)
        for row in rows:
            entity = {column: _at_home(value, dump, account) for column, value in entity_of(row).items()}
            await account.tables.write(table, Write("insert", entity))
    for queue, content in dump["queues"].items():
        await account.queues.create(queue)
        await _fill_queue(account, queue, content["messages"])
    for container, content in dump["containers"].items():
        await account.blobs.create(container)
        for blob in content["blobs"]:
            await account.blobs.put(container, blob["name"], blob_content(blob))
    return settings(dump)


def settings(dump: Dump) -> HubSettings:
    """The settings that the recording host ran with."""
    history = next(table for table in dump["tables"] if table.endswith("History"))
    stored = any("Input" in row for row in dump["tables"][history] if row.get("EventType") == "TaskScheduled")
    partitions = sum("-control-" in queue for queue in dump["queues"])
    return HubSettings(history.removesuffix("History"), partitions, store_inputs=stored)


def recorded(name: str) -> Dump:
    """A recording as it stands in its file, by its name or its number."""
    path = next(FOLDER.glob(f"{name}*.json"))
    dump: Dump = json.loads(path.read_text(encoding="utf-8"))
    return dump


def taken_at(name: str) -> datetime:
    """The moment a recording was made: where a test's clock begins when times matter."""
    return datetime.fromisoformat(recorded(name)["takenAt"])


def writes() -> list[dict[str, Any]]:
    """Every write of one run: from the start message to the last delete."""
    return list(recorded(WRITE_LOG)["writes"])


def rows_of(name: str, table: str) -> list[Entity]:
    """The rows of a recorded hub's table, `History` or `Instances`."""
    return [entity_of(row) for row in recorded(name)["tables"][f"GoldenHub{table}"]]


def entity_of(row: dict[str, Any]) -> Entity:
    """A recorded row without the service's metadata; date-times are date-times, to the microsecond."""
    entity: Entity = {}
    for column, value in row.items():
        if column in _METADATA or column.endswith("@odata.type"):
            continue
        entity[column] = parse_timestamp(value) if row.get(f"{column}@odata.type") == "Edm.DateTime" else value
    return entity


def messages_of(name: str) -> list[dict[str, Any]]:
    """The decoded envelopes in a recorded hub's queues and blobs."""
    dump = recorded(name)
    queued = [message["decoded"] for queue in dump["queues"].values() for message in queue["messages"]]
    return [*queued, *(json.loads(text) for blob, text in blob_texts(dump) if "/message-" in blob)]


def blob_texts(dump: Dump) -> Iterator[tuple[str, str]]:
    """Names and texts of a recorded hub's large payloads."""
    for container, content in dump["containers"].items():
        if container.endswith("-largemessages"):
            for blob in content["blobs"]:
                yield blob["name"], gzip.decompress(blob_content(blob)).decode()


def blob_content(blob: dict[str, Any]) -> bytes:
    """The bytes of a recorded blob."""
    return base64.b64decode(blob["rawBase64"]) if blob.get("gzip") else str(blob["text"]).encode()


def _at_home(value: Value, dump: Dump, account: Account) -> Value:
    """Addresses of the recorded account's blobs become those of the account that is filled."""
    marker = f"/{dump['account']}/"
    if not isinstance(value, str) or not value.startswith("http://127.0.0.1:") or marker not in value:
        return value
    container, _, blob = value.partition(marker)[2].partition("/")
    return account.blobs.url(container, blob)


async def _fill_queue(account: Account, queue: str, recorded_messages: list[dict[str, Any]]) -> None:
    # Those that were dequeued come first, so that a get finds none but them.
    taken = [message for message in recorded_messages if message["DequeueCount"]]
    for message in taken:
        await account.queues.put(queue, message["messageText"])
        for _ in range(message["DequeueCount"]):
            (got,) = await account.queues.get(queue, MAX_GET, _HOLD)
            got = await account.queues.update(queue, got, timedelta(0))
        await account.queues.update(queue, got, max(_delay(message), timedelta(seconds=1)))
    for message in recorded_messages:
        if not message["DequeueCount"]:
            await account.queues.put(queue, message["messageText"], _delay(message))


def _delay(message: dict[str, Any]) -> timedelta:
    return timedelta(seconds=max(0, message["secondsUntilVisible"]))
