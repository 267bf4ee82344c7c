"""When each write of the lost region was made, on the drill's own clock.

Hosts are real processes on a machine that is never equally busy twice. What survives must not depend on that: the same
seed loses the same requests. So a write counts as made at a time that follows from the plan of the work alone, not at
the time the machine got round to it. Every instance, child and entity has a clock:

    a client's message      is sent when the client's request was planned for
    an activity             takes STEP seconds from its work item to its result
    a message to another    instance, entity or parent takes HOP seconds; so does a timer
    a message taken         sets the clock of its instance to its time, never back
    history                 is written a fixed while after the clock of its instance
    row                     is written a fixed while after what the clock was at the history that it tells of: the host
                            may have taken the next message already

The order of one instance's writes is that of the platform, for a host takes no short ways where a copy follows:
message, row, message taken, messages sent, history, row, message deleted. Activities side by side end at the same time,
in whichever order they really did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from lab.drills.workload import Workload, root_of
from taskhub import messages
from taskhub.accounts import Entity
from taskhub.accounts.replication import LoggedWrite
from taskhub.errors import Undecodable
from taskhub.layout import HubNames, unescape_key
from taskhub.messages import TASK_COMPLETED, TASK_FAILED, TASK_SCHEDULED, TIMER_FIRED, TaskMessage

ZERO = datetime(2026, 1, 1, tzinfo=timezone.utc)  # any moment, always the same
LONG_BEFORE = -86_400.0  # the hub itself is older than all work
OFFSETS = {"first row": 0.01, "taken": 0.02, "sent": 0.03, "history": 0.04, "row": 0.05, "deleted": 0.06}
WHOLE_ACTION = 0.07  # seconds until the last write of an action
HOP, STEP = 0.1, 0.2  # seconds
RESULTS = (TASK_COMPLETED, TASK_FAILED)
Task = tuple[str, str, int]  # instance, execution, number


@dataclass
class Known:
    """What the log has said of one instance."""

    is_waiting: bool = False  # it has begun, and its status says for what it waits


@dataclass
class Sent:
    """One message: when it was put, and when whoever it is for has it in hand."""

    instance_id: str
    kind: int
    at: float
    handled: float
    is_taken: bool = False

    @property
    def done(self) -> float:
        """When it is deleted."""
        return self.handled + OFFSETS["deleted"] + (STEP if self.kind == TASK_SCHEDULED else 0.0)


class Timeline:
    """Reads the log of the primary, write by write and in order; whoever asks again is told the same."""

    def __init__(self, names: HubNames, workload: Workload) -> None:
        self._names = names
        self._loss = workload.loss
        self._planned: dict[str, list[float]] = {}  # by client
        for request in workload.requests:
            self._planned.setdefault(root_of(request.instance_id), []).append(request.at)
        self._asked: Counter[str] = Counter()  # messages of each client
        self._messages: dict[str, Sent] = {}  # by message id
        self._open: dict[str, Sent] = {}
        self._clocks: dict[str, float] = {}
        self._work: dict[Task, float] = {}  # when its work item was put
        self._checkpoints: dict[str, float] = {}  # of each instance: its clock when its history was written last
        self._made: dict[int, float] = {}
        self.known: dict[str, Known] = {instance_id: Known() for instance_id in workload.instance_ids}
        self.instance_of: dict[int, str] = {}  # sequence of a write -> the instance, child or entity it belongs to

    def times(self, writes: Iterable[LoggedWrite]) -> list[datetime]:
        """When the writes were made. New ones must come in order."""
        found = list(writes)
        for write in found:
            self._time(write)
        return [ZERO + timedelta(seconds=self._made[write.sequence]) for write in found]

    def unsettled(self) -> list[str]:
        """Clients with an action that should be over by the loss and is not yet."""
        missing = {
            client
            for client, planned in self._planned.items()
            if self._asked[client] < sum(at + WHOLE_ACTION <= self._loss for at in planned)
        }
        missing |= {
            root_of(sent.instance_id)
            for sent in self._open.values()
            if sent.done <= self._loss and sent.kind != TIMER_FIRED
        }
        return sorted(missing)

    def _time(self, write: LoggedWrite) -> None:
        if write.sequence not in self._made:
            made = self._time_of_message(write) if write.service == "queue" else self._time_of_state(write)
            # What was written before the loss was made before it, however late the plan would have it.
            self._made[write.sequence] = LONG_BEFORE if made is None else min(made, self._loss)

    def _time_of_state(self, write: LoggedWrite) -> float | None:
        """Of a row, a history or a blob; None for what is no instance of the work."""
        instance_id = unescape_key(write.partition.partition("/")[0])
        if instance_id not in self._clocks:
            return None
        self.instance_of[write.sequence] = instance_id
        if write.service == "table" and write.name == self._names.instances:
            return self._time_of_row(write.entity() or {}, instance_id)
        if write.name == self._names.history:
            self._checkpoints[instance_id] = self._clocks[instance_id]
        return self._clocks[instance_id] + OFFSETS["history"]

    def _time_of_row(self, row: Entity, one: str) -> float:
        if row.get("RuntimeStatus") == "Pending":
            return self._clocks[one] + OFFSETS["first row"]
        if one in self.known:
            self.known[one].is_waiting = row.get("RuntimeStatus") == "Running" and bool(row.get("CustomStatus"))
        return self._checkpoints.get(one, self._clocks[one]) + OFFSETS["row"]

    def _time_of_message(self, write: LoggedWrite) -> float | None:
        if write.key not in self._messages:
            found = message_of(write)
            if found is None or root_of(found.instance_id) not in self._planned:
                return None
            sent = self._messages[write.key] = self._open[write.key] = self._sent(found)
            self.instance_of[write.sequence] = sent.instance_id
            return sent.at
        sent = self._messages[write.key]
        self.instance_of[write.sequence] = sent.instance_id
        if write.change == "deleted":
            self._open.pop(write.key, None)
            return sent.done
        self._take(sent)
        return sent.handled + OFFSETS["taken"]

    def _take(self, sent: Sent) -> None:
        if sent.kind != TASK_SCHEDULED and not sent.is_taken:
            sent.handled = self._clocks[sent.instance_id] = max(self._clock(sent.instance_id), sent.handled)
        sent.is_taken = True

    def _sent(self, message: TaskMessage) -> Sent:
        """A new message, by who sent it."""
        one, kind = message.instance_id, message.kind
        if not message.sender_instance:
            at = self._asked_at(one)
            self._clocks.setdefault(one, at)
            return Sent(one, kind, at, at)
        at = self._clock(message.sender_instance) + OFFSETS["sent"]
        if kind in RESULTS:
            at = self._work.get(_task(message, "TaskScheduledId"), at) + STEP
            return Sent(one, kind, at, at)
        if kind == TASK_SCHEDULED:
            self._work[_task(message, "EventId")] = at
            return Sent(one, kind, at, at)
        return Sent(one, kind, at, at + HOP)

    def _asked_at(self, instance_id: str) -> float:
        """When a client's message was planned for, and never before what it is an answer to."""
        client = root_of(instance_id)
        planned = self._planned[client]
        at = planned[min(self._asked[client], len(planned) - 1)]
        self._asked[client] += 1
        return max(at, self._clock(instance_id) + WHOLE_ACTION)

    def _clock(self, instance_id: str) -> float:
        return self._clocks.get(instance_id, LONG_BEFORE)


def _task(message: TaskMessage, number: str) -> Task:
    return message.instance_id, message.execution_id or "", int(message.event[number])


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
    """The writes of each instance of the work, of its children and its entities, in order."""
    found: dict[str, list[LoggedWrite]] = {instance_id: [] for instance_id in timeline.known}
    for write in writes:
        if instance_id := timeline.instance_of.get(write.sequence):
            found.setdefault(instance_id, []).append(write)
    return found
