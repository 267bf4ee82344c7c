"""The drills on Azure, against the small Azure."""

from __future__ import annotations

from pathlib import Path

import pytest

from recovery.arm import Response
from recovery.azure_drill import AzureExecutor
from recovery.drill import PLANNED_FAILOVER, UNPLANNED_FAILOVER, Drill, DrillReport, run_drill
from recovery.session import Session
from tests.recovery.practice import PLANNED, Practice


def drill(practice: Practice, which: Drill, instances: int = 5) -> DrillReport:
    session: Session = practice.session()
    return run_drill(which, AzureExecutor(session, which, instances), session.clock, practice.said.append)


def test_a_planned_drill_loses_nothing_and_ends_at_home(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    report = drill(practice, PLANNED_FAILOVER)
    assert report.passed, report.lines()
    assert report.verdicts["completed"] == 5
    assert practice.verdict() == "normal"
    assert practice.azure.violations == []


def test_an_unplanned_drill_names_what_was_lost_and_ends_protected_at_home(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    report = drill(practice, UNPLANNED_FAILOVER)
    assert report.passed, report.lines()
    assert report.verdicts["lost"] == 5
    assert practice.verdict() == "normal"


def test_an_unplanned_drill_with_a_fresh_copy_loses_nothing(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.world.lag_seconds = 1
    assert drill(practice, UNPLANNED_FAILOVER).verdicts["completed"] == 5


def test_a_drill_does_not_begin_in_a_state_that_is_not_normal(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.fail_over(PLANNED)
    changed = practice.changing_calls()
    report = drill(practice, PLANNED_FAILOVER)
    assert not report.passed
    assert "not normal" in report.steps[-1].seen
    assert practice.changing_calls() == changed


def test_an_instance_that_does_not_complete_fails_the_drill_which_still_goes_home(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    orchestrations = practice.azure._orchestrations

    def deaf(path: str, query: dict[str, str], body: object) -> object:
        answer = orchestrations(path, query, body)
        if "SendExternalEvent" in path:
            next(iter(practice.world.instances.values()))["runtimeStatus"] = "Running"
        return answer

    practice.azure._orchestrations = deaf  # type: ignore[method-assign,assignment]
    report = drill(practice, PLANNED_FAILOVER)
    assert not report.passed
    assert report.verdicts["stuck"] == 1
    assert practice.verdict() == "normal"


def test_without_an_accepted_start_nothing_is_stopped(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.azure._orchestrations = lambda *_: Response(401)  # type: ignore[method-assign]
    report = drill(practice, PLANNED_FAILOVER)
    assert "function key" in report.steps[-1].seen
    assert not [call for call in practice.changing_calls() if "/sites/" in call]


@pytest.mark.parametrize("which", [PLANNED_FAILOVER, UNPLANNED_FAILOVER], ids=lambda d: d.name)
def test_the_executor_knows_every_step(tmp_path: Path, which: Drill) -> None:
    known = AzureExecutor(Practice(tmp_path).session(), which).steps()
    assert {name for _, names in which.phases for name in names} <= known.keys()


def test_a_planned_drill_that_loses_an_instance_fails(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    finish = practice.azure._finish_failover

    def finish_and_lose(failover: dict[str, object]) -> None:
        finish(failover)
        practice.world.instances.pop(next(iter(practice.world.instances), ""), None)

    practice.azure._finish_failover = finish_and_lose  # type: ignore[method-assign]
    report = drill(practice, PLANNED_FAILOVER)
    assert not report.passed
    assert report.verdicts["lost"] == 1
