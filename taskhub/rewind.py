"""Rewind: a failed instance's failures are taken out of its history, its failed children's first."""

from __future__ import annotations

from collections.abc import Iterable

from taskhub.accounts import MAX_TRANSACTION, Entity, Query, Row, Value, Where, Write
from taskhub.errors import InvalidOperation
from taskhub.hub import TaskHub
from taskhub.layout import SENTINEL, escape_key

_SCHEDULED_BY = {"TaskFailed": "TaskScheduled", "SubOrchestrationInstanceFailed": "SubOrchestrationInstanceCreated"}
_REWOUND = "Rewound: "
_BATCH_BYTES = 1024 * 1024  # of text in UTF-16: well below the 4 MiB that a transaction takes

Causes = dict[tuple[str, Value], Row]


async def rewind_history(hub: TaskHub, instance_id: str) -> list[str]:
    """Edits the histories and Instances rows of an instance and its failed children, in place.

    Returns the ids that must be woken: the failed instances without failed children. As DurableTask.AzureStorage does
    it (AzureTableTrackingStore.RewindHistoryAsync), except for two things. Children come first and each history
    changes in one transaction (or a few), so that a rewind which was cut short can be repeated while the instance's
    row says Failed. And a child which cannot answer any more (its history is gone, or it did not end by failing) is
    started again instead of being waited for. InvalidOperation: there is no history.
    """
    rows = await _current_rows(hub, instance_id)
    if not rows:
        raise InvalidOperation(
            f"Cannot rewind the orchestration instance {instance_id} because the hub has no history of it."
        )
    return await _rewind(hub, instance_id, rows, {instance_id})


async def _rewind(hub: TaskHub, instance_id: str, rows: list[Row], seen: set[str]) -> list[str]:
    leaves: list[str] = []
    silent: set[str] = set()
    children = [*_children(rows, "SubOrchestrationInstanceFailed"), *await _not_woken(hub, rows)]
    for child in children:
        child_rows = await _current_rows(hub, child)
        if child in seen or not child_rows or any(_has_ended_otherwise(row.entity) for row in child_rows):
            silent.add(child)
        else:
            seen.add(child)
            leaves += await _rewind(hub, child, child_rows, seen)
    await _write(hub, _edits(rows, silent))
    await hub.merge_row(instance_id, {"RuntimeStatus": "Pending", "LastUpdatedTime": hub.clock.now()})
    return leaves if len(silent) < len(children) else [*leaves, instance_id]


async def _not_woken(hub: TaskHub, rows: list[Row]) -> list[str]:
    """The children that an earlier rewind prepared, and did not wake because it was cut short."""
    prepared = []
    for child in _children(rows, "GenericEvent"):
        row = await hub.read_row(child)
        if row is not None and row.entity.get("RuntimeStatus") == "Pending":
            prepared.append(child)
    return prepared


async def _current_rows(hub: TaskHub, instance_id: str) -> list[Row]:
    """The history rows of the current execution as they stand."""
    query = Query([Where("PartitionKey", "eq", escape_key(instance_id))])
    rows = [row async for row in hub.account.tables.rows(hub.names.history, query)]
    events = [row for row in rows if row.entity["RowKey"] != SENTINEL]
    sentinels = [row for row in rows if row.entity["RowKey"] == SENTINEL]
    if not events:
        return []
    execution_id = (sentinels or events)[0].entity["ExecutionId"]
    return [row for row in events if row.entity["ExecutionId"] == execution_id]


def _has_failed(entity: Entity) -> bool:
    return entity["EventType"] == "ExecutionCompleted" and entity.get("OrchestrationStatus") == "Failed"


def _has_ended_otherwise(entity: Entity) -> bool:
    return entity["EventType"] == "ExecutionCompleted" and not _has_failed(entity)


def _causes(rows: Iterable[Row]) -> Causes:
    """The rows that scheduled a task or a child, by what they scheduled."""
    causes: Causes = {}
    for row in rows:
        if row.entity["EventType"] in _SCHEDULED_BY.values():
            causes.setdefault((str(row.entity["EventType"]), row.entity["EventId"]), row)
    return causes


def _cause(causes: Causes, failure: Entity) -> Row | None:
    """The row that scheduled the task or child which failed."""
    return causes.get((_SCHEDULED_BY[_original(failure)], failure["TaskScheduledId"]))


def _original(entity: Entity) -> str:
    """The kind that a row had before any rewind."""
    kind = str(entity["EventType"])
    return str(entity.get("Reason", "")).removeprefix(_REWOUND) if kind == "GenericEvent" else kind


def _children(rows: list[Row], kind: str) -> list[str]:
    """The children whose failure is in rows of a kind: as it came, or as an earlier rewind left it."""
    failures = [row.entity for row in rows if row.entity["EventType"] == kind]
    failures = [failure for failure in failures if _original(failure) == "SubOrchestrationInstanceFailed"]
    causes = _causes(rows)
    created = [found for failure in failures if (found := _cause(causes, failure))]
    return list(dict.fromkeys(str(row.entity["InstanceId"]) for row in created))


def _edits(rows: list[Row], silent: set[str]) -> list[Write]:
    writes: dict[str, Write] = {}
    causes = _causes(rows)
    for row in rows:
        if row.entity["EventType"] in _SCHEDULED_BY and (cause := _cause(causes, row.entity)):
            # What schedules a child stays as it is: the child itself is woken and answers once more.
            stays = cause.entity["EventType"] != "TaskScheduled" and cause.entity["InstanceId"] not in silent
            _edit(writes, cause, str(cause.entity["EventType"]) if stays else "GenericEvent")
        if row.entity["EventType"] in _SCHEDULED_BY or _has_failed(row.entity):
            _edit(writes, row, "GenericEvent")
    return list(writes.values())


def _edit(writes: dict[str, Write], row: Row, kind: str) -> None:
    entity: Entity = {**row.entity, "Reason": f"{_REWOUND}{row.entity['EventType']}", "EventType": kind}
    writes[str(entity["RowKey"])] = Write("update", entity, etag=row.etag)


async def _write(hub: TaskHub, writes: list[Write]) -> None:
    batch: list[Write] = []
    size = 0
    for write in writes:
        weight = sum(2 * len(value) for value in write.entity.values() if isinstance(value, str))
        if batch and (len(batch) == MAX_TRANSACTION or size + weight > _BATCH_BYTES):
            await hub.account.tables.transact(hub.names.history, batch)
            batch, size = [], 0
        batch.append(write)
        size += weight
    if batch:
        await hub.account.tables.transact(hub.names.history, batch)
