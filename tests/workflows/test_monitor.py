"""The monitor: met, deadline, stopped; its growing interval; its history that stays small; what it refuses to watch."""

from datetime import timedelta
from typing import Any

import pytest

from tests.workflows.conftest import Outside
from tests.workflows.driver import START, World
from tests.workflows.endpoints import call
from workflows import monitor
from workflows.responses import InvalidInput

WATCH = {"condition": "payment_service_answers", "every_seconds": 10, "deadline_seconds": 600, "notify": "ops"}


def answers(*met: bool) -> World:
    """A hub whose checks give these answers, the last one for ever."""
    remaining = list(met)

    def check(watched: Any) -> dict[str, Any]:
        moments.append(world.now)
        return {"met": remaining.pop(0) if len(remaining) > 1 else remaining[0], "detail": "looked"}

    moments: list[Any] = []
    world = World(replace={"check_condition": check}, as_azure=True)
    world.moments = moments  # type: ignore[attr-defined]
    return world


def test_a_condition_that_is_met_ends_it_and_tells_once(world: World, outside: Outside) -> None:
    output = world.run("monitor", monitor.check(WATCH), "M-1").output
    assert (output["status"], output["checks"], output["told"]) == ("met", 1, "sent")
    assert outside.sums() == {"messages": 1}


def test_a_url_is_met_by_the_status_it_should_answer(outside: Outside) -> None:
    request = {"url": f"{outside.base}/nowhere", "expect_status": 404}
    assert World().run("monitor", monitor.check(request)).output["status"] == "met"


def test_a_service_that_cannot_be_reached_is_not_met(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENT_URL", "http://127.0.0.1:9")
    output = World().run("monitor", monitor.check({**WATCH, "deadline_seconds": 5})).output
    assert (output["status"], output["last"]) == ("deadline", "ConnectionError")


def test_a_condition_whose_setting_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAYMENT_URL", raising=False)
    output = World().run("monitor", monitor.check({**WATCH, "deadline_seconds": 5})).output
    assert "PAYMENT_URL is not set" in output["last"] and output["told"] == "logged"


def test_the_interval_grows_by_half_up_to_ten_times_and_the_last_look_is_at_the_deadline() -> None:
    world = answers(False)
    output = world.run("monitor", monitor.check(WATCH)).output
    pauses = [(b - a).total_seconds() for a, b in zip(world.moments, world.moments[1:], strict=False)]
    assert pauses[:4] == [10, 15, 22.5, 33.75] and max(pauses) == 100
    assert world.moments[-1] == START + timedelta(seconds=600) and output["status"] == "deadline"


def test_every_check_begins_a_new_generation() -> None:
    world = answers(False)
    instance = world.run("monitor", monitor.check(WATCH))
    assert instance.generations == instance.output["checks"] and len(instance.history) < 10


def test_it_can_be_stopped_at_any_moment() -> None:
    world = answers(False)
    world.start("monitor", monitor.check(WATCH), "M-1")
    world.pass_time(timedelta(seconds=60))
    assert call(world, "stop_monitor", route={"id": "M-1"}).status == 202
    world.settle()
    assert world.instances["M-1"].output["status"] == "stopped"
    assert call(world, "stop_monitor", route={"id": "M-1"}).status == 410


def test_a_stop_that_comes_while_it_looks_is_not_lost() -> None:
    world = answers(False)
    world.start("monitor", monitor.check(WATCH), "M-1")
    world.after_activity = lambda name, value: world.calls[name] == 3 and world.raise_event("M-1", "stop", {})
    world.pass_time()
    assert (world.instances["M-1"].output["status"], world.instances["M-1"].output["checks"]) == ("stopped", 3)


def test_a_check_that_fails_is_a_condition_not_met() -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("out of memory")

    output = World(replace={"check_condition": broken}).run("monitor", monitor.check(WATCH)).output
    assert output["status"] == "deadline" and "out of memory" in output["last"]


@pytest.mark.parametrize(
    "change, field",
    [
        ({"url": "http://x"}, "url"),
        ({"condition": None}, "url"),
        ({"condition": "sunshine"}, "condition"),
        ({"condition": None, "url": "ftp://x"}, "url"),
        ({"condition": None, "url": "http://[::1"}, "url"),
        ({"condition": None, "url": "http://169.254.169.254/metadata"}, "url"),
        ({"every_seconds": 0}, "every_seconds"),
        ({"deadline_seconds": 1e9}, "deadline_seconds"),
    ],
)
def test_what_cannot_be_watched_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        monitor.check({**WATCH, **change})
    assert [problem.field for problem in refused.value.problems] == [field]


def test_hosts_can_be_limited_by_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONITOR_HOSTS", "status.example.com, shop.example.com")
    assert monitor.check({"url": "https://shop.example.com/health"})["url"]
    with pytest.raises(InvalidInput):
        monitor.check({"url": "https://elsewhere.example.com"})
