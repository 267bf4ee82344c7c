"""The drill from its command to its report, with real hosts: the same seed loses the same requests."""

from __future__ import annotations

from typing import Any

import pytest

from lab.drills import mix
from lab.drills.workload import PURE
from tests.conftest import Drilled

Drills = dict[str, Drilled]


def test_as_it_comes_the_drill_loses_nothing_and_shows_what_would_have_been_lost(drills: Drills) -> None:
    drilled = drills["first"]
    assert drilled.exit_code == 0, drilled.output
    findings = drilled.findings
    assert sum(findings["without_us"][name] for name in ("lost", "stuck")) > 0
    assert [findings["with_us"][name] for name in ("lost", "stuck", "wrong")] == [0, 0, 0]
    assert findings["verdicts"]["lost"] == findings["verdicts"]["stuck"] == 0
    assert findings["recovery"]["repaired"] > 0 and findings["recovery"]["started_again"] > 0
    assert "without us" in drilled.output and "with us" in drilled.output


def test_what_is_foretold_without_us_is_what_happens_without_us(drills: Drills) -> None:
    foretold, happened = drills["first"].findings["without_us"], drills["raw"].findings["without_us"]
    assert {name: foretold[name] for name in ("lost", "stuck")} == {name: happened[name] for name in ("lost", "stuck")}


@pytest.mark.parametrize("name", ["raw", "planned", "no lag", "doctor alone"])
def test_every_accepted_request_has_a_verdict_that_agrees_with_the_ground_truth(drills: Drills, name: str) -> None:
    drilled = drills[name]
    assert drilled.exit_code == 0, drilled.output
    instances = drilled.findings["instances"]
    assert drilled.findings["ground_truth_agrees"] == instances
    assert drilled.findings["accepted"]["starts"] == instances == sum(drilled.findings["verdicts"].values())


def test_the_same_seed_loses_the_same_requests(drills: Drills) -> None:
    assert fates(drills["raw"]) == fates(drills["raw again"])


def fates(drilled: Drilled) -> list[tuple[Any, ...]]:
    return [(one["instance"], one["verdict"], one["event"]) for one in drilled.findings["requests"]]


def test_with_lag_losses_appear_are_named_and_do_not_fail_the_drill(drills: Drills) -> None:
    findings = drills["raw"].findings
    assert findings["verdicts"]["lost"] > 0
    assert findings["recovery_point"]["seconds"] > 0
    assert all(one["why"] for one in findings["requests"] if one["verdict"] in ("lost", "stuck"))
    lost = next(one["instance"] for one in findings["requests"] if one["verdict"] == "lost")
    assert lost in drills["raw"].output


@pytest.mark.parametrize("name", ["planned", "no lag"])
def test_nothing_is_lost_when_everything_was_copied(drills: Drills, name: str) -> None:
    findings = drills[name].findings
    assert findings["verdicts"]["lost"] == findings["verdicts"]["stuck"] == 0
    assert findings["recovery_point"]["seconds"] == 0


def test_the_doctor_alone_leaves_nothing_stuck(drills: Drills) -> None:
    findings = drills["doctor alone"].findings
    assert findings["recovery"] | {"repaired": 0} == {
        "doctor": True, "journal": False, "repaired": 0, "started_again": 0, "events_raised_again": 0, "reported": 0,
    }  # fmt: skip
    assert findings["verdicts"]["stuck"] == 0


def test_the_mix_holds_every_workflow_and_every_kind_of_instance(drills: Drills) -> None:
    findings = drills["raw"].findings
    assert set(findings["workflows"]) == {PURE, *mix.WORKFLOWS}
    assert findings["verdicts"]["completed before"] > 0 and findings["verdicts"]["completed"] > 0


def test_the_report_is_written_where_the_command_was_given(drills: Drills) -> None:
    assert (drills["first"].folder / "drill-report.html").read_text().startswith("<!doctype html>")
    assert drills["first"].findings["command"] in drills["first"].output
