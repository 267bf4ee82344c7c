"""Rows of the Instances table, read as the status of an instance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

RUNNING_STATES = frozenset({"Pending", "Running", "ContinuedAsNew", "Suspended"})
TERMINAL_STATES = frozenset({"Completed", "Failed", "Terminated", "Canceled"})
ALL_STATES = RUNNING_STATES | TERMINAL_STATES


@dataclass(frozen=True)
class InstanceStatus:
    """What the Instances table knows of one instance; texts are as stored (JSON or not), large ones already fetched."""

    instance_id: str
    execution_id: str | None
    name: str | None
    version: str | None
    runtime_status: str  # one of ALL_STATES, or "Unknown" when the row lacks the column
    input: str | None
    output: str | None
    custom_status: str | None
    created: datetime | None
    last_updated: datetime | None
    completed: datetime | None = None
    generation: int | None = None
    scheduled_start: datetime | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the instance has ended."""
        return self.runtime_status in TERMINAL_STATES
