"""`historyEvents` are those that the real extension showed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from taskhub import messages
from taskhub.accounts import Account
from taskhub.clock import ManualClock
from taskhub.hub import TaskHub
from taskhub.messages import Event
from taskhub.status_history import history_events, json_value
from tests.taskhub import golden

CLOCK = ManualClock()
TIME, LATER = "2026-01-02T03:04:05.0000000Z", "2026-01-02T03:04:06.0000000Z"


def event(kind: int, event_id: int = -1, **properties: Any) -> Event:
    return messages.event(kind, CLOCK.now(), event_id, **properties)


def later(kind: int, **properties: Any) -> Event:
    return messages.event(kind, CLOCK.now() + timedelta(seconds=1), **properties)


def started(input: str | None = None, generation: int | None = 0) -> Event:
    return messages.execution_started(CLOCK.now(), "a", "e", "shop", input, generation=generation)


def completed(result: str | None, status: int | str = 1) -> Event:
    return event(messages.EXECUTION_COMPLETED, OrchestrationStatus=status, Result=result)


def shown(*events: Event, show_input: bool = True, show_output: bool = True) -> list[str]:
    """As texts, since the order of properties is recorded too."""
    marked = [event(messages.ORCHESTRATOR_STARTED), *events, event(messages.ORCHESTRATOR_COMPLETED)]
    return [json.dumps(document) for document in history_events(marked, show_input, show_output)]


def test_a_start_is_shown_under_its_functions_name() -> None:
    assert shown(started('"{}"')) == [
        '{"EventType": "ExecutionStarted", "Input": "\\"{}\\"", "Correlation": null, "ParentTraceContext": null, '
        f'"ScheduledStartTime": null, "Generation": 0, "Timestamp": "{TIME}", "FunctionName": "shop"}}'
    ]


def test_a_scheduled_task_is_merged_into_its_answer() -> None:
    asked = event(messages.TASK_SCHEDULED, 0, Name="work", Version="", Input=None)
    assert shown(asked, later(messages.TASK_COMPLETED, TaskScheduledId=0, Result='"done"')) == [
        f'{{"EventType": "TaskCompleted", "Result": "done", "Timestamp": "{LATER}", '
        f'"ScheduledTime": "{TIME[:-1]}+00:00", "FunctionName": "work", "Input": null}}'
    ]


def test_a_failed_task_shows_its_reason() -> None:
    asked = event(messages.TASK_SCHEDULED, 0, Name="work", Version="", Input=None)
    assert shown(asked, later(messages.TASK_FAILED, TaskScheduledId=0, Reason="r", Details="d")) == [
        f'{{"EventType": "TaskFailed", "Reason": "r", "Details": "d", "FailureDetails": null, "Timestamp": "{LATER}", '
        f'"ScheduledTime": "{TIME[:-1]}+00:00", "FunctionName": "work", "Input": null}}'
    ]


def test_a_child_is_merged_into_its_answer() -> None:
    asked = event(messages.SUB_CREATED, 0, Name="child", Version="", InstanceId="c", Input=None)
    (done,) = shown(asked, later(messages.SUB_COMPLETED, TaskScheduledId=0, Result="1"))
    assert json.loads(done)["FunctionName"] == "child"
    (failed,) = shown(asked, later(messages.SUB_FAILED, TaskScheduledId=0, Reason="r", Details="d"))
    assert list(json.loads(failed)) == [
        "EventType", "Reason", "Details", "FailureDetails", "Timestamp", "ScheduledTime", "FunctionName", "Input",
    ]  # fmt: skip


def test_a_task_and_a_child_of_the_same_number_are_not_confused() -> None:
    task = event(messages.TASK_SCHEDULED, 0, Name="work", Version="", Input=None)
    child = event(messages.SUB_CREATED, 1, Name="child", Version="", InstanceId="c", Input=None)
    documents = shown(task, child, later(messages.TASK_COMPLETED, TaskScheduledId=0, Result="1"))
    assert [json.loads(text)["EventType"] for text in documents] == ["SubOrchestrationInstanceCreated", "TaskCompleted"]


def test_an_open_task_is_shown_as_scheduled() -> None:
    (text,) = shown(event(messages.TASK_SCHEDULED, 0, Name="work", Version="", Input=None))
    assert list(json.loads(text)) == ["EventType", "Name", "Input", "ParentTraceContext", "Timestamp"]


def test_an_answer_without_its_question_is_shown_without_a_name() -> None:
    (text,) = shown(later(messages.TASK_COMPLETED, TaskScheduledId=7, Result="1"))
    assert list(json.loads(text)) == ["EventType", "Result", "Timestamp"]


@pytest.mark.parametrize(
    ("single", "document"),
    [
        (completed('["Tokyo"]'), {"OrchestrationStatus": "Completed", "Result": ["Tokyo"], "FailureDetails": None}),
        (completed("enough", "Terminated"), {"OrchestrationStatus": "Terminated", "Result": "enough"}),
        (event(messages.EXECUTION_TERMINATED, Input="enough"), {"Input": "enough"}),
        (event(messages.EXECUTION_SUSPENDED, Reason="s"), {"Reason": "s"}),
        (event(messages.EXECUTION_RESUMED, Reason="r"), {"Reason": "r"}),
        (event(messages.EVENT_RAISED, Name="Go", Input="1"), {"Name": "Go", "Input": "1", "ParentTraceContext": None}),
        (event(messages.EVENT_SENT, 0, InstanceId="@c@k", Name="op", Input="{}"), {"InstanceId": "@c@k", "Name": "op"}),
        (event(messages.TIMER_CREATED, 0, FireAt=LATER), {"FireAt": LATER}),
        (event(messages.TIMER_FIRED, TimerId=0, FireAt=LATER), {"FireAt": LATER}),
        (event(messages.GENERIC, Data="again"), {"Data": "again"}),
        (event(messages.GENERIC, 0, Name="work", Reason="Rewound: TaskScheduled"), {"Data": None}),
    ],
)
def test_an_event_shows_what_the_extension_shows(single: Event, document: dict[str, Any]) -> None:
    (text,) = shown(single)
    found = json.loads(text)
    assert document.items() <= found.items() and found["Timestamp"] == TIME
    assert found.keys().isdisjoint({"EventId", "IsPlayed", "TimerId", "TaskScheduledId", "Version"})


def test_results_are_shown_only_when_asked_for() -> None:
    asked = event(messages.TASK_SCHEDULED, 0, Name="work", Version="", Input=None)
    events = (started(), asked, later(messages.TASK_COMPLETED, TaskScheduledId=0, Result="1"), completed("1"))
    assert not any("Result" in text for text in shown(*events, show_output=False))


def test_inputs_are_left_out_when_nobody_asks() -> None:
    asked = event(messages.TASK_SCHEDULED, 0, Name="work", Version="", Input=None)
    events = (started("1"), asked, later(messages.TASK_COMPLETED, TaskScheduledId=0, Result="1"))
    assert not any("Input" in text for text in shown(*events, show_input=False))


def test_a_later_generation_shows_no_number() -> None:
    assert json.loads(shown(started(generation=None))[0])["Generation"] is None


async def test_a_recorded_history_is_shown_as_recorded(account: Account) -> None:
    hub = TaskHub(account, await golden.load(account, "18"))
    documents = history_events((await hub.read_history("order-1")).events, True, True)
    kinds = ["ExecutionStarted", *["GenericEvent"] * 3]
    assert [document["EventType"] for document in documents] == kinds
    assert [list(document) for document in documents[1:]] == [["Data", "EventType", "Timestamp"]] * 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, None),
        ("", ""),
        ("  ", ""),
        ("null", None),
        (" 123 ", 123),
        ('"123"', "123"),
        ('{"a": [1]}', {"a": [1]}),
        ("an error text", "an error text"),
        ("NaN", "NaN"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_stored_text_is_shown_as_json_when_it_is_json(text: str | None, value: object) -> None:
    assert json_value(text) == value
