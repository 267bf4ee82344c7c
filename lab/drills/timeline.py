"""When each write of the lost region was made, on the drill's own clock.

Hosts are real processes on a machine that is never equally busy twice. What survives must not depend on that: the same
seed loses the same requests. So a write counts as made at the time its client action was planned for, plus a fixed
offset by what it is, not at the time the machine got round to it. The order of one instance's writes stays that of
the platform: message, row, message taken, history, row, message deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from lab.drills.workload import Workload
from taskhub import messages
from taskhub.accounts.replication import LoggedWrite
from taskhub.errors import Undecodable
from taskhub.layout import HubNames, unescape_key
from taskhub.messages import TaskMessage

ZERO = datetime(2026, 1, 1, tzinfo=timezone.utc)  # any moment, always the same
LONG_BEFORE = -86_400.0  # the hub itself is older than all work
OFFSETS = {"message": 0.0, "first row": 0.01, "taken": 0.02, "history": 0.04, "row": 0.05, "deleted": 0.06}
WHOLE_ACTION = 0.07  # seconds until the last write of an action


@dataclass
class Known:
    """What the log has said of one instance."""

    actions: int = 0  # messages of clients
    is_waiting: bool = False  # for its event, and its status says so
    deleted: int = 0  # messages done with


class Timeline:
    """Reads the log of the primary, write by write and in order."""

    def __init__(self, names: HubNames, workload: Workload) -> None:
        self._names = names
        self._loss = workload.loss
        self._planned: dict[str, list[float]] = {}
        for request in workload.requests:
            self._planned.setdefault(request.instance_id, []).append(request.at)
        self._messages: dict[str, tuple[str, int]] = {}  # message id -> instance, number of its action
        self.known: dict[str, Known] = {instance_id: Known() for instance_id in self._planned}
        self.instance_of: dict[int, str] = {}  # sequence of a write -> the instance it belongs to

    def times(self, writes: Iterable[LoggedWrite]) -> list[datetime]:
        """When the writes were made. They must come in order, each once."""
        return [ZERO + timedelta(seconds=self._time(write)) for write in writes]

    def unsettled(self) -> list[str]:
        """Instances with an action that should be over by the loss and is not yet."""
        return [
            instance_id
            for instance_id, planned in self._planned.items()
            if self.known[instance_id].deleted < sum(at + WHOLE_ACTION <= self._loss for at in planned)
        ]

    def _time(self, write: LoggedWrite) -> float:
        place = self._place(write)
        if place is None:
            return LONG_BEFORE
        instance_id, action, role = place
        self.instance_of[write.sequence] = instance_id
        # What was written before the loss was made before it, however late the plan would have it.
        return min(self._planned[instance_id][action] + OFFSETS[role], self._loss)

    def _place(self, write: LoggedWrite) -> tuple[str, int, str] | None:
        """The instance, the number of its action and the write's role; None for what is no instance of the work."""
        if write.service == "queue":
            return self._place_of_message(write)
        instance_id = unescape_key(write.partition.partition("/")[0])
        known = self.known.get(instance_id)
        if known is None or known.actions == 0:
            return None
        if write.service == "table" and write.name == self._names.instances:
            return instance_id, known.actions - 1, self._note_row(write, known)
        return instance_id, known.actions - 1, "history"

    def _note_row(self, write: LoggedWrite, known: Known) -> str:
        row = write.entity() or {}
        if row.get("RuntimeStatus") == "Pending":
            return "first row"
        known.is_waiting = "waiting_for" in str(row.get("CustomStatus"))
        return "row"

    def _place_of_message(self, write: LoggedWrite) -> tuple[str, int, str] | None:
        if write.key not in self._messages:
            found = message_of(write)
            if found is None or found.instance_id not in self.known:
                return None
            known = self.known[found.instance_id]
            self._messages[write.key] = (found.instance_id, min(known.actions, self._last(found.instance_id)))
            known.actions += 1
            return *self._messages[write.key], "message"
        instance_id, action = self._messages[write.key]
        if write.change != "deleted":
            return instance_id, action, "taken"
        self.known[instance_id].deleted += 1
        return instance_id, action, "deleted"

    def _last(self, instance_id: str) -> int:
        return len(self._planned[instance_id]) - 1


def message_of(write: LoggedWrite) -> TaskMessage | None:
    """The message that a put brought; None for other writes and for what cannot be read."""
    text = write.text()
    if text is None:
        return None
    try:
        return messages.parse_envelope(messages.from_text(text))
    except Undecodable:
        return None


def seconds(moment: datetime) -> float:
    """A moment of this timeline as seconds since the work began."""
    return (moment - ZERO).total_seconds()


def moment(at: float) -> datetime:
    """The other way round."""
    return ZERO + timedelta(seconds=at)


def by_instance(timeline: Timeline, writes: Iterable[LoggedWrite]) -> Mapping[str, list[LoggedWrite]]:
    """The writes of each instance of the work, in order."""
    found: dict[str, list[LoggedWrite]] = {instance_id: [] for instance_id in timeline.known}
    for write in writes:
        if instance_id := timeline.instance_of.get(write.sequence):
            found[instance_id].append(write)
    return found
