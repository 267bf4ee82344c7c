"""The envelope of a queue message, and the history event inside it, as the extension serialises them.

An event is a plain dictionary with the names, numbers and order that the extension writes, without `$type`; the same
dictionary is what an orchestrator's trigger holds and what `taskhub.history` turns into a row.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from taskhub.errors import Undecodable

Event = dict[str, Any]
Encoding = Literal["base64", "text"]

EXECUTION_STARTED = 0
EXECUTION_COMPLETED = 1
EXECUTION_FAILED = 2
EXECUTION_TERMINATED = 3
TASK_SCHEDULED = 4
TASK_COMPLETED = 5
TASK_FAILED = 6
SUB_CREATED = 7
SUB_COMPLETED = 8
SUB_FAILED = 9
TIMER_CREATED = 10
TIMER_FIRED = 11
ORCHESTRATOR_STARTED = 12
ORCHESTRATOR_COMPLETED = 13
EVENT_SENT = 14
EVENT_RAISED = 15
CONTINUE_AS_NEW = 16
GENERIC = 17
HISTORY_STATE = 18
EXECUTION_SUSPENDED = 19
EXECUTION_RESUMED = 20
EXECUTION_REWOUND = 21

EVENT_NAMES = {
    EXECUTION_STARTED: "ExecutionStarted",
    EXECUTION_COMPLETED: "ExecutionCompleted",
    EXECUTION_FAILED: "ExecutionFailed",
    EXECUTION_TERMINATED: "ExecutionTerminated",
    TASK_SCHEDULED: "TaskScheduled",
    TASK_COMPLETED: "TaskCompleted",
    TASK_FAILED: "TaskFailed",
    SUB_CREATED: "SubOrchestrationInstanceCreated",
    SUB_COMPLETED: "SubOrchestrationInstanceCompleted",
    SUB_FAILED: "SubOrchestrationInstanceFailed",
    TIMER_CREATED: "TimerCreated",
    TIMER_FIRED: "TimerFired",
    ORCHESTRATOR_STARTED: "OrchestratorStarted",
    ORCHESTRATOR_COMPLETED: "OrchestratorCompleted",
    EVENT_SENT: "EventSent",
    EVENT_RAISED: "EventRaised",
    CONTINUE_AS_NEW: "ContinueAsNew",
    GENERIC: "GenericEvent",
    HISTORY_STATE: "HistoryState",
    EXECUTION_SUSPENDED: "ExecutionSuspended",
    EXECUTION_RESUMED: "ExecutionResumed",
    EXECUTION_REWOUND: "ExecutionRewound",
}
EVENT_NUMBERS = {name: number for number, name in EVENT_NAMES.items()}

_ENVELOPE = "DurableTask.AzureStorage.MessageData"
_TASK_MESSAGE = "DurableTask.Core.TaskMessage"
_INSTANCE = "DurableTask.Core.OrchestrationInstance"
_PARENT = "DurableTask.Core.ParentInstance"
_CONTEXT = "DurableTask.Core.OrchestrationExecutionContext"
_TAGS = (
    "System.Collections.Generic.Dictionary`2[[System.String, System.Private.CoreLib],"
    "[System.String, System.Private.CoreLib]]"
)
_EVENT_PREFIX = "DurableTask.Core.History."
_NUMBER_OF_TYPE = {
    f"{_EVENT_PREFIX}{name.removesuffix('Event')}Event": number for name, number in EVENT_NUMBERS.items()
}
_TYPE_OF_NUMBER = {number: name for name, number in _NUMBER_OF_TYPE.items()}
_NO_ACTIVITY = "00000000-0000-0000-0000-000000000000"
_FRACTION = re.compile(r"\.(\d+)")
_sequence = itertools.count(1)


def timestamp(moment: datetime) -> str:
    """A moment as the extension writes it: UTC, seven fraction digits, Z."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def parse_timestamp(text: str) -> datetime:
    """A moment from such a text; digits beyond microseconds are dropped, a missing zone is UTC.

    Undecodable: it is no date-time.
    """
    try:
        body, fraction = text.removesuffix("Z"), 0
        if found := _FRACTION.search(body):
            fraction = int(found[1][:6].ljust(6, "0"))
            body = body[: found.start()] + body[found.end() :]
        moment = datetime.fromisoformat(body)
    except ValueError as error:
        raise Undecodable(f"'{text}' is no date-time") from error
    moment = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
    return moment.replace(microsecond=fraction) if fraction else moment


@dataclass(frozen=True)
class TaskMessage:
    """What a queue message says: one event for one instance."""

    event: Event
    instance_id: str
    execution_id: str | None  # None: for whichever execution is the current one
    sender_instance: str = ""
    sender_execution: str = ""
    episode: int | None = None
    with_context: bool = False  # carries an (empty) OrchestrationExecutionContext, as work items do
    activity_id: str = ""

    @property
    def kind(self) -> int:
        """The number of the event's type."""
        number: int = self.event["EventType"]
        return number

    def describe(self) -> str:
        """`TaskCompleted#3`, as the extension's log names a message."""
        name = EVENT_NAMES.get(self.kind, str(self.kind))
        number = self.event.get("TaskScheduledId", self.event.get("TimerId"))
        number = self.event["EventId"] if number is None and self.event.get("EventId", -1) >= 0 else number
        return name if number is None else f"{name}#{number}"


def event(kind: int, now: datetime, event_id: int = -1, **properties: Any) -> Event:
    """A new event of a kind, with its own properties first, as the extension orders them."""
    return {
        "EventType": kind, **properties, "EventId": event_id, "IsPlayed": False, "Timestamp": timestamp(now),
    }  # fmt: skip


def execution_started(
    now: datetime,
    instance_id: str,
    execution_id: str,
    name: str,
    input: str | None,
    version: str | None = "",
    generation: int | None = 0,
    parent: dict[str, Any] | None = None,
    scheduled_start: datetime | None = None,
) -> Event:
    """The event that starts an execution; `parent` is {InstanceId, ExecutionId, Name, TaskScheduleId}."""
    parent_instance = parent and {
        "Name": parent["Name"],
        "OrchestrationInstance": {"InstanceId": parent["InstanceId"], "ExecutionId": parent["ExecutionId"]},
        "TaskScheduleId": parent["TaskScheduleId"],
        "Version": "",
    }
    return {
        "OrchestrationInstance": {"InstanceId": instance_id, "ExecutionId": execution_id},
        "EventType": EXECUTION_STARTED,
        "ParentInstance": parent_instance,
        "Name": name,
        "Version": version,
        "Input": input,
        "Tags": None,
        "Correlation": None,
        "ParentTraceContext": None,
        "ScheduledStartTime": timestamp(scheduled_start) if scheduled_start else None,
        "Generation": generation,
        "EventId": -1,
        "IsPlayed": False,
        "Timestamp": timestamp(now),
    }


def envelope(message: TaskMessage) -> dict[str, Any]:
    """The message as the object that is serialised; `$type` stands first wherever the extension needs it."""
    data: dict[str, Any] = {
        "$type": _ENVELOPE,
        "ActivityId": message.activity_id or str(uuid.uuid4()),
        "TaskMessage": {
            "$type": _TASK_MESSAGE,
            "Event": _typed_event(message.event),
            "SequenceNumber": 0,
            "OrchestrationInstance": {
                "$type": _INSTANCE, "InstanceId": message.instance_id, "ExecutionId": message.execution_id,
            },
            "OrchestrationExecutionContext": (
                {"$type": _CONTEXT, "OrchestrationTags": {"$type": _TAGS}} if message.with_context else None
            ),
        },
        "CompressedBlobName": None,
        "SequenceNumber": next(_sequence),
    }  # fmt: skip
    if message.episode is not None:
        data["Episode"] = message.episode
    data["Sender"] = {"InstanceId": message.sender_instance, "ExecutionId": message.sender_execution}
    data["SerializableTraceContext"] = None
    return data


def _typed_event(source: Event) -> dict[str, Any]:
    typed: dict[str, Any] = {"$type": _TYPE_OF_NUMBER[source["EventType"]]}
    typed.update(source)
    if source["EventType"] == EXECUTION_STARTED:
        typed["OrchestrationInstance"] = {"$type": _INSTANCE, **source["OrchestrationInstance"]}
        if parent := source.get("ParentInstance"):
            typed["ParentInstance"] = {
                "$type": _PARENT, **parent,
                "OrchestrationInstance": {"$type": _INSTANCE, **parent["OrchestrationInstance"]},
            }  # fmt: skip
    return typed


def wrapper(blob_name: str) -> dict[str, Any]:
    """What stands in the queue for a message whose envelope is in a blob."""
    return {
        "$type": _ENVELOPE, "ActivityId": _NO_ACTIVITY, "TaskMessage": None, "CompressedBlobName": blob_name,
        "SequenceNumber": 0, "Sender": None, "SerializableTraceContext": None,
    }  # fmt: skip


def to_json(data: dict[str, Any]) -> bytes:
    """An envelope as UTF-8 JSON; texts that UTF-8 cannot hold are written as escapes."""
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":")).encode()


def to_text(payload: bytes, encoding: Encoding) -> str:
    """JSON as the text of a queue message."""
    if encoding == "base64":
        return base64.b64encode(payload).decode("ascii")
    # Plain text travels inside XML, which cannot hold every character.
    return payload.decode() if payload.isascii() else json.dumps(json.loads(payload), separators=(",", ":"))


def from_text(text: str) -> dict[str, Any]:
    """The object in a queue message's text, in either encoding. Undecodable: it holds none."""
    try:
        payload = text.encode() if text.lstrip().startswith("{") else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Undecodable(f"a message is neither JSON nor base64: {text[:60]!r}") from error
    return from_json(payload)


def from_json(payload: bytes) -> dict[str, Any]:
    """The object in UTF-8 JSON. Undecodable: there is none."""
    try:
        data = json.loads(payload)
    except ValueError as error:
        raise Undecodable(f"a message is not JSON: {payload[:60]!r}") from error
    if not isinstance(data, dict):
        raise Undecodable(f"a message is not a JSON object: {payload[:60]!r}")
    return data


def parse_envelope(data: dict[str, Any]) -> TaskMessage:
    """The message of a decoded envelope (not of a wrapper). Undecodable: parts are missing or of the wrong kind."""
    try:
        inner = data["TaskMessage"]
        typed = inner["Event"]
        if next(iter(typed)) != "$type":
            raise Undecodable("the event of a message does not begin with $type")
        source = _untyped(typed)
        source.setdefault("EventId", -1)
        source.setdefault("IsPlayed", False)
        if source.get("EventType") not in EVENT_NAMES:
            source["EventType"] = _NUMBER_OF_TYPE[typed["$type"]]
        if not isinstance(source["Timestamp"], str):
            raise Undecodable("the event of a message has no time")
        target = inner["OrchestrationInstance"]
        if not isinstance(target["InstanceId"], str):
            raise Undecodable("a message does not say for which instance it is")
        sender = data.get("Sender") or {}
        return TaskMessage(
            event=source,
            instance_id=target["InstanceId"],
            execution_id=target.get("ExecutionId") or None,
            sender_instance=sender.get("InstanceId") or "",
            sender_execution=sender.get("ExecutionId") or "",
            episode=data.get("Episode"),
            with_context=inner.get("OrchestrationExecutionContext") is not None,
            activity_id=data.get("ActivityId") or "",
        )
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise Undecodable(f"a message lacks a part: {type(error).__name__} {error}") from error


def _untyped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _untyped(part) for key, part in value.items() if key != "$type"}
    return value
