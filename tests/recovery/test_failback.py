"""Home again."""

from __future__ import annotations

from pathlib import Path

import pytest

from recovery import failback
from recovery import operator_errors as errors
from tests.recovery.practice import PLANNED, UNPLANNED, Practice


def test_a_failback_is_planned_unless_said_otherwise(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.fail_over(PLANNED)
    practice.azure.calls.clear()
    practice.fail_back()
    assert [call for call in practice.changing_calls() if "failoverType=Planned" in call]
    assert practice.verdict() == "normal"


def test_an_unprotected_account_does_not_go_home(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.fail_over(UNPLANNED)
    with pytest.raises(errors.Refused, match="reprotect"):
        practice.fail_back()


def test_an_unplanned_failback_has_to_be_said_and_leaves_the_account_unprotected(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.fail_over(PLANNED)
    practice.world.planned_blocked = True
    with pytest.raises(errors.Refused, match="not possible"):
        practice.fail_back()
    practice.fail_back(planned=False)
    assert practice.verdict() == "home, unprotected"


def test_what_is_home_already_stays(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    with pytest.raises(errors.Refused, match="already westeurope"):
        failback.fail_back(practice.session())
