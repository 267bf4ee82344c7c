"""A drill is a value; one function runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from recovery.arm_fake import FakeClock
from recovery.drill import DRILLS, PLANNED_FAILOVER, Drill, DrillReport, Facts, StepFailed, run_drill

DRILL = Drill("d", "why?", True, ("g",), ("w",), ("f",), ("r",), ("v1", "v2"), ("back",))


class Rehearsal:
    """Does what a step's name says, and remembers the order."""

    name = "rehearsal"

    def __init__(self, clock: FakeClock, failing: str = "") -> None:
        self.clock, self.failing, self.done = clock, failing, list[str]()

    def steps(self) -> Mapping[str, Callable[[], str]]:
        return {name: lambda name=name: self._do(name) for _, names in DRILL.phases for name in names}  # type: ignore[misc]

    def facts(self) -> Facts:
        return Facts("2026-01-02T03:00:00+00:00", {"a": "completed", "b": "lost"})

    def _do(self, name: str) -> str:
        self.clock.sleep(10)
        self.done.append(name)
        if name == self.failing:
            raise StepFailed("it did not hold")
        return "seen"


def rehearse(failing: str = "") -> tuple[DrillReport, list[str]]:
    clock = FakeClock()
    rehearsal = Rehearsal(clock, failing)
    return run_drill(DRILL, rehearsal, clock, lambda _: None), rehearsal.done


def test_the_steps_run_in_the_order_gate_work_fault_recovery_verdict_restore() -> None:
    report, done = rehearse()
    assert done == ["g", "w", "f", "r", "v1", "v2", "back"]
    assert report.passed and report.outage_seconds == 20


def test_a_failed_gate_breaks_nothing() -> None:
    report, done = rehearse("g")
    assert done == ["g"]
    assert not report.passed


def test_a_failed_verdict_is_reported_and_everything_is_put_back() -> None:
    report, done = rehearse("v1")
    assert done == ["g", "w", "f", "r", "v1", "v2", "back"]
    assert report.document()["problems"] == ["v1: it did not hold"]
    assert not report.passed


def test_a_failed_recovery_stops_the_drill_where_it_is() -> None:
    report, done = rehearse("r")
    assert done == ["g", "w", "f", "r"]
    assert not report.passed


def test_the_report_is_json_with_every_step_and_fact(tmp_path: Path) -> None:
    report, _ = rehearse()
    report.write(tmp_path / "report.json")
    document = json.loads((tmp_path / "report.json").read_text())
    assert [step["step"] for step in document["steps"]] == ["g", "w", "f", "r", "v1", "v2", "back"]
    assert document["verdicts"] == {"completed": 1, "lost": 1}
    assert document["recovery_point"] == {"last_sync_time": "2026-01-02T03:00:00+00:00", "instances": 1}
    assert document["recovery_time"]["seconds"] == 20
    assert document["problems"] == []
    assert document["passed"] is True


@pytest.mark.parametrize("name", DRILLS)
def test_every_drill_has_a_question_a_gate_a_fault_a_recovery_and_a_verdict(name: str) -> None:
    assert all([DRILLS[name].question, *(names for phase, names in DRILLS[name].phases if phase != "restore")])


def test_a_drill_is_a_value() -> None:
    assert replace(PLANNED_FAILOVER) == PLANNED_FAILOVER
