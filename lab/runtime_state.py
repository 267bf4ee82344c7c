"""One execution of an instance while this host works on it, and the columns its checkpoints set."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from taskhub import messages
from taskhub.accounts import Entity
from taskhub.history import STATUS_NAMES
from taskhub.messages import Event

STATUS_NUMBERS = {name: number for number, name in STATUS_NAMES.items()}


def new_execution_id() -> str:
    """32 hex digits, as .NET writes a guid without dashes."""
    return uuid.uuid4().hex


@dataclass
class Execution:
    """The events of one execution: those in storage, and those this episode adds."""

    instance_id: str
    execution_id: str
    past: list[Event]
    new: list[Event] = field(default_factory=list)
    known_episode: int | None = None  # `episode`, where somebody who has read all events has counted
    _started: Event | None = None

    @property
    def events(self) -> list[Event]:
        return [*self.past, *self.new] if self.new else self.past

    @property
    def started(self) -> Event:
        """The ExecutionStarted event."""
        if self._started is None:
            self._started = self._find_started()
        if self._started is None:
            raise LookupError(f"{self.instance_id} has no ExecutionStarted event")
        return self._started

    def _find_started(self) -> Event | None:
        for event in chain(self.past[:3], self.new, islice(self.past, 3, None)):
            if event["EventType"] == messages.EXECUTION_STARTED:
                return event
        return None

    @property
    def has_started(self) -> bool:
        """Whether there is an ExecutionStarted event at all."""
        self._started = self._started or self._find_started()
        return self._started is not None

    @property
    def name(self) -> str:
        name: str = self.started["Name"]
        return name

    @property
    def input(self) -> str | None:
        text: str | None = self.started.get("Input")
        return text

    @property
    def parent(self) -> dict[str, Any] | None:
        """The parent's {Name, OrchestrationInstance, TaskScheduleId}, None for a top-level instance."""
        parent: dict[str, Any] | None = self.started.get("ParentInstance")
        return parent

    @property
    def episode(self) -> int:
        """How many episodes the execution has had, the current one included."""
        if self.known_episode is not None:
            return self.known_episode
        return sum(event["EventType"] == messages.ORCHESTRATOR_STARTED for event in self.events)


def row_columns(execution: Execution, custom_status: str | None, large: dict[str, str] | None = None) -> Entity:
    """The columns of the Instances row that a checkpoint sets, from the events it adds.

    `large` holds the addresses of texts that went into blobs, by property (`Input`, `Result`). As
    AzureTableTrackingStore does it: RuntimeStatus changes only with an event that changes it.
    """
    large = large or {}
    columns: Entity = {
        "CustomStatus": "null" if custom_status is None else custom_status,
        "ExecutionId": execution.execution_id,
        "LastUpdatedTime": messages.parse_timestamp(execution.new[-1]["Timestamp"]),
    }
    for event in execution.new:
        if setter := _SETTERS.get(event["EventType"]):
            setter(columns, event, large)
    return columns


def _started(columns: Entity, event: Event, large: dict[str, str]) -> None:
    columns["Name"] = event["Name"]
    columns["Version"] = event.get("Version") or ""
    columns["CreatedTime"] = messages.parse_timestamp(event["Timestamp"])
    columns["RuntimeStatus"] = "Running"
    if event.get("Input") is not None:
        columns["Input"] = large.get("Input") or event["Input"]
    if event.get("Generation") is not None:
        columns["Generation"] = event["Generation"]
    if event.get("ScheduledStartTime"):
        columns["ScheduledStartTime"] = messages.parse_timestamp(event["ScheduledStartTime"])


def _ended(columns: Entity, event: Event, large: dict[str, str]) -> None:
    columns["RuntimeStatus"] = event["OrchestrationStatus"]
    columns["CompletedTime"] = messages.parse_timestamp(event["Timestamp"])
    if event.get("Result") is not None:
        columns["Output"] = large.get("Result") or event["Result"]


def _terminated(columns: Entity, event: Event, large: dict[str, str]) -> None:
    columns["RuntimeStatus"] = "Terminated"
    columns["CompletedTime"] = messages.parse_timestamp(event["Timestamp"])
    if event.get("Input") is not None:
        columns["Output"] = event["Input"]


def _suspended(columns: Entity, event: Event, large: dict[str, str]) -> None:
    columns["RuntimeStatus"] = "Suspended"
    if event.get("Reason") is not None:
        columns["Output"] = event["Reason"]


def _resumed(columns: Entity, event: Event, large: dict[str, str]) -> None:
    columns["RuntimeStatus"] = "Running"
    if event.get("Reason") is not None:
        columns["Output"] = event["Reason"]


_SETTERS = {
    messages.EXECUTION_STARTED: _started,
    messages.EXECUTION_COMPLETED: _ended,
    messages.EXECUTION_TERMINATED: _terminated,
    messages.EXECUTION_SUSPENDED: _suspended,
    messages.EXECUTION_RESUMED: _resumed,
}
