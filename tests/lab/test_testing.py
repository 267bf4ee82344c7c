"""The test kit: real orchestrators in virtual time, activities replaced by name."""

from datetime import timedelta
from pathlib import Path

import pytest

from lab.testing import AppHost, after

APPS = Path(__file__).resolve().parent.parent / "function_apps"


@pytest.fixture(scope="module")
def host() -> AppHost:
    return AppHost(APPS / "test_kit")


def test_a_replaced_activity_gives_its_value_and_its_calls_are_kept(host: AppHost) -> None:
    run = host.run("greet_all", ["Ada", "Alan"], greet=lambda name: f"{name}!")
    assert run.output == ["Ada!", "Alan!"]
    assert run.calls == [("greet", "Ada"), ("greet", "Alan")]


def test_an_activity_that_is_not_replaced_is_the_apps_own(host: AppHost) -> None:
    assert host.run("greet_all", ["Ada"]).output == ["Hello Ada"]


def test_an_exception_given_for_an_activity_fails_it(host: AppHost) -> None:
    run = host.run("greet_all", ["Ada"], greet=ValueError("no voice"))
    assert run.status == "Failed" and "ValueError: no voice" in run.output


def test_a_deadline_of_thirty_days_passes_in_virtual_time(host: AppHost) -> None:
    run = host.run("decide", {"days": 30})
    assert (run.output, run.took) == ("nobody answered", timedelta(days=30))


def test_an_event_comes_when_the_test_says(host: AppHost) -> None:
    # Within six days: a longer timer is split into legs, and cancelling it leaves the current leg, as on the platform.
    run = host.run("decide", {"days": 5}, [after(timedelta(days=2), "decision", "yes")])
    assert (run.output, run.took) == ("yes", timedelta(days=2))


def test_a_long_history_with_cancelled_timers_ends_when_its_code_does(host: AppHost) -> None:
    # Its orchestrator is kept alive between episodes; a cancelled timer must not hold it back then either.
    run = host.run("many_races", {"rounds": 40}, greet="done")
    assert run.output == 40
    assert run.took < timedelta(minutes=1)


def test_what_has_not_ended_by_the_longest_time_is_still_running(host: AppHost) -> None:
    assert host.run("decide", {"days": 30}, longest=timedelta(days=1)).status == "Running"
