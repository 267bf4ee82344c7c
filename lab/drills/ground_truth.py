"""What must become of each instance, from the writes that reached the other region alone.

For each instance the surviving writes are played once more. Of one that waits for an event, the rule then decides that
was checked against the real engine on 879 such states of such an orchestration:

    history ended                     done, whatever the queues and the status row say
    row terminal, nothing queued      done: the row is written last and holds the result, which is what its client is
                                      shown, although the history may have to be closed
    no history                        runs only with its start message and a status row of the same execution
    history open                      goes on only if an event is queued, or can still be raised: that takes a status
                                      row

For other workflows so much is certain from the writes:

    no write of it, its children      it completes, with its right result
    or its entities was lost
    nothing of it arrived             lost

What lies between is foretold by the doctor's rules (`foretold`), from the promoted hub before any host has started on
it; those rules are checked against recordings of the real engine, and here against what the host then does. That is
less independent than a rule of its own would be: the doctor reads the tables and queues, the verdict is found from what
the host made of them, and only the rules' opinion of what moves is the thing compared.

The verdict is found without any of this, and then compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from lab.drills.mix import FIRST
from lab.drills.timeline import message_of
from taskhub.accounts import Entity
from taskhub.accounts.replication import LoggedWrite
from taskhub.instances import RUNNING_STATES, TERMINAL_STATES
from taskhub.layout import SENTINEL, HubNames
from taskhub.messages import EVENT_RAISED, EXECUTION_STARTED, TaskMessage

Fate = Literal["completed before", "completed", "wrong", "lost", "stuck"]
EventFate = Literal["applied", "lost"]


@dataclass(frozen=True)
class Truth:
    """What must become of an instance, and why; `event` is about the event raised before the loss, if one was.

    `or_else`: what may become of it instead, where the state alone does not decide. `events_lost`: how many of the
    events that its client raised the copy does not hold.
    """

    fate: Fate
    event: EventFate
    why: str = ""
    or_else: tuple[Fate, ...] = ()
    events_lost: int = 0


@dataclass
class State:
    """What one instance consists of on the promoted account, before any host runs there."""

    row: Entity | None = None
    history: dict[str, Entity] = field(default_factory=dict)
    messages: dict[str, TaskMessage] = field(default_factory=dict)

    def has_event(self, kind: str) -> bool:
        """Whether the history holds an event of that type."""
        return any(entity.get("EventType") == kind for entity in self.history.values())

    @property
    def start(self) -> TaskMessage | None:
        """The queued start message."""
        return next((found for found in self.messages.values() if found.kind == EXECUTION_STARTED), None)

    @property
    def event_is_queued(self) -> bool:
        return any(found.kind == EVENT_RAISED for found in self.messages.values())

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it is there that could ever run."""
        return self.row is None and not self.history and self.start is None

    @property
    def marked_events(self) -> int:
        """How many of the events raised before the loss are in the history or in a queue."""
        raised = [str(x.get("Input")) for x in self.history.values() if x.get("EventType") == "EventRaised"]
        queued = [str(x.event.get("Input")) for x in self.messages.values() if x.kind == EVENT_RAISED]
        return len({text for text in (*raised, *queued) if FIRST in text})


def play(writes: Iterable[LoggedWrite], names: HubNames) -> State:
    """The state that these writes of one instance leave behind."""
    state = State()
    for write in writes:
        if write.service == "queue":
            _play_message(state, write)
        elif write.service == "table" and write.name == names.instances:
            state.row = write.entity()
        elif write.service == "table" and write.name == names.history and write.key != SENTINEL:
            entity = write.entity()
            state.history.pop(write.key, None)
            state.history |= {write.key: entity} if entity else {}
    return state


def _play_message(state: State, write: LoggedWrite) -> None:
    if write.change == "deleted":
        state.messages.pop(write.key, None)
    elif found := message_of(write):
        state.messages[write.key] = found


def decide(state: State) -> Truth:
    """The rule for an instance that waits for one event."""
    if state.has_event("ExecutionCompleted"):
        return Truth("completed before", "applied")
    if state.history and state.event_is_queued:
        return Truth("completed", "applied")
    if state.row is not None and state.row.get("RuntimeStatus") in TERMINAL_STATES:
        return Truth("completed before", "applied")
    if not state.history:
        return _without_history(state)
    if state.row is None:
        return Truth("stuck", "lost", "waits, but without its status row no event can be raised")
    if state.row.get("RuntimeStatus") not in RUNNING_STATES:
        return Truth("stuck", "lost", "waits, but its status row has no status, so no event can be raised")
    return Truth("completed", "lost")


def _without_history(state: State) -> Truth:
    if state.row is None:
        return Truth("lost", "lost", "its status row and its history never arrived")
    if state.start and state.start.execution_id == state.row.get("ExecutionId"):
        return Truth("completed", "applied" if state.event_is_queued else "lost")
    if state.row.get("RuntimeStatus") == "Pending":
        return Truth("stuck", "lost", "its status row waits for a start message that never arrived")
    return Truth("lost", "lost", "its history never arrived, only its status row did")


def certain(state: State, is_whole: bool) -> Truth | None:
    """The rule for any workflow, None where the writes alone do not decide; `is_whole`: no write of it was lost."""
    if is_whole and not state.is_empty:
        return Truth("completed before" if state.has_event("ExecutionCompleted") else "completed", "applied")
    if state.is_empty:
        return Truth("lost", "lost", "nothing of it arrived")
    return None
