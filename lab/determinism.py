"""Holds an event of the history against what the code, replayed, scheduled under the same number.

The texts are those of DurableTask.Core 2.17.1 (TaskOrchestrationContext), which users search for.
"""

from __future__ import annotations

from typing import Protocol

from taskhub import messages
from taskhub.messages import Event

_CHANGED = "Was a change made to the orchestrator code after this instance had already started running?"
_KINDS = {
    messages.TASK_SCHEDULED: "activity",
    messages.TIMER_CREATED: "timer",
    messages.SUB_CREATED: "child",
    messages.EVENT_SENT: "event",
}
_CLASSES = {
    "activity": "ScheduleTaskOrchestratorAction",
    "timer": "CreateTimerOrchestratorAction",
    "child": "CreateSubOrchestrationAction",
    "event": "SendEventOrchestratorAction",
}


class NonDeterministic(Exception):
    """The history holds what the code, replayed, did not do."""


class Action(Protocol):
    """What the code scheduled."""

    kind: str
    name: str


def check(event: Event, action: Action | None) -> None:
    """NonDeterministic: the code scheduled nothing under the event's number, or something else."""
    number, kind = event["EventId"], _KINDS[event["EventType"]]
    opening = f"A previous execution of this orchestration scheduled {_article(kind)}"
    name = event.get("Name")
    if action is None:
        raise NonDeterministic(
            f"{opening} {_in_full(event, kind, number)} but the current replay execution hasn't (yet?) scheduled this "
            f"task. {_CHANGED}"
        )
    if action.kind != kind:
        middle, place = _other_kind(event, kind, number)
        raise NonDeterministic(
            f"{opening} {middle} a {_CLASSES[action.kind]} {'task' if kind == 'event' else 'action'} {place} this "
            f"sequence number. {_CHANGED}"
        )
    if kind == "timer" or (name or "").lower() == action.name.lower():
        return
    raise NonDeterministic(f"{opening} {_other_name(event, kind, number, action.name)}")


def _article(kind: str) -> str:
    return {
        "activity": "an activity task", "timer": "a timer task", "child": "a sub-orchestration task",
        "event": "a send event task",
    }[kind]  # fmt: skip


def _in_full(event: Event, kind: str, number: int) -> str:
    name, version = event.get("Name"), event.get("Version") or ""
    if kind == "timer":
        return f"with sequence number {number}"
    if kind == "activity":
        return f"with sequence ID {number} and name '{name}' (version '{version}'),"
    if kind == "child":
        instance_id = event.get("InstanceId")
        return f"with sequence ID {number} and name '{name}' (version '{version}', instance ID '{instance_id}'),"
    return f"with sequence ID {number}, type 'EventSent' name '{name}', instance ID '{event.get('InstanceId')}',"


def _other_kind(event: Event, kind: str, number: int) -> tuple[str, str]:
    instead = "but the current orchestration replay instead"
    if kind == "activity":
        return f"with sequence number {number} named '{event.get('Name')}', {instead} produced", "with"
    if kind == "timer":
        return f"with sequence number {number} named {instead} produced", "with"
    if kind == "child":
        return f"{_in_full(event, kind, number)} {instead} produced", "at"
    return f"{_in_full(event, kind, number).replace(' name', ', name', 1)} {instead} scheduled", "at"


def _other_name(event: Event, kind: str, number: int, name: str) -> str:
    instead = "but the current orchestration replay instead scheduled"
    if kind == "activity":
        # Two blanks before the question, as in the original.
        return (
            f"with sequence number {number} named '{event.get('Name')}', {instead} an activity task named '{name}' "
            f"with this sequence number.  {_CHANGED}"
        )
    if kind == "child":
        return (
            f"{_in_full(event, kind, number)} {instead} a sub-orchestration task with name {name} at this sequence "
            f"number. {_CHANGED}"
        )
    return (
        f"{_in_full(event, kind, number)} {instead} a send event task with name {name} at this sequence number. "
        f"{_CHANGED}"
    )
