"""The `historyEvents` of a status document, made of an instance's history as the extension makes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from taskhub import messages
from taskhub.history import STATUS_NAMES
from taskhub.messages import Event

# What is shown of each kind, in the order of the extension's documents; "Result" and "Input" only when asked for.
_SHOWN: dict[int, tuple[str, ...]] = {
    messages.EXECUTION_STARTED: (
        "EventType", "Input", "Correlation", "ParentTraceContext", "ScheduledStartTime", "Generation",
    ),
    messages.EXECUTION_COMPLETED: ("EventType", "OrchestrationStatus", "Result", "FailureDetails"),
    messages.EXECUTION_TERMINATED: ("EventType", "Input"),
    messages.TASK_SCHEDULED: ("EventType", "Name", "Input", "ParentTraceContext"),
    messages.TASK_COMPLETED: ("EventType", "Result"),
    messages.TASK_FAILED: ("EventType", "Reason", "Details", "FailureDetails"),
    messages.SUB_CREATED: ("EventType", "Name", "InstanceId", "Input", "ClientSpanId"),
    messages.SUB_COMPLETED: ("EventType", "Result"),
    messages.SUB_FAILED: ("EventType", "Reason", "Details", "FailureDetails"),
    messages.TIMER_CREATED: ("EventType", "FireAt"),
    messages.TIMER_FIRED: ("EventType", "FireAt"),
    messages.EVENT_SENT: ("EventType", "InstanceId", "Name", "Input"),
    messages.EVENT_RAISED: ("EventType", "Name", "Input", "ParentTraceContext"),
    messages.GENERIC: ("Data", "EventType"),
    messages.EXECUTION_SUSPENDED: ("EventType", "Reason"),
    messages.EXECUTION_RESUMED: ("EventType", "Reason"),
}  # fmt: skip
_MARKERS = (messages.ORCHESTRATOR_STARTED, messages.ORCHESTRATOR_COMPLETED)
_ANSWERED_BY = {
    messages.TASK_COMPLETED: messages.TASK_SCHEDULED,
    messages.TASK_FAILED: messages.TASK_SCHEDULED,
    messages.SUB_COMPLETED: messages.SUB_CREATED,
    messages.SUB_FAILED: messages.SUB_CREATED,
}


def history_events(events: Iterable[Event], show_input: bool, show_output: bool) -> list[dict[str, Any]]:
    """The events as a status document shows them: a scheduled task is merged into its answer."""
    shown = [event for event in events if event["EventType"] not in _MARKERS]
    asked = {
        (event["EventType"], event["EventId"]): event
        for event in shown
        if event["EventType"] in (messages.TASK_SCHEDULED, messages.SUB_CREATED)
    }
    answered = {key for event in shown if (key := _question(event)) in asked}
    return [
        _document(event, asked, show_input, show_output)
        for event in shown
        if (event["EventType"], event["EventId"]) not in answered
    ]


def _question(event: Event) -> tuple[int, int] | None:
    kind = _ANSWERED_BY.get(event["EventType"])
    return None if kind is None else (kind, event.get("TaskScheduledId", -1))


def _document(
    event: Event, asked: Mapping[tuple[int, int], Event], show_input: bool, show_output: bool
) -> dict[str, Any]:
    kind = event["EventType"]
    document: dict[str, Any] = {}
    for name in _SHOWN.get(kind, ("EventType",)):
        if (name == "Input" and not show_input) or (name == "Result" and not show_output):
            continue
        document[name] = _shown(name, event)
    document["Timestamp"] = event["Timestamp"]
    if kind == messages.EXECUTION_STARTED:
        document["FunctionName"] = event.get("Name")
    question = _question(event)
    if question is not None and (scheduled := asked.get(question)):
        document["ScheduledTime"] = event_time(scheduled)
        document["FunctionName"] = scheduled.get("Name")
        if show_input:
            document["Input"] = scheduled.get("Input")
    return document


def _shown(name: str, event: Event) -> Any:
    value = event.get(name)
    if name == "EventType":
        return messages.EVENT_NAMES[event["EventType"]]
    if name == "OrchestrationStatus":
        return STATUS_NAMES.get(value, value) if isinstance(value, int) else value
    return json_value(value) if name == "Result" else value


def event_time(event: Event) -> str:
    """An event's time with an offset instead of Z, as the extension shows the time a task was scheduled."""
    return str(event["Timestamp"]).removesuffix("Z") + "+00:00"


def json_value(text: str | None) -> Any:
    """A stored text as a value: null, JSON, or the text itself when it is no JSON; blanks alone are an empty text."""
    if text is None:
        return None
    if not text.strip():
        return ""
    try:
        return json.loads(text, parse_constant=str)  # NaN and Infinity become texts, as .NET writes them
    except (ValueError, RecursionError):
        return text
