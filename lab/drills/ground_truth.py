"""What must become of each instance, from the writes that reached the other region alone.

For each instance the surviving writes are played once more; then the rule decides that was checked against the real
engine on 879 such states of an orchestration that waits for an event:

    history ended                     done, whatever the queues and the status row say
    no history                        runs only with its start message and a status row of the same execution
    history open                      goes on only if an event is queued, or can still be raised: that takes a status
                                      row that is not terminal

Nobody else may use this module's knowledge: the verdict is found without it, and then compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from lab.drills.timeline import message_of
from taskhub.accounts import Entity
from taskhub.accounts.replication import LoggedWrite
from taskhub.instances import RUNNING_STATES
from taskhub.layout import SENTINEL, HubNames
from taskhub.messages import EVENT_RAISED, EXECUTION_STARTED, TaskMessage

Fate = Literal["completed before", "completed", "lost", "stuck"]
EventFate = Literal["applied", "lost"]


@dataclass(frozen=True)
class Truth:
    """What must become of an instance, and why; `event` is about the event raised before the loss, if one was."""

    fate: Fate
    event: EventFate
    why: str = ""


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
    """The rule."""
    if state.has_event("ExecutionCompleted"):
        return Truth("completed before", "applied")
    if not state.history:
        return _without_history(state)
    if state.event_is_queued:
        return Truth("completed", "applied")
    if state.row is None:
        return Truth("stuck", "lost", "waits, but without its status row no event can be raised")
    if state.row.get("RuntimeStatus") not in RUNNING_STATES:
        return Truth("stuck", "lost", "waits, but its status row says it has ended, so no event can be raised")
    return Truth("completed", "lost")


def _without_history(state: State) -> Truth:
    if state.row is None:
        return Truth("lost", "lost", "its status row and its history never arrived")
    if state.start and state.start.execution_id == state.row.get("ExecutionId"):
        return Truth("completed", "applied" if state.event_is_queued else "lost")
    if state.row.get("RuntimeStatus") == "Pending":
        return Truth("stuck", "lost", "its status row waits for a start message that never arrived")
    return Truth("lost", "lost", "its history never arrived, only its status row did")
