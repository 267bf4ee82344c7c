"""Output bindings: what a function returned or set becomes queue messages, blobs and table rows.

As the Storage extensions 5 do: queue, container and table are created when they are missing, a list is several
messages or rows, a row that exists is a failure, paths and names are filled in from the trigger.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from lab.triggers.context import TriggerContext
from lab.triggers.expressions import fill
from lab.triggers.queue import encode, settings_of
from taskhub.accounts import Entity, Write
from taskhub.errors import NotFound

KEYS = ("PartitionKey", "RowKey")


class NotWritable(Exception):
    """What the function returned cannot be written; the text says why."""


@dataclass(frozen=True)
class Output:
    """One value of one binding, and what its expressions may name."""

    binding: Mapping[str, Any]
    value: Mapping[str, Any]  # {"type", "value"} as the worker gives it
    names: Mapping[str, Any]

    def text(self, context: TriggerContext, key: str) -> str:
        """A setting of the binding, filled in. Unresolved, SettingsError."""
        found = context.resolve(str(self.binding.get(key) or ""))
        return fill(found, self.names, context.clock.now())

    @property
    def content(self) -> bytes:
        """The value as bytes."""
        found = self.value["value"]
        return base64.b64decode(found) if self.value["type"] == "bytes" else str(found).encode("utf-8")

    @property
    def items(self) -> list[Any]:
        """The values of a list, or the one there is; text that is no JSON stays text."""
        if self.value["type"] == "bytes":
            return [self.content]
        text = str(self.value["value"])
        if self.value["type"] == "string" and not text.lstrip().startswith("["):
            return [text]
        try:
            found = json.loads(text)
        except ValueError:
            return [text]
        return found if isinstance(found, list) else [found]


async def write(context: TriggerContext, output: Output) -> None:
    """Writes one output. NotWritable, Unresolved, AccountError, SettingsError: the function has failed then."""
    await _WRITERS[output.binding["type"]](context, output)


async def _write_queue(context: TriggerContext, output: Output) -> None:
    queue = output.text(context, "queueName").lower()
    is_base64 = settings_of(context).is_base64
    # Only a list that the worker made of several messages is one; a text with brackets is one message.
    items = output.items if output.value["type"] == "json" else [output.content]
    for item in items:
        text = encode(_message(item), is_base64)
        try:
            await context.account.queues.put(queue, text)
        except NotFound:
            await context.account.queues.create(queue)
            await context.account.queues.put(queue, text)


def _message(item: Any) -> bytes:
    if isinstance(item, dict) and set(item) == {"id", "body"}:  # func.QueueMessage, as azure-functions encodes it
        item = item["body"]
    if isinstance(item, bytes):
        return item
    return (item if isinstance(item, str) else json.dumps(item)).encode("utf-8")


async def _write_blob(context: TriggerContext, output: Output) -> None:
    path = output.text(context, "path").strip("/")
    container, _, name = path.partition("/")
    if not container or not name:
        raise NotWritable(f"the path '{path}' of a blob output is not container/name")
    try:
        await context.account.blobs.put(container, name, output.content)
    except NotFound:
        await context.account.blobs.create(container)
        await context.account.blobs.put(container, name, output.content)


async def _write_table(context: TriggerContext, output: Output) -> None:
    table = output.text(context, "tableName")
    defaults = {"PartitionKey": output.text(context, "partitionKey"), "RowKey": output.text(context, "rowKey")}
    for item in output.items:
        write = Write("insert", _row(item, defaults))
        try:
            await context.account.tables.write(table, write)
        except NotFound:
            await context.account.tables.create(table)
            await context.account.tables.write(table, write)


def _row(item: Any, defaults: Mapping[str, str]) -> Entity:
    """A row from a JSON object, its keys from the binding where it has none itself."""
    if isinstance(item, (str, bytes)):
        try:
            item = json.loads(item)
        except ValueError as error:
            raise NotWritable(f"a table output takes a JSON object, not {item!r:.60}") from error
    if not isinstance(item, dict):
        raise NotWritable(f"a table output takes a JSON object, not {type(item).__name__}")
    row: Entity = {name: defaults[name] for name in KEYS if defaults[name]}
    for name, found in item.items():
        if found is not None:
            row[name] = json.dumps(found) if isinstance(found, (dict, list)) else found
    missing = [name for name in KEYS if name not in row]
    if missing:
        raise NotWritable(f"a row for a table output has no {' and no '.join(missing)}")
    return {**row, **{name: str(row[name]) for name in KEYS}}


_WRITERS: dict[str, Callable[[TriggerContext, Output], Coroutine[Any, Any, None]]] = {
    "queue": _write_queue,
    "blob": _write_blob,
    "table": _write_table,
}
WRITTEN_HERE = frozenset(_WRITERS)
