"""What a hub holds of one instance, as stored, and how to read its messages; nothing is concluded here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from taskhub import messages as m
from taskhub.accounts import Entity
from taskhub.errors import Undecodable
from taskhub.messages import Event, TaskMessage

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
ANSWERS = {m.TASK_COMPLETED, m.TASK_FAILED, m.SUB_COMPLETED, m.SUB_FAILED, m.TIMER_FIRED}
COMPLETES = {
    m.TASK_SCHEDULED: {m.TASK_COMPLETED, m.TASK_FAILED},
    m.SUB_CREATED: {m.SUB_COMPLETED, m.SUB_FAILED},
    m.TIMER_CREATED: {m.TIMER_FIRED},
}
INTERNAL_TIMER = -100  # a hop of a timer longer than the storage backend allows; history numbers it so
POISON_DEQUEUES = 10
LOST = "recovery: what it needs was lost with the region"  # in the row of what was given up: the journal starts it
GONE = "recovery: this text was lost with the region"  # in a row or a message, in the place of the text


@dataclass(frozen=True)
class Message:
    """One message as the sweep of the queues saw it."""

    queue: str
    id: str
    text: str
    pop_receipt: str
    dequeue_count: int
    inserted: datetime
    next_visible: datetime
    task: TaskMessage | None  # None: it cannot be read
    problem: str = ""  # why it cannot be read
    blob: str = ""  # the blob of its envelope, when it is large
    is_misplaced: bool = False  # lies in another control queue than its instance's

    def describe(self) -> str:
        """`TaskCompleted#3`, or what is known of an unreadable one."""
        return self.task.describe() if self.task else f"unreadable message {self.id}"


@dataclass(frozen=True)
class Instance:
    """What the hub holds of one instance, as stored."""

    instance_id: str
    row: Entity | None = None
    history: tuple[Entity, ...] = ()  # rows in the order of their keys, without the sentinel
    sentinel: Entity | None = None
    messages: tuple[Message, ...] = ()
    missing_blobs: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()  # rows that cannot be read, in words
    sent: tuple[Message, ...] = ()  # queued messages that this instance sent to others


def number_of(event: Event) -> int:
    """The number of the task, timer or child that an answer answers."""
    number = event.get("TimerId") if event["EventType"] == m.TIMER_FIRED else event.get("TaskScheduledId")
    return -1 if number is None else int(number)


def sent_at(event: Event) -> datetime:
    """When an event came about, 1970 when it does not say."""
    try:
        return m.parse_timestamp(str(event.get("Timestamp", "")))
    except Undecodable:
        return EPOCH


def request_of(event: Event) -> dict[str, Any] | None:
    """The request that an EventSent or EventRaised event carries to an entity, None when it carries none."""
    if event.get("Name") != "op" and not str(event.get("Name") or "").startswith("op@"):
        return None
    try:
        request = json.loads(event.get("Input") or "")
    except ValueError:
        return None
    return request if isinstance(request, dict) and "id" in request else None


def json_object(text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def moment_of(text: object) -> datetime:
    try:
        return m.parse_timestamp(str(text)) if text else EPOCH
    except Undecodable:
        return EPOCH
