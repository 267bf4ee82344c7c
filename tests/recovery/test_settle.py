"""Exactly one app runs, in the account's region."""

from __future__ import annotations

from pathlib import Path

import pytest

from recovery import operator_errors as errors
from recovery import settle
from recovery.arm_fake import Killed
from recovery.failover import Request
from tests.recovery.practice import PLANNED, Practice

APPS = {
    "split": ("Running", "Running"),
    "dark": ("Stopped", "Stopped"),
    "crossed": ("Stopped", "Running"),
}


@pytest.mark.parametrize("state", APPS)
def test_it_ends_in_normal_from(tmp_path: Path, state: str) -> None:
    practice = Practice(tmp_path)
    practice.world.apps = dict(zip(("func-weu-fake", "func-neu-fake"), APPS[state], strict=True))
    assert practice.verdict() == state
    practice.settle()
    assert practice.verdict() == "normal"
    assert practice.azure.violations == []


def test_without_yes_it_only_says_what_it_would_do(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    assert settle.run(practice.session()) == 0
    assert practice.changing_calls() == []


def test_an_app_that_does_not_answer_is_not_assumed_to_be_stopped(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.world.apps = {"func-weu-fake": "Stopped", "func-neu-fake": "Running"}
    practice.world.silent.append("northeurope")
    with pytest.raises(errors.ArmUnavailable):
        practice.settle()
    assert practice.azure.running() == ["func-neu-fake"]


def test_it_waits_for_the_end_of_a_failover(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.world.failing_over = {"planned": True, "due": 9e9, "shows": 0, "synced": 0}
    with pytest.raises(errors.Refused, match="status --watch"):
        practice.settle()


def test_a_failover_whose_account_has_not_moved_can_be_given_up(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.fault_at("/failover?", "kill before")
    with pytest.raises(Killed):
        practice.fail_over(PLANNED)
    assert practice.azure.running() == [] and practice.world.failing_over is None
    practice.settle()
    assert practice.verdict() == "normal"
    assert practice.state().begun is None


def test_giving_up_waits_for_a_failover_that_does_not_show_yet(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.azure.failover_seconds = {True: 600, False: 600}
    practice.fault_at("/failover?", "kill after")
    with pytest.raises(Killed):
        practice.fail_over(PLANNED)
    with pytest.raises(errors.Refused, match="being failed over"):
        practice.settle()


def test_giving_up_a_fenced_failover_gives_the_rights_back(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.fault_at("/failover?", "kill before")
    with pytest.raises(Killed):
        practice.fail_over(Request("failover", "standby", planned=False, fence=True))
    practice.unharmed()
    practice.settle()
    assert practice.azure.running() == ["func-weu-fake"]
    assert practice.values()["FENCED_REGION"] == "none"
