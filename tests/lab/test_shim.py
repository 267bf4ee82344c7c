"""The shim's rules, one by one: which numbers tasks get, what completes what, and when an execution ends."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from lab.determinism import NonDeterministic
from lab.shim import Shim
from taskhub import messages
from taskhub.messages import Event

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=timezone.utc)
STARTED = messages.execution_started(NOW, "i", "e", "orchestrator", None)
BEGIN: list[Event] = [messages.event(messages.ORCHESTRATOR_STARTED, NOW), STARTED]


class EveryFunction:
    """An app that has every function but those whose name begins with 'no'."""

    def activity(self, name: str) -> object | None:
        return None if name.startswith("no") else name

    orchestrator = entity = activity

    def no_entity(self, name: str) -> str:
        return f"there is no {name}"


def shim(*actions: dict[str, Any], done: bool = False, output: str | None = None) -> Shim:
    found = Shim("orchestrator", "i", "e", None, EveryFunction())
    found.answer(actions, done, output, None)
    found.feed(BEGIN)
    found.conclude()
    return found


def activity(name: str = "work", input: Any = "1") -> dict[str, Any]:
    return {"actionType": 0, "functionName": name, "input": input}


def retried(attempts: int, pause: int = 1000) -> dict[str, Any]:
    options = {"firstRetryIntervalInMilliseconds": pause, "maxNumberOfAttempts": attempts}
    return {"actionType": 1, "functionName": "flaky", "input": "1", "retryOptions": options}


def child(instance_id: str | None = None, name: str = "child") -> dict[str, Any]:
    return {"actionType": 2, "functionName": name, "input": "1", "instanceId": instance_id}


def timer(seconds: float, cancelled: bool = False) -> dict[str, Any]:
    fire_at = (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"actionType": 5, "fireAt": fire_at, "isCanceled": cancelled}


def wait(name: str) -> dict[str, Any]:
    return {"actionType": 6, "externalEventName": name, "reason": "ExternalEvent"}


def signal(entity: str = "@counter@k") -> dict[str, Any]:
    return {"actionType": 9, "instanceId": entity, "operation": "add", "input": "1"}


def every(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"actionType": 12, "compoundActions": list(parts)}


def first(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"actionType": 11, "compoundActions": list(parts)}


def completed(number: int, result: str = "null") -> Event:
    return messages.event(messages.TASK_COMPLETED, NOW, TaskScheduledId=number, Result=result)


def failed(number: int) -> Event:
    return messages.event(messages.TASK_FAILED, NOW, TaskScheduledId=number, Reason="no", Details=None)


def fired(number: int) -> Event:
    return messages.event(messages.TIMER_FIRED, NOW, TimerId=number, FireAt=messages.timestamp(NOW))


def raised(name: str) -> Event:
    return messages.event(messages.EVENT_RAISED, NOW, Name=name, Input="1")


def new(found: Shim) -> list[tuple[str, int]]:
    """The new actions as (kind, number), taken as issued."""
    taken = [(action.kind, action.id) for action in found.take_scheduled()]
    found.confirm()
    return taken


def test_tasks_are_numbered_in_the_order_they_are_scheduled_through_compounds() -> None:
    found = shim(signal(), every(activity(), first(wait("x"), timer(5)), child()))
    assert new(found) == [("event", 0), ("activity", 1), ("timer", 2), ("child", 3)]


def test_the_next_action_waits_for_the_one_before() -> None:
    found = shim(activity("a"), activity("b"))
    assert new(found) == [("activity", 0)]
    found.feed([completed(0)])
    assert new(found) == [("activity", 1)]


def test_an_execution_ends_only_when_nothing_it_scheduled_is_open() -> None:
    found = shim(first(activity(), timer(30)), done=True, output='"ok"')
    found.feed([completed(0)])
    found.conclude()
    assert found.outcome is None
    found.feed([fired(1)])
    found.conclude()
    assert found.outcome is not None and (found.outcome.status, found.outcome.result) == ("Completed", '"ok"')


def test_a_cancelled_timer_holds_nothing_open() -> None:
    found = shim(first(activity(), timer(30)))
    found.feed([completed(0)])
    found.answer([], True, '"ok"', None, cancelled_timers=[1])
    found.feed([])
    found.conclude()
    assert found.outcome is not None and found.outcome.status == "Completed"


def test_a_retry_pauses_after_every_failure_also_the_last() -> None:
    found = shim(retried(2))
    seen = [new(found)]
    for event in (failed(0), fired(1), failed(2), fired(3)):
        found.feed([event])
        seen.append(new(found))
    assert seen == [[("activity", 0)], [("timer", 1)], [("activity", 2)], [("timer", 3)], []]
    found.answer([], True, None, None)
    found.feed([])
    found.conclude()
    assert found.outcome is not None


def test_an_early_event_is_kept_for_one_wait_in_any_letters() -> None:
    found = shim(activity(), wait("Go"), wait("go"), done=True, output='"two"')
    found.feed([raised("GO"), completed(0)])
    found.conclude()
    assert found.outcome is None  # the second wait has no event, whatever Python says
    found.feed([raised("go")])
    found.conclude()
    assert found.outcome is not None


def test_the_newest_wait_of_a_name_gets_the_event() -> None:
    found = shim(first(wait("Go"), activity()), wait("Go"), activity("after"))
    found.feed([completed(0)])
    new(found)
    found.feed([raised("Go")])
    assert new(found) == [("activity", 1)]


@pytest.mark.parametrize("action", [activity("nosuch"), child(name="nosuch"), child("i"), child("@c@k")])
def test_what_the_extension_refuses_inside_an_action_leaves_python_waiting(action: dict[str, Any]) -> None:
    found = shim(action)
    found.conclude()
    assert (new(found), found.outcome) == ([], None)


def test_signalling_an_unknown_entity_fails_the_orchestrator() -> None:
    found = shim(signal("@nosuch@k"))
    assert found.outcome is not None
    assert found.outcome.result == "Orchestrator function 'orchestrator' failed: there is no nosuch"


def test_a_suspended_execution_takes_answers_in_and_starts_nothing_until_resumed() -> None:
    found = shim(activity("a"), activity("b"))
    new(found)
    found.feed([messages.event(messages.EXECUTION_SUSPENDED, NOW, Reason="r"), completed(0)])
    assert new(found) == []
    found.feed([messages.event(messages.EXECUTION_RESUMED, NOW, Reason="r")])
    assert new(found) == [("activity", 1)]


def test_termination_ends_an_execution_with_open_tasks_and_the_reason() -> None:
    found = shim(activity())
    found.feed([messages.event(messages.EXECUTION_TERMINATED, NOW, Input="why")])
    assert found.outcome is not None and (found.outcome.status, found.outcome.result) == ("Terminated", "why")


def test_events_after_continue_as_new_go_to_the_next_generation() -> None:
    found = shim({"actionType": 4, "input": "2"}, done=True)
    found.feed([raised("late")])
    assert [event["Name"] for event in found.carried] == ["late"]
    assert found.outcome is not None and (found.outcome.status, found.outcome.result) == ("ContinuedAsNew", '"2"')


def replayed(event: Event, *actions: dict[str, Any]) -> Shim:
    found = Shim("orchestrator", "i", "e", None, EveryFunction())
    found.answer(actions, False, None, None)
    found.feed([*BEGIN, event])
    return found


def test_a_replay_that_does_what_the_history_says_schedules_nothing_again() -> None:
    event = messages.event(messages.TASK_SCHEDULED, NOW, 0, Name="WORK", Version="", Input=None)
    assert new(replayed(event, activity("work"))) == []


@pytest.mark.parametrize(
    ("event", "actions", "text"),
    [
        (messages.event(messages.TASK_SCHEDULED, NOW, 0, Name="a", Version=""), [], "hasn't (yet?) scheduled"),
        (messages.event(messages.TASK_SCHEDULED, NOW, 0, Name="a", Version=""), [activity("b")], "named 'b'"),
        (messages.event(messages.TASK_SCHEDULED, NOW, 0, Name="a", Version=""), [timer(1)], "CreateTimerOrch"),
        (messages.event(messages.TIMER_CREATED, NOW, 0, FireAt=""), [activity("a")], "ScheduleTaskOrch"),
        (messages.event(messages.SUB_CREATED, NOW, 0, Name="c", InstanceId="x"), [activity("c")], "sub-orchestration"),
    ],
)
def test_a_replay_that_differs_from_the_history_is_refused(
    event: Event, actions: list[dict[str, Any]], text: str
) -> None:
    with pytest.raises(NonDeterministic, match=text.replace("(", r"\(").replace(")", r"\)").replace("?", r"\?")):
        replayed(event, *actions)


def test_an_entity_call_sent_by_another_host_is_answered_under_the_id_it_was_sent_with() -> None:
    call = {"actionType": 7, "instanceId": "@counter@k", "operation": "get", "input": "null"}
    sent = messages.event(messages.EVENT_SENT, NOW, 0, InstanceId="@counter@k", Name="op", Input='{"id": "theirs"}')
    found = replayed(sent, call, activity("after"))
    found.feed([raised("theirs")])
    assert new(found) == [("activity", 1)]
