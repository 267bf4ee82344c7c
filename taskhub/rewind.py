"""Rewind: a failed instance's failures are taken out of its history, its failed children's first."""

from __future__ import annotations

from collections.abc import Iterable

from taskhub.accounts import MAX_TRANSACTION, Entity, Query, Row, Where, Write
from taskhub.hub import TaskHub
from taskhub.layout import SENTINEL, escape_key

_SCHEDULED_BY = {"TaskFailed": "TaskScheduled", "SubOrchestrationInstanceFailed": "SubOrchestrationInstanceCreated"}


async def rewind_history(hub: TaskHub, instance_id: str) -> list[str]:
    """Edits the histories and Instances rows of an instance and its failed children, in place.

    Returns the ids that must be woken: the failed instances without failed children. As DurableTask.AzureStorage does
    it (AzureTableTrackingStore.RewindHistoryAsync), except that children come first and each history changes in one
    transaction, so that a rewind which was cut short can be repeated; and that a child which cannot answer any more
    (its history is gone, or it ended well after all) is started again instead of being waited for.
    """
    return await _rewind(hub, instance_id, await _current_rows(hub, instance_id), {instance_id})


async def _rewind(hub: TaskHub, instance_id: str, rows: list[Row], seen: set[str]) -> list[str]:
    leaves: list[str] = []
    silent: set[str] = set()
    children = _failed_children(rows)
    for child in children:
        child_rows = await _current_rows(hub, child)
        if child in seen or not child_rows or any(_has_succeeded(row.entity) for row in child_rows):
            silent.add(child)
        else:
            seen.add(child)
            leaves += await _rewind(hub, child, child_rows, seen)
    await _write(hub, _edits(rows, silent))
    await hub.merge_row(instance_id, {"RuntimeStatus": "Pending", "LastUpdatedTime": hub.clock.now()})
    return leaves if len(silent) < len(children) else [*leaves, instance_id]


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


def _has_succeeded(entity: Entity) -> bool:
    return entity["EventType"] == "ExecutionCompleted" and not _has_failed(entity)


def _scheduled(rows: Iterable[Row], failure: Entity) -> Row | None:
    """The row that scheduled the task or child which failed."""
    kind = _SCHEDULED_BY[str(failure["EventType"])]
    for row in rows:
        if row.entity["EventType"] == kind and row.entity["EventId"] == failure["TaskScheduledId"]:
            return row
    return None


def _failed_children(rows: list[Row]) -> list[str]:
    failures = [row.entity for row in rows if row.entity["EventType"] == "SubOrchestrationInstanceFailed"]
    created = [found for failure in failures if (found := _scheduled(rows, failure))]
    return list(dict.fromkeys(str(row.entity["InstanceId"]) for row in created))


def _edits(rows: list[Row], silent: set[str]) -> list[Write]:
    writes: dict[str, Write] = {}
    for row in rows:
        if row.entity["EventType"] in _SCHEDULED_BY and (cause := _scheduled(rows, row.entity)):
            # What schedules a child stays as it is: the child itself is woken and answers once more.
            stays = cause.entity["EventType"] != "TaskScheduled" and cause.entity["InstanceId"] not in silent
            _edit(writes, cause, str(cause.entity["EventType"]) if stays else "GenericEvent")
        if row.entity["EventType"] in _SCHEDULED_BY or _has_failed(row.entity):
            _edit(writes, row, "GenericEvent")
    return list(writes.values())


def _edit(writes: dict[str, Write], row: Row, kind: str) -> None:
    entity: Entity = {**row.entity, "Reason": f"Rewound: {row.entity['EventType']}", "EventType": kind}
    writes[str(entity["RowKey"])] = Write("update", entity, etag=row.etag)


async def _write(hub: TaskHub, writes: list[Write]) -> None:
    for begin in range(0, len(writes), MAX_TRANSACTION):
        await hub.account.tables.transact(hub.names.history, writes[begin : begin + MAX_TRANSACTION])
