"""The drill from its command to its report, with real hosts: the same seed loses the same requests."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Drilled

Drills = dict[str, Drilled]


@pytest.mark.parametrize("name", ["first", "planned", "no lag"])
def test_every_accepted_request_has_a_verdict_that_agrees_with_the_ground_truth(drills: Drills, name: str) -> None:
    drilled = drills[name]
    assert drilled.exit_code == 0, drilled.output
    assert drilled.findings["ground_truth_agrees"] == 60
    assert drilled.findings["accepted"]["starts"] == 60 == sum(drilled.findings["verdicts"].values())


def test_the_same_seed_loses_the_same_requests(drills: Drills) -> None:
    assert fates(drills["first"]) == fates(drills["second"])


def fates(drilled: Drilled) -> list[tuple[Any, ...]]:
    return [(one["instance"], one["verdict"], one["event"]) for one in drilled.findings["requests"]]


def test_with_lag_losses_appear_are_named_and_do_not_fail_the_drill(drills: Drills) -> None:
    findings = drills["first"].findings
    assert findings["verdicts"]["lost"] > 0
    assert findings["recovery_point"]["seconds"] > 0
    assert all(one["why"] for one in findings["requests"] if one["verdict"] in ("lost", "stuck"))
    lost = next(one["instance"] for one in findings["requests"] if one["verdict"] == "lost")
    assert lost in drills["first"].output


@pytest.mark.parametrize("name", ["planned", "no lag"])
def test_nothing_is_lost_when_everything_was_copied(drills: Drills, name: str) -> None:
    findings = drills[name].findings
    assert findings["verdicts"]["lost"] == findings["verdicts"]["stuck"] == 0
    assert findings["recovery_point"]["seconds"] == 0


def test_the_mix_holds_every_kind_of_instance(drills: Drills) -> None:
    verdicts = drills["first"].findings["verdicts"]
    assert verdicts["completed before"] > 0 and verdicts["completed"] > 0


def test_the_report_is_written_where_the_command_was_given(drills: Drills) -> None:
    assert (drills["first"].folder / "drill-report.html").read_text().startswith("<!doctype html>")
    assert drills["first"].findings["command"] in drills["first"].output


def test_with_doctor_and_journal_nothing_is_lost_or_stuck(drills: Drills) -> None:
    findings = drills["recovered"].findings
    assert drills["recovered"].exit_code == 0, drills["recovered"].output
    assert findings["verdicts"]["lost"] == findings["verdicts"]["stuck"] == 0
    assert findings["recovery"]["without"]["lost"] + findings["recovery"]["without"]["stuck"] > 0
