"""The small steps of which repair plans are made, each with its code in the table of repairs and in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recovery.observed import EPOCH, Instance, Message
from taskhub import messages as m
from taskhub.accounts import Entity
from taskhub.layout import row_key
from taskhub.messages import Event, TaskMessage


@dataclass(frozen=True)
class Delete:
    """R11: remove a message."""

    message: Message
    repair: str = "R11"

    def words(self) -> str:
        return f"delete {self.message.describe()} from {self.message.queue}"


@dataclass(frozen=True)
class Send:
    """R4, R5, R6, R8: put a message."""

    task: TaskMessage
    repair: str
    due: datetime = EPOCH
    why: str = ""

    def words(self) -> str:
        when = f", visible {self.due:%Y-%m-%d %H:%M:%S}Z" if self.due > EPOCH else ""
        name = f" '{self.task.event.get('Name')}'" if self.repair == "R4" else ""
        why = f", {self.why}" if self.why else ""
        return f"send {self.task.describe()}{name} to {self.task.instance_id}{when}{why}"


@dataclass(frozen=True)
class WriteRow:
    """R7: write the Instances row, all of it or some columns; what it blanks becomes the empty text."""

    columns: Entity
    replace: bool = False
    repair: str = "R7"

    def words(self) -> str:
        shown = ", ".join(f"{name} {_short(value)}" for name, value in self.columns.items() if name in _SHOWN)
        return f"{'replace' if self.replace else 'write'} the row: {shown or ', '.join(self.columns)}"


@dataclass(frozen=True)
class WriteHistory:
    """Append events that something else proves, or begin a history with them."""

    events: tuple[Event, ...]
    execution_id: str
    start: int
    repair: str = "history"

    def words(self) -> str:
        return f"write history rows from {self.start}: {', '.join(m.EVENT_NAMES[x['EventType']] for x in self.events)}"


@dataclass(frozen=True)
class PutRow:
    """Put one missing history row back at its place."""

    event: Event
    execution_id: str
    position: int
    repair: str = "history"

    def words(self) -> str:
        return f"restore history row {row_key(self.position)}: {m.EVENT_NAMES[self.event['EventType']]}"


@dataclass(frozen=True)
class CutHistory:
    """Delete the history from a position on (0: all of it), the sentinel only with all of it."""

    position: int
    repair: str = "history"

    def words(self) -> str:
        return "delete the history" if self.position == 0 else f"delete the history from row {self.position} on"


@dataclass(frozen=True)
class Purge:
    """R3: delete a run that nobody asked for: its history, its blobs and its row."""

    instance: Instance
    repair: str = "R3"

    def words(self) -> str:
        return f"delete {self.instance.instance_id}: its history, its blobs and its row"


@dataclass(frozen=True)
class Adopt:
    """Write into an entity's state which run of a caller it heard from last, and when."""

    entity_id: str
    caller: str
    execution_id: str
    last: datetime
    repair: str = "history"

    def words(self) -> str:
        return f"tell {self.entity_id} that it last heard from run {self.execution_id} of {self.caller}"


Step = Purge | Adopt | Delete | Send | WriteRow | WriteHistory | PutRow | CutHistory
_SHOWN = ("RuntimeStatus", "ExecutionId", "Input", "Output")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
