"""The inbox, event data and times, on a host that buffers events and on one that behaves as the real extension."""

from datetime import datetime, timedelta, timezone
from typing import Any

import azure.durable_functions as df
import pytest

from tests.workflows.driver import FUNCTIONS, World
from workflows import orchestration
from workflows.orchestration import TIME_OVER, Inbox, Steps


def slow_reader(context: df.DurableOrchestrationContext) -> Steps:
    """Reads three events with an activity after each, then begins again with what came meanwhile."""
    state: Any = context.get_input() or {"unread": None, "read": []}
    inbox = Inbox(context, "item", state["unread"], timedelta(minutes=1))
    read = list(state["read"])
    for _ in range(3):
        event = yield from inbox.next(context.current_utc_datetime + timedelta(minutes=30))
        if event is TIME_OVER:
            return read
        read.append(event)
        yield from inbox.during(context.call_activity("pause", None))
    context.continue_as_new({"unread": (yield from inbox.carry()), "read": read})
    return None


@pytest.fixture(params=[False, True], ids=["buffered", "as azure"])
def hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    handle = df.Blueprint().orchestration_trigger(context_name="context")(slow_reader)._function._func
    monkeypatch.setitem(FUNCTIONS["orchestrationTrigger"], "slow_reader", handle)
    return World(replace={"pause": lambda _: None}, as_azure=request.param)


def test_no_event_is_lost_or_read_twice_over_generations(hub: World) -> None:
    hub.start("slow_reader", None, "S")
    for number in range(50):
        hub.raise_event("S", "item", number)
        if number % 7 == 3:
            hub.settle()
    hub.pass_time(timedelta(hours=2))
    assert hub.instances["S"].output == list(range(50))
    assert hub.instances["S"].generations >= 17


def test_events_that_come_while_an_activity_runs_are_kept_in_order(hub: World) -> None:
    sent = iter(range(1, 9))
    hub.start("slow_reader", None, "S")
    hub.replaced["pause"] = lambda _: [hub.raise_event("S", "item", n) for n in (next(sent, None),) if n is not None]
    hub.raise_event("S", "item", 0)
    hub.pass_time(timedelta(hours=2))
    assert hub.instances["S"].output == list(range(9))


def test_waiting_longer_than_the_longest_timer_takes_several_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(context: df.DurableOrchestrationContext) -> Steps:
        over = yield from Inbox(context, "item").next(context.current_utc_datetime + timedelta(days=12))
        return over is TIME_OVER

    handle = df.Blueprint().orchestration_trigger(context_name="context")(waits)._function._func
    monkeypatch.setitem(FUNCTIONS["orchestrationTrigger"], "waits", handle)
    instance = World().run("waits")
    assert instance.output is True
    assert [leaf.action["fireAt"][:10] for leaf in instance.leaves if leaf.action["actionType"] == 5] == [
        "2026-01-10",
        "2026-01-15",
        "2026-01-17",
    ]


def test_a_failed_activity_raises_in_during(monkeypatch: pytest.MonkeyPatch) -> None:
    def asks(context: df.DurableOrchestrationContext) -> Steps:
        try:
            yield from Inbox(context, "item").during(context.call_activity("pause", None))
        except Exception as error:
            return orchestration.failure_reason(error)
        return "no failure"

    handle = df.Blueprint().orchestration_trigger(context_name="context")(asks)._function._func
    monkeypatch.setitem(FUNCTIONS["orchestrationTrigger"], "asks", handle)

    def fail(_: Any) -> None:
        raise ValueError("boom: again")

    assert World(replace={"pause": fail}).run("asks").output == "ValueError: boom: again"


@pytest.mark.parametrize(
    "received, meant",
    [('{"a": 1}', {"a": 1}), ('"x"', "x"), ("null", None), ("x", "x"), ({"a": 1}, {"a": 1}), (5, 5), (None, None)],
)
def test_event_data_is_understood_encoded_once_or_twice(received: Any, meant: Any) -> None:
    assert orchestration.event_data(received) == meant


def test_event_data_nested_without_end_stays_text() -> None:
    assert orchestration.event_data("[" * 200_000) == "[" * 200_000


def test_times_are_written_and_read_in_utc() -> None:
    moment = datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=timezone.utc)
    assert orchestration.from_iso(orchestration.iso(moment)) == moment
    assert orchestration.from_iso("2026-01-31t13:00:00+01:00") == datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
    assert orchestration.from_iso("2026-01-31T12:00:00.1234567Z").microsecond == 123456
    assert orchestration.from_iso("2026-01-31T12:00:00.5Z").microsecond == 500_000
    with pytest.raises(ValueError):
        orchestration.from_iso("2026-01-31T12:00:00")
