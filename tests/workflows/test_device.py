"""Devices: readings that count once, limits, heartbeats, the watch that tells; and the counter."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workflows.conftest import Outside
from tests.workflows.driver import START, World
from tests.workflows.endpoints import Answer, call
from workflows import device, device_state
from workflows.orchestration import iso
from workflows.responses import InvalidInput

D = {"id": "d-1"}
LIMITS = {"low": 2, "high": 8, "heartbeat_seconds": 60}


def reading(number: int, value: float = 5, seconds: float | None = None) -> dict[str, Any]:
    at = START + timedelta(seconds=number * 60 if seconds is None else seconds)
    return {"id": f"r-{number}", "at": iso(at), "value": value}


def report(hub: World, number: int, value: float = 5, seconds: float | None = None) -> Answer:
    return call(hub, "add_reading", reading(number, value, seconds), route=D)


@pytest.fixture
def hub(outside: Outside) -> World:
    hub = World(as_azure=True)
    call(hub, "set_limits", LIMITS, route=D)
    return hub


def watch(hub: World, **changes: Any) -> None:
    assert call(hub, "watch_device", {"notify": "ops", **changes}, route=D).status == 202
    hub.settle()


def mails(outside: Outside) -> list[str]:
    return [mail["text"] for mail in outside.world.state["messages"]]


def test_the_state_has_last_min_max_and_mean(hub: World) -> None:
    for number, value in enumerate((4, 8, 3)):
        assert report(hub, number, value).status == 202
    state = call(hub, "get_device", route=D).body
    assert (state["last"], state["min"], state["max"], state["mean"], state["readings"]) == (3, 3, 8, 5, 3)


def test_a_reading_sent_twice_counts_once(hub: World) -> None:
    for _ in range(2):
        report(hub, 1, 4)
    assert call(hub, "get_device", route=D).body["readings"] == 1


def test_a_late_reading_takes_its_place_and_the_newest_stays_last(hub: World) -> None:
    report(hub, 2, 6)
    report(hub, 1, 4)
    assert call(hub, "get_device", route=D).body["last"] == 6


def test_the_window_keeps_sixty_readings_and_the_count_goes_on(hub: World) -> None:
    for number in range(70):
        report(hub, number, number % 7 + 1)
    state = call(hub, "get_device", route=D).body
    assert (state["window"], state["readings"]) == (60, 70)


def test_missed_heartbeats_are_counted_between_readings_and_since_the_last() -> None:
    state = device_state.set_limits(device_state.new(), LIMITS)
    for number in (0, 1, 5):
        state = device_state.add_reading(state, reading(number))
    seen = device_state.summary(state, START + timedelta(minutes=5, seconds=59))
    assert (seen["missed_heartbeats_in_all"], seen["missed_heartbeats"]) == (3, 0)
    assert device_state.summary(state, START + timedelta(minutes=8))["missed_heartbeats"] == 2


def test_a_device_that_never_reported_is_404_and_a_deleted_one_again(hub: World) -> None:
    assert call(hub, "get_device", route={"id": "d-2"}).status == 404
    report(hub, 1)
    assert call(hub, "delete_device", route=D).status == 202
    assert call(hub, "get_device", route=D).status == 404


def test_an_alarm_is_told_once_however_often_the_reading_is_sent(hub: World, outside: Outside) -> None:
    watch(hub)
    for _ in range(2):
        answer = report(hub, 1, 9)
        hub.settle()
    assert answer.body["alarm"] == "9 is above 8" and answer.body["watched"]
    assert mails(outside) == ["9 is above 8"]


def test_alarms_that_come_all_at_once_are_all_told(hub: World, outside: Outside) -> None:
    watch(hub)
    for number in range(45):
        report(hub, number, 1)
    hub.settle()
    assert len(mails(outside)) == 45
    assert hub.instances["watch-d-1"].generations == 1


def test_an_alarm_nobody_watches_is_answered_so(hub: World) -> None:
    assert report(hub, 1, 1).body == {"reading": reading(1, 1), "alarm": "1 is below 2", "watched": False}


def test_a_silence_is_told_once_and_the_next_one_again(hub: World, outside: Outside) -> None:
    watch(hub, look_every_seconds=30)
    report(hub, 0)
    hub.pass_time(timedelta(minutes=10))
    assert len(mails(outside)) == 1
    report(hub, 1, seconds=600)
    hub.pass_time(timedelta(minutes=10))
    assert len(mails(outside)) == 2 and mails(outside)[0].startswith("no reading since 2026-01-05T08:00:00")


def test_a_device_has_one_watch_and_it_can_be_stopped(hub: World) -> None:
    watch(hub)
    watch(hub)
    assert len(hub.instances) == 1
    hub.raise_event("watch-d-1", "alarm", {"stop": True})
    hub.settle()
    assert hub.instances["watch-d-1"].output["status"] == "stopped"


def test_nonsense_for_the_watch_changes_nothing(hub: World, outside: Outside) -> None:
    watch(hub)
    for nonsense in (None, "x", 5, [1]):
        hub.raise_event("watch-d-1", "alarm", nonsense)
    hub.settle()
    assert mails(outside) == [] and hub.instances["watch-d-1"].status == "Running"


@pytest.mark.parametrize(
    "data, field",
    [
        ({}, "value"),
        ({"value": "4"}, "value"),
        ({"value": 1, "at": "yesterday"}, "at"),
        ({"value": 1, "at": "2026-01-31T12:00:00"}, "at"),
        ({"value": 1, "unit": "C"}, "unit"),
    ],
)
def test_a_reading_with_something_wrong_is_refused(hub: World, data: Any, field: str) -> None:
    assert call(hub, "add_reading", data, route=D).fields() == [field]


def test_limits_the_wrong_way_round_are_refused(hub: World) -> None:
    assert call(hub, "set_limits", {"low": 5, "high": 4}, route=D).fields() == ["high"]


def test_a_watch_needs_a_device_and_takes_no_list(hub: World) -> None:
    assert call(hub, "watch_device", [1], route=D).status == 400
    with pytest.raises(InvalidInput):
        device.check({"device": "a b"})


def test_an_operation_a_device_does_not_know_is_an_error_and_changes_nothing(hub: World) -> None:
    report(hub, 1)
    before = hub.entities["@device@d-1"]
    assert hub.entity("@device@d-1", "explode", "null")["isError"] and hub.entities["@device@d-1"] == before


def test_a_counter_counts_each_addition_once(hub: World) -> None:
    assert call(hub, "get_counter", route={"key": "c"}).status == 404
    for addition in ({"add": 5, "id": "a"}, {"add": 5, "id": "a"}, {}, {"add": -2}):
        assert call(hub, "add_to_counter", addition, route={"key": "c"}).status == 202
    assert call(hub, "get_counter", route={"key": "c"}).body == {"value": 4}
    call(hub, "delete_counter", route={"key": "c"})
    assert call(hub, "get_counter", route={"key": "c"}).status == 404


@given(st.permutations(list(range(12))))
def test_readings_in_any_order_give_the_same_summary(order: list[int]) -> None:
    state = device_state.set_limits(device_state.new(), LIMITS)
    for number in order:
        state = device_state.add_reading(state, reading(number, number))
    seen = device_state.summary(state, datetime(2026, 1, 5, 8, 11, tzinfo=timezone.utc))
    assert (seen["last"], seen["min"], seen["max"], seen["mean"]) == (11, 0, 11, 5.5)
