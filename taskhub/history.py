"""History events and the rows of the History table that keep them."""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from taskhub import messages
from taskhub.accounts import Entity, Value
from taskhub.errors import Undecodable
from taskhub.messages import Event

# Columns whose large texts move to a blob (AzureTableTrackingStore).
LARGE_COLUMNS = ("Name", "Input", "Result", "Output", "Reason", "Details", "Correlation", "FailureDetails", "Tags")
_TIMES = ("FireAt", "ScheduledStartTime")
_OBJECTS = ("OrchestrationInstance", "ParentInstance", "Tags", "ParentTraceContext", "FailureDetails")
_TAIL = 4
_SERVICE = ("PartitionKey", "RowKey", "ExecutionId", "EventType", "_Timestamp", "Timestamp")


@dataclass
class History:
    """One instance's history: the events of its current execution in order, and the sentinel that guards them."""

    instance_id: str
    execution_id: str | None = None
    events: list[Event] = field(default_factory=list)
    etag: str | None = None  # of the sentinel; None when there is none
    checkpoint_complete: bool = True
    checkpoint_time: datetime | None = None
    blobs: list[str] = field(default_factory=list)
    _ids: set[int] = field(default_factory=set, init=False, repr=False, compare=False)
    _noted: int = field(default=0, init=False, repr=False, compare=False)  # events whose ids are among them

    @property
    def event_ids(self) -> Set[int]:
        """The EventIds of all events; each event is looked at once."""
        self._ids.update(event["EventId"] for event in islice(self.events, self._noted, None))
        self._noted = len(self.events)
        return self._ids

    def write(self, events: Sequence[Event], start: int) -> None:
        """These events follow the first `start`, whatever followed them before."""
        if start < self._noted:
            self._ids.clear()
            self._noted = 0
        self.events[start:] = events

    @property
    def is_terminal(self) -> bool:
        """Whether the execution has ended; its end is among the last events, as nothing is added to it after that."""
        return any(event["EventType"] == messages.EXECUTION_COMPLETED for event in reversed(self.events[-_TAIL:]))


def to_entity(event: Event, partition: str, row: str, execution_id: str) -> Entity:
    """The row of one event; null properties are absent, as provider 1.17.5 writes them."""
    entity: Entity = {"PartitionKey": partition, "RowKey": row}
    for name, value in event.items():
        if value is None or name in ("EventType", "Timestamp"):
            continue
        entity[name] = _column(name, value)
    entity["_Timestamp"] = messages.parse_timestamp(event["Timestamp"])
    entity["EventType"] = messages.EVENT_NAMES[event["EventType"]]
    entity["ExecutionId"] = execution_id
    return entity


def _column(name: str, value: object) -> Value:
    if name in _TIMES and isinstance(value, str):
        return messages.parse_timestamp(value)
    if name in _OBJECTS and not isinstance(value, str):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if name == "OrchestrationStatus" and isinstance(value, int):
        return STATUS_NAMES[value]
    if isinstance(value, (str, int, bool, float, datetime)):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


STATUS_NAMES = {
    0: "Running", 1: "Completed", 2: "ContinuedAsNew", 3: "Failed", 4: "Canceled", 5: "Terminated", 6: "Pending",
    7: "Suspended",
}  # fmt: skip


def to_event(entity: Entity) -> Event:
    """The event of a row (large texts must have been put back). Undecodable: the row is no event."""
    try:
        number = messages.EVENT_NUMBERS[str(entity["EventType"])]
        moment = entity["_Timestamp"]
    except KeyError as error:
        raise Undecodable(f"history row {entity.get('RowKey')} lacks or has an unknown {error}") from error
    event: Event = {"EventType": number}
    for name, value in entity.items():
        if name in _SERVICE or name.endswith("BlobName"):
            continue
        if name in _TIMES and isinstance(value, datetime):
            event[name] = messages.timestamp(value)
        elif name in _OBJECTS and isinstance(value, str):
            event[name] = _parse(value)
        else:
            event[name] = value
    event.setdefault("EventId", -1)
    event.setdefault("IsPlayed", False)
    event["Timestamp"] = messages.timestamp(moment) if isinstance(moment, datetime) else str(moment)
    return _complete(event)


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


# The properties that readers of an event rely on; absent columns are nulls.
_PROPERTIES: dict[int, tuple[str, ...]] = {
    messages.EXECUTION_STARTED: ("OrchestrationInstance", "ParentInstance", "Name", "Version", "Input", "Tags"),
    messages.EXECUTION_COMPLETED: ("OrchestrationStatus", "Result"),
    messages.EXECUTION_TERMINATED: ("Input",),
    messages.TASK_SCHEDULED: ("Name", "Version", "Input"),
    messages.TASK_COMPLETED: ("TaskScheduledId", "Result"),
    messages.TASK_FAILED: ("TaskScheduledId", "Reason", "Details"),
    messages.SUB_CREATED: ("Name", "Version", "InstanceId", "Input"),
    messages.SUB_COMPLETED: ("TaskScheduledId", "Result"),
    messages.SUB_FAILED: ("TaskScheduledId", "Reason", "Details"),
    messages.TIMER_CREATED: ("FireAt",),
    messages.TIMER_FIRED: ("TimerId", "FireAt"),
    messages.EVENT_SENT: ("InstanceId", "Name", "Input"),
    messages.EVENT_RAISED: ("Name", "Input"),
    messages.GENERIC: ("Data",),
    messages.EXECUTION_SUSPENDED: ("Reason",),
    messages.EXECUTION_RESUMED: ("Reason",),
}


def _complete(event: Event) -> Event:
    for name in _PROPERTIES.get(event["EventType"], ()):
        event.setdefault(name, None)
    return event


def is_entity_id(instance_id: str) -> bool:
    """Whether an instance id is that of an entity, `@name@key`."""
    return instance_id.startswith("@") and "@" in instance_id[1:]
