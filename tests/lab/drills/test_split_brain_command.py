"""The split-brain drill's arguments, its report, and when it fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab.drills.split_brain import LATE, WITH, WITHOUT, Found
from lab.drills.split_brain_command import main, problems, summary, write

IDLE = Found(WITH, stood_still_after=0.0, orders=5, orders_right=5)
BUSY = Found(
    WITHOUT, activities=7, effects=3, messages=1, starts_accepted=2, orders=5, orders_right=4, wrong=["order-3"]
)


def test_nothing_is_wrong_when_a_fenced_region_did_nothing_and_everything_ended_rightly() -> None:
    assert problems([BUSY, IDLE, replace(IDLE, kind=LATE)]) == []  # without the fence anything goes


@pytest.mark.parametrize("did", ["activities", "effects", "orchestrations", "timers", "messages", "starts_accepted"])
def test_whatever_a_fenced_region_did_is_a_problem(did: str) -> None:
    assert "West Europe worked" in problems([replace(IDLE, **{did: 1})])[0]


def test_a_failure_that_the_fence_leaves_in_the_hub_is_a_problem() -> None:
    assert "2 activities were recorded as failed" in problems([replace(IDLE, failures=2)])[0]


def test_what_ended_wrongly_is_named() -> None:
    assert "box-1, order-2" in problems([replace(IDLE, wrong=["box-1", "order-2"])])[0]


def test_the_runs_stand_side_by_side() -> None:
    lines = summary([BUSY, IDLE]).splitlines()
    assert lines[0].split("  ")[-1].strip() == WITH and WITHOUT in lines[0]
    assert lines[1].startswith("activities run by West Europe") and lines[1].split()[-2:] == ["7", "0"]
    rows = {line[:38].strip(): line[38:].split("  ") for line in lines}
    assert [cell.strip() for cell in rows["it stood still after"] if cell.strip()] == ["never", "0.0 s"]
    assert [cell.strip() for cell in rows["orders that ended rightly"] if cell.strip()] == ["4 of 5", "5 of 5"]


def test_the_report_tells_seed_runs_and_problems(tmp_path: Path) -> None:
    page, data = write([BUSY, replace(IDLE, timers=1)], 7, tmp_path / "new")
    report = json.loads(data.read_text())
    assert (page.name, data.name) == ("split-brain-report.html", "split-brain-report.json") and report["seed"] == 7
    for shown in (WITHOUT, "West Europe worked although", "--seed 7", "4 of 5"):
        assert shown in page.read_text()
    assert [run["kind"] for run in report["runs"]] == [WITHOUT, WITH]
    assert report["runs"][0]["activities"] == 7 and len(report["problems"]) == 1


@pytest.mark.parametrize(
    "arguments", [["--instances", "2"], ["--instances", "many"], ["--seed", "x"], ["--report", __file__]]
)
def test_an_argument_that_makes_no_sense_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2 and "error: argument" in capsys.readouterr().err
