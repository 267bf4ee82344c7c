"""What follows from the stored state of one instance: its current execution, what is open, which message is what.

Nothing here reads an account or a clock. The rules of `recovery.rules` are asked about these facts, and every fact
is one that DurableTask.AzureStorage 1.17.5 acts on: which history rows it reads, which messages it accepts, and by
which numbers it matches answers to tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from recovery.entity_state import EntityState
from recovery.observed import (
    ANSWERS,
    COMPLETES,
    EPOCH,
    INTERNAL_TIMER,
    POISON_DEQUEUES,
    Instance,
    Message,
    json_object,
    moment_of,
    number_of,
    request_of,
    sent_at,
)
from taskhub import history as histories
from taskhub import messages as m
from taskhub.accounts import Entity
from taskhub.errors import Undecodable
from taskhub.instances import RUNNING_STATES, TERMINAL_STATES
from taskhub.messages import Event


@dataclass(frozen=True)
class Facts:
    """One instance and what can be said of it; `related` holds its children and the entities it called."""

    instance: Instance
    related: Mapping[str, Facts] = field(default_factory=dict)
    replayed: Any = None  # recovery.replay.Replayed, when the app's code is at hand
    journal_events: tuple[str, ...] = ()  # names of events that the journal knows and the hub does not
    journal_start: bool = False  # the journal holds its start, the hub nothing but messages
    # Messages that could not be read: among `control` and `workitems` may be anything, among `timers` only such as
    # wait for their time.
    unseen: Mapping[str, int] = field(default_factory=dict)
    sent_again: frozenset[int] = frozenset()  # timers that the doctor has sent and that are not due (-1: the start)
    now: datetime = EPOCH

    @property
    def id(self) -> str:
        return self.instance.instance_id

    @property
    def is_entity(self) -> bool:
        return histories.is_entity_id(self.id)

    # the row

    @property
    def row(self) -> Entity | None:
        return self.instance.row

    @property
    def status(self) -> str | None:
        """The row's RuntimeStatus: None without a row, the empty text when the row lacks it."""
        return None if self.row is None else str(self.row.get("RuntimeStatus", ""))

    @property
    def row_execution(self) -> str | None:
        value = (self.row or {}).get("ExecutionId")
        return None if value is None else str(value)

    @property
    def row_is_terminal(self) -> bool:
        return self.status in TERMINAL_STATES

    @property
    def row_is_running(self) -> bool:
        return self.status in RUNNING_STATES

    @property
    def row_is_partial(self) -> bool:
        """A row that a checkpoint made anew after the first one was lost: it lacks what only the start wrote."""
        return self.row is not None and not ({"RuntimeStatus", "Name", "CreatedTime"} <= self.row.keys())

    @property
    def row_is(self) -> Literal["same", "newer", "older"]:
        """Whether the row is of the history's execution, of a later one or of an earlier one."""
        created, started = (self.row or {}).get("CreatedTime"), self.start_event
        if self.row_execution == self.execution or not isinstance(created, datetime) or started is None:
            return "same"
        return "newer" if created > sent_at(started) else "older"

    # the history

    @cached_property
    def execution(self) -> str | None:
        """The execution that the engine reads: the sentinel's, or that of the first row."""
        named = (self.instance.sentinel or {}).get("ExecutionId")
        if named is not None:
            return str(named)
        return str(self.instance.history[0].get("ExecutionId")) if self.instance.history else None

    @cached_property
    def _current_rows(self) -> list[Entity]:
        rows: list[Entity] = []
        for row in self.instance.history:
            if row.get("ExecutionId") != self.execution:
                break
            rows.append(row)
        return rows

    @cached_property
    def events(self) -> list[Event]:
        """The events that the engine reads: up to the first row of another execution."""
        events = []
        for row in self._current_rows:
            try:
                events.append(histories.to_event(row))
            except Undecodable:
                continue
        return events

    @property
    def lost_texts(self) -> list[str]:
        """The blobs that the history names and that are missing, so that no host can load it."""
        named = [str(value) for row in self._current_rows for name, value in row.items() if name.endswith("BlobName")]
        return [blob for blob in named if blob in self.instance.missing_blobs]

    @property
    def has_history(self) -> bool:
        return bool(self.events)

    @cached_property
    def gaps(self) -> list[int]:
        """Positions below the last row at which a row is missing."""
        present = {int(str(row["RowKey"]), 16) for row in self._current_rows}
        return [position for position in range(max(present, default=-1)) if position not in present]

    @cached_property
    def start_event(self) -> Event | None:
        return next((event for event in self.events if event["EventType"] == m.EXECUTION_STARTED), None)

    @cached_property
    def end_event(self) -> Event | None:
        return next((event for event in reversed(self.events) if event["EventType"] == m.EXECUTION_COMPLETED), None)

    @property
    def end_status(self) -> str:
        """How the history ended."""
        status = (self.end_event or {}).get("OrchestrationStatus", "Completed")
        return histories.STATUS_NAMES.get(status, "Completed") if isinstance(status, int) else str(status)

    @property
    def is_open(self) -> bool:
        return self.start_event is not None and self.end_event is None

    @property
    def checkpoint_time(self) -> datetime:
        moment = (self.instance.sentinel or {}).get("CheckpointCompletedTimestamp")
        return moment if isinstance(moment, datetime) else EPOCH

    @property
    def is_torn(self) -> bool:
        """Whether the last checkpoint is there only in part."""
        if (self.instance.sentinel or {}).get("IsCheckpointComplete") is False:
            return True
        return bool(self.events) and self.events[-1]["EventType"] != m.ORCHESTRATOR_COMPLETED

    @cached_property
    def parent(self) -> dict[str, Any] | None:
        """{InstanceId, ExecutionId, Name, TaskScheduleId} of the parent, None for a top-level instance."""
        starts = [self.start_event, *(start.task.event for start in self.starts if start.task)]
        for event in starts:
            value = (event or {}).get("ParentInstance")
            if isinstance(value, dict):
                return {**value.get("OrchestrationInstance", {}), "Name": value.get("Name"),
                        "TaskScheduleId": value.get("TaskScheduleId")}  # fmt: skip
        return None

    @cached_property
    def answered(self) -> set[tuple[int, int]]:
        """(kind of what was scheduled, its number) for everything that has been answered."""
        return {
            (scheduled, number_of(event))
            for event in self.events
            for scheduled, kinds in COMPLETES.items()
            if event["EventType"] in kinds
        }

    @cached_property
    def scheduled(self) -> dict[tuple[int, int], Event]:
        """Everything that history says was scheduled: (kind, number) -> event."""
        found = {}
        for event in self.events:
            if event["EventType"] in COMPLETES and event["EventId"] != INTERNAL_TIMER:
                found[event["EventType"], event["EventId"]] = event
        return found

    @cached_property
    def open_items(self) -> dict[tuple[int, int], Event]:
        """What was scheduled and is not answered."""
        return {key: event for key, event in self.scheduled.items() if key not in self.answered}

    @cached_property
    def raised(self) -> list[Event]:
        return [event for event in self.events if event["EventType"] == m.EVENT_RAISED]

    @cached_property
    def open_calls(self) -> dict[int, Event]:
        """Calls to entities (not signals) without their reply: number -> EventSent."""
        replies = {event.get("Name") for event in self.raised}
        calls = {}
        for event in self.events:
            if event["EventType"] != m.EVENT_SENT:
                continue
            request = request_of(event)
            if request and not request.get("signal") and request["id"] not in replies:
                calls[event["EventId"]] = event
        return calls

    @cached_property
    def operations(self) -> dict[int, Event]:
        """Everything this instance has asked of entities, calls and signals, in its order: number -> EventSent."""
        return {x["EventId"]: x for x in self.events if x["EventType"] == m.EVENT_SENT and request_of(x)}

    @cached_property
    def is_suspended(self) -> bool:
        """Whether history and the queued requests, in their order, leave the instance suspended."""
        queued = [message.task.kind for message in self.requests if message.task]
        return _ends_suspended([*(event["EventType"] for event in self.events), *queued])

    @cached_property
    def history_is_suspended(self) -> bool:
        """Whether the history, without what is queued, leaves the instance suspended."""
        return _ends_suspended([event["EventType"] for event in self.events])

    # the messages

    def of_kind(self, *kinds: int) -> list[Message]:
        """The readable messages of these kinds, oldest first."""
        found = [message for message in self.instance.messages if message.task and message.task.kind in kinds]
        return sorted(found, key=lambda message: (message.inserted, message.next_visible))

    @property
    def unreadable(self) -> list[Message]:
        return [message for message in self.instance.messages if message.task is None]

    @cached_property
    def starts(self) -> list[Message]:
        return self.of_kind(m.EXECUTION_STARTED)

    @cached_property
    def work_items(self) -> list[Message]:
        return self.of_kind(m.TASK_SCHEDULED)

    @cached_property
    def answers(self) -> list[Message]:
        return self.of_kind(*ANSWERS)

    @cached_property
    def event_messages(self) -> list[Message]:
        return self.of_kind(m.EVENT_RAISED)

    @cached_property
    def requests(self) -> list[Message]:
        """Suspend, resume, terminate and rewind requests."""
        return self.of_kind(
            m.EXECUTION_TERMINATED, m.EXECUTION_SUSPENDED, m.EXECUTION_RESUMED, m.GENERIC, m.EXECUTION_REWOUND
        )

    @property
    def terminations(self) -> list[Message]:
        return self.of_kind(m.EXECUTION_TERMINATED)

    def start_is_accepted(self, start: Message) -> bool:
        """Whether the engine takes a start: a child's always, another only with a row of the same execution."""
        if start.task is None:
            return False
        if start.task.event.get("ParentInstance"):
            return True
        return self.row is not None and self.row_execution in (None, start.task.execution_id)

    @cached_property
    def accepted_start(self) -> Message | None:
        """A queued start that begins a run: accepted, and not that of the execution whose history is there."""
        for start in self.starts:
            if self.start_is_accepted(start) and not (
                self.has_history and start.task and start.task.execution_id == self.execution
            ):
                return start
        return None

    @property
    def has_next_attempt(self) -> bool:
        """Whether the queued start of a child is for another attempt of its parent than the history."""
        start = self.accepted_start
        if start is None or start.task is None or self.start_event is None:
            return False
        before = attempt_of(self.start_event)
        return before is not None and attempt_of(start.task.event) != before

    @cached_property
    def refused_starts(self) -> list[Message]:
        return [start for start in self.starts if not self.start_is_accepted(start)]

    @cached_property
    def redelivered_starts(self) -> list[Message]:
        """Starts of the execution whose history is there already."""
        return [s for s in self.starts if s.task and self.has_history and s.task.execution_id == self.execution]

    def for_current(self, found: list[Message]) -> list[Message]:
        """Those of the messages that are for the execution of the history."""
        return [message for message in found if message.task and message.task.execution_id == self.execution]

    def work_of(self, number: int) -> list[Message]:
        """The queued work items of a task."""
        found = self.for_current(self.work_items)
        return [message for message in found if message.task and message.task.event["EventId"] == number]

    def answers_to(self, scheduled: int, number: int) -> list[Message]:
        """The queued answers to a task, timer or child. The engine matches by number alone, whatever the kind."""
        return [
            message
            for message in self.for_current(self.answers)
            if message.task and number_of(message.task.event) == number and message.task.kind in COMPLETES[scheduled]
        ]

    def replies_to(self, call: Event) -> list[Message]:
        """The queued replies to a call of an entity."""
        request = request_of(call) or {}
        return [x for x in self.event_messages if x.task and x.task.event.get("Name") == request.get("id")]

    def events_named(self, name: str) -> list[Message]:
        """Queued events of a name that history does not hold already; names are compared without case."""
        return [
            message
            for message in self.event_messages
            if message.task and str(message.task.event.get("Name", "")).lower() == name.lower()
            and message not in self.repeated_events
        ]  # fmt: skip

    @cached_property
    def repeated_events(self) -> list[Message]:
        """Queued events that history holds already: same name, data and time (the row keeps the message's time)."""
        held = {identity(event) for event in self.raised}
        twice: list[Message] = []
        for message in self.event_messages:
            if message.task and identity(message.task.event) in held:
                twice.append(message)
        return twice

    @cached_property
    def doubled_events(self) -> list[Message]:
        """Queued events of which the same one is queued once more behind them, as a repair cut short leaves them."""
        if self.is_entity:
            return []
        last: dict[tuple[object, object, datetime], Message] = {}
        doubled = []
        for message in self.event_messages:
            if message.task is not None:
                before = last.get(key := identity(message.task.event))
                doubled += [before] if before is not None else []
                last[key] = message
        return doubled

    @cached_property
    def events_ahead_of_start(self) -> list[Message]:
        """Events queued before the start of the run that they are for: dequeued before it they are dropped.

        No client does that; a repair that is cut short does. A queue tells the second of a message, and its order only
        as long as nobody has received from it: of two of one second none is ahead.
        """
        start = self.accepted_start
        if start is None or start.task is None or self.is_open or self.is_entity:
            return []
        if moment_of(start.task.event.get("ScheduledStartTime")) > self.now:
            return []
        mine = (None, start.task.execution_id)
        return [
            x for x in self.event_messages
            if x.task and x.task.execution_id in mine and x.inserted < start.inserted
            and (not self.has_history or sent_at(x.task.event) >= sent_at(start.task.event))
            and x not in self.doubled_events
        ]  # fmt: skip

    @cached_property
    def known_numbers(self) -> set[int]:
        return {number for _, number in self.scheduled}

    @cached_property
    def unmatched(self) -> list[Message]:
        """Answers and work items of the current execution whose number history does not know."""
        numbered = [
            x for x in self.for_current(self.answers) if x.task and number_of(x.task.event) not in self.known_numbers
        ]
        work = self.for_current(self.work_items)
        return numbered + [x for x in work if x.task and x.task.event["EventId"] not in self.known_numbers]

    @cached_property
    def foreign(self) -> list[Message]:
        """Answers and work items of another execution than the history's."""
        found = [*self.answers, *self.work_items]
        return [x for x in found if x.task and x.task.execution_id != self.execution]

    @cached_property
    def finished_work(self) -> list[Message]:
        """Work items of tasks that history has a result for."""
        found = self.for_current(self.work_items)
        return [x for x in found if x.task and (m.TASK_SCHEDULED, x.task.event["EventId"]) in self.answered]

    @property
    def poison(self) -> list[Message]:
        return [message for message in self.instance.messages if message.dequeue_count >= POISON_DEQUEUES]

    # entities

    @cached_property
    def entity(self) -> EntityState:
        """The state of an entity by its history, which alone counts for the engine; empty without one."""
        return EntityState(json_object((self.start_event or {}).get("Input")))

    @cached_property
    def entity_restored(self) -> EntityState:
        """The same after the entity's own repair, which puts what its row is ahead into the history."""
        is_ahead = self.row_is == "newer" or not self.has_history
        stored = {} if self.row_is_partial or not is_ahead else json_object((self.row or {}).get("Input"))
        return EntityState(stored) if stored else self.entity

    @property
    def locked_by(self) -> str:
        """The orchestration in whose critical section this entity is; empty when it is in none."""
        return self.entity.locked_by if self.is_entity else ""

    def requests_for(self, request_id: str) -> list[Message]:
        """Queued requests with an id, when this is an entity."""
        return [x for x in self.event_messages if x.task and (request_of(x.task.event) or {}).get("id") == request_id]


def _ends_suspended(kinds: list[int]) -> bool:
    last = [kind for kind in kinds if kind in (m.EXECUTION_SUSPENDED, m.EXECUTION_RESUMED)]
    return bool(last) and last[-1] == m.EXECUTION_SUSPENDED


def attempt_of(start: Event) -> tuple[object, object] | None:
    """Which call of which run of its parent a child's start answers: (ExecutionId, number); None for no child."""
    parent = start.get("ParentInstance")
    if not isinstance(parent, dict):
        return None
    return parent.get("OrchestrationInstance", {}).get("ExecutionId"), parent.get("TaskScheduleId")


def identity(event: Event) -> tuple[object, object, datetime]:
    """What an event raised from outside is recognised by, in a history and in a queue: its name, data and time."""
    return event.get("Name"), event.get("Input"), sent_at(event)
